"""What people order: cancel, release, pause, resume, retry, as changes to rows.

Separate from the store because another process does these, beside a running daemon. A job that a worker has is never
changed under it: the order is written down as a wish, and done at the job's next fact, inside that commit.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from upscaled.job.machine import FACTS
from upscaled.job.model import AttemptState, Identity, Job, Parameters, Review, Stage, Standing
from upscaled.ledger import rows, twins
from upscaled.ledger.database import bind

CALLED_OFF: Final = "A person cancelled it; the file was left in the inbox, and is not taken again until it changes."
THROWN_AWAY: Final = "A person cancelled it after it was paid; it counts as spent, and its result is not fetched."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants a picture done with: a profile's name, and what it asks the service for."""

    profile: str
    params: Parameters


_OPEN: Final = frozenset({AttemptState.INTENDED, AttemptState.ACCEPTED})


def paid(job: Job) -> bool:
    """Has money been spent on this job, or may it have been?"""
    attempt = job.attempt
    return attempt is not None and attempt.state in _OPEN | {AttemptState.COMPLETED, AttemptState.ABANDONED}


def given(connection: sqlite3.Connection) -> tuple[int, frozenset[str]]:
    """Return how many commands were ever given, and the jobs of which something is wished."""
    count: int = connection.execute("SELECT count FROM commands").fetchone()[0]
    wished = connection.execute("SELECT id FROM jobs WHERE finished_at IS NULL AND wish IS NOT NULL")
    return count, frozenset(row[0] for row in wished)


def fulfil(connection: sqlite3.Connection, job: Job, now: float) -> Job:
    """Do what a person wished of a job that a worker had, now that it is at a fact."""
    if job.wish is None:
        return job
    if job.standing in {Standing.DONE, Standing.FAILED, Standing.CANCELLED}:
        update(connection, job, {"wish": None})
    elif job.failure is None and (job.wish == "abandon" or not paid(job)):
        cancel(connection, job, now)
    else:
        # It has been paid meanwhile: the result is worth more than the wish.
        update(connection, job, {"wish": None})
    return read(connection, job.id)


def wish(connection: sqlite3.Connection, job: Job, what: str) -> None:
    """Write down what is to be done at the job's next fact."""
    update(connection, job, {"wish": what})


def cancel(connection: sqlite3.Connection, job: Job, now: float) -> None:
    """End a job. Its file stays in the inbox and is not taken again while it is the same."""
    reason = THROWN_AWAY if paid(job) else CALLED_OFF
    abandon(connection, job, now)
    ended = {**_CLEAR, "standing": "cancelled", "reason": reason, "finished_at": now, "stays": 1}
    update(connection, job, ended)
    record(connection, job.id, now, "cancelled", reason)
    twins.wake(connection, job)


def free(connection: sqlite3.Connection, job: Job, now: float) -> None:
    """Let a job that is held or waits go on at once.

    A result that was found wrong is looked at again, and then may be fetched once more, free.
    """
    found_wrong = job.standing is Standing.HELD and job.stage is Stage.DOWNLOADED and job.result_width is None
    wrong = 0 if found_wrong else job.wrong
    update(connection, job, {**_CLEAR, "standing": "ready", "reason": "", "tries": 0, "wrong": wrong})
    record(connection, job.id, now, "released", "")


def abandon(connection: sqlite3.Connection, job: Job, now: float) -> None:
    """Give up an open attempt. It counts as spent, as it may have been."""
    connection.execute(
        "UPDATE attempts SET state = 'abandoned', settled_at = ?1, answered_at = coalesce(answered_at, ?1)"
        " WHERE job_id = ?2 AND settled_at IS NULL",
        (now, job.id),
    )


