"""What the program asks of the ledger: admit, take, commit, intend, and what `status` reads.

Every write is a function run by the one writer; what it returns is durable. Reads go through connections of their own
and never wait for a write.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from upscaled.job.budget import MICRO, Limits, NotNow, Used
from upscaled.job.machine import Change
from upscaled.job.model import Cause, Identity, Job, Stage, Standing
from upscaled.ledger import database, latencies, orders, places, pruning, rows, spending, twins
from upscaled.ledger.database import bind
from upscaled.ledger.places import Known
from upscaled.ledger.pruning import Handful, Place
from upscaled.ledger.queue import Queue, within
from upscaled.ledger.readers import Readers
from upscaled.ledger.rows import NewJob
from upscaled.ledger.spending import Others
from upscaled.ledger.twins import Reusable, Twin
from upscaled.ledger.writer import Write, Writer, unavailable

T = TypeVar("T")

NO_LIMITS = Limits()


class Ledger:
    """The ledger of one state directory. ``open`` it once a process; close it last."""

    def __init__(self, directory: Path, writer: Writer | None, lock: database.Lock | None) -> None:
        self._directory = directory
        self._writer = writer
        self._lock = lock
        self._read = Readers(directory)
        self._queue = Queue()

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
            database.migrate(connection, directory)
            # Whoever was running is dead: the lock is ours. Their facts stand, so they go on from there (I5).
            connection.execute("UPDATE jobs SET standing = 'ready' WHERE standing = 'running'")
        except (sqlite3.Error, OSError) as error:
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
            database.refuse_newer(connection, directory)
            database.refuse_older(connection, directory)
        finally:
            connection.close()
        return cls(directory, None, None)

    @classmethod
    def join(cls, directory: Path) -> Self:
        """Open the ledger for a few writes beside a running daemon.

        Raises `errors.StateError` when there is none, or one that another version of the program wrote.
        """
        connection = database.connect(directory, read_only=True)
        connection.close()
        connection = database.connect(directory, read_only=False)
        try:
            database.refuse_newer(connection, directory)
            # The daemon that owns it may be of the older version, and must not find another schema under its feet.
            database.refuse_older(connection, directory)
        except BaseException:
            connection.close()
            raise
        return cls(directory, Writer(connection), None)

    def close(self) -> None:
        """Commit what was submitted, let go of running jobs and of the lock."""
        if self._writer is not None:
            # Only the owner of the lock has jobs running; a command beside it must leave them alone.
            if self._lock is not None:
                self._writer.submit(
                    lambda c: c.execute("UPDATE jobs SET standing = 'ready' WHERE standing = 'running'")
                )
            self._writer.close()
        self._read.close()
        if self._lock is not None:
            self._lock.release()

    # --- the intake's side: synchronous, from any thread ---

    def known(self, folder: str) -> dict[str, Identity]:
        """Return the sources of a folder that have an unfinished job, with the identity they were admitted with."""
        query = (
            "SELECT source, device, inode, size, mtime_ns, ctime_ns FROM jobs INDEXED BY one_unfinished_job_per_source"
            " WHERE folder = CAST(? AS TEXT) AND finished_at IS NULL"
        )
        return self._read(lambda c: rows.identities(c.execute(query, (bind(folder),))))

    def stayed(self, folder: str) -> dict[str, Identity]:
        """Return the sources that were left in the inbox when their jobs ended, with the identity they had then."""
        query = (
            "SELECT source, device, inode, size, mtime_ns, ctime_ns FROM jobs INDEXED BY jobs_that_stay"
            " WHERE folder = CAST(? AS TEXT) AND stays = 1 ORDER BY finished_at"
        )
        return self._read(lambda c: rows.identities(c.execute(query, (bind(folder),))))

    def admitted_since(self, folder: str, since: float) -> int:
        """Return how many sources of a folder were admitted since then."""
        query = "SELECT count(*) FROM jobs WHERE admitted_at >= ? AND folder = CAST(? AS TEXT)"
        return self._read(lambda c: int(c.execute(query, (since, bind(folder))).fetchone()[0]))

    def admit(self, admissions: Sequence[NewJob]) -> int:
        """Make a row of each source; durable when it returns. A source with an unfinished job is left as it is.

        Dying before the commit loses nothing: the sources are still in the inbox. Dying after it admits them once, as
        the unique index makes a second admission a no-op. Returns how many are new.
        """
        return int(self._write(lambda c: sum(_admit(c, new) for new in admissions)).result())

    def wake_folder(self, inbox: str) -> int:
        """Make the jobs ready that wait for a directory of their folder; return how many there were. Durable."""
        statement = (
            "UPDATE jobs SET standing = 'ready', not_before = NULL, cause = NULL, reason = '', tries = 0"
            " WHERE standing = 'waiting' AND cause = ? AND folder = CAST(? AS TEXT)"
        )
        return int(self._write(lambda c: c.execute(statement, (str(Cause.FOLDER), bind(inbox))).rowcount).result())

    def place(self, directory: str) -> Known | None:
        """Return by what a directory is known again; None if it was never used."""
        return self._read(lambda c: places.find(c, directory))

    def record_place(self, known: Known, *, now: float) -> None:
        """Note by what a directory is known again; durable when it returns."""
        self._write(lambda c: places.record(c, known, now)).result()

    def forget_place(self, directory: str) -> None:
        """Treat a directory as one that was never used; durable when it returns."""
        self._write(lambda c: places.forget(c, directory)).result()

    @property
    def id(self) -> str:
        """What tells this ledger from all others but its copies."""
        return self._read(places.own_id)

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
        before = ahead if submitting else 0
        return await self._awrite(
            lambda c: [orders.read(c, id_) for id_ in self._queue.take(c, limit, folders, now=now, ahead=before)]
        )

    async def commit(self, job: Job, change: Change, *, now: float) -> Job:
        """Make a change durable, with its event, and return the job as it now is."""
        return await self._awrite(lambda c: _commit(c, job, change, now))

    async def intend(
        self, job: Job, *, price: float | None, now: float, limits: Limits = NO_LIMITS, skew: float = 0.0
    ) -> Job | NotNow | Reusable:
        """Make durable that a paid POST for ``job`` may be sent from now on (invariant I3).

        ``skew`` is what the service's clock is ahead of ours, in seconds: the history is kept by that clock.

        In the same transaction ``price`` dollars are reserved within ``limits``, or the answer is why they are not
        (I7); so nobody else can spend what was found free here.
        """
        intent = {"price": price, "intended_at": now, "skew": skew}
        return await self._awrite(lambda c: _intend(c, job, intent, limits))

    async def affordable(self, job: Job, *, price: float | None, now: float, limits: Limits) -> NotNow | None:
        """Return what would forbid an intent now. Not binding: only `intend` reserves."""
        return await self._aread(lambda c: spending.forbidden(c, job, price, now, limits))

    async def twin(self, job: Job) -> Twin | None:
        """Return another job of the same picture and parameters, whose result can stand for this one's, or will."""
        return await self._aread(lambda c: twins.find(c, job))

    async def looked(self, job: Job, *, now: float) -> float:
        """Note when the fate of a job's open attempt was first asked for; return when that was."""
        return await self._awrite(lambda c: _looked(c, job, now))

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

    def change(self, write: Write[T]) -> T:
        """Run one write of a command's and return what it returns, durable; a running daemon notices."""

        def rung(connection: sqlite3.Connection) -> T:
            result = write(connection)
            orders.ring(connection)
            return result

        result: T = self._write(rung).result()
        return result

    async def write(self, write: Write[T]) -> T:
        """Run one write of the daemon's own that concerns no job; durable when it returns."""
        return await self._awrite(write)

    def look(self, read: Write[T]) -> T:
        """Run one function of a connection that only reads."""
        return self._read(read)

    def prune(self, place: Place, *, before: float, now: float, dry_run: bool) -> Handful:
        """Take the next few jobs that were over ``before`` out of the ledger, unless they guard something; durable."""
        if dry_run:
            return self._read(lambda c: pruning.handful(c, place, before=before, now=now, dry_run=True))
        found: Handful = self._write(lambda c: pruning.handful(c, place, before=before, now=now)).result()
        return found

    def commands(self) -> tuple[int, frozenset[str]]:
        """Return how many commands were ever given, and the jobs of which something is wished."""
        return self._read(orders.given)

    async def in_flight(self, folders: Collection[str]) -> list[str]:
        """Return the ids of these folders' jobs that have, or may have, an unfinished prediction at the service."""
        query = (
            "SELECT job_id FROM attempts INDEXED BY one_open_attempt_per_job CROSS JOIN jobs ON jobs.id = job_id"  # noqa: S608
            f" WHERE settled_at IS NULL AND finished_at IS NULL AND standing <> 'held' AND {within(folders)}"
        )
        return await self._aread(lambda c: [row[0] for row in c.execute(query, list(map(bind, folders)))])

    async def recent_submits(self, now: float, window: float) -> list[float]:
        """Return when the service may have counted our submits of the last ``window`` seconds, oldest first.

        That is when their fate was known, at the latest; of one whose fate is not known, it may be just now.
        """
        counted = "coalesce(answered_at, min(?1, intended_at + 180))"
        query = f"SELECT {counted} FROM attempts WHERE intended_at > ?1 - 86400 AND {counted} > ?2 ORDER BY 1"  # noqa: S608
        return await self._aread(lambda c: [row[0] for row in c.execute(query, (now, now - window))])

    async def latencies(self) -> list[latencies.Latency]:
        """Return how long the last predictions took, the oldest first."""
        return await self._aread(latencies.last)

    async def others(self, predictions: Collection[str]) -> Others:
        """Return which of the predictions other jobs have, and how many submits are lost or under way, at one moment.

        At one moment, because a submit answered between two looks would be in neither of them.
        """
        return await self._aread(lambda c: spending.others(c, predictions))

    async def next_due(self, folders: Collection[str]) -> float | None:
        """Return when the first waiting job may go on, or None when none waits."""
        query = f"SELECT min(not_before) FROM jobs WHERE standing = 'waiting' AND {within(folders)}"  # noqa: S608
        found: float | None = await self._aread(lambda c: c.execute(query, list(map(bind, folders))).fetchone()[0])
        return found

    # --- reading, for everybody ---

    def job(self, prefix: str) -> Job | None:
        """Return the job whose id is, or alone begins with, ``prefix``."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = f"{rows.SELECT} WHERE jobs.id LIKE ? ESCAPE '\\' LIMIT 2"
        matches = [rows.job_of(row) for row in self.query(query, escaped + "%")]
        return matches[0] if len(matches) == 1 else None

    def jobs(
        self, *, standing: str | None = None, folder: str | None = None, limit: int = -1, before: Job | None = None
    ) -> list[Job]:
        """Return jobs, oldest first; the last ``limit`` of them where given, of those that came ``before`` one."""
        # Only the conditions that are asked for: each set of them has its index, which ends at the limit.
        asked: dict[str, tuple[Any, ...]] = {
            "jobs.standing = ?": () if standing is None else (standing,),
            "jobs.folder = CAST(? AS TEXT)": () if folder is None else (bind(folder),),
            "(jobs.admitted_at, jobs.id) < (?, ?)": () if before is None else (before.admitted_at, before.id),
        }
        where = " AND ".join(condition for condition, values in asked.items() if values) or "TRUE"
        query = f"{rows.SELECT} WHERE {where} ORDER BY jobs.admitted_at DESC, jobs.id DESC LIMIT ?"
        found = self.query(query, *(value for values in asked.values() for value in values), limit)
        return [rows.job_of(row) for row in found][::-1]

    def in_review(self, limit: int = -1) -> list[Job]:
        """Return jobs whose results wait for a person, oldest first."""
        query = f"{rows.SELECT} WHERE jobs.review = 'waiting' ORDER BY jobs.admitted_at, jobs.id LIMIT ?"
        return [rows.job_of(row) for row in self.query(query, limit)]

    def spending(self, since: float, until: float) -> list[spending.Line]:
        """Return what was spent between two times, by day, folder and profile."""
        return self._read(lambda c: spending.lines(c, since, until))

    def total(self, where: str, *arguments: object) -> float:
        """Return the sum of some attempts' prices, in dollars; ``where`` is our own words."""
        return self._read(lambda c: spending.total(c, where, *arguments)) / MICRO

    def used(self, now: float) -> Used:
        """Return what this day and this month have cost or may yet cost."""
        return self._read(lambda c: spending.used(c, now))

    def last_price(self) -> float | None:
        """Return what the last paid request cost in dollars, None where that is not known."""
        found = self.query("SELECT price FROM attempts ORDER BY id DESC LIMIT 1")
        return found[0]["price"] if found else None

    def twin_of(self, job: Job) -> Twin | None:
        """Return what `twin` does, for those who do not run in an event loop."""
        return self._read(lambda c: twins.find(c, job))

    def query(self, statement: str, *arguments: object) -> list[sqlite3.Row]:
        """Return the rows of a SELECT, for the read model."""
        return self._read(lambda c: c.execute(statement, arguments).fetchall())

    # --- inside ---

    def _write(self, write: Write[T]) -> Any:
        assert self._writer is not None, "this ledger is open for reading"
        return self._writer.submit(write)

    async def _awrite(self, write: Write[T]) -> T:
        # Shielded: a caller that is cancelled must not leave the writer answering nobody while the row changes.
        result: T = await asyncio.shield(asyncio.wrap_future(self._write(write)))
        return result

    async def _aread(self, read: Write[T]) -> T:
        try:
            return await asyncio.to_thread(self._read, read)
        except sqlite3.Error as error:
            raise unavailable(error) from error


