"""At which hours pictures may be submitted: ``22:00-06:00``, ``mon-fri 22:00-06:00, sat,sun 00:00-24:00``.

Separate because the calendar is full of traps (midnight, weekdays, clocks that change), and so this must be a table of
cases. A window belongs to the weekday on which it begins: ``fri 22:00-06:00`` ends on Saturday morning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from upscaled.job import calendar

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM: Final = 'Write it like "22:00-06:00" or "mon-fri 22:00-06:00, sat,sun 00:00-24:00".'

_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin`` to ``end``, minutes after midnight; past 1440 on the next day. ``day``: 0 is Monday."""

    day: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The windows of a week. None at all means: always."""

    windows: tuple[Window, ...] = ()

    def opening(self, now: float, zone: tzinfo | None = None) -> float:
        """Return when submits may next go, in seconds since the epoch: ``now`` itself while they may."""
        if not self.windows:
            return now
        today = calendar.midnight(calendar.local(now, zone))
        # A window of the day before may reach into this one, and one of today may come round in a week.
        days = [today + timedelta(days=offset) for offset in range(-1, 9)]
        spans = [_span(window, day, zone) for day in days for window in self.windows if window.day == day.weekday()]
        if any(begin <= now < end for begin, end in spans):
            return now
        return min(begin for begin, _ in spans if begin > now)


def _span(window: Window, day: datetime, zone: tzinfo | None) -> tuple[float, float]:
    begin, end = (day + timedelta(minutes=minutes) for minutes in (window.begin, window.end))
    return calendar.seconds(begin, zone), calendar.seconds(end, zone)


@lru_cache(maxsize=256)
def parse(text: str) -> Hours:
    """Read hours as the config writes them; empty text means always. Raises ValueError with what is wrong."""
    windows: list[Window] = []
    days: set[int] = set()
    for item in filter(None, (part.strip().lower() for part in text.split(","))):
        names, _, span = item.rpartition(" ")
        if not _TIME.fullmatch(span):
            # `sat,sun 00:00-24:00`: the comma stands between days as well as between windows.
            days |= _days(item)
            continue
        days |= _days(names.strip()) if names.strip() else set()
        begin, end = _minutes(span)
        windows += [Window(day, begin, end) for day in sorted(days or range(7))]
        days = set()
    if days:
        raise ValueError("it ends with days that have no hours")
    return Hours(tuple(windows))


def _days(text: str) -> set[int]:
    first, dash, last = text.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f'"{text}" is neither a day (mon ... sun) nor hours')
    begin = DAYS.index(first)
    count = (DAYS.index(last) - begin) % 7 + 1 if dash else 1
    return {(begin + offset) % 7 for offset in range(count)}


def _minutes(span: str) -> tuple[int, int]:
    match = _TIME.fullmatch(span)
    assert match is not None
    hour, minute, end_hour, end_minute = map(int, match.groups())
    begin, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or begin >= 1440 or end > 1440:
        raise ValueError(f"{span} is no time of day")
    if begin == end:
        raise ValueError(f"{span} is no time at all; 00:00-24:00 is the whole day")
    return begin, end if end > begin else end + 1440
