"""May this much be spent now? Limits, what is spent and reserved already, and a price; or until when to wait.

Separate and pure because goal 2 hangs on it: the ledger asks it inside the transaction that writes the intent, so that
what is reserved and spent in a period never exceeds its budget, at any concurrency (invariant I7).

Money is counted in millionths of a dollar, as whole numbers: ten times a cent must be exactly ten cents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from upscaled.job.calendar import Periods
from upscaled.job.model import Cause

MICRO: Final = 1_000_000
"""Millionths in a dollar."""

LOOK_AGAIN: Final = 3600.0
"""How long to wait where no time is known at which things change, in seconds. A restart with another config asks anew.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent, in dollars; None is no limit."""

    per_picture: float | None = None
    per_day: float | None = None
    per_month: float | None = None

    @property
    def any(self) -> bool:
        """Is there a limit at all?"""
        return not self.per_picture is self.per_day is self.per_month is None


@dataclass(frozen=True, slots=True)
class Used:
    """What attempts of this day and this month have cost or may yet cost, in millionths of a dollar."""

    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True)
class NotNow:
    """The paid request must not be sent now: why, what stands in the way, and until when (seconds since the epoch)."""

    reason: str
    cause: Cause
    until: float


def judge(limits: Limits, price: float | None, used: Used, periods: Periods, now: float) -> NotNow | None:
    """Return None if ``price`` dollars may be reserved now, else why not and until when."""
    if not limits.any:
        return None
    if price is None:
        reason = "The service names no price, so no budget could be kept; set budget.price."
        return NotNow(reason, Cause.BUDGET, now + LOOK_AGAIN)
    if limits.per_picture is not None and micro(price) > micro(limits.per_picture):
        reason = f"It costs {dollars(price)}, and budget.per_picture is {dollars(limits.per_picture)}."
        return NotNow(reason, Cause.BUDGET, now + LOOK_AGAIN)
    month = _period("month", limits.per_month, price, used.month, periods.next_month)
    return month or _period("day", limits.per_day, price, used.day, periods.next_day)


def _period(name: str, limit: float | None, price: float, used: int, until: float) -> NotNow | None:
    if limit is None or used + micro(price) <= micro(limit):
        return None
    numbers = f"{dollars(used / MICRO)} spent or reserved, this costs {dollars(price)}"
    return NotNow(f"The {name}'s budget of {dollars(limit)} is used up ({numbers}).", Cause.BUDGET, until)


def micro(amount: float) -> int:
    """Return dollars as millionths."""
    return round(amount * MICRO)


def dollars(amount: float) -> str:
    """Return an amount as a person reads it: two decimals, more where it is finer than a cent."""
    text = f"{amount:.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"${whole}.{fraction:0<2}"
