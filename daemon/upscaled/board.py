"""What is under way, as numbers: read from the ledger, by `once` and `demo` about themselves and by `status --watch`.

Separate from `upscaled.progress`, which draws it, so that what is drawn can be tested as values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from upscaled import status
from upscaled.job.model import Job
from upscaled.ledger import Ledger, rows
from upscaled.ledger.pruning import OVER
from upscaled.ledger.spending import RESERVED, SPENT

SHOWN: Final = 12
"""Most active jobs that are named."""

WINDOW: Final = 600.0
"""Of how many seconds the rate is taken, so that a pause long ago does not count."""


@dataclass(frozen=True, slots=True)
class Board:
    """What is under way. ``rate`` is pictures a minute, ``left`` seconds; None where nothing can be said yet."""

    active: tuple[Job, ...]
    running: int
    waiting: int
    held: int
    ended: tuple[tuple[str, int], ...]
    dollars: float
    reserved: float
    rate: float | None
    left: float | None

    @property
    def total(self) -> int:
        """All that ended, runs or waits."""
        return sum(count for _, count in self.ended) + self.running + self.waiting + self.held


def board(ledger: Ledger, *, since: float, now: float) -> Board:
    """Return what is under way; what ended and was spent counts from ``since``. Seconds since the epoch."""
    counts = status.counts(ledger)
    ended = _ended(ledger, since)
    rate = _rate(ledger, max(since, now - WINDOW), now)
    open_ = counts["ready"] + counts["running"] + counts["waiting"]
    return Board(
        active=tuple(_active(ledger)),
        running=counts["running"],
        waiting=counts["ready"] + counts["waiting"],
        held=counts["held"],
        ended=tuple((standing, count) for standing, count in ended.items() if count),
        dollars=ledger.total(f"{SPENT} AND intended_at >= ?", since),
        reserved=ledger.total(f"{RESERVED} AND intended_at >= ?", since),
        rate=rate,
        left=None if not rate or not open_ else open_ / rate * 60,
    )


def _active(ledger: Ledger) -> list[Job]:
    query = f"{rows.SELECT} WHERE jobs.standing = 'running' ORDER BY jobs.admitted_at, jobs.id LIMIT {SHOWN:d}"
    return [rows.job_of(row) for row in ledger.query(query)]


def _ended(ledger: Ledger, since: float) -> dict[str, int]:
    query = "SELECT count(*) AS n FROM jobs WHERE standing = ? AND finished_at >= ?"
    return {standing: ledger.query(query, standing, since)[0]["n"] for standing in OVER}


def _rate(ledger: Ledger, since: float, now: float) -> float | None:
    """Return pictures done a minute, from when the first of them began or from ``since``."""
    found = ledger.query(
        "SELECT count(*) AS n, min(admitted_at) AS began FROM jobs WHERE standing = 'done' AND finished_at >= ?", since
    )[0]
    count, began = int(found["n"]), found["began"]
    return None if began is None else 60.0 * count / max(1.0, now - max(since, float(began)))
