"""How long the last predictions took, as the ledger has it: from the answer to the submit to the fact of completion.

Separate from the store because one query and its encoding belong together; nothing is written for it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

LAST: Final = 400
"""Predictions that are read, of all models together."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One completed prediction. ``inputs`` are the parameters as `rows.canonical` writes them."""

    model: str
    inputs: str
    seconds: float


def last(connection: sqlite3.Connection, count: int = LAST) -> list[Latency]:
    """Return the last predictions that were completed after their submit was answered, the oldest first.

    They were seen to be over up to one gap between two questions after they were; the service's own figure is taken
    where it is near, as it is where nothing waited in a queue.
    """
    query = (
        "SELECT model, inputs, settled_at - answered_at AS seen, inference_ms / 1000.0 AS told"
        " FROM (SELECT * FROM attempts ORDER BY id DESC LIMIT ?) AS recent JOIN jobs ON jobs.id = job_id"
        " WHERE state = 'completed' AND settled_at > answered_at ORDER BY recent.id"
    )
    return [Latency(row["model"], row["inputs"], _nearest(row)) for row in connection.execute(query, (count,))]


def _nearest(row: sqlite3.Row) -> float:
    seen: float = row["seen"]
    told: float | None = row["told"]
    return told if told is not None and seen / 2 <= told <= seen else seen
