"""What a prediction costs: from the config, or asked of the service, free, once a day for each model and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from upscaled import errors
from upscaled.api.client import Service
from upscaled.job.model import Parameters
from upscaled.ledger.rows import canonical

log = structlog.get_logger()

LIFE: Final = 24 * 3600.0
"""How long an answer is believed, in seconds."""


class Prices:
    """Dollars for each model and its parameters. ``fixed`` is the config's price, which needs no asking."""

    def __init__(self, service: Service, *, fixed: float | None, now: Callable[[], float]) -> None:
        self._service = service
        self._fixed = fixed
        self._now = now
        self._asked: dict[tuple[str, str], tuple[float, float | None]] = {}

    async def __call__(self, params: Parameters) -> float | None:
        """Return the price in dollars, or None where the service names none.

        Raises `errors.ServiceError` when it cannot be asked.
        """
        if self._fixed is not None:
            return self._fixed
        key = (params.model, canonical(params.inputs))
        asked_at, price = self._asked.get(key, (float("-inf"), None))
        if self._now() - asked_at > LIFE:
            price = await self._ask(params)
            self._asked[key] = (self._now(), price)
        return price

    async def _ask(self, params: Parameters) -> float | None:
        try:
            return (await self._service.price(params.model, params.inputs)).dollars
        except errors.BadRequest as error:
            log.warning("price.unknown", model=params.model, reason=error.why or error.what)
            return None
