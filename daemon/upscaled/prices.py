"""What a prediction costs, and what is left on the account: from the config, or asked of the service, free.

Prices are asked for once a day for each model and its parameters. The balance is asked for only where a floor is set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from upscaled import errors
from upscaled.api.client import Service
from upscaled.job.budget import dollars
from upscaled.job.model import Parameters
from upscaled.ledger.rows import canonical

log = structlog.get_logger()

LIFE: Final = 24 * 3600.0
"""How long an answer is believed, in seconds."""


BALANCE_LIFE: Final = 30.0
"""How long the balance is believed, but for what we spend ourselves; in seconds. Others may use the account too."""


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


class Floor:
    """Keeps the account's balance from being brought below a floor, in dollars."""

    def __init__(self, service: Service, floor: float, *, now: Callable[[], float]) -> None:
        self._service = service
        self._floor = floor
        self._now = now
        self._balance = 0.0
        self._asked_at = float("-inf")
        self._refused = 0.0

    async def mended(self) -> bool:
        """May what was refused last be spent now? Raises `errors.ServiceError`."""
        return await self.too_low(self._refused) is None

    async def too_low(self, price: float) -> str | None:
        """Return why ``price`` dollars must not be spent, or None. Raises `errors.ServiceError`: it cannot be asked."""
        if self._now() - self._asked_at > BALANCE_LIFE or self._below(price):
            await self._ask()
        if not self._below(price):
            return None
        self._refused = price
        return (
            f"The account's balance is {dollars(self._balance)}, and this would bring it below budget.balance_floor "
            f"({dollars(self._floor)}). It goes on by itself once the account is topped up."
        )

    def take(self, price: float) -> None:
        """Note that so much is about to be spent."""
        self._balance -= price

    def _below(self, price: float) -> bool:
        # To a millionth: amounts in binary are never quite what they say.
        return round(self._balance - price - self._floor, 6) < 0

    async def _ask(self) -> None:
        before = self._balance
        found = await self._service.balance()
        # What was taken while the question was on its way may not be in the answer yet.
        self._balance = found - max(0.0, before - self._balance)
        self._asked_at = self._now()