def _admit(connection: sqlite3.Connection, new: NewJob) -> int:
    unique = "ON CONFLICT (folder, source) WHERE finished_at IS NULL DO NOTHING"
    statement, arguments = rows.insert("jobs", rows.columns_of(new), otherwise=unique)
    admitted = connection.execute(statement, arguments).rowcount
    if admitted:
        orders.record(connection, new.id, new.admitted_at, "admitted", "")
    return admitted


def _commit(connection: sqlite3.Connection, job: Job, change: Change, now: float) -> Job:
    if change.fields:
        connection.execute(*rows.update("jobs", change.fields, "id", job.id))
    if change.attempt is not None:
        _settle(connection, job, change, now)
    if change.event:
        orders.record(connection, job.id, now, change.event, change.text)
    done = orders.fulfil(connection, _committed(connection, job, change), now)
    if done.standing in twins.DECIDED:
        twins.wake(connection, done)
    return done


def _committed(connection: sqlite3.Connection, job: Job, change: Change) -> Job:
    """Return a job as its row is now. Mostly nobody but its worker changes a running job, but for what is wished of it.

    The submit step writes more than its commit, its intent; and of a published result a person may say what is thought.
    """
    if job.stage not in {Stage.UPLOADED, Stage.PUBLISHED} and change.attempt is None:
        found = connection.execute("SELECT wish FROM jobs WHERE id = ?", (job.id,)).fetchone()
        if found["wish"] is None:
            return rows.changed(job, change.fields)
    return orders.read(connection, job.id)


