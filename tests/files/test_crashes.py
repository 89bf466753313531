"""Publish and set_aside, killed at every instant and run again (design, section 3)."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from tests.support.killing import at_every_stop, kill_at, snapshot, stops_that_changed
from upscaled.files import durable, moves, originals, sources
from upscaled.files.durable import SetAside
from upscaled.job.model import Identity

FileSystem = Literal["usual", "no flags", "no flags, no links", "another disk"]

RESULT = b"the result" * 3000
OTHER = b"somebody else's picture"
ORIGINAL = b"the original" * 3000
NEWER = b"the picture that was saved over it" * 2000


def sha(data: bytes) -> str:
    """Return the fingerprint of bytes."""
    return hashlib.sha256(data).hexdigest()


def as_if(file_system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a file system may lack; the rest is the real one."""
    # Small, so that a copy takes several writes.
    monkeypatch.setattr(originals, "BLOCK", 16384)
    if "no flags" in file_system:
        monkeypatch.setattr(moves, "_LIBC", object())
    if "no links" in file_system:

        def refuse(*_args: object, **_kwargs: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)


class World:
    """An inbox and a destination, on one disk or on two, made anew for every run at the same place."""

    def __init__(self, home: Path, there: Path) -> None:
        self.inbox = home / "inbox"
        self.outbox = there / "outbox"
        self.roots = (self.inbox, self.outbox)

    def files(self) -> dict[str, bytes]:
        """Return what lies in either, by ``inbox/NAME`` and ``outbox/NAME``."""
        found = {Path(path): data for path, data in snapshot(self.roots).items() if data is not None}
        return {f"{path.parent.name}/{path.name}": data for path, data in found.items()}

    def results(self) -> dict[str, bytes]:
        """Return what lies in the outbox under names that people see, leaving out empty files.

        Those are what the last of the three ways of moving may leave, if the process dies in the very instant between
        making a placeholder and writing into it: nothing is lost, and whose it is cannot be told any more.
        """
        files = {Path(path): data for path, data in self.files().items() if data}
        return {path.name: data for path, data in files.items() if path.parent.name == "outbox"}

    def clear(self) -> None:
        """Begin from nothing."""
        for root in self.roots:
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a world on one disk, or on two where the test asks for that."""
    if getattr(request, "param", "") != "another disk":
        yield World(tmp_path, tmp_path)
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        if Path(there).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm lies on the same file system as the temporary directory")
        yield World(tmp_path, Path(there))


def crashes(world: World, prepare: Callable[[], Callable[[], object]]) -> Iterator[int]:
    """Kill the action at every stop, from the same beginning each time; the caller looks at what is left."""
    world.clear()
    prepare()()  # once for real, so that what is imported or cached at first use is, before stops are counted
    world.clear()
    stops = stops_that_changed(prepare(), world.roots)
    for stop in stops:
        world.clear()
        kill_at(prepare(), stop)
        yield stop
    assert len(stops) >= 2, "nothing happened that could have been cut off"


# --- publish ---------------------------------------------------------------------------------------------------------


def publisher(world: World, *, existing: dict[str, bytes], overwrite: bool = False) -> Callable[[], Path]:
    """Put everything in place, and return what publishes the part."""
    part_in(world).write_bytes(RESULT)
    for name, data in existing.items():
        (world.outbox / name).write_bytes(data)
    return lambda: publish(world, overwrite=overwrite)


def publish(world: World, *, overwrite: bool = False) -> Path:
    """Publish as the step does, with the same arguments each time."""
    return durable.publish(part_in(world), world.outbox, "photo.jpg", digest=sha(RESULT), overwrite=overwrite)


def part_in(world: World) -> Path:
    """Return where the downloaded result lies."""
    return world.outbox / ".photo.jpg.job-000001.part"


@pytest.mark.parametrize("file_system", ["usual", "no flags", "no flags, no links"])
@pytest.mark.parametrize("existing", [{}, {"photo.jpg": OTHER}, {"PHOTO.JPG": OTHER, "photo~2.jpg": OTHER}])
def test_publish_may_be_killed_at_any_instant(
    world: World, file_system: FileSystem, existing: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the second run no name is wrong and nothing is lost; after it there is one result and no part."""
    as_if(file_system, monkeypatch)
    expected = f"photo{['', '~2', '~3'][len(existing)]}.jpg"
    for stop in crashes(world, lambda: publisher(world, existing=existing)):
        left = world.results()
        assert existing.items() <= left.items(), stop
        assert RESULT in left.values(), stop
        seen = {name: data for name, data in left.items() if not name.startswith(".") and name not in existing}
        allowed = {RESULT, moves._note_for(part_in(world))} if "no links" in file_system else {RESULT}
        assert set(seen.values()) <= allowed, stop

        path = publish(world)

        assert existing | {path.name: RESULT} == world.results(), stop
        if "no links" not in file_system:
            assert expected == path.name, stop


