"""The daemon at work for long: it must hold no more memory, files and threads at the end than near the beginning."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import started
from tests.soak.growth import Sample, grown, look
from tests.support.house import House, picture
from tests.support.service import ApiServer, Fault, Settings, serve

FAULTS: Final = (
    Fault("submit", "429", chance=0.0003),
    Fault("submit", "create-drop", chance=0.002),
    Fault("submit", "504", chance=0.002),
    Fault("result", "503", chance=0.005),
    Fault("result", "drop", chance=0.003),
    Fault("output", "short", chance=0.01),
    Fault("put", "drop", chance=0.005),
)
"""Little enough that the daemon's pace stays, and often enough that every way of trouble is gone thousands of times."""

BACKLOG: Final = 60
"""Pictures that lie in the inbox at a time."""

TAKEN_AFTER: Final = 15.0
"""How long pictures lie in the archive before they are taken away, in seconds."""

PAUSES: Final = 9
"""How often the daemon is looked at while it has nothing to do."""

REST: Final = 6.0
"""After so many seconds without work the connections to the service are closed, in seconds."""

EVERY: Final = 5.0
"""Between two looks at the processes, in seconds."""


class Feeder:
    """Keeps pictures in an inbox, no two of them alike."""

    def __init__(self, inbox: Path, scratch: Path) -> None:
        self.dropped = 0
        self._inbox = inbox
        self._jpeg = picture(scratch / "picture.jpg").read_bytes()

    def feed(self) -> int:
        """Fill the inbox up; return how many pictures have left it so far."""
        there = sum(1 for name in os.listdir(self._inbox) if name.endswith(".jpg"))  # noqa: PTH208 - names alone
        for _ in range(max(0, BACKLOG - there)):
            self._drop()
        return self.dropped - max(there, BACKLOG)

    def _drop(self) -> None:
        comment = f"{self.dropped:08}".encode()
        other = self._jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + self._jpeg[2:]
        path = self._inbox / f"{self.dropped:06}.jpg"
        part = path.with_suffix(".part")
        part.write_bytes(other)
        part.rename(path)
        self.dropped += 1


class Collector:
    """Takes what is done away, as people do: some is kept in mind for each file of a large outbox, which is no leak."""

    def __init__(self, house: House, aside: Path) -> None:
        self._house, self._aside = house, aside
        for directory in (house.outbox, house.archive):
            (aside / directory.name).mkdir(parents=True)

    def collect(self) -> None:
        """Take away what has been in the archive for a while, and its results."""
        before = time.time() - TAKEN_AFTER
        for original in sorted(self._house.archive.glob("*.jpg")):
            if original.stat().st_ctime < before:
                for directory in (self._house.outbox, self._house.archive):
                    (directory / original.name).rename(self._aside / directory.name / original.name)

    def collected(self) -> int:
        """Take all of it away; return how many there were, of which each must have its result."""
        self.collect()
        results, originals = (
            {path.name for path in (self._aside / directory.name).iterdir()} | _pictures(directory)
            for directory in (self._house.outbox, self._house.archive)
        )
        assert results == originals
        return len(originals)


def _pictures(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*.jpg")}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.3, targets={"2k": 256}, balance=10_000.0), FAULTS) as running:
        yield running


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_nothing_grows_over_thousands_of_jobs(tmp_path: Path, pytestconfig: pytest.Config, server: ApiServer) -> None:
    """For as many seconds as ``--soak`` says; the numbers are written to ``UPSCALED_SOAK_CSV``, if that is set."""
    seconds = float(pytestconfig.getoption("--soak"))
    house = House(tmp_path, service={"url": server.url, "api_key": server.key, "max_in_flight": 12})
    house.document["folders"][0]["max_new"] = "off"
    house.document["dashboard"] = {"listen": "off"}
    house.write()
    feeder, collector = Feeder(house.inbox, tmp_path), Collector(house, tmp_path / "aside")
    samples: list[Sample] = []
    everything: list[Sample] = []
    looks = 1
    with started("run", "-c", str(house.config), log=tmp_path / "log") as daemon:
        end = (began := time.monotonic()) + seconds
        while (now := time.monotonic()) < end:
            done = feeder.feed()
            assert daemon.poll() is None, (tmp_path / "log").read_text("utf-8")[-5000:]
            if now - began >= EVERY * looks:
                looks += 1
                everything.append(look(daemon.pid, at=now - began, done=done))
                write(everything)
                collector.collect()
            if now - began >= seconds / PAUSES * (len(samples) + 1):
                samples.append(at_rest(house, daemon.pid, began=began, done=feeder.dropped))
            time.sleep(0.2)
        samples.append(at_rest(house, daemon.pid, began=began, done=feeder.dropped))
        daemon.send_signal(signal.SIGTERM)
        assert 128 + signal.SIGTERM == daemon.wait(30)

    assert (feeder.dropped, feeder.dropped) == (collector.collected(), server.world.paid)
    assert {1} == set(server.stats()["by_image"].values())
    assert [] == list(grown(samples))


def at_rest(house: House, pid: int, *, began: float, done: int) -> Sample:
    """Let the inbox run empty, and look at the daemon while it does nothing: at work it holds now more, now less."""
    emptied(house)
    time.sleep(REST)
    return look(pid, at=time.monotonic() - began, done=done)


def emptied(house: House) -> None:
    """Wait until the inbox is empty: what the last troubles put off may take a while."""
    end = time.monotonic() + 600.0
    while any(path.suffix == ".jpg" for path in house.inbox.iterdir()):
        assert time.monotonic() < end, sorted(house.files(house.inbox))
        time.sleep(0.5)


def write(samples: Sequence[Sample]) -> None:
    """Write the numbers down, so that a long run can be looked at while it goes on."""
    if path := os.environ.get("UPSCALED_SOAK_CSV"):
        with Path(path).open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(field.name for field in fields(Sample))
            writer.writerows(astuple(sample) for sample in samples)