def _settle(connection: sqlite3.Connection, job: Job, change: Change, now: float) -> None:
    assert change.attempt is not None
    connection.execute(
        "UPDATE attempts SET state = ?, prediction_id = coalesce(?, prediction_id), settled_at = ?,"
        " answered_at = coalesce(answered_at, ?) WHERE job_id = ? AND settled_at IS NULL",
        (
            change.attempt,
            change.fields.get("prediction_id"),
            None if change.attempt == "accepted" else now,
            now,
            job.id,
        ),
    )


def _intend(
    connection: sqlite3.Connection, job: Job, intent: Mapping[str, Any], limits: Limits
) -> Job | NotNow | Reusable:
    assert job.stage is Stage.UPLOADED
    assert job.standing is Standing.RUNNING
    twin = twins.rival(connection, job)
    if isinstance(twin, Reusable):
        return twin
    now, price = intent["intended_at"], intent["price"]
    refusal = twin or spending.forbidden(connection, job, price, now, limits)
    if refusal is not None:
        return refusal
    values = {"job_id": job.id, "state": "intended", "upload_url": job.upload_url, **intent}
    connection.execute(*rows.insert("attempts", values))
    orders.record(connection, job.id, now, "intended", "" if price is None else f"${price:.4f}")
    return orders.read(connection, job.id)


def _looked(connection: sqlite3.Connection, job: Job, now: float) -> float:
    assert job.attempt is not None
    connection.execute("UPDATE attempts SET looked_at = coalesce(looked_at, ?) WHERE id = ?", (now, job.attempt.id))
    found: float = connection.execute("SELECT looked_at FROM attempts WHERE id = ?", (job.attempt.id,)).fetchone()[0]
    return found
