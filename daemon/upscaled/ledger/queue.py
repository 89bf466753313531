"""Which jobs go on next: those begun, then lost submits and uploads, then new ones; by priority, turn and age.

Separate from the store because order and fairness are one subject. The only state here is whose turn it is, which may
be forgotten at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from upscaled.job.turns import Queued, in_turn
from upscaled.ledger.database import bind

_BEFORE: Final = "('admitted', 'uploaded')"

EVERYTHING: Final = ""
"""What ``paused`` holds when all folders are."""


class Queue:
    """Takes jobs in their order. Used by the one writer's thread alone."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}

    def take(
        self, connection: sqlite3.Connection, limit: int, folders: Collection[str], *, now: float, ahead: int
    ) -> list[str]:
        """Return the ids of up to ``limit`` jobs, marked running; at most ``ahead`` of them before their submit."""
        connection.execute(
            "UPDATE jobs SET standing = 'ready', not_before = NULL WHERE standing = 'waiting' AND not_before <= ?",
            (now,),
        )
        taken = _beyond(connection, folders, limit)
        going = _going(connection, folders)
        # Neither needs room ahead of the submit: a lost one has its slot, and holds it until its fate is known.
        taken += _lost(connection, folders, limit - len(taken))
        before: list[str] = []
        for stage in ("uploaded", "admitted"):
            room = min(ahead - len(before), limit - len(taken) - len(before))
            before = before + self._next(connection, going, stage, room)
        for job_id in (taken := taken + before):
            connection.execute("UPDATE jobs SET standing = 'running', reason = '' WHERE id = ?", (job_id,))
        return taken

    def _next(self, connection: sqlite3.Connection, folders: Collection[str], stage: str, room: int) -> list[str]:
        if room <= 0:
            return []
        queues = {folder: _queued(connection, folder, stage, room) for folder in folders}
        taken = in_turn(queues, self._served, room)
        for job in taken:
            self._served[job.folder] = max(self._served.values(), default=0) + 1
        return [job.id for job in taken]


def _beyond(connection: sqlite3.Connection, folders: Collection[str], limit: int) -> list[str]:
    """Jobs that cost nothing any more: paid, or on their way to the failed folder. A pause does not stop them."""
    # Each by an index that holds these few alone, not the backlog that is ready, too.
    paid = f"INDEXED BY jobs_unfinished WHERE finished_at IS NULL AND stage <> 'admitted' AND stage NOT IN {_BEFORE}"
    refused = "INDEXED BY jobs_to_reject WHERE finished_at IS NULL AND failure IS NOT NULL"
    ready = f"standing = 'ready' AND {within(folders)}"
    each = (f"SELECT id, priority, admitted_at FROM jobs {which} AND {ready}" for which in (paid, refused))  # noqa: S608
    query = f"{' UNION '.join(each)} ORDER BY priority DESC, admitted_at, id LIMIT ?"
    named = [bind(folder) for folder in folders]
    return [row[0] for row in connection.execute(query, [*named, *named, max(0, limit)])]


def _lost(connection: sqlite3.Connection, folders: Collection[str], room: int) -> list[str]:
    """Lost submits: they are looked up before anything new is sent."""
    query = (
        "SELECT jobs.id FROM attempts INDEXED BY one_open_attempt_per_job CROSS JOIN jobs ON jobs.id = job_id"  # noqa: S608
        " WHERE settled_at IS NULL AND state = 'intended' AND standing = 'ready' AND stage = 'uploaded'"
        f" AND {within(folders)}"
        " ORDER BY intended_at LIMIT ?"
    )
    return [row[0] for row in connection.execute(query, [*map(bind, folders), max(0, room)])]


def _queued(connection: sqlite3.Connection, folder: str, stage: str, limit: int) -> list[Queued]:
    unbegun = "NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND state = 'intended')"
    query = (
        "SELECT id, folder, priority, admitted_at FROM jobs"  # noqa: S608
        " WHERE standing = 'ready' AND stage IN ('admitted', 'uploaded') AND failure IS NULL"
        f" AND folder = CAST(? AS TEXT) AND stage = ? AND {unbegun}"
        " ORDER BY priority DESC, admitted_at, id LIMIT ?"
    )
    found = connection.execute(query, (bind(folder), stage, limit))
    return [Queued(row["id"], row["folder"], row["priority"], (row["admitted_at"], row["id"])) for row in found]


def _going(connection: sqlite3.Connection, folders: Collection[str]) -> list[str]:
    """The folders that are not paused."""
    paused = paused_folders(connection)
    return [] if EVERYTHING in paused else [folder for folder in folders if folder not in paused]


def paused_folders(connection: sqlite3.Connection) -> set[str]:
    """Return the folders that a person paused; `EVERYTHING` among them if all are."""
    return {row[0] for row in connection.execute("SELECT folder FROM paused")}


def within(folders: Collection[str]) -> str:
    """Return the condition that a job belongs to one of so many folders."""
    return f"folder IN ({', '.join('CAST(? AS TEXT)' for _ in folders)})"
