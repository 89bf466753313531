"""The connections that the ledger is read through: a few, lent for one look each to whichever thread asks.

Separate from the store because it knows nothing of jobs. One connection for each thread would be simpler, but there are
up to 64 threads for files, each of which reads now and then: 128 open files and, as SQLite fills each one's cache, tens
of megabytes that grow for days.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from upscaled import errors
from upscaled.ledger.database import connect

T = TypeVar("T")

KEPT: Final = 4
"""How many stay open while nobody reads; of more at once, the surplus is closed after its look."""


class Readers:
    """Runs functions of a connection that only read. May be called from any thread; ``close`` it when nobody does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._idle: list[sqlite3.Connection] = []
        self._opened = False
        self._closed = False
        self._lock = threading.Lock()

    def __call__(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``read`` returns, which must be done with the connection by then.

        Raises `errors.StateError` when the ledger cannot be opened the first time, and sqlite3.Error when it cannot be
        read: no more connections to be had is trouble that may pass, once there was one.
        """
        connection = self._borrow()
        try:
            return read(connection)
        finally:
            self._take_back(connection)

    def close(self) -> None:
        """Close all connections; one that is lent, when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _borrow(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()  # the last one back: its cache knows the newest pages
        try:
            connection = connect(self._directory, read_only=True)
        except errors.StateError as error:
            if self._opened:
                raise sqlite3.OperationalError(str(error)) from error
            raise
        self._opened = True
        return connection

    def _take_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            # One left within a transaction would show the ledger of that moment for ever.
            if not self._closed and not connection.in_transaction and len(self._idle) < KEPT:
                self._idle.append(connection)
                return
        connection.close()
