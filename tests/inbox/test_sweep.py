from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from upscaled.files.durable import identity_of
from upscaled.inbox.ignore import Ignore
from upscaled.inbox.sweep import SUBFOLDER, Observation, Offline, Sweep, Trouble

if TYPE_CHECKING:
    from pathlib import Path


def walk(inbox: Path, *, recursive: bool = True) -> dict[str, Observation]:
    """Return what one sweep sees."""
    return {observation.path: observation for observation in Sweep(inbox, Ignore(), recursive=recursive)}


def test_a_sweep_finds_the_files_of_the_whole_tree(tmp_path: Path) -> None:
    """Paths are relative to the inbox and identities those of the files."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("x.jpg", "a/y.jpg", "a/b/z.jpg"):
        (tmp_path / name).write_bytes(b"picture")

    found = walk(tmp_path)

    assert {"x.jpg", "a/y.jpg", "a/b/z.jpg"} == set(found)
    assert identity_of((tmp_path / "a/b/z.jpg").stat()) == found["a/b/z.jpg"].identity


def test_without_recursion_subfolders_are_left_alone(tmp_path: Path) -> None:
    """They are named, so that a person sees why nothing happens to what is in them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "y.jpg").touch()

    assert {"a": Observation("a", None, SUBFOLDER)} == walk(tmp_path, recursive=False)


def test_ignored_folders_are_not_entered(tmp_path: Path) -> None:
    """A NAS keeps a thumbnail of every picture in its own folders."""
    (tmp_path / "@eaDir" / "x.jpg").mkdir(parents=True)
    (tmp_path / "@eaDir" / "x.jpg" / "SYNOPHOTO.jpg").touch()
    (tmp_path / ".hidden.jpg").touch()
    (tmp_path / "x.jpg").touch()
    sweep = Sweep(tmp_path, Ignore())

    assert ["x.jpg"] == [observation.path for observation in sweep]
    assert (2, 1) == (sweep.ignored, sweep.folders)


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path: Path) -> None:
    """A named pipe without a writer would hang whoever opens it."""
    target = tmp_path / "real.jpg"
    target.touch()
    (tmp_path / "link.jpg").symlink_to(target)
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "absent")
    (tmp_path / "tree").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))

    found = walk(tmp_path)

    assert {
        "real.jpg": "",
        "link.jpg": "a symbolic link",
        "dangling.jpg": "a symbolic link",
        "tree": "a symbolic link",
        "pipe.jpg": "a named pipe",
        "socket.jpg": "a socket",
    } == {path: observation.reason for path, observation in found.items()}
    assert ["real.jpg"] == [path for path, observation in found.items() if observation.identity]


def test_a_folder_named_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    """It is walked as any other."""
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "x.jpg" / "y.jpg").touch()

    assert {"x.jpg/y.jpg"} == set(walk(tmp_path))


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path) -> None:
    """Two names, two sources."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (tmp_path / "b.jpg").hardlink_to(tmp_path / "a.jpg")

    found = walk(tmp_path)

    assert found["a.jpg"].identity == found["b.jpg"].identity
    assert found["a.jpg"].identity is not None


def test_undecodable_names_survive(tmp_path: Path) -> None:
    """What is no UTF-8 becomes surrogate escapes, with which the file can be opened again."""
    name = b"caf\xe9\n.jpg"
    with open(os.fsencode(tmp_path) + b"/" + name, "wb"):  # noqa: PTH123 - pathlib takes no bytes
        pass

    found = walk(tmp_path)

    assert [os.fsdecode(name)] == list(found)
    assert (tmp_path / next(iter(found))).exists()


def test_a_tree_may_be_deeper_than_the_stack(tmp_path: Path) -> None:
    """Deep, and made in one go."""
    folder = str(tmp_path)
    for _ in range(1500):
        folder += "/d"
        os.mkdir(folder)  # noqa: PTH102 - pathlib would parse the whole path at each step
    os.mknod(folder + "/x.jpg")

    found = list(walk(tmp_path))
    # pytest's own removal of the directory is recursive and would fail.
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)

    assert ["d/" * 1500 + "x.jpg"] == found


def test_a_folder_that_cannot_be_read_does_not_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, and its neighbours are found."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").touch()
    scandir = os.scandir

    def scan(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    sweep = Sweep(tmp_path, Ignore())

    assert {"a/x.jpg", "c/x.jpg"} == {observation.path for observation in sweep}
    assert [Trouble("b", "Permission denied")] == sweep.troubles


def test_a_folder_that_vanishes_during_the_sweep_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was moved away, which is nobody's fault."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b.jpg").touch()
    sweep = Sweep(tmp_path, Ignore())
    scandir = os.scandir

    def scan(path: str) -> object:
        if path.endswith("/a"):
            (tmp_path / "a").rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)

    assert ["b.jpg"] == [observation.path for observation in sweep]
    assert [] == sweep.troubles


def test_a_missing_inbox_is_offline(tmp_path: Path) -> None:
    """It must not look like an empty one."""
    with pytest.raises(Offline) as caught:
        walk(tmp_path / "absent")

    assert f"{tmp_path}/absent: No such file or directory" == caught.value.why


def test_a_trusted_source_is_not_asked_while_its_directory_names_its_inode(tmp_path: Path) -> None:
    """Another file under the name is seen at once; one that was written over in place is left to the worker."""
    names = ("same.jpg", "written.jpg", "replaced.jpg", "folder.jpg")
    for name in names:
        (tmp_path / name).write_bytes(b"before")
    trusted = {name: identity_of((tmp_path / name).lstat()) for name in names}
    (tmp_path / "written.jpg").write_bytes(b"after it")
    (tmp_path / "new").write_bytes(b"another")
    (tmp_path / "new").rename(tmp_path / "replaced.jpg")
    (tmp_path / "folder.jpg").unlink()
    (tmp_path / "folder.jpg").mkdir()

    found = {seen.path: seen.identity for seen in Sweep(tmp_path, Ignore(), trusted=trusted)}

    assert {"same.jpg", "written.jpg", "replaced.jpg"} == found.keys()
    assert (trusted["same.jpg"], trusted["written.jpg"]) == (found["same.jpg"], found["written.jpg"])
    assert identity_of((tmp_path / "replaced.jpg").lstat()) == found["replaced.jpg"]
