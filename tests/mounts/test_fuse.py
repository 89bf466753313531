"""A share under the running daemon: written behind its back, taken away, its bare mount point filled, brought back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import started, wait_for
from tests.mounts.conftest import Share
from tests.support.house import House, digest, picture
from tests.support.service import ApiServer, Settings, serve
from upscaled import errors
from upscaled.files import markers

SWEEP = 1.0
"""The folder's sweep interval in these tests, in seconds."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1)) as running:
        yield running


class Served:
    """A house that lies on a share, and the daemon that serves it."""

    def __init__(self, share: Share, root: Path, server: ApiServer, **folder: Any) -> None:
        self.share = share
        self.house = House(share.point, service={"url": server.url, "api_key": server.key}, folder=folder)
        document = self.house.document
        document["state_dir"] = str(root / "state")
        self.house.state = root / "state"
        self.house.config = root / "upscaled.yaml"
        document["folders"][0]["sweep"] = f"{SWEEP:g}s"
        self.house.write()
        self.log = root / "log"

    def state(self) -> str:
        """Return the folder's state as `status` would tell it."""
        try:
            rows = self.house.ledger().query("SELECT state FROM folders")
        except (sqlite3.Error, errors.StateError):
            return ""  # there is no ledger yet
        return str(rows[0]["state"]) if rows else ""

    def standings(self) -> dict[str, str]:
        """Return how each job stands, by its source."""
        return {job.source: str(job.standing) for job in self.house.ledger().jobs()}

    def becomes(self, state: str) -> None:
        """Wait until the folder's state is this one."""
        wait_for(lambda: self.state() == state, limit=20)


def names(directory: Path) -> list[str]:
    """Return every file below a directory, but for markers and our own temporaries."""
    found = (path for path in directory.rglob("*") if path.is_file() and path.name != markers.NAME)
    return sorted(str(path.relative_to(directory)) for path in found)


def arrived(path: Path) -> Callable[[], bool]:
    """Return the question whether there is a file."""
    return path.exists


def test_what_is_written_behind_the_mount_is_noticed_within_a_sweep(
    share: Share, tmp_path: Path, server: ApiServer
) -> None:
    """No event tells of it, as none crosses a network; the sweep needs none."""
    served = Served(share, tmp_path, server)
    with started("run", "-c", str(served.house.config), log=served.log):
        served.becomes("online")
        original = picture(share.disk / "inbox" / "a.jpg")
        expected = digest(original)
        began = time.monotonic()
        wait_for(lambda: "a.jpg" in served.standings(), limit=20)
        took = time.monotonic() - began
        wait_for(arrived(share.disk / "archive" / "a.jpg"), limit=20)

    # Quiet must be seen at two looks, 5 seconds apart on a share; see `inbox.model.NETWORK`.
    assert took < SWEEP + 5.0 + 2.0
    assert expected == digest(share.disk / "archive" / "a.jpg")
    assert "poll" in served.log.read_text("utf-8")


def test_a_share_that_goes_and_comes_loses_nothing_and_takes_nothing_else(
    share: Share, tmp_path: Path, server: ApiServer
) -> None:
    """The daemon neither keeps it from being unmounted, nor believes in what lies under it."""
    served = Served(share, tmp_path, server)
    with started("run", "-c", str(served.house.config), log=served.log):
        served.becomes("online")
        first = digest(picture(share.disk / "inbox" / "a.jpg", seed=1))
        wait_for(arrived(share.disk / "archive" / "a.jpg"), limit=20)

        second = digest(picture(share.disk / "inbox" / "b.jpg", seed=2))
        share.unmount()
        for role in ("inbox", "outbox", "archive", "failed"):
            (share.point / role).mkdir()
        picture(share.point / "inbox" / "stranger.jpg", seed=3)
        picture(share.point / "inbox" / "b.jpg", seed=4)
        served.becomes("offline")
        log = served.log.read_text("utf-8")
        time.sleep(3 * SWEEP)  # sweeps that must find nothing; there is no event to wait for

        assert ["inbox/b.jpg", "inbox/stranger.jpg"] == names(share.point)
        assert "stranger.jpg" not in served.standings()
        assert not {"failed", "cancelled"} & set(served.standings().values())
        shutil.rmtree(share.point / "inbox")
        for role in ("outbox", "archive", "failed"):
            (share.point / role).rmdir()

        share.mount()
        served.becomes("online")
        wait_for(arrived(share.disk / "archive" / "b.jpg"), limit=30)

    assert "has lost its marker" in log
    assert f"upscaled init --adopt '{share.point / 'inbox'}'" in log
    assert {"a.jpg": first, "b.jpg": second} == served.house.files(share.disk / "archive")
    assert ["a.jpg", "b.jpg"] == names(share.disk / "outbox")
    assert {"a.jpg": "done", "b.jpg": "done"} == served.standings()
    assert 2 == server.stats()["paid"]
    assert [] == names(share.disk / "failed")


def test_a_share_that_goes_while_pictures_are_made_gets_them_when_it_is_back(
    share: Share, tmp_path: Path, server: ApiServer
) -> None:
    """Each is paid once, and its original is in the inbox until its result is where it belongs."""
    server.world.set(latency=1.5)
    served = Served(share, tmp_path, server)
    with started("run", "-c", str(served.house.config), log=served.log):
        served.becomes("online")
        originals = {f"{n}.jpg": digest(picture(share.disk / "inbox" / f"{n}.jpg", seed=n)) for n in range(3)}
        wait_for(lambda: server.stats()["paid"] >= 1, limit=20)
        share.unmount(lazily=True)
        for role in ("inbox", "outbox", "archive", "failed"):
            (share.point / role).mkdir()
        served.becomes("offline")
        time.sleep(2 * SWEEP)  # results come meanwhile, and must not go there

        assert [] == names(share.point)
        assert not {"failed", "cancelled", "done"} & set(served.standings().values())
        for role in ("inbox", "outbox", "archive", "failed"):
            os.rmdir(share.point / role)  # noqa: PTH106 - fails unless it is empty, which is the point
        share.mount()
        wait_for(lambda: set(served.standings().values()) == {"done"} and len(served.standings()) == 3, limit=40)

    assert originals == served.house.files(share.disk / "archive")
    assert sorted(originals) == names(share.disk / "outbox")
    assert 3 == server.stats()["paid"]
    assert {1} == set(server.stats()["by_image"].values())


def test_a_read_only_inbox_is_upscaled_and_stays_as_it_is(bindfs: str, tmp_path: Path, server: ApiServer) -> None:
    """Where no marker can be written, device, inode and mount stand for it."""
    library = Share(bindfs, tmp_path / "library", tmp_path / "inbox-mnt")
    original = digest(picture(library.disk / "a.jpg"))
    library.mount(read_only=True)
    try:
        house = House(tmp_path / "house", service={"url": server.url, "api_key": server.key})
        house.document["folders"][0] |= {"inbox": str(library.point), "originals": "keep", "settle": "0s"}
        house.write()
        assert 0 == house.once()
        assert 0 == house.once()
        library.unmount()
        picture(library.point / "stranger.jpg", seed=5)
        assert 1 == house.once()
        (library.point / "stranger.jpg").unlink()
        library.mount(read_only=True)
        assert 0 == house.once()
    finally:
        library.unmount()

    assert {"a.jpg": original} == house.files(library.disk)
    assert ["a.jpg"] == os.listdir(library.disk)  # noqa: PTH208 - names alone
    assert ["a.jpg"] == names(house.outbox)
    assert ["a.jpg"] == [job.source for job in house.ledger().jobs()]
    assert 1 == server.stats()["paid"]
