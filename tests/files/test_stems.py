from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.files import directories, moves, names, stems


@pytest.fixture(autouse=True)
def listings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Count the listings; a directory of three is large here."""
    made: list[Path] = []
    real = directories.entries

    def entries(directory: Path) -> list[str]:
        made.append(directory)
        return real(directory)

    monkeypatch.setattr("upscaled.files.stems.entries", entries)
    monkeypatch.setattr(stems, "LARGE", 3)
    stems._listed.clear()
    yield made
    stems._listed.clear()


def filled(directory: Path, *more: str) -> Path:
    """Put a few files there."""
    for name in ("one.jpg", "two.jpg", "three.jpg", *more):
        (directory / name).touch()
    return directory


def test_new_names_cost_one_listing_in_all(tmp_path: Path, listings: list[Path]) -> None:
    """However many they are."""
    filled(tmp_path)

    found = [moves.relatives(tmp_path, f"new-{number}.jpg") for number in range(50)]

    assert [[]] * 50 == found
    assert [tmp_path] == listings


@pytest.mark.parametrize("there", ["a.jpg", "A.JPG", "a~2.jpg", "A~17.JPG", "a~2~3.jpg"])
def test_a_stem_that_is_there_is_looked_for_by_a_listing(tmp_path: Path, there: str, listings: list[Path]) -> None:
    """In any case, and in any version."""
    filled(tmp_path, there)
    moves.relatives(tmp_path, "new.jpg")

    found = moves.relatives(tmp_path, "a.jpg")

    assert ([there] if names.is_version(there, "a.jpg") else []) == found
    assert 2 == len(listings)


def test_what_we_asked_for_before_is_looked_for_by_a_listing(tmp_path: Path) -> None:
    """It is there by now, as likely as not: also where the one who put it there failed afterwards."""
    filled(tmp_path)
    moves.relatives(tmp_path, "a.jpg")
    (tmp_path / "a~2.jpg").touch()

    assert ["a~2.jpg"] == moves.relatives(tmp_path, "a.jpg")
    assert ["a~2.jpg"] == moves.relatives(tmp_path, "A.jpg")


def test_another_s_file_of_the_very_name_is_seen_at_once(tmp_path: Path) -> None:
    """Without a listing."""
    filled(tmp_path)
    moves.relatives(tmp_path, "new.jpg")
    (tmp_path / "a.jpg").touch()

    assert ["a.jpg"] == moves.relatives(tmp_path, "a.jpg")


def test_another_directory_under_the_path_is_listed_anew(tmp_path: Path, listings: list[Path]) -> None:
    """A share that was mounted there meanwhile."""
    outbox = tmp_path / "out"
    outbox.mkdir()
    moves.relatives(filled(outbox), "new.jpg")
    outbox.rename(tmp_path / "away")
    outbox.mkdir()
    filled(outbox, "A.jpg")

    assert ["A.jpg"] == moves.relatives(outbox, "a.jpg")
    assert 2 == len(listings)


def test_a_listing_grows_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others put there in another case is seen after a while."""
    filled(tmp_path)
    moves.relatives(tmp_path, "new.jpg")
    (tmp_path / "A.jpg").touch()
    monkeypatch.setattr(stems, "FRESH", 0.0)

    assert ["A.jpg"] == moves.relatives(tmp_path, "a.jpg")


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), st.integers(2, 999_999))
def test_every_version_of_a_name_has_its_stem(name: str, number: int) -> None:
    """However long it is, and however often it is a version already."""
    name = names.fit(names.safe(name) + ".jpg")
    other = names.version(name, number)

    assert stems._stem(name) == stems._stem(other) == stems._stem(names.version(other, 2))
    assert len(os.fsencode(other)) <= names.LIMIT
