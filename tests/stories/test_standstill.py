"""Nothing stops silently, and nothing takes others down with it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House, digest
from tests.support.service import ApiServer, Fault, Settings, serve
from upscaled import errors, processes
from upscaled.api.client import Service
from upscaled.api.wire import Prediction
from upscaled.events import Event
from upscaled.files import names
from upscaled.job import pacing
from upscaled.job.model import Cause
from upscaled.processes import Processes


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let back-off be a matter of milliseconds."""
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))


def crowded(tmp_path: Path, server: ApiServer, cap: int) -> House:
    """Give a house that may have only so many predictions in flight."""
    return House(tmp_path, service={"url": server.url, "api_key": server.key, "max_in_flight": cap})


@pytest.mark.parametrize("do", ["504", "create-504"])
def test_lost_submits_that_hold_every_slot_are_looked_up_all_the_same(
    tmp_path: Path, server: ApiServer, do: str
) -> None:
    """They hold their slots until their fate is known, so nobody may stand in the way of finding it out."""
    house = crowded(tmp_path, server, 2)
    server.script(Fault("submit", do, nth=(1, 2)))
    originals = {f"{n}.jpg": digest(house.drop(f"{n}.jpg", seed=n)) for n in range(8)}

    assert 0 == house.once()

    house.assert_whole(originals)
    assert 8 == server.stats()["paid"]


def test_once_ends_when_the_service_goes_away_with_more_pictures_than_slots(tmp_path: Path, server: ApiServer) -> None:
    """Those that wait for a slot wait for nothing that this run will see."""
    house = crowded(tmp_path, server, 1)
    server.script(Fault("result", "503"))
    for n in range(4):
        house.drop(f"{n}.jpg", seed=n)

    assert 1 == house.once(limit=30)

    assert 1 == server.stats()["paid"]
    assert 4 == len(house.files(house.inbox))


def test_predictions_of_a_folder_that_is_gone_from_the_config_hold_no_slot(tmp_path: Path) -> None:
    """A renamed inbox must not stop all submitting."""
    with serve(Settings(latency=0.1)) as server:
        house = crowded(tmp_path, server, 1)
        server.script(Fault("result", "503"))
        house.drop("a.jpg", seed=1)
        assert 1 == house.once()
        server.script()
        moved = house.inbox.rename(tmp_path / "moved")
        house.inbox.mkdir()
        renamed = House(tmp_path / "new", service=dict(house.document["service"]))
        renamed.state = house.state
        renamed.document["state_dir"] = str(house.state)
        renamed.write()
        original = digest(renamed.drop("b.jpg", seed=2))

        renamed.once(limit=30)

        renamed.assert_whole({"b.jpg": original})
        assert ["a.jpg"] == sorted(path.name for path in moved.iterdir() if not path.name.startswith("."))


def test_an_odd_answer_costs_its_own_picture_and_no_other(tmp_path: Path, server: ApiServer) -> None:
    """What a service writes must not be able to end the daemon."""
    house = crowded(tmp_path, server, 2)
    server.script(Fault("result", "failed", nth=1, args={"code": 10**30, "error": "a number without end"}))
    for n in range(3):
        house.drop(f"{n}.jpg", seed=n)

    assert 1 == house.once()

    standings = sorted(house.standings())
    assert ["done", "done", "failed"] == standings


def test_a_defect_in_a_commit_holds_its_own_job_and_no_other(
    tmp_path: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here, a service that gives two pictures the same prediction."""
    house = crowded(tmp_path, server, 1)
    real = Service.submit
    ids: list[str] = []

    async def same(self: Service, *args: Any) -> Prediction:
        prediction = await real(self, *args)
        ids.append(prediction.id)
        return Prediction(id=ids[0], status="created")

    monkeypatch.setattr(Service, "submit", same)
    house.drop("a.jpg", seed=1)
    house.drop("b.jpg", seed=2)

    assert 1 == house.once()

    assert ["done", "held"] == sorted(house.standings())


def test_a_service_that_asks_for_years_is_asked_again_within_the_hour(tmp_path: Path) -> None:
    """A date far away must not stop all submitting, nor break the listing of jobs."""
    with serve(Settings(latency=0.1)) as server:
        house = crowded(tmp_path, server, 1)
        server.script(Fault("submit", "429", args={"retry_after": 999999999999}))
        house.drop("a.jpg")

        assert 1 == house.once()

        (job,) = house.ledger().jobs()
        assert job.not_before is not None
        assert job.not_before - job.admitted_at < 3700
        assert house.jobs()


def dies(_: int) -> None:
    """End the process that this runs in."""
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_picture_that_kills_its_process_costs_no_crowd_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pool is replaced once, however many calls it took down."""
    made: list[ProcessPoolExecutor] = []

    def count(*args: Any, **kwargs: Any) -> ProcessPoolExecutor:
        made.append(ProcessPoolExecutor(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(processes, "ProcessPoolExecutor", count)
    pool = Processes(1)
    outcomes = await asyncio.gather(*(pool(dies, n) for n in range(6)), return_exceptions=True)
    pool.close()

    assert all(isinstance(outcome, errors.BadPicture) for outcome in outcomes)
    assert 2 == len(made)


def test_a_directory_that_takes_long_to_walk_holds_up_no_picture(
    tmp_path: Path, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive may hold a million files on a slow share; what an earlier crash left there can wait."""
    house = crowded(tmp_path, server, 1)
    original = digest(house.drop("a.jpg"))
    finished = threading.Event()

    def slow(_: Path, __: object) -> list[Path]:
        assert finished.wait(20), "the picture waited for the walk"
        return []

    monkeypatch.setattr("upscaled.files.durable.sweep_parts", slow)

    def watch(event: Event) -> None:
        if event.kind == "done":
            finished.set()

    assert 0 == house.once(watch)
    house.assert_whole({"a.jpg": original})


def test_a_part_of_a_finished_job_is_removed_and_a_strangers_is_kept(tmp_path: Path, server: ApiServer) -> None:
    """Another daemon may share the outbox."""
    house = crowded(tmp_path, server, 1)
    house.drop("a.jpg")
    assert 0 == house.once()
    (job,) = house.ledger().jobs()
    ours, theirs = (
        house.outbox / names.part_name("a.jpg", job.id),
        house.outbox / names.part_name("b.jpg", "0123456789"),
    )
    ours.write_bytes(b"left by a crash")
    theirs.write_bytes(b"being written")

    assert 0 == house.once()

    assert (False, True) == (ours.exists(), theirs.exists())
