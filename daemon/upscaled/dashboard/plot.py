"""Thirty days as bars: pictures that were finished, and dollars spent. Numbers in, numbers for SVG out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from upscaled.job.calendar import local, midnight, seconds
from upscaled.ledger import Ledger
from upscaled.ledger import spending as money

DAYS: Final = 30

HEIGHT: Final = 100.0
"""The height of the drawing in its own units; a bar is one unit wide."""

_LEAST: Final = 2.0
"""The height of a bar of anything more than nothing: it must be seen."""


PLOT_FOR: Final = 20.0
"""For how many seconds thirty days of numbers are good enough."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one local day brought."""

    date: date
    pictures: int
    dollars: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands, how high it is, and what it says."""

    x: int
    y: float
    height: float
    label: str


def days_of(ledger: Ledger, now: float, count: int = DAYS) -> list[Day]:
    """Return what the last days brought, today last."""
    today = midnight(local(now))
    found = []
    for back in range(count - 1, -1, -1):
        day = today - timedelta(days=back)
        since, until = seconds(day), seconds(day + timedelta(days=1))
        pictures = ledger.query(
            "SELECT count(*) AS n FROM jobs INDEXED BY jobs_by_end"
            " WHERE standing = 'done' AND finished_at >= ? AND finished_at < ?",
            since,
            until,
        )[0]["n"]
        spent = ledger.total(f"{money.SPENT} AND intended_at >= ? AND intended_at < ?", since, until)
        found.append(Day(day.date(), pictures, spent))
    return found


def bars(values: Sequence[float], labels: Sequence[str]) -> list[Bar]:
    """Return bars as high as their values, the highest as high as the drawing."""
    highest = max(values, default=0) or 1
    heights = [max(_LEAST, value / highest * HEIGHT) if value else 0.0 for value in values]
    return [
        Bar(x, round(HEIGHT - height, 2), round(height, 2), label)
        for x, (height, label) in enumerate(zip(heights, labels, strict=True))
    ]


class Plots:
    """The plot's numbers, kept for a while: nothing in them changes fast."""

    def __init__(self) -> None:
        self._at = -PLOT_FOR
        self._days: list[Day] = []

    def days(self, ledger: Ledger, now: float) -> list[Day]:
        """Return what the last days brought."""
        if time.monotonic() - self._at > PLOT_FOR:
            self._days, self._at = days_of(ledger, now), time.monotonic()
        return self._days
