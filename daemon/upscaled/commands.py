"""What people order: retry, cancel, release, pause and resume, as writes to the ledger that need no running daemon.

A running one notices them within a second. Each order is one transaction: it happens or it does not, and a job that a
worker has in hand is changed by the worker, at the job's next fact. What cannot be done is said, not raised, so that
one job does not stop an order for many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from upscaled.errors import FileTrouble, UsageError, sentence
from upscaled.files import durable
from upscaled.job.budget import dollars
from upscaled.job.model import Job, Review, Stage, Standing
from upscaled.ledger import Ledger, orders
from upscaled.ledger.orders import Asked

ALL: str = ""
"""Every folder."""


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an order for one job."""

    job: str
    source: str
    done: bool
    text: str


Order = Callable[[sqlite3.Connection, Job, float], tuple[bool, str]]


def chosen(ledger: Ledger, targets: Sequence[str], standings: frozenset[Standing]) -> list[Job]:
    """Return the jobs that are meant: by id, by the beginning of one, or all of an inbox that stand so.

    Raises `UsageError` naming the first that is neither.
    """
    found: dict[str, Job] = {}
    for target in targets:
        job = ledger.job(target)
        many = [job] if job is not None else _of_folder(ledger, target, standings)
        found |= {job.id: job for job in many}
    return list(found.values())


def _of_folder(ledger: Ledger, target: str, standings: frozenset[Standing]) -> list[Job]:
    folder = str(Path(target).resolve())
    jobs = ledger.jobs(folder=folder)
    if not jobs and not Path(target).is_dir():
        raise UsageError(f"There is no one job and no inbox {target}", do="`upscaled jobs` lists the jobs.")
    return [job for job in jobs if job.standing in standings]


def release(ledger: Ledger, jobs: Sequence[Job], *, now: float) -> list[Said]:
    """Let held jobs go on."""
    return carry_out(ledger, jobs, _release, now)


def cancel(ledger: Ledger, jobs: Sequence[Job], *, now: float, force: bool = False) -> list[Said]:
    """Call jobs off; their files stay in the inbox. One that is paid is let be, unless ``force`` throws it away."""
    return carry_out(ledger, jobs, _cancel_paid if force else _cancel, now)


def retry(ledger: Ledger, jobs: Sequence[Job], *, now: float, force: bool = False) -> list[Said]:
    """Do jobs again; failed ones get their original back into the inbox. ``force`` pays again for what is paid."""
    return carry_out(ledger, jobs, _retry_paying if force else _retry, now)


def pause(ledger: Ledger, folder: str, *, now: float) -> None:
    """Submit nothing more from a folder, or from `ALL`; what is paid is still delivered."""
    ledger.change(lambda c: orders.pause(c, folder, now))


def resume(ledger: Ledger, folder: str) -> None:
    """Let a folder, or `ALL`, go on."""
    ledger.change(lambda c: orders.resume(c, folder))


def carry_out(ledger: Ledger, jobs: Sequence[Job], order: Order, now: float) -> list[Said]:
    """Carry out an order for each job, each in a transaction of its own."""
    said = []
    for job in jobs:
        try:
            done, text = ledger.change(lambda c, job=job: order(c, orders.read(c, job.id), now))  # type: ignore[misc]
        except FileTrouble as error:
            done, text = False, sentence(error)
        except sqlite3.IntegrityError:
            done, text = False, "its file in the inbox belongs to another job by now"
        said.append(Said(job.id, job.source, done, text))
    return said


def _release(connection: sqlite3.Connection, job: Job, now: float) -> tuple[bool, str]:
    if job.standing is not Standing.HELD:
        return False, f"it is not held; it stands at {job.standing}"
    orders.free(connection, job, now)
    return True, "it goes on"


def _cancel(connection: sqlite3.Connection, job: Job, now: float) -> tuple[bool, str]:
    if orders.paid(job) and job.finished_at is None:
        price = "" if job.price is None else f" ({dollars(job.price)})"
        return False, (
            f"its prediction is paid{price}, or may be, and the service gives no money back; let it come, "
            "or `cancel --force` throws its result away"
        )
    return _call_off(connection, job, now, "cancel")


def _cancel_paid(connection: sqlite3.Connection, job: Job, now: float) -> tuple[bool, str]:
    return _call_off(connection, job, now, "abandon")


def _call_off(connection: sqlite3.Connection, job: Job, now: float, wish: str) -> tuple[bool, str]:
    if job.finished_at is not None or job.stage in {Stage.PUBLISHED, Stage.ARCHIVED}:
        return False, f"it is over: {job.standing} at {job.stage}"
    if job.failure is not None:
        return False, "it cannot succeed, and its original is on its way to the failed folder"
    if job.standing is Standing.RUNNING:
        orders.wish(connection, job, wish)
        return True, "it is being worked on, and is called off as soon as that can be done safely"
    orders.cancel(connection, job, now)
    return True, "it is called off; its file stays in the inbox"


def _retry(connection: sqlite3.Connection, job: Job, now: float) -> tuple[bool, str]:
    match job.standing:
        case Standing.DONE:
            return False, "it is done; `retry --force` has it upscaled and paid for once more"
        case Standing.RUNNING:
            return False, "it is being worked on"
        case Standing.READY | Standing.WAITING | Standing.HELD:
            orders.free(connection, job, now)
            return True, "it goes on at once"
        case _:
            return bring_back(connection, job, now, forced=False)


def _retry_paying(connection: sqlite3.Connection, job: Job, now: float) -> tuple[bool, str]:
    if job.standing is Standing.RUNNING:
        return False, "it is being worked on"
    if job.review is Review.WAITING:
        return False, "its result waits for review; `keep`, `reject` or `redo` it"
    return bring_back(connection, job, now, forced=True)


def bring_back(
    connection: sqlite3.Connection, job: Job, now: float, *, forced: bool, asked: Asked | None = None
) -> tuple[bool, str]:
    """Put the original back into the inbox, if it left it, and begin the job again.

    Inside the transaction no sweep can admit the file as another job. Dying after the move and before the commit
    leaves a file in the inbox, which is then taken as a new one.
    """
    path = _restored(job)
    identity = None if path is None else durable.identity_at(path)
    if path is None or identity is None:
        return False, "its original is neither in the inbox nor where it was put"
    source = str(PurePosixPath(path.relative_to(job.folder)))
    orders.begin_again(connection, job, now, source=source, identity=identity, forced=forced, asked=asked)
    return True, "it begins again"


def _restored(job: Job) -> Path | None:
    inbox = Path(job.folder)
    in_inbox = inbox / job.source
    if job.archived is None:
        return in_inbox
    away = Path(job.archived)
    identity = durable.identity_at(away)
    if identity is None:
        # A run that died may have moved it already.
        return in_inbox if durable.identity_at(in_inbox) is not None else None
    directory = durable.make_directories(inbox, PurePosixPath(job.source).parent)
    moved = durable.set_aside(away, directory, in_inbox.name, identity=identity, digest=job.fingerprint)
    durable.forget_note(away)
    return moved.path
