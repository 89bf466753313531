"""Opening the database: pragmas, migrations, the lock against a second daemon, paths that are not UTF-8.

Separate from the store because these are facts about SQLite and the disk, not about jobs.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import sqlite3
import time
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

from upscaled import errors

FILE: Final = "ledger.sqlite3"
LOCK: Final = "lock"

READ_CACHE: Final = 512
"""How much each reading connection may keep, in KiB: there is one a thread, and SQLite's 2 MB each come to 50 MB."""


class Lock:
    """The right to work on a state directory: an OS lock, so that a dead daemon cannot leave it behind."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `errors.Locked` naming the owner, or `errors.StateError` when it cannot be made."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unusable(self._path.parent, error) from error
        if not _flock(descriptor):
            owner = os.read(descriptor, 100).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise errors.Locked(
                f"Another upscaled is at work on {self._path.parent}",
                why=f"process {owner} holds its lock" if owner else "it holds the lock",
                do="Stop that one first, or give this one another state_dir.",
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._file = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, as removing it would race with the next owner."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _flock(descriptor: int) -> bool:
    """Lock exclusively. Tried for a second: `owned` holds the lock for the moment of its look."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False


def owned(directory: Path) -> bool:
    """Is a daemon at work on this state directory?"""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def unusable(directory: Path, error: OSError | sqlite3.Error) -> errors.StateError:
    """Return the error for a state directory that cannot be used."""
    return errors.StateError(
        f"The state directory {directory} cannot be used",
        why=str(error),
        do=_as_its_owner(directory)
        or "Check that it exists, is on a local disk with free space, and belongs to the user upscaled runs as.",
    )


def _as_its_owner(directory: Path) -> str:
    """Return what to type where the directory is somebody else's, as the service's is; '' where that is not it."""
    try:
        owner = directory.stat().st_uid
    except OSError:
        return ""
    if os.geteuid() in {0, owner}:
        return ""
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"uid {owner}"
    return f"It belongs to {name}, and you are another user: put sudo before the command, as in `sudo upscaled status`."


def connect(directory: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the ledger in ``directory``. Raises `errors.StateError` when that is not possible."""
    path = directory / FILE
    try:
        if read_only and not path.exists():
            raise errors.StateError(
                f"There is no ledger in {directory}",
                why="upscaled has not run with this state_dir yet",
                do="Start it with `upscaled run`, or name the right config with -c.",
            )
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        connection.row_factory = sqlite3.Row
        # File names are bytes; those that are not UTF-8 come back as they went in.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit is on the disk when it returns. An intent that a power cut takes back could be paid twice.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{READ_CACHE}")
    except (sqlite3.Error, OSError) as error:
        raise unusable(directory, error) from error
    return connection


def migrations() -> list[tuple[int, str]]:
    """Return the numbered migrations that come with the program, oldest first."""
    files = resources.files("upscaled.ledger").joinpath("schema").iterdir()
    found = [(int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files if file.name.endswith(".sql")]
    return sorted(found)


def version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema in the database; 0 for an empty one."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection, directory: Path) -> None:
    """Bring the schema up to date, each migration in a transaction of its own, after a copy was put beside the ledger.

    A crash in the middle leaves the version before, and the copy; the next start goes on from there. Raises
    `errors.LedgerTooNew` when the database is ahead of the program, OSError and sqlite3.Error when the disk refuses.
    """
    steps = migrations()
    refuse_newer(connection, directory)
    if 0 < version(connection) < steps[-1][0]:
        keep_copy(connection, copy_of(directory, version(connection)))
    for number, script in steps:
        if number <= version(connection):
            continue
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def copy_of(directory: Path, schema: int) -> Path:
    """Return where the copy lies that is made of a ledger before it is brought up to date."""
    return directory / f"ledger-before-upgrade-{schema}.sqlite3"


def keep_copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the ledger as it is now. The copy appears whole or not at all, in place of an earlier one.

    Raises OSError and sqlite3.Error; the ledger is only read.
    """
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(part)) as copy:
        connection.backup(copy)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_newer(connection: sqlite3.Connection, directory: Path) -> None:
    """Raise `errors.LedgerTooNew` when the database was written by a newer version of the program."""
    newest = migrations()[-1][0]
    found = version(connection)
    if found > newest:
        raise errors.LedgerTooNew(
            f"The ledger in {directory} was written by a newer upscaled (schema {found}; this one knows {newest})",
            do=f"Install the newer version again: nothing is lost with it.{_way_back(directory, newest)}",
        )


def _way_back(directory: Path, newest: int) -> str:
    """Return how to go back to the newest copy that this version can read, and what that costs; '' without one."""
    for schema in range(newest, 0, -1):
        if (copy := copy_of(directory, schema)).exists():
            return (
                f" Or, with upscaled stopped, remove {FILE}-wal and {FILE}-shm and put {copy.name} in place of {FILE}:"
                " that is how things stood before the upgrade. What is still in an inbox and was paid since then would"
                " be paid again, so hold the inboxes empty until then."
            )
    return ""


def refuse_older(connection: sqlite3.Connection, directory: Path) -> None:
    """Raise `errors.LedgerTooOld` when the database was written by an older version and not brought up to date yet."""
    newest = migrations()[-1][0]
    found = version(connection)
    if found < newest:
        running = owned(directory)
        raise errors.LedgerTooOld(
            f"The ledger in {directory} is of an older upscaled (schema {found}; this one needs {newest})",
            why="the older one is still running" if running else "it is brought up to date when upscaled starts",
            do="Restart it: systemctl restart upscaled" if running else "Start it once: upscaled run, or upscaled once",
        )


def bind(value: Any) -> Any:
    """Return ``value`` as SQLite takes it: text as bytes for ``CAST(? AS TEXT)``, unsigned 64-bit numbers as signed."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 63:
        return value - (1 << 64)
    return value


def slot(value: Any) -> str:
    """Return the placeholder that `bind` of the same value needs."""
    return "CAST(? AS TEXT)" if isinstance(value, str) else "?"


def unsigned(value: int) -> int:
    """Undo `bind` for an inode or device number."""
    return value if value >= 0 else value + (1 << 64)
