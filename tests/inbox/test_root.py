from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from upscaled.inbox.mounts import Mount
from upscaled.inbox.root import Root
from upscaled.inbox.sweep import Offline

if TYPE_CHECKING:
    from pathlib import Path

SHARE = Mount(point="/", kind="cifs", source="//nas/photos", root="/")
OTHER = Mount(point="/", kind="ext4", source="/dev/sda1", root="/")


class Scene:
    """An inbox whose mount and device a test can exchange."""

    def __init__(self, inbox: Path, mount: Mount | None = SHARE) -> None:
        self.inbox = inbox
        self.mount = mount
        self.device = 40
        self.root = Root(inbox, look=self.look, mounts=lambda: () if self.mount is None else (self.mount,))

    def look(self, path: Path) -> os.stat_result:
        """Stat the path, on the device of the moment."""
        found = os.stat(path)  # noqa: PTH116 - as the code under test is given it
        return os.stat_result((*found[:2], self.device, *found[3:10]))


def test_an_inbox_is_where_it_was(tmp_path: Path) -> None:
    """The place names directory and file system."""
    scene = Scene(tmp_path)

    place = scene.root.check()

    assert (40, tmp_path.stat().st_ino, "cifs") == (place.device, place.inode, place.kind)
    assert place == scene.root.check()


def test_a_missing_inbox_is_offline_and_back_by_itself(tmp_path: Path) -> None:
    """Even when it was missing at the start."""
    scene = Scene(tmp_path / "inbox")
    with pytest.raises(Offline, match="The inbox is missing"):
        scene.root.check()

    (tmp_path / "inbox").mkdir()

    assert "cifs" == scene.root.check().kind


def test_a_file_in_the_inbox_s_place_is_offline(tmp_path: Path) -> None:
    """Nothing can be swept there."""
    (tmp_path / "inbox").touch()

    with pytest.raises(Offline, match="not a directory"):
        Scene(tmp_path / "inbox").root.check()


def test_an_unmounted_share_is_offline_although_its_directory_is_there(tmp_path: Path) -> None:
    """The bare mount point must not be taken for an inbox that was emptied."""
    scene = Scene(tmp_path)
    scene.root.check()
    scene.mount, scene.device = OTHER, 8

    with pytest.raises(Offline) as caught:
        scene.root.check()
    assert "/dev/sda1 (ext4) on /, at start it was //nas/photos (cifs) on /" in caught.value.why

    scene.mount, scene.device = SHARE, 40
    scene.root.check()


def test_a_share_that_is_mounted_again_under_a_new_device_number_is_the_same(tmp_path: Path) -> None:
    """Network file systems get whichever number is free."""
    scene = Scene(tmp_path)
    scene.root.check()
    scene.device = 57

    assert 57 == scene.root.check().device


def test_without_a_table_of_mounts_the_device_number_decides(tmp_path: Path) -> None:
    """Better than nothing, where the kernel does not tell."""
    scene = Scene(tmp_path, mount=None)
    scene.root.check()
    scene.device = 57

    with pytest.raises(Offline, match="Another file system"):
        scene.root.check()


def test_a_recreated_inbox_is_the_same_inbox(tmp_path: Path) -> None:
    """On the same file system, a new directory of that name is meant."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    root = Root(inbox)
    before = root.check()
    inbox.rename(tmp_path / "old")
    inbox.mkdir()

    assert before != root.check()
