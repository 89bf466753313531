from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inbox_world import World, picture
from upscaled.files.durable import identity_of
from upscaled.inbox import gate


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return an inbox with an old file, whose last sweep took so long that the next may not come for minutes."""
    monkeypatch.setattr(gate, "GLANCED", range(1, 10))
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "old.txt").write_text("no picture")
    return slow(World(inbox, settle=5.0))


def slow(world: World) -> World:
    """Let a sweep pass that took a minute."""
    world.wait(40.0)
    now = world.clock()
    world.intake._schedule.swept(now - 60.0, now)
    return world


def test_what_is_dropped_between_two_slow_sweeps_is_found_at_once(world: World) -> None:
    """It settles and is taken as if a sweep had found it."""
    world.drop("new.jpg")
    world.wait(6.0)

    assert ["new.jpg"] == world.taken


def test_a_new_folder_is_looked_into(world: World) -> None:
    """With all that lies below it."""
    world.drop("a/b/new.jpg")
    world.wait(6.0)

    assert ["a/b/new.jpg"] == world.taken


def test_a_glance_passes_over_what_the_ledger_knows(world: World) -> None:
    """A picture that stays in its inbox was paid for: it is not taken again because it was away for a moment."""
    path = world.drop("stays.jpg")
    world.books.staying["stays.jpg"] = identity_of(path.lstat())
    world.wait(6.0)

    assert [] == world.taken


def test_the_sweep_comes_all_the_same(world: World) -> None:
    """It alone sees that a file which was left alone has become a picture."""
    (world.inbox / "old.txt").write_bytes(picture())
    world.intake.ring()
    world.wait(590.0)
    assert [] == world.taken

    world.wait(20.0)
    assert ["old.txt"] == world.taken


def test_a_name_that_was_gone_is_new_when_it_comes_back(world: World) -> None:
    """The same name is not the same file."""
    old = world.inbox / "old.txt"
    old.unlink()
    world.drop("other.jpg")
    world.wait(1.0)
    old.write_bytes(picture())
    world.intake.ring()
    world.wait(8.0)

    assert ["other.jpg", "old.txt"] == world.taken


def test_what_is_ignored_or_no_file_is_left_to_the_sweep(world: World) -> None:
    """It has no news for the ledger."""
    (world.inbox / "link.jpg").symlink_to(world.inbox / "old.txt")
    world.drop(".hidden.jpg")
    world.wait(8.0)

    assert [] == world.taken


@pytest.mark.parametrize("glanced", [range(2, 10), range(1)], ids=["few", "many"])
def test_with_few_names_or_very_many_a_new_file_waits_for_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glanced: range
) -> None:
    """Which is as quick; or the names would cost memory, and the new one has thousands before it."""
    monkeypatch.setattr(gate, "GLANCED", glanced)
    (tmp_path / "old.txt").write_text("no picture")
    world = slow(World(tmp_path, settle=5.0))
    world.drop("new.jpg")
    world.wait(6.0)

    assert [] == world.taken
