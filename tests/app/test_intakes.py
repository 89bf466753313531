"""The intakes together: exchanged at a reload, and heard when one of them falls silent."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.inbox_world import LARGEST, Books
from upscaled.config import Folder, Settings
from upscaled.errors import ConfigError, Problem
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import IntakeSettings
from upscaled.inbox.root import Root
from upscaled.inbox.watch import Silence
from upscaled.intakes import NOT_ANSWERING, SILENCE, Folders, Intakes
from upscaled.ledger import Ledger
from upscaled.reload import Reloader, changed


class Clock:
    """The time, for all intakes."""

    now = 1000.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger.open(tmp_path / "state")
    yield ledger
    ledger.close()


def settings(root: Path, *names: str) -> Settings:
    """Return settings with folders of these names, which exist."""
    house = House(root / names[0], service={"url": "embedded"})
    house.document["state_dir"] = str(root / "state")
    house.document["folders"] = []
    for name in names:
        places = {role: root / name / role for role in ("inbox", "outbox", "archive", "failed")}
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        house.document["folders"].append({role: str(place) for role, place in places.items()})
    house.write()
    return house.settings()


def quiet_intake(folder: Folder) -> Intake:
    """Return an intake without a watcher."""
    return Intake(IntakeSettings(inbox=folder.inbox, largest=LARGEST), Books(), bell=Silence("a test"))


def inboxes(intakes: Intakes) -> set[str]:
    """Return whose intakes run."""
    return {intake.settings.folder for intake in intakes}


async def test_a_folder_that_hangs_is_reported_with_for_how_long_and_no_other_is(
    tmp_path: Path, ledger: Ledger
) -> None:
    """A call that does not return: that folder says so, the other sweeps on, and the first says when it is back."""
    both = settings(tmp_path, "good", "dead").folders
    clock, entered, let_go = Clock(), threading.Event(), threading.Event()

    def hang(path: Path) -> os.stat_result:
        entered.set()
        let_go.wait(60)
        return path.stat()

    def make(folder: Folder) -> Intake:
        root = Root(folder.inbox, look=hang) if "dead" in str(folder.inbox) else Root(folder.inbox)
        limits = IntakeSettings(inbox=folder.inbox, largest=LARGEST)
        return Intake(limits, Books(), clock=clock, root=root, bell=Silence("a test"))

    intakes = Intakes(make, both)
    good, dead = intakes
    dead.start()
    good.turn()
    ledger.record_folder(good.settings.folder, state="online", reason="", seen={}, swept_at=1.0)
    assert entered.wait(30)

    def states() -> dict[str, tuple[str, str]]:
        rows = ledger.query("SELECT inbox, state, reason FROM folders")
        return {row["inbox"].split("/")[-2]: (row["state"], row["reason"]) for row in rows}

    clock.now += SILENCE - 1
    await intakes.report(ledger)
    early = states()
    clock.now += 13
    await intakes.report(ledger)
    late = states()
    let_go.set()
    while dead.not_answering():
        pass
    await intakes.report(ledger)
    await intakes.stop()

    assert {"good": ("online", "")} == early
    assert {
        "good": ("online", ""),
        "dead": (NOT_ANSWERING, "Its file system has not answered for 42 s. Other folders go on."),
    } == late
    assert states()["dead"][0] in {"starting", "online"}


async def test_a_reload_exchanges_only_the_folders_that_differ(tmp_path: Path, ledger: Ledger) -> None:
    """What is as it was goes on undisturbed; jobs of a folder that is gone still find it."""
    old = settings(tmp_path, "a", "b", "c")
    new = settings(tmp_path, "b", "c", "d")
    changed_c = tuple(replace(each, priority=7) if "/c/" in str(each.inbox) else each for each in new.folders)
    intakes, folders = Intakes(quiet_intake, old.folders), Folders(old.folders)
    intakes.start()
    before = {intake.settings.folder: intake for intake in intakes}
    rung: list[bool] = []
    reloader = Reloader(
        old,
        lambda: replace(new, folders=changed_c),
        intakes=intakes,
        folders=folders,
        ledger=ledger,
        ring=lambda: rung.append(True),
    )

    assert await reloader.reload()
    after = {intake.settings.folder: intake for intake in intakes}
    await intakes.stop()

    a, b, c, d = (str(tmp_path / name / "inbox") for name in "abcd")
    assert {b, c, d} == set(after) == set(folders)
    assert after[b] is before[b]
    assert after[c] is not before[c]
    assert not before[a]._thread.is_alive()
    assert not before[c]._thread.is_alive()
    assert 7 == folders[c].priority
    assert old.folders[0] == folders[a]
    assert [True] == rung


async def test_a_wrong_configuration_changes_nothing(tmp_path: Path, ledger: Ledger) -> None:
    """A mistake in the file, or a directory that is missing; but one that was missing before is no reason."""
    old, new = settings(tmp_path, "a"), settings(tmp_path, "a", "b")
    intakes, folders = Intakes(quiet_intake, old.folders), Folders(old.folders)
    wished = new

    def load() -> Settings:
        if wished is old:
            raise ConfigError([Problem("file", 1, "key", "wrong", "")])
        return wished

    reloader = Reloader(old, load, intakes=intakes, folders=folders, ledger=ledger, ring=lambda: None)
    (tmp_path / "b" / "outbox").rmdir()
    assert not await reloader.reload()
    wished = old
    assert not await reloader.reload()
    assert {str(tmp_path / "a" / "inbox")} == inboxes(intakes) == set(folders)

    (tmp_path / "b" / "outbox").mkdir()
    (tmp_path / "a" / "outbox").rmdir()
    wished = new
    assert await reloader.reload()
    await intakes.stop()
    assert 2 == len(inboxes(intakes))


def test_what_cannot_be_changed_live_is_named_by_its_key(tmp_path: Path) -> None:
    """And nothing else."""
    old = settings(tmp_path, "a")
    service = replace(old.service, timeout=7.0, poll_min=3.0)

    assert ["service.poll_min", "service.timeout"] == list(changed("service", old.service, service))
    assert ["state_dir"] == list(changed("state_dir", old.state_dir, tmp_path))
    assert [] == list(changed("service", old.service, old.service))
