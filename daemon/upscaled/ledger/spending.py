"""What attempts have cost and may yet cost, and what forbids one more (invariants I3 and I7).

Separate from the store because every sum of money in the program is made here. An attempt counts for the day and the
month in which it was intended: reserved from its intent on, spent when its prediction is completed, nothing any more
when it was rejected, or when its prediction failed and so is refunded. What was given up with its fate unknown counts
as spent, because it may have been.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from upscaled.job import pacing
from upscaled.job.budget import MICRO, Limits, NotNow, Used, judge
from upscaled.job.calendar import periods
from upscaled.job.model import Cause, Job
from upscaled.ledger.database import bind
from upscaled.ledger.queue import EVERYTHING, paused_folders

_MICROS: Final = "coalesce(sum(CAST(round(price * 1000000) AS INTEGER)), 0)"
RESERVED: Final = "(settled_at IS NULL AND state IN ('intended', 'accepted'))"
"""Settled ones are none of these; said so that only the few that are not need be looked at."""
SPENT: Final = "state IN ('completed', 'abandoned')"
REFUNDED: Final = "state = 'failed'"


def used(connection: sqlite3.Connection, now: float) -> Used:
    """Return what this day and this month have cost or may yet cost."""
    calendar = periods(now)
    counting = f"({RESERVED} OR {SPENT})"
    return Used(
        day=total(connection, f"{counting} AND intended_at >= ?", calendar.day),
        month=total(connection, f"{counting} AND intended_at >= ?", calendar.month),
    )


def total(connection: sqlite3.Connection, where: str, *arguments: Any) -> int:
    """Return the sum of the prices of some attempts, in millionths of a dollar."""
    found: int = connection.execute(f"SELECT {_MICROS} FROM attempts WHERE {where}", arguments).fetchone()[0]  # noqa: S608
    return found


def forbidden(
    connection: sqlite3.Connection, job: Job, price: float | None, now: float, limits: Limits
) -> NotNow | None:
    """Return why nothing may be spent on ``job`` now: its folder is paused, or the budget does not allow it."""
    paused = paused_folders(connection)
    if job.folder in paused or EVERYTHING in paused:
        return NotNow("The folder is paused; `upscaled resume` lets it go on.", Cause.PAUSE, now + _PAUSED)
    # Without a limit nothing need be summed up, which takes the longer the more was spent this month.
    return judge(limits, price, used(connection, now), periods(now), now) if limits.any else None


_PAUSED: Final = pacing.BACKOFF[Cause.PAUSE][1]


@dataclass(frozen=True, slots=True)
class Others:
    """What other jobs have to do with some predictions, at one moment."""

    owned: frozenset[str]
    """Those that a job of ours has."""
    unresolved: int
    """How many submits have an intent and no fact."""
    under_way: bool
    """Is one of those just being sent, and not lost?"""


def others(connection: sqlite3.Connection, predictions: Collection[str]) -> Others:
    """Return what other jobs have to do with these predictions."""
    connection.execute("BEGIN")
    try:
        marks = ", ".join("?" for _ in predictions)
        query = f"SELECT prediction_id FROM attempts WHERE prediction_id IN ({marks})"  # noqa: S608
        owned = frozenset(row[0] for row in connection.execute(query, list(predictions)))
        open_ = connection.execute(
            "SELECT count(*), coalesce(sum(looked_at IS NULL), 0) FROM attempts"
            " WHERE settled_at IS NULL AND state = 'intended'"
        ).fetchone()
    finally:
        connection.execute("COMMIT")
    return Others(owned, int(open_[0]), under_way=int(open_[1]) > 0)


@dataclass(frozen=True, slots=True)
class Line:
    """What one folder and profile cost on one day (``YYYY-MM-DD``, local); dollars."""

    day: str
    folder: str
    profile: str
    predictions: int
    spent: float
    reserved: float
    refunded: float


def lines(connection: sqlite3.Connection, since: float, until: float) -> list[Line]:
    """Return spending between two times by day, folder and profile. What was rejected cost nothing and is left out."""
    day = "date(intended_at, 'unixepoch', 'localtime')"
    sums = ", ".join(
        f"coalesce(sum(CASE WHEN {state} THEN CAST(round(price * 1000000) AS INTEGER) END), 0)"
        for state in (SPENT, RESERVED, REFUNDED)
    )
    query = (
        f"SELECT {day}, folder, profile, count(*), {sums} FROM attempts JOIN jobs ON jobs.id = job_id"  # noqa: S608
        " WHERE state <> 'rejected' AND intended_at >= ? AND intended_at < ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [
        Line(row[0], row[1], row[2], row[3], row[4] / MICRO, row[5] / MICRO, row[6] / MICRO)
        for row in connection.execute(query, (bind(since), bind(until)))
    ]
