from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from upscaled import errors, guard
from upscaled.files import markers
from upscaled.files.markers import Owner
from upscaled.guard import Guard
from upscaled.inbox.mounts import Mount
from upscaled.ledger import Ledger, database


@dataclass(frozen=True)
class Folder:
    """Four directories."""

    inbox: Path
    outbox: Path
    archive: Path
    failed: Path


def folder(root: Path) -> Folder:
    """Make four directories."""
    paths = [root / name for name in ("inbox", "outbox", "archive", "failed")]
    for path in paths:
        path.mkdir(exist_ok=True, parents=True)
    return Folder(*paths)


class Party:
    """One daemon: a ledger and its guard."""

    def __init__(self, state: Path, **owner: str) -> None:
        self.ledger = Ledger.open(state)
        self.clock = 0.0
        self.mount = Mount("/", "ext4", "/dev/sda1", "/")
        self.owner: Owner = replace(guard.owner_of(self.ledger, state), **owner)
        self.guard = Guard(self.ledger, self.owner, clock=lambda: self.clock, mounts=lambda: (self.mount,))


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """Run one daemon's guard."""
    found = Party(tmp_path / "state")
    yield found
    found.ledger.close()


ROLES = ("inbox", "outbox", "archive", "failed")


def marker(directory: Path) -> Path:
    """Return where a directory's marker lies."""
    return directory / markers.NAME


def test_each_of_the_four_is_marked_when_it_is_first_used(tmp_path: Path, party: Party) -> None:
    """And the ledger knows the marks."""
    used = folder(tmp_path)

    party.guard.hold(used)

    for role in ROLES:
        directory = getattr(used, role)
        found, known = markers.read(directory), party.ledger.place(str(directory))
        assert found is not None
        assert known is not None
        assert found.id == known.marker != ""


@pytest.mark.parametrize("role", ROLES)
def test_a_marker_that_is_gone_makes_the_folder_offline_and_is_never_made_again(
    tmp_path: Path, party: Party, role: str
) -> None:
    """What lies there now may be a bare mount point. Back with the marker, without anybody's help."""
    used = folder(tmp_path)
    party.guard.hold(used)
    directory = getattr(used, role)
    kept = marker(directory).read_bytes()
    marker(directory).unlink()

    for look in (party.guard.hold, party.guard.check):
        with pytest.raises(errors.FolderOffline, match="has lost its marker") as caught:
            look(used)

    known = party.ledger.place(str(directory))
    assert known is not None
    assert f"the id {known.marker} is not there; what is there is /dev/sda1 (ext4) on /" in caught.value.why
    assert f"upscaled init --adopt '{directory}'" in caught.value.do
    assert not marker(directory).exists()
    marker(directory).write_bytes(kept)
    party.guard.hold(used)


@pytest.mark.parametrize("role", ROLES)
def test_another_marker_is_a_misconfiguration_that_names_both(tmp_path: Path, party: Party, role: str) -> None:
    """Two shares were mounted in each other's place."""
    used, other = folder(tmp_path), folder(tmp_path / "other")
    party.guard.hold(used)
    party.guard.hold(other)
    here, there = getattr(used, role), getattr(other, role)
    wrong = markers.read(there)
    assert wrong is not None
    marker(here).write_bytes(marker(there).read_bytes())

    with pytest.raises(errors.WrongFolder) as caught:
        party.guard.check(used)

    known = party.ledger.place(str(here))
    assert known is not None
    assert wrong.id in caught.value.why
    assert known.marker in caught.value.why
    assert "on /dev/sda1 (ext4) on /" in caught.value.why


def test_a_marker_that_says_nothing_is_a_misconfiguration(tmp_path: Path, party: Party) -> None:
    """Whether it was so at first or became so."""
    used, fresh = folder(tmp_path), folder(tmp_path / "fresh")
    party.guard.hold(used)
    for each in (used, fresh):
        marker(each.outbox).write_bytes(b"")
        with pytest.raises(errors.WrongFolder, match="cannot be understood"):
            party.guard.hold(each)


