"""Disks that refuse: full, read-only, failing; under the outbox, the archive and the ledger of the running daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.house import House
from tests.support.service import ApiServer, Settings, serve

ROOT: Final = Path(__file__).parents[2]


class Disk:
    """A disk whose changes fail with an error while it is broken; see `tests.mounts.failing`."""

    def __init__(self, point: Path, scratch: Path, error: str) -> None:
        self.point = point
        self._error = error
        self._switch = scratch / f"{point.name}.broken"
        disk = scratch / f"{point.name}.disk"
        disk.mkdir()
        command = [sys.executable, "-m", "tests.mounts.failing", str(disk), str(point), str(self._switch)]
        self._process = subprocess.Popen(command, cwd=ROOT)
        wait_for(lambda: point.is_mount() or self._process.poll() is not None, limit=20)

    def break_down(self) -> None:
        """Have changes fail."""
        self._switch.write_text(self._error, "ascii")

    def mend(self) -> None:
        """Have them succeed."""
        self._switch.unlink()

    def remove(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.point)], check=False, capture_output=True)
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1, targets={"2k": 256})) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: ApiServer) -> House:
    """Give a house, whose directories are on ordinary disks so far."""
    made = House(tmp_path, service={"url": server.url, "api_key": server.key})
    made.state.mkdir()
    return made


@pytest.fixture(params=["ENOSPC", "EROFS", "EIO"])
def error(request: pytest.FixtureRequest) -> str:
    """Give a way in which a disk refuses."""
    return str(request.param)


@pytest.fixture(params=["outbox", "archive", "state"])
def disk(request: pytest.FixtureRequest, house: House, error: str, tmp_path: Path) -> Iterator[Disk]:
    """Give a disk under one of the directories."""
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("a disk of one's own needs the right to mount one")
    pytest.importorskip("mfusepy")
    made = Disk(getattr(house, request.param), tmp_path, error)
    yield made
    made.remove()


SAID: Final = {
    "ENOSPC": ("No space left", "disk is full", "is full"),
    "EROFS": ("Read-only", "read-only", "readonly", "disk I/O error"),  # what SQLite makes of a write that is refused
    "EIO": ("Input/output error", "disk I/O error"),
}
"""What a person may be told, by the error."""


@pytest.mark.stress
def test_a_disk_that_refuses_costs_neither_originals_nor_paid_results(
    house: House, server: ApiServer, disk: Disk, error: str, tmp_path: Path
) -> None:
    """It breaks down while predictions are under way. The daemon says so, goes on living, and finishes when mended."""
    log = tmp_path / "log"
    with started("run", "-c", str(house.config), log=log) as daemon:
        originals = {"before.jpg": _digest(house, "before.jpg", 1)}
        wait_for(lambda: _archived(house, originals), limit=120)
        server.world.set(latency=2.0)
        originals |= {f"{n}.jpg": _digest(house, f"{n}.jpg", n + 2) for n in range(3)}
        wait_for(lambda: len(server.world.in_flight()) == 3, limit=120)

        disk.break_down()
        wait_for(lambda: any(word in log.read_text("utf-8") for word in SAID[error]), limit=120)
        time.sleep(3.0)  # time in which something could be lost

        assert daemon.poll() is None
        assert originals == house.files(house.inbox) | house.files(house.archive)
        assert 4 == server.world.paid
        disk.mend()
        wait_for(lambda: _archived(house, originals), limit=120)
        daemon.send_signal(signal.SIGTERM)
        assert 128 + signal.SIGTERM == daemon.wait(30)

    assert set(originals) == set(house.files(house.outbox))
    assert {} == house.files(house.inbox)
    assert {"done"} == set(house.standings())
    assert 4 == server.world.paid
    assert {1} == set(server.stats()["by_image"].values())


def _archived(house: House, originals: dict[str, str]) -> bool:
    """Are these in the archive? What is being written there may vanish under the question."""
    try:
        return originals == house.files(house.archive)
    except FileNotFoundError:
        return False


def _digest(house: House, name: str, seed: int) -> str:
    house.drop(name, seed=seed)
    return house.files(house.inbox)[name]
