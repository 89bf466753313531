"""What people were told and are yet to be told, as rows: alerts, the mark of the last digest, messages under way.

Separate from the store because no job depends on it. A message is written in the transaction that notes its alert or
digest as told, and deleted once it is delivered. So dying before loses nothing and tells nothing; dying between a
delivery and its deletion delivers it a second time, with the same id.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from upscaled.ledger import rows

MOST: Final = 500
"""Most messages kept for one receiver; beyond it the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way to one receiver."""

    id: int
    receiver: str
    made_at: float
    body: Mapping[str, Any]
    tries: int
    not_before: float


def alerts(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return what is known of troubles, by the columns' names."""
    return [dict(row) for row in connection.execute("SELECT * FROM alerts ORDER BY since, key")]


def mark(connection: sqlite3.Connection) -> float | None:
    """Return up to when the jobs that ended were told of; None before anybody was to be told."""
    found = connection.execute("SELECT until FROM digests").fetchone()
    return None if found is None else float(found[0])


def tell(
    connection: sqlite3.Connection,
    *,
    alerts: Sequence[Mapping[str, Any]],
    until: float,
    bodies: Sequence[Mapping[str, Any]],
    receivers: Collection[str],
    now: float,
) -> None:
    """Note what is known of troubles and told of jobs from now on, and what is to be delivered, at once."""
    connection.execute("DELETE FROM alerts")
    for alert in alerts:
        connection.execute(*rows.insert("alerts", alert))
    connection.execute(
        "INSERT INTO digests (id, until) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until", (until,)
    )
    for body in bodies:
        for receiver in receivers:
            values = {"receiver": receiver, "made_at": now, "body": json.dumps(body), "not_before": now}
            connection.execute(*rows.insert("messages", values))
    for receiver in receivers if bodies else ():
        connection.execute(
            "DELETE FROM messages WHERE receiver = ? AND id NOT IN"
            " (SELECT id FROM messages WHERE receiver = ? ORDER BY id DESC LIMIT ?)",
            (receiver, receiver, MOST),
        )


def next_letter(connection: sqlite3.Connection, receiver: str) -> Letter | None:
    """Return what a receiver is to be told first; the next ones wait for it, so that they come in order."""
    row = connection.execute("SELECT * FROM messages WHERE receiver = ? ORDER BY id LIMIT 1", (receiver,)).fetchone()
    if row is None:
        return None
    body = json.loads(row["body"])
    return Letter(row["id"], row["receiver"], row["made_at"], body, row["tries"], row["not_before"])


def put_off(connection: sqlite3.Connection, letter: Letter, until: float) -> None:
    """Note that a delivery failed and when it is tried again."""
    connection.execute("UPDATE messages SET tries = tries + 1, not_before = ? WHERE id = ?", (until, letter.id))


def forget(connection: sqlite3.Connection, letter: Letter) -> None:
    """Note that a message was delivered, or is given up."""
    connection.execute("DELETE FROM messages WHERE id = ?", (letter.id,))


def keep_receivers(connection: sqlite3.Connection, receivers: Collection[str]) -> None:
    """Forget what was on its way to receivers that are no longer configured.

    Where none is left, what was told is forgotten too: whoever is to be told next is told of troubles that still stand,
    and of what ends from then on instead of what ended while nobody was to be told.
    """
    if not receivers:
        connection.execute("DELETE FROM alerts")
        connection.execute("DELETE FROM digests")
    marks = ", ".join("?" for _ in receivers)
    connection.execute(f"DELETE FROM messages WHERE receiver NOT IN ({marks})", list(receivers))  # noqa: S608
