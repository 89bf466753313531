"""What the program asks of the ledger: admit, take, commit, intend, and what `status` reads.

Every write is a function run by the one writer; what it returns is durable. Reads go through a connection of their own
per thread and never wait for a write.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from upscaled.job.machine import Change
from upscaled.job.model import Cause, Identity, Job, Stage, Standing
from upscaled.ledger import database, rows
from upscaled.ledger.database import bind
from upscaled.ledger.rows import NewJob
from upscaled.ledger.writer import Write, Writer

T = TypeVar("T")

_SUBMITTING = "('admitted', 'uploaded')"


class Ledger:
    """The ledger of one state directory. ``open`` it once a process; close it last."""

    def __init__(self, directory: Path, writer: Writer | None, lock: database.Lock | None) -> None:
        self._directory = directory
        self._writer = writer
        self._lock = lock
        self._local = threading.local()

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Lock the state directory, bring the schema up to date, and make jobs that were running ready again.

        Raises `errors.Locked`, `errors.LedgerTooNew`, or `errors.StateError` when the directory cannot be used.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise database.unusable(directory, error) from error
        lock = database.Lock(directory)
        lock.acquire()
        try:
            connection = database.connect(directory, read_only=False)
            database.migrate(connection)
            # Whoever was running is dead: the lock is ours. Their facts stand, so they go on from there (I5).
            connection.execute("UPDATE jobs SET standing = 'ready' WHERE standing = 'running'")
        except sqlite3.Error as error:
            lock.release()
            raise database.unusable(directory, error) from error
        except BaseException:
            lock.release()
            raise
        return cls(directory, Writer(connection), lock)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Open the ledger for reading beside a running daemon. Raises `errors.StateError` when there is none."""
        connection = database.connect(directory, read_only=True)
        try:
            database.refuse_newer(connection)
        finally:
            connection.close()
        return cls(directory, None, None)

    def close(self) -> None:
        """Commit what was submitted, let go of running jobs and of the lock."""
        if self._writer is not None:
            self._writer.submit(lambda c: c.execute("UPDATE jobs SET standing = 'ready' WHERE standing = 'running'"))
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    # --- the intake's side: synchronous, from any thread ---

    def known(self, folder: str) -> dict[str, Identity]:
        """Return the sources of a folder that have an unfinished job, with the identity they were admitted with."""
        found = self._read().execute(
            "SELECT source, device, inode, size, mtime_ns, ctime_ns FROM jobs"
            " WHERE folder = CAST(? AS TEXT) AND finished_at IS NULL",
            (bind(folder),),
        )
        return {row["source"]: rows.identity_of(row) for row in found}

    def admit(self, admissions: Sequence[NewJob]) -> int:
        """Make a row of each source; durable when it returns. A source with an unfinished job is left as it is.

        Dying before the commit loses nothing: the sources are still in the inbox. Dying after it admits them once, as
        the unique index makes a second admission a no-op. Returns how many are new.
        """
        return int(self._write(lambda c: sum(_admit(c, new) for new in admissions)).result())

    def record_folder(
        self, inbox: str, *, state: str, reason: str, seen: Mapping[str, Any], swept_at: float | None
    ) -> None:
        """Record what the last sweep of a folder saw, for `status`."""
        values = {"inbox": inbox, "state": state, "reason": reason, "seen": json.dumps(seen), "swept_at": swept_at}
        updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "inbox")
        statement, arguments = rows.insert("folders", values, otherwise=f"ON CONFLICT (inbox) DO UPDATE SET {updates}")
        self._write(lambda c: c.execute(statement, arguments)).result()

    def keep_folders(self, inboxes: Collection[str]) -> None:
        """Forget the sweeps of folders that are no longer configured; their jobs stay."""
        marks = ", ".join("CAST(? AS TEXT)" for _ in inboxes)
        statement = f"DELETE FROM folders WHERE inbox NOT IN ({marks})"  # noqa: S608 - placeholders only
        self._write(lambda c: c.execute(statement, [bind(inbox) for inbox in inboxes])).result()

    # --- the worker's side ---

    async def take(
        self, limit: int, *, folders: Collection[str], now: float, submitting: bool, ahead: int
    ) -> list[Job]:
        """Return up to ``limit`` jobs that may go on, marked running: those begun first, then by priority and age.

        At most ``ahead`` of them are on this side of the submit; none at all unless ``submitting``. Jobs of folders
        that are not configured stay where they are.
        """
        return await self._awrite(lambda c: _take(c, limit, folders, now, ahead if submitting else 0))

    async def commit(self, job: Job, change: Change, *, now: float) -> Job:
        """Make a change durable, with its event, and return the job as it now is."""
        return await self._awrite(lambda c: _commit(c, job, change, now))

    async def intend(self, job: Job, *, price: float | None, now: float) -> Job:
        """Make durable that a paid POST for ``job`` may be sent from now on (invariant I3)."""
        return await self._awrite(lambda c: _intend(c, job, price, now))

    async def wake(self, causes: Iterable[Cause]) -> int:
        """Make jobs that wait for one of these causes ready; return how many there were."""
        named = [str(cause) for cause in causes]
        marks = ", ".join("?" for _ in named)
        statement = (
            "UPDATE jobs SET standing = 'ready', not_before = NULL, cause = NULL, reason = ''"  # noqa: S608
            f" WHERE standing = 'waiting' AND cause IN ({marks})"
        )
        return await self._awrite(lambda c: c.execute(statement, named).rowcount)

    async def notice(self, key: str, text: str | None, *, now: float) -> None:
        """Record what the service as a whole stands at, or that it is over (None), for `status`."""
        if text is None:
            await self._awrite(lambda c: c.execute("DELETE FROM notices WHERE key = ?", (key,)))
            return
        keep = "ON CONFLICT (key) DO UPDATE SET text = excluded.text"
        statement, arguments = rows.insert("notices", {"key": key, "text": text, "since": now}, otherwise=keep)
        await self._awrite(lambda c: c.execute(statement, arguments))

    async def forget_notices(self) -> None:
        """Drop what an earlier run noted about the service; it will be found out anew."""
        await self._awrite(lambda c: c.execute("DELETE FROM notices"))

    async def in_flight(self) -> list[str]:
        """Return the ids of jobs that have, or may have, an unfinished prediction at the service."""
        query = (
            "SELECT job_id FROM attempts JOIN jobs ON jobs.id = job_id"
            " WHERE settled_at IS NULL AND finished_at IS NULL AND standing <> 'held'"
        )
        return await self._aread(lambda c: [row[0] for row in c.execute(query)])

    async def recent_intents(self, since: float) -> list[float]:
        """Return when paid POSTs were intended since then, oldest first."""
        query = "SELECT intended_at FROM attempts WHERE intended_at > ? ORDER BY intended_at"
        return await self._aread(lambda c: [row[0] for row in c.execute(query, (since,))])

    async def owned(self, predictions: Collection[str]) -> set[str]:
        """Return those of the predictions that a job of ours already has."""
        marks = ", ".join("?" for _ in predictions)
        query = f"SELECT prediction_id FROM attempts WHERE prediction_id IN ({marks})"  # noqa: S608
        return await self._aread(lambda c: {row[0] for row in c.execute(query, list(predictions))})

    async def unresolved(self) -> int:
        """Return how many paid POSTs have an intent and no fact."""
        query = "SELECT count(*) FROM attempts WHERE state = 'intended'"
        return await self._aread(lambda c: int(c.execute(query).fetchone()[0]))

    async def next_due(self, folders: Collection[str]) -> float | None:
        """Return when the first waiting job may go on, or None when none waits."""
        query = f"SELECT min(not_before) FROM jobs WHERE standing = 'waiting' AND {_within(folders)}"  # noqa: S608
        found: float | None = await self._aread(lambda c: c.execute(query, list(map(bind, folders))).fetchone()[0])
        return found

    # --- reading, for everybody ---

    def job(self, prefix: str) -> Job | None:
        """Return the job whose id is, or alone begins with, ``prefix``."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = self._read().execute(f"{rows.SELECT} WHERE jobs.id LIKE ? ESCAPE '\\' LIMIT 2", (escaped + "%",))
        matches = [rows.job_of(row) for row in found]
        return matches[0] if len(matches) == 1 else None

    def jobs(self, *, standing: str | None = None, folder: str | None = None, limit: int = -1) -> list[Job]:
        """Return jobs, oldest first; the last ``limit`` of them where given."""
        where = "WHERE (?1 IS NULL OR jobs.standing = ?1) AND (?2 IS NULL OR jobs.folder = CAST(?2 AS TEXT))"
        query = f"{rows.SELECT} {where} ORDER BY jobs.admitted_at DESC, jobs.id DESC LIMIT ?3"
        found = self._read().execute(query, (standing, None if folder is None else bind(folder), limit))
        return [rows.job_of(row) for row in found][::-1]

    def query(self, statement: str, *arguments: object) -> list[sqlite3.Row]:
        """Return the rows of a SELECT, for the read model."""
        return self._read().execute(statement, arguments).fetchall()

    # --- inside ---

    def _read(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = database.connect(self._directory, read_only=True)
            self._local.connection = connection
        return connection

    def _write(self, write: Write[T]) -> Any:
        assert self._writer is not None, "this ledger is open for reading"
        return self._writer.submit(write)

    async def _awrite(self, write: Write[T]) -> T:
        # Shielded: a caller that is cancelled must not leave the writer answering nobody while the row changes.
        result: T = await asyncio.shield(asyncio.wrap_future(self._write(write)))
        return result

    async def _aread(self, read: Write[T]) -> T:
        return await asyncio.to_thread(lambda: read(self._read()))


def _within(folders: Collection[str]) -> str:
    return f"folder IN ({', '.join('CAST(? AS TEXT)' for _ in folders)})"


def _admit(connection: sqlite3.Connection, new: NewJob) -> int:
    unique = "ON CONFLICT (folder, source) WHERE finished_at IS NULL DO NOTHING"
    statement, arguments = rows.insert("jobs", rows.columns_of(new), otherwise=unique)
    admitted = connection.execute(statement, arguments).rowcount
    if admitted:
        _record(connection, new.id, new.admitted_at, "admitted", "")
    return admitted


def _take(connection: sqlite3.Connection, limit: int, folders: Collection[str], now: float, ahead: int) -> list[Job]:
    connection.execute(
        "UPDATE jobs SET standing = 'ready', not_before = NULL WHERE standing = 'waiting' AND not_before <= ?", (now,)
    )
    ours = (_within(folders), list(map(bind, folders)))
    beyond = f"standing = 'ready' AND (stage NOT IN {_SUBMITTING} OR failure IS NOT NULL)"
    ids = _ready(connection, beyond, ours, limit)
    # A lost submit is looked up before anything new is sent.
    uploaded = "standing = 'ready' AND stage = 'uploaded' AND failure IS NULL"
    before = _ready(connection, uploaded, ours, min(ahead, limit - len(ids)))
    admitted = "standing = 'ready' AND stage = 'admitted' AND failure IS NULL"
    before += _ready(connection, admitted, ours, min(ahead - len(before), limit - len(ids) - len(before)))
    for job_id in (taken := ids + before):
        connection.execute("UPDATE jobs SET standing = 'running', reason = '' WHERE id = ?", (job_id,))
    return [_job(connection, job_id) for job_id in taken]


def _ready(connection: sqlite3.Connection, where: str, ours: tuple[str, list[Any]], limit: int) -> list[str]:
    if limit <= 0:
        return []
    query = f"SELECT id FROM jobs WHERE {where} AND {ours[0]} ORDER BY priority DESC, admitted_at, id LIMIT ?"  # noqa: S608
    return [row[0] for row in connection.execute(query, [*ours[1], limit])]


def _job(connection: sqlite3.Connection, job_id: str) -> Job:
    return rows.job_of(connection.execute(f"{rows.SELECT} WHERE jobs.id = ?", (job_id,)).fetchone())


def _commit(connection: sqlite3.Connection, job: Job, change: Change, now: float) -> Job:
    if change.fields:
        connection.execute(*rows.update("jobs", change.fields, "id", job.id))
    if change.attempt is not None:
        _settle(connection, job, change, now)
    if change.event:
        _record(connection, job.id, now, change.event, change.text)
    return _job(connection, job.id)


def _settle(connection: sqlite3.Connection, job: Job, change: Change, now: float) -> None:
    assert change.attempt is not None
    connection.execute(
        "UPDATE attempts SET state = ?, prediction_id = coalesce(?, prediction_id), settled_at = ?"
        " WHERE job_id = ? AND settled_at IS NULL",
        (
            change.attempt,
            change.fields.get("prediction_id"),
            None if change.attempt == "accepted" else now,
            job.id,
        ),
    )


def _intend(connection: sqlite3.Connection, job: Job, price: float | None, now: float) -> Job:
    assert job.stage is Stage.UPLOADED
    assert job.standing is Standing.RUNNING
    values = {"job_id": job.id, "state": "intended", "upload_url": job.upload_url, "price": price, "intended_at": now}
    connection.execute(*rows.insert("attempts", values))
    _record(connection, job.id, now, "intended", "" if price is None else f"${price:.4f}")
    return _job(connection, job.id)


def _record(connection: sqlite3.Connection, job_id: str, at: float, kind: str, text: str) -> None:
    connection.execute(*rows.insert("events", {"job_id": job_id, "at": at, "kind": kind, "text": text}))