@pytest.mark.parametrize("file_system", ["usual", "no flags", "no flags, no links"])
def test_a_publish_that_died_may_die_again(
    world: World, file_system: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run too may be killed at any instant; the third ends as the first would have."""
    as_if(file_system, monkeypatch)
    world.clear()
    publisher(world, existing={"photo.jpg": OTHER})()
    world.clear()
    first = stops_that_changed(publisher(world, existing={"photo.jpg": OTHER}), world.roots)
    for stop in first:
        world.clear()
        kill_at(publisher(world, existing={"photo.jpg": OTHER}), stop)
        before = snapshot(world.roots)
        for again in stops_that_changed(partial(publish, world), world.roots):
            world.clear()
            for place, data in before.items():
                Path(place).write_bytes(data or b"")
            kill_at(partial(publish, world), again)
            path = publish(world)
            assert {"photo.jpg": OTHER, path.name: RESULT} == world.results(), (stop, again)


def test_a_publish_that_overwrites_may_be_killed_at_any_instant(world: World) -> None:
    """The name holds the old result or the new one, whole, and in the end the new one."""
    for stop in crashes(world, lambda: publisher(world, existing={"photo.jpg": OTHER}, overwrite=True)):
        assert world.results()["photo.jpg"] in {OTHER, RESULT}, stop

        publish(world, overwrite=True)

        assert {"photo.jpg": RESULT} == world.results(), stop


# --- set_aside -------------------------------------------------------------------------------------------------------


def mover(world: World, existing: dict[str, bytes], *, read: bool) -> Callable[[], SetAside]:
    """Put everything in place, and return what sets the original aside."""
    source = world.inbox / "photo.jpg"
    source.write_bytes(ORIGINAL)
    os.utime(source, ns=(1_000_000_001, 1_000_000_007))
    for name, data in existing.items():
        (world.outbox / name).write_bytes(data)
    identity = sources.identity_of(source.stat())
    (world.inbox / ".identity").write_bytes(repr(identity).encode())
    return lambda: again(world, identity, read=read)


def again(world: World, identity: Identity | None = None, *, read: bool) -> SetAside:
    """Set the original aside as the step does, with the same arguments each time."""
    identity = identity or noted_identity(world)
    digest = sha(ORIGINAL) if read else None
    return durable.set_aside(world.inbox / "photo.jpg", world.outbox, "photo.jpg", identity=identity, digest=digest)


def noted_identity(world: World) -> Identity:
    """What the ledger knows of the source: how it was when the job was admitted."""
    found = eval((world.inbox / ".identity").read_bytes())
    assert isinstance(found, Identity)
    return found


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize(
    ("world", "file_system"),
    [
        ("one disk", "usual"),
        ("one disk", "no flags"),
        ("one disk", "no flags, no links"),
        ("another disk", "usual"),
        ("another disk", "no flags, no links"),
    ],
    indirect=["world"],
)
@pytest.mark.parametrize("existing", [{}, {"photo.jpg": OTHER}, {"Photo.jpg": ORIGINAL}], ids=["free", "taken", "same"])
def test_set_aside_may_be_killed_at_any_instant(
    world: World, file_system: str, existing: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, *, read: bool
) -> None:
    """Before the second run the original is somewhere; after it, it is whole in the destination and nowhere else."""
    as_if(file_system, monkeypatch)
    for stop in crashes(world, lambda: mover(world, existing, read=read)):
        assert existing.items() <= world.results().items(), stop
        assert ORIGINAL in world.files().values(), stop

        moved = again(world, read=read)

        assert moved.path is not None, stop
        assert existing | {moved.path.name: ORIGINAL} == world.results(), stop
        assert [world.inbox / ".identity"] == list(world.inbox.iterdir()), stop


@pytest.mark.parametrize(
    ("world", "file_system"),
    [
        ("one disk", "usual"),
        ("one disk", "no flags"),
        ("one disk", "no flags, no links"),
        ("another disk", "usual"),
    ],
    indirect=["world"],
)
def test_a_picture_saved_over_the_original_at_any_instant_is_never_lost(
    world: World, file_system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes, it ends in the inbox under a name that people and the next sweep see."""
    as_if(file_system, monkeypatch)
    moments: list[int] = []
    world.clear()
    mover(world, {}, read=True)()
    world.clear()
    at_every_stop(mover(world, {}, read=True), moments.append, only="/files/")
    for moment in moments:
        world.clear()
        save = partial(save_over, world, moment)
        at_every_stop(mover(world, {}, read=True), save, only="/files/")

        inbox = {path.name: path.read_bytes() for path in world.inbox.iterdir() if not path.name.startswith(".")}
        outbox = {path.name: path.read_bytes() for path in world.outbox.iterdir()}
        assert NEWER in inbox.values(), moment
        assert all(data == ORIGINAL for data in outbox.values()), (moment, list(outbox))


def save_over(world: World, moment: int, stop: int) -> None:
    """Save as careful programs do: write beside, then rename."""
    if stop == moment:
        beside = world.inbox / ".saving"
        beside.write_bytes(NEWER)
        beside.replace(world.inbox / "photo.jpg")
