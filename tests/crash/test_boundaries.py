from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.crash import driver
from tests.support.house import House, digest, picture
from tests.support.service import ApiServer, Fault, Settings, serve

WAY = (
    "admit",
    "commit prepare",
    "upload",
    "commit upload",
    "intend",
    "submit",
    "commit submit",
    "result",
    "commit await",
    "make_directories",
    "create_part",
    "begin",
    "download",
    "sync",
    "finished",
    "commit download",
    "publish",
    "commit publish",
    "set_aside",
    "commit done",
)
"""Every commit and every effect on the way of a picture, in order: right before one is right after the one above it."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service, which outlives the daemon."""
    with serve(Settings(latency=0.05)) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: ApiServer) -> House:
    """Give a house whose service is the test service."""
    return House(tmp_path, service={"url": server.url, "api_key": server.key})


def daemon(house: House, *doomed: str) -> int:
    """Run the daemon until nothing is left to do, or until it is killed."""
    return driver.run(house.config, house.root / "log", *doomed)


@pytest.mark.parametrize("when", ["after", pytest.param("before", marks=pytest.mark.stress)])
@pytest.mark.parametrize("label", WAY)
def test_killed_anywhere_a_picture_comes_out_once_and_is_paid_once(
    house: House, server: ApiServer, label: str, when: str
) -> None:
    """One result, one original archived, no part left, one paid task."""
    original = digest(house.drop("sub/a.jpg"))

    killed = daemon(house, label, when)
    assert -9 == killed, f"the way does not lead {when} {label}"
    lost = {**house.files(house.inbox), **house.files(house.archive)}
    assert original in lost.values()
    resumed = daemon(house)

    assert 0 == resumed
    house.assert_whole({"sub/a.jpg": original})
    assert 1 == server.stats()["paid"]
    assert [1] == list(server.stats()["by_image"].values())
    (job,) = (job for job in house.ledger().jobs() if job.finished_at is not None)
    assert "done" == job.standing


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("label", ["commit refused", "set_aside", "write_note", "commit failed"])
def test_killed_anywhere_on_the_way_to_the_failed_folder_nothing_is_lost(
    house: House, server: ApiServer, label: str, when: str
) -> None:
    """The original and its note are there, once."""
    server.script(Fault("result", "failed", args={"code": 1200, "error": "no"}))
    original = digest(house.drop("sub/a.jpg"))

    killed = daemon(house, label, when)
    assert -9 == killed, f"the way does not lead {when} {label}"
    resumed = daemon(house)

    assert resumed in {0, 1}
    assert {} == house.files(house.inbox)
    found = house.files(house.failed)
    assert ["sub/a.jpg", "sub/a.jpg.error.txt"] == sorted(found)
    assert original == found["sub/a.jpg"]
    assert 0 == server.stats()["paid"]
    assert 1 == len(server.world.tasks)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("label", ["commit upload", "upload", "forget"])
def test_killed_while_a_rendition_is_made_or_uploaded_the_picture_comes_out_upright_once(
    house: House, server: ApiServer, label: str, when: str
) -> None:
    """What is uploaded in the source's place is made again from it, and nothing of it is left."""
    exif = Image.Exif()
    exif[0x0112] = 6
    original = digest(picture(house.inbox / "a.jpg", exif=exif))

    assert -9 == daemon(house, label, when), f"the way does not lead {when} {label}"
    assert 0 == daemon(house)

    house.assert_whole({"a.jpg": original})
    with Image.open(house.outbox / "a.jpg") as result:
        assert (1536, 2048) == result.size
    assert {} == house.files(house.state / "renditions")
    assert 1 == server.stats()["paid"]


@pytest.mark.parametrize("fault", ["create-drop", "drop"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("label", ["commit ambiguous", "history", "commit submit"])
def test_killed_while_a_lost_submit_is_looked_up_it_is_still_paid_once(
    house: House, server: ApiServer, fault: str, when: str, label: str
) -> None:
    """I3 holds over two troubles in a row."""
    server.script(Fault("submit", fault, nth=1))
    original = digest(house.drop("a.jpg"))

    killed = daemon(house, label, when)
    assert -9 == killed, f"the way does not lead {when} {label}"
    resumed = daemon(house)

    assert 0 == resumed
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("label", ["commit upload", "copy_into", "commit reuse", "publish", "commit done"])
def test_killed_while_a_result_is_delivered_again_it_is_delivered_and_never_paid(
    house: House, server: ApiServer, label: str, when: str
) -> None:
    """The second copy of a picture comes out at no cost, wherever it was interrupted."""
    original = digest(house.drop("a.jpg"))
    assert 0 == daemon(house)
    shutil.copyfile(house.archive / "a.jpg", house.inbox / "b.jpg")

    assert -9 == daemon(house, label, when), f"the way does not lead {when} {label}"
    assert 0 == daemon(house)

    house.assert_whole({"a.jpg": original, "b.jpg": original})
    assert 1 == server.stats()["paid"] == len(server.world.tasks)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("label", ["bring", "publish", "forget", "commit publish"])
def test_killed_while_a_spooled_result_is_delivered_it_is_delivered_once(
    house: House, server: ApiServer, label: str, when: str
) -> None:
    """It lies in the spool until the outbox has it."""
    original = digest(house.drop("a.jpg"))
    assert -9 == daemon(house, "commit await", "after")
    away = house.outbox.rename(house.root / "away")
    assert 1 == driver.run(house.config, house.root / "log", impatient=True)
    assert 1 == len(house.files(house.state / "spool"))
    away.rename(house.outbox)

    killed = driver.run(house.config, house.root / "log", label, when, impatient=True)
    assert -9 == killed, f"the way does not lead {when} {label}"
    assert 0 == daemon(house)

    house.assert_whole({"a.jpg": original})
    assert {} == house.files(house.state / "spool")
    assert 1 == server.stats()["paid"]
