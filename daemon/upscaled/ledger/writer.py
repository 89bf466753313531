"""The one writer of the ledger: a thread that commits whatever has gathered, all of it with one fsync.

Separate from the store because it knows nothing of jobs: it takes functions of a connection, runs each in a
savepoint, and answers after the commit, so that whoever was answered may rely on the disk (invariant I4).
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from upscaled import errors

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], T]

_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Errors that say nothing against the statement: the same write may succeed later."""

BATCH: Final = 1000
"""Most writes in one transaction: bounds how long one commit can keep the others waiting."""


class Writer:
    """Runs writes one after the other in its own thread; ``submit`` may be called from any."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[tuple[Write[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def submit(self, write: Write[T]) -> Future[T]:
        """Return the result of ``write`` once it is durable, or the error that kept it from being so."""
        future: Future[T] = Future()
        self._queue.put((write, future))
        return future

    def close(self) -> None:
        """Commit what was submitted, stop, and close the connection."""
        self._queue.put(None)
        self._thread.join()
        # Dropping it would not do: with its cache of statements it is a cycle, which may be collected much later.
        self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < BATCH and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    last = True
                    break
                batch.append(item)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[tuple[Write[Any], Future[Any]]]) -> None:
        connection = self._connection
        # From here on nobody can call a write off: its answer would find no one.
        batch = [(write, future) for write, future in batch if future.set_running_or_notify_cancel()]
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            answers = [(future, *_attempt(connection, write)) for write, future in batch]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Nothing of this transaction is on the disk, and everybody in it must hear so (I4).
            _roll_back(connection)
            refused = unavailable(error)
            answers = [(future, None, refused) for _, future in batch]
        for future, result, problem in answers:
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)


def _attempt(connection: sqlite3.Connection, write: Write[Any]) -> tuple[Any, BaseException | None]:
    """Run one write so that its failure takes back itself alone."""
    connection.execute("SAVEPOINT one")
    try:
        result = write(connection)
    except Exception as error:
        # Errors of Python's own binding carry no code: they are the statement's fault.
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK:
            raise  # the whole transaction is lost
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return None, error
    connection.execute("RELEASE one")
    return result, None


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def unavailable(error: sqlite3.Error) -> errors.LedgerUnavailable:
    """Return the error for a disk that refuses the ledger's writes."""
    return errors.LedgerUnavailable(
        "The ledger cannot be written",
        why=str(error),
        do="Free some space on the disk of state_dir, or mend it; upscaled goes on by itself.",
    )
