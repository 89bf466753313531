from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from upscaled import errors
from upscaled.files import markers
from upscaled.files.markers import LIFE, Marker, Owner, Refusal

ME = Owner("aaaa", "nas", "12", "boot-1", "/var/lib/upscaled", "8:99")
OTHER = Owner("bbbb", "desk", "34", "boot-2", "/home/x/ä \udcff: y", "8:12")
MARKER = Marker("0123abcd", "nas", "2026-11-22T17:30:00+00:00")


def unknown(_owner: Owner) -> bool | None:
    """Nothing is known of any owner."""
    return None


def age(directory: Path, seconds: float) -> None:
    """Let the lease be that old by the file system's clock."""
    now = (directory / "now").open("wb")
    stamp = os.fstat(now.fileno()).st_mtime - seconds
    now.close()
    os.utime(directory / markers.NAME, (stamp, stamp))


def test_a_marker_says_what_it_said_and_asks_not_to_be_deleted(tmp_path: Path) -> None:
    """Whoever finds the file must know what it is for."""
    assert MARKER == markers.make(tmp_path, MARKER)

    assert MARKER == markers.read(tmp_path)
    assert (tmp_path / markers.NAME).read_text("utf-8").startswith("Do not delete this file. By it upscaled knows")
    assert [markers.NAME] == os.listdir(tmp_path)  # noqa: PTH208 - names alone


def test_there_may_be_no_marker(tmp_path: Path) -> None:
    """That is no error; a directory that is not there is one."""
    assert None is markers.read(tmp_path)
    with pytest.raises(errors.FolderOffline):
        markers.read(tmp_path / "away")


def test_a_marker_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    """Of two daemons that mark at once, one wins and both know which."""
    markers.make(tmp_path, MARKER)

    assert MARKER == markers.make(tmp_path, replace(MARKER, id="another"))


@pytest.mark.parametrize("content", [b"", b"\0" * 2048, b"id 17", b"hello\nworld: x", b"\xff\xfe" * 700])
def test_what_is_no_marker_has_no_id(tmp_path: Path, content: bytes) -> None:
    """Nothing that lies under its name makes the program stumble."""
    (tmp_path / markers.NAME).write_bytes(content)

    assert "" == (markers.read(tmp_path) or MARKER).id


def test_a_link_or_a_pipe_is_no_marker(tmp_path: Path) -> None:
    """Reading it neither follows nor hangs."""
    (tmp_path / markers.NAME).symlink_to(tmp_path)
    with pytest.raises(errors.FileTrouble):
        markers.read(tmp_path)


@pytest.mark.parametrize("owner", [ME, OTHER, replace(ME, directory="x" * 5000), replace(ME, directory="a\nid: 7")])
def test_a_lease_is_written_in_place_and_read_again(tmp_path: Path, owner: Owner) -> None:
    """The marker keeps its id, its size and its inode; a directory that cannot be written down is left out."""
    markers.make(tmp_path, MARKER)
    before = (tmp_path / markers.NAME).stat()

    assert None is markers.claim(tmp_path, owner, unknown)

    after = (tmp_path / markers.NAME).stat()
    found = markers.read(tmp_path)
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    assert found is not None
    assert replace(MARKER, owner=found.owner) == found
    assert found.owner in {owner, replace(owner, directory="")}


def test_a_lease_that_is_fresh_refuses_others_naming_its_owner(tmp_path: Path) -> None:
    """However often they ask; and it stays what it was."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, OTHER, unknown)

    refusal = markers.claim(tmp_path, ME, unknown)

    assert refusal is not None
    assert OTHER == refusal.owner
    assert "process 34 on desk" in str(refusal.owner)
    assert replace(MARKER, owner=OTHER) == markers.read(tmp_path)


@pytest.mark.parametrize(("seconds", "free"), [(LIFE - 30, False), (LIFE + 30, True), (-86400, False)])
def test_a_lease_that_nobody_renews_expires(tmp_path: Path, seconds: float, free: bool) -> None:
    """By the file system's clock alone; a time in the future is no age."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, OTHER, unknown)
    age(tmp_path, seconds)

    refusal = markers.claim(tmp_path, ME, unknown)

    assert free == (refusal is None)


@pytest.mark.parametrize(("alive", "seconds", "free"), [(False, 0, True), (True, 10 * LIFE, False)])
def test_evidence_counts_for_more_than_age(tmp_path: Path, alive: bool, seconds: float, free: bool) -> None:
    """On one machine a lock tells for certain."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, OTHER, unknown)
    age(tmp_path, seconds)

    refusal = markers.claim(tmp_path, ME, lambda owner: alive if owner == OTHER else None)

    assert (None if free else Refusal(OTHER, None)) == refusal


def test_our_own_lease_of_an_earlier_run_is_ours(tmp_path: Path) -> None:
    """The state directory's lock has seen to it that there is no other of us; a container has a new name each time."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, replace(ME, pid="1", host="c0ffee"), unknown)

    assert None is markers.claim(tmp_path, ME, unknown)


def test_a_copy_of_our_state_directory_elsewhere_is_somebody_else(tmp_path: Path) -> None:
    """It would pay for the same pictures once more."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, replace(ME, host="copy", boot="boot-9"), unknown)

    assert None is not markers.claim(tmp_path, ME, unknown)


def test_two_that_claim_in_one_instant_do_not_both_win(tmp_path: Path) -> None:
    """The second comes again."""
    markers.make(tmp_path, MARKER)
    with (tmp_path / markers.NAME).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(errors.Busy, match="Another upscaled is claiming"):
            markers.claim(tmp_path, ME, unknown)


def test_disowning_leaves_the_marker_and_takes_the_lease(tmp_path: Path) -> None:
    """For a person who knows that the owner is gone."""
    markers.make(tmp_path, MARKER)
    markers.claim(tmp_path, OTHER, unknown)

    markers.disown(tmp_path)

    assert MARKER == markers.read(tmp_path)
