"""The configured directories on a real disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.configs import GOOD, load_text
from upscaled.config import make_failed_folders, make_folders, verify_folders
from upscaled.config.directories import resolved_chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from upscaled.config import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose directories all exist, the state elsewhere."""
    for name in ("in", "out", "arc", "failed"):
        (tmp_path / name).mkdir()
    return load_text(GOOD + "state_dir: state\n", tmp_path)


def test_directories_that_are_there_and_apart_are_right(settings: Settings) -> None:
    """Nothing to say, and nothing is made."""
    assert [] == verify_folders(settings)
    assert not settings.state_dir.exists()


@pytest.mark.parametrize(("role", "line"), [("in", 3), ("out", 4), ("arc", 5)])
def test_a_missing_directory_is_a_problem_and_is_not_made(
    role: str, line: int, settings: Settings, tmp_path: Path
) -> None:
    """It may be a share that is not mounted, and files put into a directory in its place would not be on it."""
    (tmp_path / role).rmdir()

    [problem] = verify_folders(settings)

    assert (line, f"{tmp_path / role} does not exist") == (problem.line, problem.message)
    assert f"mkdir -p {tmp_path / role}" in problem.remedy
    assert not (tmp_path / role).exists()


def test_several_missing_directories_are_all_reported_in_order(settings: Settings, tmp_path: Path) -> None:
    """All at once, as everywhere."""
    for name in ("arc", "in", "out"):
        (tmp_path / name).rmdir()

    # Without its inbox the failed folder, which is there, is no concern.
    assert [3, 4, 5] == [problem.line for problem in verify_folders(settings)]


def test_a_failed_folder_beside_its_inbox_is_made(settings: Settings, tmp_path: Path) -> None:
    """It is our own folder, in a place that is known to be there."""
    (tmp_path / "failed").rmdir()

    assert [] == verify_folders(settings)
    assert [tmp_path / "failed"] == make_failed_folders(settings)
    assert [] == make_failed_folders(settings)


def test_a_failed_folder_of_a_missing_inbox_is_not_made(settings: Settings, tmp_path: Path) -> None:
    """The share with both of them is not mounted."""
    (tmp_path / "failed").rmdir()
    (tmp_path / "in").rmdir()

    assert ["folders[0].inbox", "folders[0].failed"] == [problem.key for problem in verify_folders(settings)]
    assert [] == make_failed_folders(settings)


def test_a_failed_folder_elsewhere_has_to_be_there(tmp_path: Path) -> None:
    """It may lie on a share, as the others."""
    settings = load_text(GOOD + "    failed: elsewhere\n", tmp_path)
    make_folders(settings)
    (tmp_path / "elsewhere").rmdir()

    assert ["folders[0].failed"] == [problem.key for problem in verify_folders(settings)]


def test_init_makes_every_folder_once(tmp_path: Path) -> None:
    """Asked to, we make what is missing, with what is missing above it."""
    settings = load_text(GOOD.replace(": out", ": deep/er/out"), tmp_path)

    made = make_folders(settings)

    assert [tmp_path / name for name in ("in", "deep/er/out", "arc", "failed")] == made
    assert [] == make_folders(settings)
    assert [] == verify_folders(settings)


def test_a_file_in_place_of_a_directory_is_a_problem(settings: Settings, tmp_path: Path) -> None:
    """And so is a path below a file, and a loop of links."""
    for name in ("in", "out", "arc"):
        (tmp_path / name).rmdir()
    (tmp_path / "in").touch()
    (tmp_path / "out").symlink_to("out")
    (tmp_path / "arc").symlink_to("upscaled.yaml/below")

    messages = [problem.message for problem in verify_folders(settings)]

    assert 3 == len(messages)
    assert "is not a directory" in messages[0]
    assert "cannot be reached: Too many levels of symbolic links" in messages[1]
    assert "cannot be reached: Not a directory" in messages[2]


def test_an_overlap_through_a_link_is_seen(settings: Settings, tmp_path: Path) -> None:
    """What comes out would go in again, whatever the path is called."""
    (tmp_path / "out").rmdir()
    (tmp_path / "in" / "results").mkdir()
    (tmp_path / "out").symlink_to("in/results")

    [problem] = verify_folders(settings)

    assert (4, "folders[0].outbox") == (problem.line, problem.key)
    assert "lies inside folders[0].inbox" in problem.message


def test_an_overlap_with_the_state_through_a_link_is_seen(settings: Settings, tmp_path: Path) -> None:
    """The ledger in an inbox would be swept and its neighbours archived."""
    settings.state_dir.symlink_to("in")

    [problem] = verify_folders(settings)

    assert ("state_dir", 6) == (problem.key, problem.line)
    assert "is the same directory as folders[0].inbox" in problem.message


def test_directories_below_a_linked_parent_that_do_not_exist_yet_are_compared(
    settings: Settings, tmp_path: Path
) -> None:
    """A path is followed as far as it goes."""
    (tmp_path / "link").symlink_to("in")

    assert resolved_chain(tmp_path / "in" / "a" / "b") == resolved_chain(tmp_path / "link" / "a" / "b")
    assert resolved_chain(tmp_path / "in")[0] in resolved_chain(tmp_path / "link" / "a" / "b")
    assert resolved_chain(tmp_path / "in" / "a")[0] not in resolved_chain(tmp_path / "out" / "a")


@pytest.fixture
def bind_mount(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The inbox, mounted a second time in place of the outbox."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting takes root")
    made = subprocess.run([mount, "--bind", tmp_path / "in", tmp_path / "out"], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this machine allows no mounts")
    yield tmp_path / "out"
    subprocess.run(["umount", tmp_path / "out"], check=True)


def test_an_overlap_through_a_bind_mount_is_seen(settings: Settings, bind_mount: Path) -> None:
    """Containers mount one directory under two names."""
    [problem] = verify_folders(settings)

    assert "is the same directory as folders[0].inbox" in problem.message


def test_file_systems_without_inode_numbers_do_not_make_everything_overlap(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shares number every file 0; there the path decides."""
    real = type(settings.state_dir).stat

    def numberless(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        values = list(real(path, follow_symlinks=follow_symlinks))
        values[1] = 0
        return os.stat_result(values)

    monkeypatch.setattr(type(settings.state_dir), "stat", numberless)

    assert [] == verify_folders(settings)
