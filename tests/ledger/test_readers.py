"""The connections that the ledger is read through."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from upscaled import errors
from upscaled.ledger import Ledger
from upscaled.ledger.database import FILE
from upscaled.ledger.readers import KEPT, Readers

CROWD = 3 * KEPT


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    """Readers of an empty ledger."""
    Ledger.open(tmp_path).close()
    readers = Readers(tmp_path)
    yield readers
    readers.close()


def count(connection: sqlite3.Connection) -> int:
    """Read something."""
    found: int = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
    return found


def connections(directory: Path) -> int:
    """Return how many connections to the ledger this process has open.

    Told by their descriptors of the log: those of the database itself SQLite keeps for the next connection, as closing
    one of a file gives up all of the process's locks on it.
    """
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            found += str(link.readlink()) == f"{directory / FILE}-wal"
    return found


def test_looks_one_after_the_other_go_through_one_connection(readers: Readers, tmp_path: Path) -> None:
    """Whichever thread asks: its cache would be filled once more for each."""
    with ThreadPoolExecutor(CROWD) as threads:
        for _ in range(CROWD):
            assert 0 == threads.submit(readers, count).result()

    assert 1 == connections(tmp_path)


def test_a_crowd_is_served_at_once_and_leaves_few_open(readers: Readers, tmp_path: Path) -> None:
    """Nobody waits for another's look, and what was opened for the crowd is closed after it."""
    together = threading.Barrier(CROWD, timeout=20)

    def look(connection: sqlite3.Connection) -> int:
        together.wait()
        return count(connection)

    with ThreadPoolExecutor(CROWD) as threads:
        assert [0] * CROWD == list(threads.map(readers, [look] * CROWD))

    assert KEPT == connections(tmp_path)


def test_a_look_that_fails_gives_its_connection_back(readers: Readers, tmp_path: Path) -> None:
    """It is lent again, and none is lost."""
    for _ in range(CROWD):
        with pytest.raises(sqlite3.OperationalError):
            readers(lambda connection: connection.execute("SELECT nothing"))

    assert 0 == readers(count)
    assert 1 == connections(tmp_path)


def test_no_more_connections_is_trouble_that_may_pass(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as a look that fails, which is waited out; only a ledger that never opened is a wrong state."""

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        raise errors.StateError("The state directory cannot be used", why="too many open files", do="Wait.")

    def nested(_: sqlite3.Connection) -> int:
        with monkeypatch.context() as patch:
            patch.setattr("upscaled.ledger.readers.connect", refuse)
            return readers(count)

    with pytest.raises(sqlite3.OperationalError, match="too many open files"):
        readers(nested)

    assert 0 == readers(count)


def test_a_connection_left_within_a_transaction_is_not_lent_again(readers: Readers, tmp_path: Path) -> None:
    """It would show the ledger of that moment for ever."""
    readers(lambda connection: connection.execute("BEGIN"))

    assert 0 == connections(tmp_path)


def test_none_stays_open_after_the_end_not_even_one_that_was_lent(readers: Readers, tmp_path: Path) -> None:
    """A thread may still be reading when the daemon ends."""
    readers(count)

    def closed_meanwhile(connection: sqlite3.Connection) -> int:
        readers.close()
        return count(connection)

    assert 0 == readers(closed_meanwhile)
    assert 0 == connections(tmp_path)


def test_a_look_cannot_write(readers: Readers) -> None:
    """Only the one writer writes."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        readers(lambda connection: connection.execute("DELETE FROM jobs"))
