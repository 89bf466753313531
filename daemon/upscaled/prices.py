"""What a prediction costs, and what is left on the account: from the config, or asked of the service, free.

Prices are asked for once a day for each model and its parameters. The balance is asked for only where a floor is set.
"""

from __future__ import annotations

import asyncio
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
    """Keeps the account's balance from being brought below a floor, in dollars. Lives in one event loop."""

    def __init__(self, service: Service, floor: float, *, now: Callable[[], float]) -> None:
        self._service = service
        self._floor = floor
        self._now = now
        self._balance = 0.0
        self._asked_at = float("-inf")
        self._taken = 0.0
        self._unanswered = 0.0
        self._refused = 0.0
        self._asking = asyncio.Lock()

    async def take(self, price: float) -> str | None:
        """Set ``price`` dollars aside, or return why they must not be spent.

        Raises `errors.ServiceError` when the balance cannot be asked for.
        """
        if self._now() - self._asked_at > BALANCE_LIFE or self._below(price):
            await self._ask()
        # From here to the end nobody else can take: there is no other await.
        if self._below(price):
            self._refused = price
            return (
                f"The account's balance is {dollars(self._balance)}, and budget.balance_floor is "
                f"{dollars(self._floor)}. It goes on by itself once the account is topped up."
            )
        self._balance -= price
        self._taken += price
        self._unanswered += price
        return None

    def settle(self, price: float, *, sent: bool) -> None:
        """The paid request for which this was set aside was answered, or was not ``sent`` after all."""
        self._unanswered -= price
        if not sent:
            self._balance += price

    async def mended(self) -> bool:
        """May what was refused last be spent now? Raises `errors.ServiceError`."""
        await self._ask()
        return not self._below(self._refused)

    def _below(self, price: float) -> bool:
        # To a millionth: amounts in binary are never quite what they say.
        return round(self._balance - price - self._floor, 6) < 0

    async def _ask(self) -> None:
        asked_at = self._now()
        async with self._asking:
            if self._asked_at >= asked_at:
                return  # somebody else asked while we waited
            # The answer may or may not count what is on its way: it is taken not to.
            before, unanswered = self._taken, self._unanswered
            found = await self._service.balance()
            self._balance = found - unanswered - (self._taken - before)
            self._asked_at = self._now()
