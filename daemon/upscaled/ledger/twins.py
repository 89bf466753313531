"""Other jobs with the same picture and the same parameters: what is paid once is delivered as often as it is dropped.

Separate from the store because it is one question, asked twice: before the upload, to save the work, and inside the
transaction of the intent, where the answer cannot change before the money is reserved.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from upscaled.job import pacing
from upscaled.job.budget import NotNow
from upscaled.job.model import Cause, Job, Standing
from upscaled.ledger.rows import canonical

DECIDED: Final = frozenset({Standing.DONE, Standing.FAILED, Standing.CANCELLED, Standing.HELD})
"""Standings at which those that wait for a job look again."""

_SAME: Final = "fingerprint = ? AND model = ? AND inputs = ? AND jobs.id <> ? AND reuse IS NULL"

_PAID: Final = (
    "EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND state IN ('intended', 'accepted', 'completed'))"
)


@dataclass(frozen=True, slots=True)
class Reusable:
    """This job's result, of these bytes, lies (or lay) there."""

    job: str
    source: str
    output: str
    digest: str


@dataclass(frozen=True, slots=True)
class Underway:
    """This job is at work on the same picture."""

    job: str
    source: str


Twin = Reusable | Underway


def find(connection: sqlite3.Connection, job: Job) -> Twin | None:
    """Return what can stand for the result of ``job``, or will: the newest result, else the oldest job before it."""
    if job.forced:
        return None
    return _done(connection, job, 0.0) or _ahead(connection, job)


def rival(connection: sqlite3.Connection, job: Job) -> Reusable | NotNow | None:
    """Return what forbids to pay for ``job``: a job of the same picture that was paid meanwhile, or is being."""
    if job.forced:
        return None
    row = connection.execute(
        f"SELECT jobs.id, source FROM jobs WHERE {_SAME} AND finished_at IS NULL AND {_PAID} LIMIT 1",  # noqa: S608
        _key(job),
    ).fetchone()
    if row is not None:
        return waits_for(Underway(row["id"], row["source"]), job.uploaded_at or 0.0)
    return _done(connection, job, job.uploaded_at or 0.0)


def waits_for(twin: Underway, now: float) -> NotNow:
    """Return the wait for a twin; it is woken as soon as the twin's fate is known."""
    reason = f"The same picture is on its way as job {twin.job}; its result will be delivered here too, free."
    return NotNow(reason, Cause.TWIN, now + pacing.BACKOFF[Cause.TWIN][1])


def wake(connection: sqlite3.Connection, job: Job) -> None:
    """Let those that wait for this job look again."""
    connection.execute(
        "UPDATE jobs SET standing = 'ready', not_before = NULL, cause = NULL, reason = ''"
        " WHERE fingerprint = ? AND standing = 'waiting' AND cause = 'twin'",
        (job.fingerprint,),
    )


def _done(connection: sqlite3.Connection, job: Job, since: float) -> Reusable | None:
    row = connection.execute(
        f"SELECT jobs.id, source, output, result_hash FROM jobs WHERE {_SAME} AND standing = 'done'"  # noqa: S608
        " AND result_hash IS NOT NULL AND finished_at >= ? ORDER BY finished_at DESC LIMIT 1",
        (*_key(job), since),
    ).fetchone()
    return None if row is None else Reusable(row["id"], row["source"], row["output"], row["result_hash"])


def _ahead(connection: sqlite3.Connection, job: Job) -> Underway | None:
    """The first job of the same picture that was admitted before this one, or has been paid for."""
    # A held one that was not paid may be held for ever; one that was is waited for, as a person will look at it.
    row = connection.execute(
        f"SELECT jobs.id, source FROM jobs WHERE {_SAME} AND finished_at IS NULL AND failure IS NULL"  # noqa: S608
        f" AND ((standing <> 'held' AND (admitted_at, jobs.id) < (?, ?)) OR {_PAID})"
        " ORDER BY admitted_at, jobs.id LIMIT 1",
        (*_key(job), job.admitted_at, job.id),
    ).fetchone()
    return None if row is None else Underway(row["id"], row["source"])


def _key(job: Job) -> tuple[str | None, str, str, str]:
    return job.fingerprint, job.params.model, canonical(job.params.inputs), job.id
