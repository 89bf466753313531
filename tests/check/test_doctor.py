"""The doctor's part of `check`: each thing well, and each thing ill with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.house import House
from upscaled.check import Check
from upscaled.config import Folder
from upscaled.doctor import brief, canary, clocks, ignored, inotify, marked
from upscaled.errors import FolderOffline
from upscaled.guard import Guard, owner_of
from upscaled.ledger import Ledger

NOW = 1_790_000_000.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One local folder."""
    return House(tmp_path, service={"url": "embedded"})


def folder(house: House) -> Folder:
    """Return the house's folder as configured."""
    return house.settings().folders[0]


def test_the_kernels_limits_are_told_with_their_use_and_the_line_that_raises_them(tmp_path: Path) -> None:
    """Three watches in one instance, under a limit that is far away and one that is not."""
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "max_user_watches").write_text("1000\n")
    (tmp_path / "sys" / "max_user_instances").write_text("1\n")
    process = tmp_path / "proc" / "7"
    (process / "fd").mkdir(parents=True)
    (process / "fdinfo").mkdir()
    (process / "fd" / "3").symlink_to("anon_inode:inotify")
    (process / "fd" / "4").symlink_to("/dev/null")
    (process / "fdinfo" / "3").write_text("pos: 0\n" + "inotify wd:1 ino:2\n" * 3)

    assert [
        Check("file events", ok=True, detail="3 of 1,000 directories watched at once (max_user_watches)"),
        Check(
            "file events",
            ok=False,
            detail="1 of 1 programs that watch (max_user_instances)",
            remedy="Raise the limit, as root: sysctl fs.inotify.max_user_instances=1024",
        ),
    ] == list(inotify(sysctls=tmp_path / "sys", processes=tmp_path / "proc"))
    assert [None, None] == [check.ok for check in inotify(sysctls=tmp_path, processes=tmp_path / "proc")]


@pytest.mark.parametrize(
    ("skew", "now", "ok", "part"),
    [
        (0.4, NOW, True, "within 30 s of the service's"),
        (90.0, NOW, False, "90 s behind the service's"),
        (-90.0, NOW, False, "90 s ahead of the service's"),
        (0.0, 86400.0, False, "it is 1970-01-0"),
    ],
)
def test_a_wrong_clock_is_told(skew: float, now: float, ok: bool, part: str) -> None:
    """Far from the service's, or in a year without this program."""
    (check,) = clocks(skew, now)

    assert (ok, ok) == (check.ok, not check.remedy)
    assert part in check.detail


def test_an_event_of_a_new_file_is_waited_for_and_nothing_stays(house: House) -> None:
    """And what it does not prove is said."""
    check = canary(0, folder(house))

    assert check.ok
    assert "not what other machines write" in check.detail
    assert [] == list(house.inbox.iterdir())


def test_a_folder_that_is_polled_has_no_canary(tmp_path: Path) -> None:
    """And an inbox that is not there cannot be tried; neither is a mistake."""
    house = House(tmp_path, service={"url": "embedded"}, folder={"watch": "poll"})
    polled = canary(0, folder(house))
    away = House(tmp_path / "b", service={"url": "embedded"})
    settings = folder(away)
    away.inbox.rmdir()

    assert (None, True) == (polled.ok, "`watch: poll`" in polled.detail)
    assert "could not be tried" in canary(0, settings).detail


def test_markers_are_told_for_each_directory(house: House) -> None:
    """Not given yet, as given, and gone."""
    place = folder(house)
    ledger = Ledger.open(house.state)
    try:
        fresh = [check.ok for check in marked(0, place, ledger)]
        guard = Guard(ledger, owner_of(ledger, house.state))
        guard.hold(place)
        given = [check.ok for check in marked(0, place, ledger)]
        (house.outbox / ".upscaled").unlink()
        with pytest.raises(FolderOffline):
            guard.hold(place)
        gone = {check.name: check for check in marked(0, place, ledger)}
    finally:
        ledger.close()

    assert [None] * 4 == fresh
    assert [True] * 4 == given
    assert [True, False, True, True] == [check.ok for check in gone.values()]
    assert f"upscaled init --adopt {house.outbox}" in gone["folders[0].outbox"].remedy


def test_the_ignore_list_is_shown_whole_to_those_who_ask(tmp_path: Path) -> None:
    """With what was added, and what was taken back is not in it."""
    house = House(tmp_path, service={"url": "embedded"}, folder={"ignore": ["proof-*", "!*.TMP"]})
    check = ignored(0, folder(house))

    assert "@eaDir" in check.detail
    assert "your own: proof-*" in check.detail
    assert "taken back: !*.TMP" in check.detail
    assert " *.tmp " not in check.detail
    assert [] == brief([check])


def test_the_verb_has_the_doctors_lines(house: House) -> None:
    """The list of names only where it is asked for."""
    names = {check["name"] for check in json.loads(house.command("check", "--json"))}

    assert {"file events", "clock", "folders[0].ignore"} <= names
    assert "names never looked at" in house.command("check", "--verbose")
    assert "names never looked at" not in house.command("check")


def test_what_is_not_there_is_told_in_one_line_with_its_remedy_apart(house: House) -> None:
    """By the marker and by the event that cannot be tried; no line break is left to be shown as an escape."""
    house.inbox.rmdir()

    found = [next(marked(0, folder(house), None)), canary(0, folder(house))]

    assert [False, None] == [check.ok for check in found]
    assert all("\n" not in check.detail and "->" not in check.detail for check in found)
    assert all(check.remedy.endswith("goes on by itself.") for check in found)
