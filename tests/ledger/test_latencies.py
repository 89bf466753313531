from __future__ import annotations

import sqlite3

import pytest

from upscaled.ledger import latencies


@pytest.fixture
def connection() -> sqlite3.Connection:
    """Two tables with what the query reads."""
    made = sqlite3.connect(":memory:")
    made.row_factory = sqlite3.Row
    made.executescript(
        "CREATE TABLE jobs (id TEXT, model TEXT, inputs TEXT, inference_ms INTEGER);"
        "CREATE TABLE attempts (id INTEGER PRIMARY KEY, job_id TEXT, state TEXT, answered_at REAL, settled_at REAL);"
    )
    return made


@pytest.mark.parametrize(
    ("told", "expected"),
    [(None, 10.0), (9_000, 9.0), (1_000, 10.0), (11_000, 10.0)],
    ids=["nothing", "a moment less", "far less: it waited in a queue", "more than there was"],
)
def test_a_latency_is_what_was_seen_or_what_the_service_says_near_it(
    connection: sqlite3.Connection, told: int | None, expected: float
) -> None:
    """From the answer to the submit to the fact of completion."""
    connection.execute("INSERT INTO jobs VALUES ('a', 'm', '{}', ?)", (told,))
    connection.execute("INSERT INTO attempts VALUES (1, 'a', 'completed', 100.0, 110.0)")

    assert [latencies.Latency("m", "{}", expected)] == latencies.last(connection)


def test_only_completed_ones_count_and_the_oldest_comes_first(connection: sqlite3.Connection) -> None:
    """What failed or was synchronous says nothing."""
    connection.execute("INSERT INTO jobs VALUES ('a', 'm', '{}', NULL)")
    rows = [(1, "completed", 0, 3), (2, "failed", 0, 9), (3, "completed", 5, 5), (4, "completed", 10, 14)]
    for number, state, answered, settled in rows:
        connection.execute("INSERT INTO attempts VALUES (?, 'a', ?, ?, ?)", (number, state, answered, settled))

    assert [3.0, 4.0] == [latency.seconds for latency in latencies.last(connection)]
    assert [4.0] == [latency.seconds for latency in latencies.last(connection, 1)]
