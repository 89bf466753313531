"""A share that does not answer, in the midst of the work: the daemon ends in time, and nothing is lost."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import started, wait_for
from tests.mounts.conftest import Share
from tests.support.house import House, digest
from tests.support.service import ApiServer, Settings, serve
from upscaled import app
from upscaled.check import SILENT
from upscaled.ledger import Ledger


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service, in which a prediction takes long enough for the share to fall silent meanwhile."""
    with serve(Settings(latency=2.0)) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, share: Share, server: ApiServer) -> House:
    """Give a house whose outbox lies on the share."""
    made = House(tmp_path / "house", service={"url": server.url, "api_key": server.key})
    made.outbox = share.point
    made.document["folders"][0]["outbox"] = str(share.point)
    made.write()
    return made


def submitted(house: House) -> bool:
    """Is the one job at the service?"""
    rows = Ledger.read(house.state).query("SELECT stage FROM jobs")
    return [row["stage"] for row in rows] == ["submitted"]


@pytest.mark.stress
def test_a_share_that_hangs_does_not_keep_the_daemon_from_ending(
    house: House, share: Share, server: ApiServer, tmp_path: Path
) -> None:
    """One signal, and it is gone within its grace; what was paid is delivered after the next start, and paid once."""
    original = digest(house.drop("a.jpg"))
    log = tmp_path / "log"
    with started("run", "-c", str(house.config), log=log) as process:
        wait_for(lambda: "daemon.ready" in log.read_text("utf-8") and submitted(house), limit=30)
        with share.silent():
            time.sleep(4.0)  # the result is there, and its download asks the outbox
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(app.GRACE + 5)
            took = time.monotonic() - began

    assert 143 == code
    assert took <= app.GRACE + 1.0
    assert "daemon.cut_off" in log.read_text("utf-8")
    assert original == digest(house.inbox / "a.jpg")
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def test_a_share_that_hangs_holds_up_no_other_folder(house: House, share: Share, tmp_path: Path) -> None:
    """The daemon works on for the folder whose disks answer."""
    other = House(tmp_path / "other", service={})
    first = house.document["folders"][0]
    house.document["folders"] = [{**first}, {**other.document["folders"][0]}]
    house.write()
    log = tmp_path / "log"
    with started("run", "-c", str(house.config), log=log) as process:
        wait_for(lambda: "daemon.ready" in log.read_text("utf-8"), limit=30)
        house.drop("a.jpg")
        wait_for(lambda: submitted(house), limit=30)
        with share.silent():
            other.drop("b.jpg", seed=2)
            wait_for((other.archive / "b.jpg").exists, limit=60)
            assert process.poll() is None


@pytest.mark.stress
def test_a_share_that_hangs_at_the_start_keeps_no_other_folder_waiting(
    house: House, share: Share, tmp_path: Path
) -> None:
    """As after a power cut, when the NAS is slower to start than we are; its folder is taken up when it answers."""
    other = House(tmp_path / "other", service={})
    house.document["folders"].append(other.document["folders"][0])
    house.write()
    originals = [digest(house.drop("a.jpg")), digest(other.drop("b.jpg", seed=2))]
    log = tmp_path / "log"
    with ExitStack() as stack:
        with share.silent():
            stack.enter_context(started("run", "-c", str(house.config), log=log))
            wait_for((other.archive / "b.jpg").exists, limit=60)
            assert "folder.not_answering" in log.read_text("utf-8")
            assert not (house.archive / "a.jpg").exists()
            checks = json.loads(house.command("check", "--json", check=False))
        wait_for((house.archive / "a.jpg").exists, limit=60)

    wrong = {check["name"]: check["detail"] for check in checks if check["ok"] is False}
    assert {"folders[0]": SILENT} == wrong
    assert "folders[1].outbox" in {check["name"] for check in checks}
    assert originals == [digest(house.archive / "a.jpg"), digest(other.archive / "b.jpg")]
