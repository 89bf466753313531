from __future__ import annotations

import os
import signal

import pytest

from tests.support.house import House
from tests.support.service import ApiServer, Fault
from upscaled.events import Event
from upscaled.job import pacing
from upscaled.job.model import Cause

WINDOW = 0.3
"""A minute, scaled down."""


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.stress)])
def test_a_service_that_allows_two_at_once_and_two_a_minute_never_has_to_say_no(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Many jobs, with a restart in the middle: what the first run sent counts for the second."""
    monkeypatch.setattr(pacing, "RATE_WINDOW", WINDOW)
    server.world.set(latency=0.05, max_in_flight=2, max_per_minute=2, window=WINDOW, targets={"2k": 128})
    house.document["service"] |= {"max_in_flight": 2, "max_per_minute": 2, "poll_min": "20ms"}
    house.write()
    for n in range(count):
        house.drop(f"{n:03}.jpg", seed=n)
    submits = 0

    def stop_in_the_middle(event: Event) -> None:
        nonlocal submits
        submits += event.kind == "submit"
        if submits == count // 2 and event.kind == "submit":
            os.kill(os.getpid(), signal.SIGTERM)

    assert 143 == house.once(stop_in_the_middle)
    assert 0 == house.once()

    stats = server.stats()
    assert count == stats["paid"]
    assert 0 == stats["refused_429"]
    assert stats["peak_in_flight"] <= 2
    assert stats["peak_per_window"] <= 2


def test_a_service_that_finds_us_too_fast_is_asked_more_slowly_and_all_comes_through(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody told us its limit, it is learned from its answers."""
    monkeypatch.setattr(pacing, "RATE_WINDOW", WINDOW)
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))
    monkeypatch.setattr("upscaled.ending.GIVE_UP", 1000)
    server.world.set(latency=0.01, targets={"2k": 128})
    server.script(*(Fault("submit", "429", nth=n) for n in (3, 4, 9)))
    for n in range(20):
        house.drop(f"{n:03}.jpg", seed=n)

    assert 0 == house.once()

    assert 20 == server.stats()["paid"]