def test_a_death_between_marking_and_remembering_costs_nothing(
    tmp_path: Path, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run takes the marker that it finds."""
    used = folder(tmp_path)

    class Death(BaseException):
        """As if killed."""

    def die(*_: object, **__: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record_place", die)
        with pytest.raises(Death):
            party.guard.hold(used)
    left = markers.read(used.inbox)

    party.guard.hold(used)

    assert left is not None
    assert left.id == getattr(party.ledger.place(str(used.inbox)), "marker", "")


@pytest.mark.parametrize("trouble", [errors.ReadOnly, errors.NoPermission])
def test_where_nothing_may_be_written_the_place_stands_for_the_marker(
    tmp_path: Path, party: Party, monkeypatch: pytest.MonkeyPatch, trouble: type[errors.FileTrouble]
) -> None:
    """Device and inode, or the mount: a share gets another device number each time it is mounted."""

    def refuse(*_: object) -> None:
        raise trouble("no", path=tmp_path)

    used = folder(tmp_path)
    monkeypatch.setattr(markers, "make", refuse)
    party.mount = Mount("/", "cifs", "//nas/photos", "/")
    party.guard.hold(used)

    known = party.ledger.place(str(used.inbox))
    assert known is not None
    party.ledger.record_place(replace(known, lies=("70", *known.lies[1:])), now=0.0)
    party.guard.hold(used)
    party.mount = Mount("/", "ext4", "/dev/sda1", "/")
    with pytest.raises(errors.FolderOffline, match="Another file system") as caught:
        party.guard.hold(used)
    assert "/dev/sda1 (ext4) on /, at first it was //nas/photos (cifs) on /" in caught.value.why
    party.mount = Mount("/", "cifs", "//nas/photos", "/")
    party.guard.hold(used)


def test_a_full_disk_at_first_use_waits_for_its_marker(
    tmp_path: Path, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is remembered before there is something to remember."""

    def refuse(*_: object) -> None:
        raise errors.DiskFull("full", path=tmp_path)

    used = folder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(markers, "make", refuse)
        with pytest.raises(errors.DiskFull):
            party.guard.hold(used)

    assert None is party.ledger.place(str(used.inbox))
    party.guard.hold(used)


# --- one owner per inbox ---------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_while_the_first_lives(tmp_path: Path, party: Party) -> None:
    """On one machine the lock of its state directory tells; outbox and archive may be shared."""
    used = folder(tmp_path)
    party.guard.hold(used)
    second = Party(tmp_path / "state2")

    with pytest.raises(errors.OwnedElsewhere, match="Another upscaled looks after") as caught:
        second.guard.hold(used)

    assert f"process {os.getpid()} on {party.owner.host}, with state_dir {tmp_path / 'state'}" in caught.value.why
    second.guard.hold(replace(folder(tmp_path / "two"), outbox=used.outbox, archive=used.archive))
    second.ledger.close()


def test_a_lease_left_by_a_dead_owner_on_this_machine_is_free_at_once(tmp_path: Path) -> None:
    """Nobody holds its lock."""
    used = folder(tmp_path)
    first = Party(tmp_path / "state")
    first.guard.hold(used)
    first.ledger.close()
    second = Party(tmp_path / "state2")

    second.guard.hold(used)

    with pytest.raises(errors.OwnedElsewhere):
        Guard(second.ledger, first.owner).check(used)
    second.ledger.close()


@pytest.mark.parametrize("elsewhere", [{"boot": "another", "host": "desk"}, {"lock": "1:2"}, {"directory": "/away"}])
def test_of_an_owner_elsewhere_only_its_age_is_known(tmp_path: Path, party: Party, elsewhere: dict[str, str]) -> None:
    """On another machine, or in a container that sees other directories."""
    used = folder(tmp_path)
    other = Party(tmp_path / "state2", **elsewhere)
    other.guard.hold(used)
    other.ledger.close()

    assert None is guard.owner_lives(other.owner)
    with pytest.raises(errors.OwnedElsewhere, match=r"last heard of \d+ s ago"):
        party.guard.hold(used)


def test_a_lease_is_renewed_in_time_and_not_more_often(tmp_path: Path, party: Party) -> None:
    """Each renewal is a write, on a disk that may want to sleep."""
    used = folder(tmp_path)
    party.guard.hold(used)
    os.utime(marker(used.inbox), (1, 1))

    party.clock += guard.RENEW - 1
    party.guard.hold(used)
    untouched = marker(used.inbox).stat().st_mtime
    party.clock += 2
    party.guard.hold(used)

    assert 1 == untouched
    assert 1 < marker(used.inbox).stat().st_mtime


# --- adopting --------------------------------------------------------------------------------------------------------


def test_adopting_a_directory_without_a_marker_gives_it_the_one_expected(tmp_path: Path, party: Party) -> None:
    """So that whoever else knows it by that still does."""
    used = folder(tmp_path)
    party.guard.hold(used)
    marker(used.archive).unlink()

    said = guard.adopt(party.ledger, used.archive, now=0.0)

    party.guard.hold(used)
    assert getattr(party.ledger.place(str(used.archive)), "marker", "?") in said


def test_adopting_a_directory_with_another_marker_believes_it(tmp_path: Path, party: Party) -> None:
    """It may be another daemon's outbox too; its marker is left as it is."""
    used, other = folder(tmp_path), folder(tmp_path / "other")
    party.guard.hold(used)
    party.guard.hold(other)
    theirs = marker(other.outbox).read_bytes()
    marker(used.outbox).write_bytes(theirs)

    guard.adopt(party.ledger, used.outbox, now=0.0)

    party.guard.hold(used)
    assert theirs == marker(used.outbox).read_bytes()


def test_adopting_an_inbox_takes_the_lease_of_who_is_gone_but_not_of_who_lives(tmp_path: Path, party: Party) -> None:
    """A person's word counts where nothing better is known."""
    used = folder(tmp_path)
    other = Party(tmp_path / "state2")
    other.guard.hold(used)
    with pytest.raises(errors.OwnedElsewhere):
        guard.adopt(party.ledger, used.inbox, now=0.0)
    markers.disown(used.inbox)
    Guard(other.ledger, replace(other.owner, boot="another", host="desk")).hold(used)
    other.ledger.close()

    guard.adopt(party.ledger, used.inbox, now=0.0)

    party.guard.hold(used)


def test_adopting_a_read_only_directory_takes_it_where_it_lies_now(
    tmp_path: Path, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no marker to give it."""

    def refuse(*_: object) -> None:
        raise errors.ReadOnly("no", path=tmp_path)

    used = folder(tmp_path)
    monkeypatch.setattr(markers, "make", refuse)
    party.guard.hold(used)
    known = party.ledger.place(str(used.inbox))
    assert known is not None
    party.ledger.record_place(replace(known, lies=("1", "2", "/", "nfs", "old:/x", "/")), now=0.0)
    with pytest.raises(errors.FolderOffline):
        party.guard.hold(used)

    guard.adopt(party.ledger, used.inbox, now=0.0)

    party.guard.hold(used)


def test_the_lock_of_a_state_directory_tells_whether_its_owner_lives(tmp_path: Path, party: Party) -> None:
    """Also when the process that asks is not the one that holds it."""
    assert True is guard.owner_lives(party.owner)
    assert (tmp_path / "state" / database.LOCK).exists()
