"""Jobs that were over long ago leave the ledger, a handful at a time, unless they still guard something.

Separate from the store because it is the only place where rows of jobs are deleted. What guards something stays, for
however long that takes:

    stays      its file was left in the inbox on purpose, and would be taken for a new one
    money      it has a paid request of this month, which budgets and `spend` count
    reused     another job is delivering its result again, which would be paid for otherwise
    review     its result waits for a person

What goes takes its events and paid requests along: `spend` no longer tells of those months, and the same picture
dropped again is a new one, paid anew. Dying in the midst leaves whole jobs only: each handful is one transaction, and
running it again goes on with the rest.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from upscaled.job.calendar import periods

HANDFUL: Final = 50
"""Jobs looked at in one transaction: other writes wait no longer than for these, some hundredths of a second."""

OVER: Final = ("done", "failed", "cancelled")

_GUARDS: Final = {
    "stays": "stays = 1",
    "money": "EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND (settled_at IS NULL OR intended_at >= :month))",
    "reused": "id IN (SELECT reuse FROM jobs WHERE finished_at IS NULL AND reuse IS NOT NULL)",
    "review": "review IS 'waiting'",
}

_GUARD: Final = "CASE " + " ".join(f"WHEN {where} THEN '{guard}'" for guard, where in _GUARDS.items()) + " END"

_PAGE: Final = f"""
SELECT id, finished_at, {_GUARD} AS guard FROM jobs INDEXED BY jobs_by_end
WHERE standing = :standing AND finished_at IS NOT NULL AND finished_at < :before
  AND (finished_at > :at OR (finished_at = :at AND id > :id))
ORDER BY finished_at, id LIMIT :limit
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run of pruning has come."""

    standing: str = OVER[0]
    at: float = 0.0
    id: str = ""


@dataclass(frozen=True, slots=True)
class Handful:
    """What became of some jobs: how many went, what guarded the others, and where to go on; None: that was all."""

    gone: int
    kept: tuple[str, ...]
    following: Place | None


def handful(
    connection: sqlite3.Connection, place: Place, *, before: float, now: float, dry_run: bool = False
) -> Handful:
    """Look at the next jobs that were over ``before`` (seconds since the epoch); delete those that guard nothing."""
    asked = {
        "standing": place.standing,
        "at": place.at,
        "id": place.id,
        "before": before,
        "month": periods(now).month,
        "limit": HANDFUL,
    }
    found = connection.execute(_PAGE, asked).fetchall()
    useless = [row["id"] for row in found if row["guard"] is None]
    if not dry_run:
        connection.executemany("DELETE FROM jobs WHERE id = ?", [(id_,) for id_ in useless])
    kept = tuple(row["guard"] for row in found if row["guard"] is not None)
    return Handful(len(useless), kept, _following(place, found))


def _following(place: Place, found: list[sqlite3.Row]) -> Place | None:
    if len(found) == HANDFUL:
        return Place(place.standing, found[-1]["finished_at"], found[-1]["id"])
    standing = OVER.index(place.standing) + 1
    return Place(OVER[standing]) if standing < len(OVER) else None
