"""What is told, and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.notify.decisions import (
    CALM,
    LONGEST,
    SETTLING,
    Alert,
    Batch,
    Kind,
    Message,
    Outlook,
    Rules,
    Trouble,
    decide,
    digest,
    span,
    troubles,
)

NOW = 1_790_000_000.0
HOUR = 3600.0
ONLINE = {"inbox": "/in", "state": "online", "reason": ""}
AWAY = {"inbox": "/share", "state": "offline", "reason": "It is not mounted."}
KEY = Trouble("key", "The service refuses the key", "401")


def summary(**fields: Any) -> dict[str, Any]:
    """Return what `status` says of a daemon that is well, but for ``fields``."""
    return {"running": True, "folders": [ONLINE], "waits": [], "notices": [], "needs_you": [], **fields}


def wait(cause: str) -> dict[str, Any]:
    """Return a line of what jobs wait for."""
    return {"cause": cause, "jobs": 1, "until": None, "reason": "why"}


@pytest.mark.parametrize(
    ("fields", "outlook", "keys"),
    [
        ({}, Outlook(), []),
        ({"waits": [wait("network")]}, Outlook(), []),
        ({"folders": [AWAY]}, Outlook(), ["folder /share"]),
        ({"waits": [wait("budget"), wait("key"), wait("floor")]}, Outlook(), ["key", "floor", "budget"]),
        ({"needs_you": [{"source": "a.jpg", "reason": "why"}] * 3}, Outlook(), ["held"]),
        ({}, Outlook(balance=4.99), ["balance"]),
        ({}, Outlook(balance=5.0), []),
        ({}, Outlook(oldest=NOW - 7 * HOUR, last_end=NOW - 6 * HOUR), ["stuck"]),
        ({}, Outlook(oldest=NOW - 7 * HOUR, last_end=NOW - 5 * HOUR), []),
        ({}, Outlook(oldest=NOW - 5 * HOUR, last_end=NOW - 9 * HOUR), []),
        ({}, Outlook(oldest=None, last_end=NOW - 9 * HOUR), []),
        ({"waits": [wait("credit")]}, Outlook(oldest=NOW - 9 * HOUR), ["credit"]),
    ],
)
def test_what_a_person_should_know_of(fields: dict[str, Any], outlook: Outlook, keys: list[str]) -> None:
    """One trouble a cause, however many jobs it keeps waiting; what explains a standstill is told instead of it."""
    found = troubles(summary(**fields), outlook, Rules(balance_below=5.0), NOW)

    assert keys == [trouble.key for trouble in found]


def test_a_share_may_be_away_for_a_while_and_a_standstill_is_given_time_after_a_start() -> None:
    """Ten minutes each, unless it is configured otherwise."""
    outlook = Outlook(oldest=NOW - 9 * HOUR)

    found = troubles(summary(folders=[AWAY]), outlook, Rules(offline_after=300.0), NOW)

    assert {"folder /share": 300.0, "stuck": SETTLING} == {trouble.key: trouble.patience for trouble in found}


def test_a_standstill_may_be_nobodys_business() -> None:
    """`stuck_after: off`."""
    assert [] == list(troubles(summary(), Outlook(oldest=0.0), Rules(stuck_after=None), NOW))


# --- once, and once more when it is over -----------------------------------------------------------------------------


def watched(*seen: tuple[float, list[Trouble]]) -> list[tuple[float, Kind, str]]:
    """Return what is told, and when, if troubles stand so at these times."""
    alerts: list[Alert] = []
    told: list[tuple[float, Kind, str]] = []
    for at, standing in seen:
        alerts, messages = decide(standing, alerts, NOW + at)
        told += [(at, message.kind, message.facts["cause"]) for message in messages]
    return told


def test_a_trouble_is_told_once_and_once_more_when_it_is_over() -> None:
    """However often it is seen meanwhile."""
    seen: list[tuple[float, list[Trouble]]] = [(at, [KEY]) for at in range(0, 1000, 10)]
    seen += [(1000.0, []), (1000 + CALM, []), (2000.0, [])]

    assert [(0, Kind.ALERT, "key"), (1000 + CALM, Kind.CLEAR, "key")] == watched(*seen)


def test_a_trouble_that_is_gone_for_a_moment_is_not_over() -> None:
    """The gate is opened now and then, only to find the key refused as before."""
    seen: list[tuple[float, list[Trouble]]] = [(at, [] if at % 100 else [KEY]) for at in range(0, 1000, 50)]

    assert [(0, Kind.ALERT, "key")] == watched(*seen)


def test_what_passes_before_its_patience_is_over_is_never_told() -> None:
    """Neither that it came nor that it went; and its time begins anew when it comes again."""
    away = Trouble("folder", "A folder is offline", "x", 600.0)

    assert [] == watched((0, [away]), (599, [away]), (700, []), (800, [away]), (1399, [away]), (1500, []))
    assert [(600, Kind.ALERT, "folder")] == watched((0, [away]), (599, [away]), (600, [away]), (700, [away]))


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans())))
def test_alerts_and_all_clears_take_turns(steps: list[tuple[float, bool]]) -> None:
    """Never two alerts for one cause without an all-clear between them, nor an all-clear without an alert."""
    at = 0.0
    seen: list[tuple[float, list[Trouble]]] = []
    for wait_, stands in steps:
        at += wait_
        seen.append((at, [KEY] if stands else []))

    kinds = [kind for _, kind, _ in watched(*seen)]

    assert [(Kind.ALERT, Kind.CLEAR)[n % 2] for n in range(len(kinds))] == kinds


# --- the digest ------------------------------------------------------------------------------------------------------

BATCH = Batch({"done": 47, "failed": 2}, NOW - 720, NOW - 500, NOW - 120, 0.47, (("a.jpg", "no"), ("b.jpg", "cut")))


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (BATCH, True),
        (Batch(), False),
        (Batch(BATCH.ended, NOW - 720, NOW - 500, NOW - 119), False),
        (Batch(BATCH.ended, NOW - 720, NOW - 500, NOW - 300, running=1), False),
        (Batch(BATCH.ended, NOW - LONGEST, NOW - LONGEST, NOW - 1, running=1), True),
    ],
)
def test_a_digest_comes_when_it_is_quiet(batch: Batch, told: bool) -> None:
    """Nothing under way and nothing ended for two minutes; or after a day, if it never is."""
    assert told == (digest(batch, 0, Rules(), NOW) is not None)


def test_a_digest_counts_what_ended_and_names_what_failed() -> None:
    """With cause, cost and time."""
    found = digest(BATCH, 1, Rules(), NOW)

    assert isinstance(found, Message)
    assert "47 done, 2 failed, 1 needs you" == found.title
    assert f"{found.title}; $0.47, 10 min.\n- a.jpg: no\n- b.jpg: cut" == found.text
    failures = [{"source": "a.jpg", "reason": "no"}, {"source": "b.jpg", "reason": "cut"}]
    expected = {"done": 47, "failed": 2, "held": 1, "failures": failures, "dollars": 0.47, "seconds": 600}
    assert expected == found.facts


def test_a_digest_does_not_name_a_thousand_files() -> None:
    """What it does not name, it counts."""
    batch = Batch({"failed": 1000}, NOW - 9, NOW - 9, NOW - 300, failed=tuple((f"{n}.jpg", "no") for n in range(20)))

    found = digest(batch, 0, Rules(), NOW)

    assert found is not None
    assert "- and 980 more" == found.text.splitlines()[-1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (120, "2 min"), (5999, "100 min"), (12600, "3.5 h")]
)
def test_a_time_as_a_person_says_it(seconds: float, text: str) -> None:
    """Two or three digits."""
    assert text == span(seconds)
