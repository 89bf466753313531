"""Days and months of the local calendar, as seconds since the epoch.

Separate because a day is not 86,400 seconds where clocks change, and every period of money or hours asks here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Periods:
    """When the day and the month of a moment began, and when the next ones begin; seconds since the epoch."""

    day: float
    next_day: float
    month: float
    next_month: float


def periods(now: float, zone: tzinfo | None = None) -> Periods:
    """Return the periods that ``now`` lies in, by the calendar of ``zone`` (None: this machine's)."""
    day = midnight(local(now, zone))
    month = day.replace(day=1)
    # Day 1 plus 32 is always in the next month.
    following = (month + timedelta(days=32)).replace(day=1)
    return Periods(
        seconds(day, zone),
        seconds(day + timedelta(days=1), zone),
        seconds(month, zone),
        seconds(following, zone),
    )


def month_of(year: int, month: int, zone: tzinfo | None = None) -> tuple[float, float]:
    """Return when a month begins and when it ends, in seconds since the epoch."""
    first = datetime(year, month, 1)  # noqa: DTZ001 - `seconds` puts it into its zone
    return seconds(first, zone), seconds((first + timedelta(days=32)).replace(day=1), zone)


def local(at: float, zone: tzinfo | None = None) -> datetime:
    """Return what clocks on the wall show, without a zone: arithmetic on it is arithmetic on the calendar."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


def seconds(wall: datetime, zone: tzinfo | None = None) -> float:
    """Return when clocks on the wall show this, in seconds since the epoch; the first time, where they show it twice.

    A moment that a change of clocks leaves out counts as the one that the clocks before the change would have shown.
    """
    return (wall if zone is None else wall.replace(tzinfo=zone)).timestamp()


def midnight(wall: datetime) -> datetime:
    """Return the beginning of a day."""
    return wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
