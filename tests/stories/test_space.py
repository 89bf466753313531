from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.house import House, digest
from tests.support.service import ApiServer
from upscaled.files import durable
from upscaled.job import pacing
from upscaled.job.model import Cause


def uploads(server: ApiServer) -> int:
    """Return how many uploads were asked for."""
    return sum(request["path"].endswith("/media/uploads") for request in server.stats()["requests"])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[Path, int]:
    """Give how many bytes disks have free; a directory that is not in it is asked."""
    known: dict[Path, int] = {}
    real = durable.free_space
    monkeypatch.setattr(durable, "free_space", lambda path: known.get(path) or real(path))
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))
    return known


def test_without_room_for_its_result_nothing_is_uploaded_or_paid(
    house: House, server: ApiServer, free: dict[Path, int]
) -> None:
    """It waits, with the disk and both numbers in its reason, and goes on by itself when there is room."""
    original = digest(house.drop("a.jpg"))
    free[house.outbox] = 900_000_000

    assert 1 == house.once()

    (job,) = house.jobs()
    assert ("waiting", "admitted", 0) == (job["standing"], job["stage"], job["attempts"])
    disk = durable.disk_of(house.outbox)
    assert f"The disk at {disk} has 900 MB free, and 1.0 GB must be free" in job["reason"]
    assert (0, 0) == (uploads(server), server.stats()["paid"])
    del free[house.outbox]
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def test_room_that_goes_between_upload_and_submit_is_noticed(
    house: House, server: ApiServer, free: dict[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again right before the money is spent."""
    house.drop("a.jpg")
    looks = iter([10**10])
    monkeypatch.setattr(durable, "free_space", lambda _: next(looks, 1000))

    assert 1 == house.once()

    (job,) = house.jobs()
    assert ("waiting", "uploaded", 0) == (job["standing"], job["stage"], job["attempts"])
    assert "has 1 KB free" in job["reason"]
    assert (1, 0) == (uploads(server), server.stats()["paid"])


@pytest.mark.parametrize(("setting", "code"), [("off", 0), ("1MB", 1)])
def test_a_small_disk_can_be_used_all_the_same(house: House, free: dict[Path, int], setting: str, code: int) -> None:
    """The floor is a setting; three results must still fit, unless it is off."""
    house.document["folders"][0]["min_free"] = setting
    house.write()
    house.drop("a.jpg")
    free[house.outbox] = 2_000_000

    assert code == house.once()
