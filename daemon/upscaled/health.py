"""Is it well? One word, and why, judged from the read model alone.

Separate so that the command line, the page and `/healthz` cannot disagree, and so that it can be tested as a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Health(StrEnum):
    """How well the daemon is, best first."""

    ALIVE = "alive"
    DEGRADED = "degraded"
    """It works, but for a folder."""
    BLOCKED = "blocked"
    """Nothing is submitted until a person acts, or until the next day: the key, the credit, the budget."""
    STOPPED = "stopped"
    """It does not run."""


CODES: Final[Mapping[Health, int]] = {
    Health.ALIVE: 200,
    Health.DEGRADED: 200,
    Health.BLOCKED: 503,
    Health.STOPPED: 503,
}
"""HTTP statuses. One folder away is no reason to call in the night or to take the others down; nothing going on is."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not well: ``cause`` is a folder's state or what blocks, ``folder`` an inbox or ''."""

    cause: str
    text: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word and its reasons, the gravest first."""

    health: Health
    reasons: tuple[Reason, ...] = ()

    @property
    def code(self) -> int:
        """The HTTP status."""
        return CODES[self.health]

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        reasons = [{"cause": r.cause, "folder": r.folder, "text": r.text} for r in self.reasons]
        return {"status": str(self.health), "reasons": reasons}


BLOCKING: Final = ("key", "credit", "floor", "budget")
"""Causes that stop all submitting, the gravest first."""

_WELL: Final = frozenset({"online", "starting", "unknown"})


def judge(summary: Mapping[str, Any]) -> Verdict:
    """Return how well it is, from what `status.summary` says."""
    if not summary["running"]:
        return Verdict(Health.STOPPED, (Reason("stopped", "upscaled is not running."),))
    blocked, degraded = tuple(_blocked(summary)), tuple(_degraded(summary))
    health = Health.BLOCKED if blocked else Health.DEGRADED if degraded else Health.ALIVE
    return Verdict(health, blocked + degraded)


def _blocked(summary: Mapping[str, Any]) -> Iterator[Reason]:
    waits = {wait["cause"]: wait["reason"] for wait in summary["waits"]}
    found = [Reason(cause, waits[cause]) for cause in BLOCKING if cause in waits]
    yield from found
    if all(reason.cause == "budget" for reason in found):
        # The job that found it out may be gone; the notice stands until the service takes something again.
        yield from (Reason("service", notice["text"]) for notice in summary["notices"] if notice["key"] == "service")


def _degraded(summary: Mapping[str, Any]) -> Iterator[Reason]:
    for folder in summary["folders"]:
        if folder["state"] not in _WELL:
            yield Reason(folder["state"], folder["reason"], folder["inbox"])
