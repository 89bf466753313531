from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from upscaled import vitals
from upscaled.inbox.pulse import Pulse
from upscaled.vitals import SWEEP_LATE, WORKER_SILENCE, Signs, stuck


class Listener:
    """Stands in for systemd's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return every message since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Give somebody who listens as systemd does, with a patience of 80 ms."""
    path = tmp_path / "notify"
    listener = Listener(path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "80000")
    yield listener
    listener.close()


@pytest.mark.parametrize(
    ("signs", "named"),
    [
        (Signs(0.0, {}), ""),
        (Signs(WORKER_SILENCE, {"/in": SWEEP_LATE}), ""),
        (Signs(WORKER_SILENCE + 1, {}), "worker"),
        (Signs(0.0, {"/in": 0.0, "/late": SWEEP_LATE + 1}), "/late"),
    ],
)
def test_what_is_stuck_is_named_and_nothing_else(signs: Signs, named: str) -> None:
    """A limit that is reached is not exceeded."""
    found = stuck(signs)

    assert bool(named) == bool(found)
    assert named in found
    assert "/in" not in found


@pytest.mark.parametrize(
    ("awake", "busy", "late"),
    [
        pytest.param(False, False, 30.0, id="it should have woken up"),
        pytest.param(True, False, 90.0, id="its work makes no sign"),
        pytest.param(True, True, 0.0, id="the share does not answer"),
    ],
)
def test_only_the_thread_s_own_silence_makes_it_late(awake: bool, busy: bool, late: float) -> None:
    """At 100 s, when its next work was due at 70 s, and it was last heard of at 10 s."""
    clock = [10.0]
    pulse = Pulse(lambda: clock[0])
    pulse.beat()

    def seen() -> float:
        clock[0] = 100.0
        return pulse.late_by(clock[0], due=70.0)

    with pulse.awake() if awake else threading.Lock(), pulse.busy() if busy else threading.Lock():
        assert late == seen()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, vitals.BEAT),
        ({"WATCHDOG_USEC": "4000000"}, 1.0),
        ({"WATCHDOG_USEC": "120000000"}, vitals.BEAT),
        ({"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "7"}, vitals.BEAT),
        ({"WATCHDOG_USEC": "soon"}, vitals.BEAT),
    ],
)
def test_signs_are_given_several_times_within_the_watchdog_s_patience(environ: dict[str, str], expected: float) -> None:
    """A watchdog that is meant for another process is not ours."""
    assert expected == vitals.interval(environ, pid=1)


async def test_the_watchdog_is_fed_only_while_there_is_life(systemd: Listener) -> None:
    """What is stuck stands in the line that `systemctl status` shows."""
    signs = [Signs(0.0, {})]
    beating = asyncio.create_task(vitals.beat(lambda: signs[0], lambda: "all well"))
    await asyncio.sleep(0.1)
    well = systemd.heard()
    signs[0] = Signs(0.0, {"/in": SWEEP_LATE + 1})
    await asyncio.sleep(0.1)
    ill = systemd.heard()[1:]
    beating.cancel()

    assert {"STATUS=all well\nWATCHDOG=1"} == set(well)
    assert {"STATUS=The sweep is overdue of /in."} == set(ill)


async def test_more_time_is_asked_for_while_it_is_needed_and_not_for_ever(systemd: Listener) -> None:
    """A stop that hangs must end by systemd's hand."""
    async with vitals.patience("Stopping", 1):
        await asyncio.sleep(0.05)
        during = systemd.heard()
    await asyncio.sleep(0.05)

    assert ["STATUS=Stopping\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=5000000"] == during
    assert [] == systemd.heard()
    assert os.environ["NOTIFY_SOCKET"]
