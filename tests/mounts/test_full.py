from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House, digest
from tests.support.service import ApiServer, Settings, serve
from upscaled.events import Event
from upscaled.job import pacing
from upscaled.job.model import Cause
from upscaled.logs import JobLog


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1)) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: ApiServer) -> Iterator[House]:
    """Give a house whose outbox is a disk of sixteen kilobytes."""
    made = House(tmp_path, service={"url": server.url, "api_key": server.key}, folder={"min_free": "off"})
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(made.outbox)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    yield made
    subprocess.run(["umount", str(made.outbox)], check=True)


def test_a_full_outbox_keeps_what_was_paid_until_there_is_room(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the spool, said once a picture; `once` does not call it a success, and nothing is paid again."""
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))
    originals = {f"{n}.jpg": digest(house.drop(f"{n}.jpg", seed=n)) for n in range(2)}
    events: list[Event] = []

    assert 1 == house.once(events.append)

    assert {} == house.files(house.outbox)
    assert originals.keys() == house.files(house.inbox).keys() - {".upscaled"}
    assert 2 == len([path for path in (house.state / "spool").iterdir() if path.is_file()])
    troubles = [event for event in events if event.job.cause is Cause.FOLDER]
    log = JobLog()
    for event in troubles:
        log(event)
    assert len(troubles) > len(log._said)
    subprocess.run(["mount", "-o", "remount,size=64m", str(house.outbox)], check=True)
    assert 0 == house.once()
    house.assert_whole(originals)
    assert [] == [path for path in (house.state / "spool").iterdir() if path.is_file()]
    assert 2 == server.stats()["paid"]
