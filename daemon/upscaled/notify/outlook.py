"""What the decisions look at, read from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from upscaled.job.model import Cause
from upscaled.ledger import Ledger
from upscaled.ledger.database import bind
from upscaled.ledger.pruning import OVER
from upscaled.ledger.queue import within
from upscaled.ledger.spending import SPENT
from upscaled.notify.decisions import NAMED, Batch

_PATIENT: Final = (Cause.HOURS, Cause.PAUSE, Cause.MASS, Cause.BUDGET, Cause.KEY, Cause.CREDIT, Cause.FLOOR)
"""Causes for which a wait is no sign of anything stuck: they are meant, or told of by themselves."""

_ENDED: Final = "standing = ? AND finished_at > ? AND finished_at <= ?"


def oldest(ledger: Ledger, inboxes: Collection[str]) -> float | None:
    """Return when the oldest job of these folders was admitted that nothing but the program's work keeps waiting."""
    causes = ", ".join(f"'{cause}'" for cause in _PATIENT)
    found = [
        ledger.query(
            "SELECT admitted_at FROM jobs WHERE standing = ?"  # noqa: S608 - our own words
            # The plus keeps SQLite from reading a whole folder by its index: by age, the first row will mostly do.
            f" AND (cause IS NULL OR cause NOT IN ({causes})) AND +{within(inboxes)}"
            " AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.folder IN ('', jobs.folder))"
            " ORDER BY admitted_at, id LIMIT 1",
            standing,
            *map(bind, inboxes),
        )
        for standing in ("ready", "running", "waiting")
    ]
    return min((rows[0]["admitted_at"] for rows in found if rows), default=None)


def last_end(ledger: Ledger) -> float | None:
    """Return when the last job ended."""
    query = "SELECT max(finished_at) AS at FROM jobs WHERE standing = ? AND finished_at IS NOT NULL"
    ends = [ledger.query(query, standing)[0]["at"] for standing in OVER]
    return max((at for at in ends if at is not None), default=None)


def batch(ledger: Ledger, since: float, until: float) -> Batch:
    """Return what ended after ``since`` and by ``until``."""
    columns = "count(*) AS n, min(admitted_at) AS began, min(finished_at) AS first, max(finished_at) AS last"
    query = f"SELECT {columns} FROM jobs WHERE {_ENDED}"  # noqa: S608 - our own words
    rows = {standing: ledger.query(query, standing, since, until)[0] for standing in OVER}
    ended = {standing: row["n"] for standing, row in rows.items() if row["n"]}
    if not ended:
        return Batch()
    some = [rows[standing] for standing in ended]
    return Batch(
        ended,
        began=min(row["began"] for row in some),
        first_end=min(row["first"] for row in some),
        last_end=max(row["last"] for row in some),
        spent=_spent(ledger, since, until),
        failed=_failed(ledger, since, until),
        running=ledger.query("SELECT count(*) AS n FROM jobs WHERE standing = 'running'")[0]["n"],
    )


def _spent(ledger: Ledger, since: float, until: float) -> float:
    where = f"{SPENT} AND job_id IN (SELECT id FROM jobs WHERE {_ENDED})"  # noqa: S608 - our own words
    return sum(ledger.total(where, standing, since, until) for standing in OVER)


def _failed(ledger: Ledger, since: float, until: float) -> tuple[tuple[str, str], ...]:
    query = f"SELECT source, reason FROM jobs WHERE {_ENDED} ORDER BY finished_at LIMIT {NAMED:d}"  # noqa: S608
    return tuple((row["source"], row["reason"]) for row in ledger.query(query, "failed", since, until))
