"""By what each configured directory is known again: its marker's id, or, where nothing may be written, where it lies.

Separate from the store because it is about directories and not about jobs. A row is made when a directory is first used
and goes only when a person says that another directory is meant.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upscaled.errors import StateError
from upscaled.ledger import rows
from upscaled.ledger.database import bind, connect


@dataclass(frozen=True, slots=True)
class Known:
    """A directory that was used before. ``marker`` is its marker's id, '' where none could be written; then ``lies``
    says where it lay: device, inode and the mount's four words.
    """

    directory: str
    marker: str
    lies: tuple[str, ...]


def find(connection: sqlite3.Connection, directory: str) -> Known | None:
    """Return what is known of a directory; None if it was never used."""
    query = "SELECT marker, lies FROM places WHERE directory = CAST(? AS TEXT)"
    row = connection.execute(query, (bind(directory),)).fetchone()
    return None if row is None else Known(directory, row["marker"], tuple(json.loads(row["lies"])))


def record(connection: sqlite3.Connection, known: Known, now: float) -> None:
    """Note by what a directory is to be known again, in place of what was noted before."""
    values: dict[str, Any] = {
        "directory": known.directory,
        "marker": known.marker,
        "lies": json.dumps(known.lies),
        "since": now,
    }
    replace = "ON CONFLICT (directory) DO UPDATE SET marker = excluded.marker, lies = excluded.lies"
    connection.execute(*rows.insert("places", values, otherwise=f"{replace}, since = excluded.since"))


def forget(connection: sqlite3.Connection, directory: str) -> None:
    """Treat a directory as one that was never used."""
    connection.execute("DELETE FROM places WHERE directory = CAST(? AS TEXT)", (bind(directory),))


def used_before(state_dir: Path) -> frozenset[Path]:
    """Return every directory that was used with this ledger, whichever version wrote it; none where there is none."""
    try:
        with closing(connect(state_dir, read_only=True)) as connection:
            rows = connection.execute("SELECT directory FROM places").fetchall()
    except (StateError, sqlite3.Error):
        return frozenset()  # whoever opens it to work says what is wrong with it
    return frozenset(Path(row["directory"]) for row in rows)


def own_id(connection: sqlite3.Connection) -> str:
    """Return the id of this ledger, which no other has but its copies."""
    found: str = connection.execute("SELECT id FROM this_ledger").fetchone()[0]
    return found
