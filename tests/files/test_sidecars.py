from __future__ import annotations

import os
from pathlib import Path

import pytest

from upscaled.files import durable, originals
from upscaled.files.sidecars import take_along


class Scene:
    """A picture that has left its inbox, and what it left there."""

    def __init__(self, root: Path, picture: str, *left: str, now: str = "") -> None:
        self.inbox, self.archive = root / "inbox", root / "archive"
        self.inbox.mkdir()
        self.archive.mkdir()
        self.source, self.picture = self.inbox / picture, self.archive / (now or picture)
        self.picture.write_bytes(b"picture")
        for name in left:
            (self.inbox / name).write_text(name, "utf-8")

    def taken(self) -> dict[str, str]:
        """Take the sidecars along, and return what lies in the archive beside the picture, and whose content it has."""
        take_along(self.source, self.picture)
        return {path.name: path.read_text("utf-8") for path in self.archive.iterdir() if path != self.picture}

    @property
    def left(self) -> set[str]:
        """What is left in the inbox."""
        return set(os.listdir(self.inbox))  # noqa: PTH208 - names alone


@pytest.mark.parametrize(
    ("picture", "sidecar"),
    [
        ("a.jpg", "a.xmp"),
        ("a.jpg", "a.jpg.xmp"),
        ("IMG_1.HEIC", "IMG_1.aae"),
        ("A.JPG", "a.XMP"),
        ("a.b.jpg", "a.b.xmp"),
        ("\u00e4.jpg", "a\u0308.xmp"),
    ],
)
def test_a_sidecar_goes_with_its_picture(tmp_path: Path, picture: str, sidecar: str) -> None:
    """By the picture's stem or whole name, in whatever case and composition."""
    scene = Scene(tmp_path, picture, sidecar)

    assert [sidecar] == list(scene.taken().values())
    assert set() == scene.left


@pytest.mark.parametrize("other", ["b.xmp", "ab.xmp", "a.txt", "a.xmp.bak", "xmp", ".xmp", "a.jpeg.xmp"])
def test_what_is_no_sidecar_of_it_stays(tmp_path: Path, other: str) -> None:
    """Only names that say so."""
    scene = Scene(tmp_path, "a.jpg", other)

    assert {} == scene.taken()
    assert {other} == scene.left


@pytest.mark.parametrize(
    ("sidecar", "now", "expected"),
    [("a.xmp", "a~2.jpg", "a~2.xmp"), ("a.jpg.xmp", "a~2.jpg", "a~2.jpg.xmp"), ("a.AAE", "a~3.jpg", "a~3.AAE")],
)
def test_a_sidecar_gets_the_name_that_its_picture_has_got(
    tmp_path: Path, sidecar: str, now: str, expected: str
) -> None:
    """Or it would lie beside another picture of the archive."""
    scene = Scene(tmp_path, "a.jpg", sidecar, now=now)

    assert {expected: sidecar} == scene.taken()


def test_a_sidecar_of_a_stem_that_pictures_share_goes_with_the_last(tmp_path: Path) -> None:
    """Nobody can say whose it is; the one named in full is its picture's alone."""
    scene = Scene(tmp_path, "a.jpg", "a.png", "a.xmp", "a.jpg.xmp")

    assert {"a.jpg.xmp": "a.jpg.xmp"} == scene.taken()
    (scene.inbox / "a.png").unlink()
    assert {"a.jpg.xmp": "a.jpg.xmp", "a.xmp": "a.xmp"} == scene.taken()


def test_a_raw_file_goes_along_with_the_picture_that_its_camera_wrote_beside_it(tmp_path: Path) -> None:
    """And so does what lies beside both."""
    scene = Scene(tmp_path, "a.jpg", "a.CR2", "a.xmp", "a.cr2.XMP", "b.cr2", "b.cr2.xmp", "a.b.xmp", now="a~2.jpg")

    assert {"a~2.CR2": "a.CR2", "a~2.xmp": "a.xmp", "a~2.cr2.XMP": "a.cr2.XMP"} == scene.taken()
    assert {"b.cr2", "b.cr2.xmp", "a.b.xmp"} == scene.left


def test_a_raw_file_takes_no_other_raw_file_along(tmp_path: Path) -> None:
    """Each of them is a picture of its own."""
    scene = Scene(tmp_path, "a.nef", "a.dng", "a.xmp")

    assert {} == scene.taken()
    assert {"a.dng", "a.xmp"} == scene.left


def test_a_sidecar_that_is_no_file_is_left_alone(tmp_path: Path) -> None:
    """A directory, a link or a pipe of that name is nobody's sidecar."""
    scene = Scene(tmp_path, "a.jpg")
    (scene.inbox / "a.xmp").mkdir()
    (scene.inbox / "a.aae").symlink_to(scene.picture)
    os.mkfifo(scene.inbox / "a.jpg.xmp")

    assert {} == scene.taken()


@pytest.mark.parametrize("effect", ["rename", "unlink"])
def test_a_death_in_the_middle_of_a_copy_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    """Across file systems: the copy is there, and the sidecar is about to leave, or half gone."""

    class Death(BaseException):
        """As if killed."""

    def elsewhere(*_: object) -> None:
        raise OSError(18, "cross-device")

    real = getattr(Path, effect)

    def die(path: Path, *arguments: Path, **options: bool) -> object:
        if any(str(each).endswith(".leaving") for each in (path, *arguments)):
            raise Death
        return real(path, *arguments, **options)

    scene = Scene(tmp_path, "a.jpg", "a.xmp")
    monkeypatch.setattr(originals, "rename_new", elsewhere)
    monkeypatch.setattr(originals, "_link", elsewhere)
    with monkeypatch.context() as patch:
        patch.setattr(Path, effect, die)
        with pytest.raises(Death):
            take_along(scene.source, scene.picture)

    assert {"a.xmp": "a.xmp"} == scene.taken()
    assert set() == scene.left


def test_sidecars_of_a_folder_that_is_away_wait(tmp_path: Path) -> None:
    """They are not taken for gone."""
    scene = Scene(tmp_path, "a.jpg")
    scene.inbox.rmdir()

    with pytest.raises(durable.FolderOffline):
        scene.taken()
