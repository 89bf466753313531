"""One word for how well it is."""

from __future__ import annotations

from typing import Any

import pytest

from upscaled.health import Health, judge

ONLINE = {"inbox": "/in", "state": "online", "reason": ""}
AWAY = {"inbox": "/share", "state": "offline", "reason": "It is not mounted."}


def wait(cause: str, reason: str = "why") -> dict[str, Any]:
    """Return a line of what jobs wait for."""
    return {"cause": cause, "jobs": 1, "until": None, "reason": reason}


def summary(**fields: Any) -> dict[str, Any]:
    """Return what `status` says of a daemon that is well, but for ``fields``."""
    return {"running": True, "folders": [ONLINE], "waits": [], "notices": [], **fields}


@pytest.mark.parametrize(
    ("fields", "health", "code", "causes"),
    [
        ({}, Health.ALIVE, 200, []),
        ({"folders": [ONLINE | {"state": "starting"}]}, Health.ALIVE, 200, []),
        ({"waits": [wait("network"), wait("hours")]}, Health.ALIVE, 200, []),
        ({"folders": [ONLINE, AWAY]}, Health.DEGRADED, 200, ["offline"]),
        ({"folders": [ONLINE | {"state": "not answering"}]}, Health.DEGRADED, 200, ["not answering"]),
        ({"waits": [wait("key")], "folders": [AWAY]}, Health.BLOCKED, 503, ["key", "offline"]),
        ({"waits": [wait("credit")]}, Health.BLOCKED, 503, ["credit"]),
        ({"waits": [wait("budget"), wait("floor")]}, Health.BLOCKED, 503, ["floor", "budget"]),
        ({"notices": [{"key": "service", "text": "no"}]}, Health.BLOCKED, 503, ["service"]),
        ({"notices": [{"key": "service", "text": "no"}], "waits": [wait("key")]}, Health.BLOCKED, 503, ["key"]),
        ({"notices": [{"key": "dashboard", "text": "port"}]}, Health.ALIVE, 200, []),
        ({"running": False}, Health.STOPPED, 503, ["stopped"]),
    ],
)
def test_the_word_its_status_and_its_reasons(
    fields: dict[str, Any], health: Health, code: int, causes: list[str]
) -> None:
    """A folder that is away degrades; what stops all submitting blocks, and comes first."""
    verdict = judge(summary(**fields))

    assert (health, code, causes) == (verdict.health, verdict.code, [reason.cause for reason in verdict.reasons])


def test_the_folder_and_why_are_named() -> None:
    """As JSON, for whoever may see it."""
    expected = {"cause": "offline", "folder": "/share", "text": "It is not mounted."}

    assert {"status": "degraded", "reasons": [expected]} == judge(summary(folders=[AWAY])).record()