def begin_again(
    connection: sqlite3.Connection,
    job: Job,
    now: float,
    *,
    source: str,
    identity: Identity,
    forced: bool,
    asked: Asked | None = None,
) -> None:
    """Take a job back to where it was admitted, with its file in the inbox again under ``source``.

    ``asked``: with other parameters than it had.
    """
    abandon(connection, job, now)
    fresh: dict[str, Any] = {
        **_CLEAR,
        **dict.fromkeys(_FACTS),
        "standing": "ready",
        "stage": Stage.ADMITTED,
        "reason": "",
        "tries": 0,
        "redos": 0,
        "stays": 0,
        "nsfw": 0,
        "vetted": 0,
        "wrong": 0,
        "forced": int(forced),
        "source": source,
        "device": identity.device,
        "inode": identity.inode,
        "size": identity.size,
        "mtime_ns": identity.mtime_ns,
        "ctime_ns": identity.ctime_ns,
    }
    if asked is not None:
        fresh |= {"profile": asked.profile, "model": asked.params.model, "inputs": rows.canonical(asked.params.inputs)}
    update(connection, job, fresh)
    record(connection, job.id, now, "retry", "A person wants it done again" + (", paid anew." if forced else "."))


def admit_again(
    connection: sqlite3.Connection, job: Job, now: float, *, new_id: str, source: str, identity: Identity, asked: Asked
) -> None:
    """Admit the original of a job that is done once more, as another job with other parameters.

    With the same parameters it is upscaled and paid anew: that is what a person asks for who has seen the result.
    Raises `sqlite3.IntegrityError` when another job has that file.
    """
    new = rows.NewJob(
        new_id,
        job.folder,
        source,
        asked.profile,
        asked.params,
        identity,
        now,
        priority=job.priority,
        format=job.format,
        width=job.width,
        height=job.height,
        orientation=job.orientation,
    )
    forced = {"forced": int(asked.params == job.params)}
    connection.execute(*rows.insert("jobs", rows.columns_of(new) | forced))
    record(connection, new_id, now, "admitted", f"A person wants job {job.id} done again with profile {asked.profile}.")
    record(connection, job.id, now, "redone", f"A person wants it done again, as job {new_id}.")


def judge(connection: sqlite3.Connection, job: Job, now: float, *, review: Review, output: str, text: str) -> bool:
    """Note what became of a result in review, and where it lies now; False when that is known already."""
    if read(connection, job.id).review is not Review.WAITING:
        return False
    update(connection, job, {"review": review, "output": output})
    record(connection, job.id, now, str(review), text)
    return True


def pause(connection: sqlite3.Connection, folder: str, now: float) -> None:
    """Submit nothing more from a folder ('' for all of them)."""
    statement, arguments = rows.insert("paused", {"folder": folder, "since": now}, otherwise="ON CONFLICT DO NOTHING")
    connection.execute(statement, arguments)


def resume(connection: sqlite3.Connection, folder: str) -> None:
    """Let a folder go on ('' for all of them)."""
    where = "" if folder == "" else " WHERE folder = CAST(? AS TEXT)"
    connection.execute(f"DELETE FROM paused{where}", [bind(folder)] if folder else [])  # noqa: S608
    connection.execute(
        "UPDATE jobs SET standing = 'ready', not_before = NULL, cause = NULL, reason = ''"
        " WHERE standing = 'waiting' AND cause = 'pause'"
    )


def ring(connection: sqlite3.Connection) -> None:
    """Have a running daemon look, within half a second."""
    connection.execute("UPDATE commands SET count = count + 1")


def read(connection: sqlite3.Connection, job_id: str) -> Job:
    """Return a job as it is now."""
    return rows.job_of(connection.execute(f"{rows.SELECT} WHERE jobs.id = ?", (job_id,)).fetchone())


def update(connection: sqlite3.Connection, job: Job, fields: dict[str, Any]) -> None:
    """Change some columns of a job."""
    connection.execute(*rows.update("jobs", fields, "id", job.id))


def record(connection: sqlite3.Connection, job_id: str, at: float, kind: str, text: str) -> None:
    """Note what happened to a job, in the transaction in which it does."""
    connection.execute(*rows.insert("events", {"job_id": job_id, "at": at, "kind": kind, "text": text}))


_CLEAR: Final[dict[str, Any]] = {"not_before": None, "cause": None, "wish": None}

_FACTS: Final = (
    *("failure", "finished_at", "fingerprint", "reuse", "rendition", "rendition_hash"),
    *chain(*FACTS.values()),
)
"""What a job that begins again has lost."""
