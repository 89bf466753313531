from __future__ import annotations

import datetime as dt
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jobs import job
from upscaled.files import names

DAY = dt.date(2026, 3, 9)

raw_names = st.binary(min_size=1, max_size=255).map(lambda data: os.fsdecode(data.translate(None, b"/\0") or b"x"))
"""Whatever a Linux directory may hold."""


def named(source: str, *, pattern: str = "{stem}{ext}", fmt: str = "jpeg", profile: str = "default") -> str:
    """Return the result's name with the fields that a test is not about filled in."""
    return names.result_name(
        pattern, source_name=source, fmt=fmt, profile=profile, resolution="4k", date=DAY, job="01JOBJOB"
    )


@pytest.mark.parametrize(
    ("source", "fmt", "expected"),
    [
        ("photo.jpg", "jpeg", "photo.jpg"),
        ("photo.JPG", "jpeg", "photo.JPG"),
        ("photo.jpeg", "jpeg", "photo.jpeg"),
        ("photo.jpg", "png", "photo.png"),
        ("photo.JPG", "webp", "photo.webp"),
        ("photo.png", "jpeg", "photo.jpg"),
        ("photo.tiff", "jpeg", "photo.jpg"),
        ("scan.2024", "jpeg", "scan.2024.jpg"),
        ("scan", "png", "scan.png"),
        (".jpg", "jpeg", ".jpg.jpg"),
        (".photo", "jpeg", ".photo.jpg"),
        ("a.b.webp", "webp", "a.b.webp"),
        ("photo.gif", "tiff", "photo.tiff"),
        ("-rf.jpg", "jpeg", "_rf.jpg"),
        ("....jpg", "jpeg", "_.jpg"),
        ("   .jpg", "jpeg", "_.jpg"),
        ("two\nlines\x1b.jpg", "jpeg", "two_lines_.jpg"),
        ("caf\udce9.jpg", "jpeg", "caf\udce9.jpg"),
        ("Frühling 🌸.png", "png", "Frühling 🌸.png"),
    ],
)
def test_a_result_is_called_as_its_source_but_for_the_extension(source: str, fmt: str, expected: str) -> None:
    """The extension denotes the format; what a shell or terminal stumbles over is replaced, and nothing else."""
    assert expected == named(source, fmt=fmt)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{stem}_{resolution}{ext}", "photo_4k.jpg"),
        ("{date}-{profile}-{job}{ext}", "2026-03-09-default-01JOBJOB.jpg"),
        ("{stem}", "photo.jpg"),
        ("{stem}.png", "photo.png.jpg"),
        ("{stem}{nothing}{ext}", "photo{nothing}.jpg"),
        ("../{stem}{ext}", ".._photo.jpg"),
    ],
)
def test_a_pattern_may_hold_every_field(pattern: str, expected: str) -> None:
    """Whatever the pattern, a result ends in an extension of its format and stays in its directory."""
    assert expected == named("photo.jpg", pattern=pattern)


def test_a_profile_cannot_lead_out_of_the_directory() -> None:
    """A slash in a field is replaced like one in the pattern."""
    assert ".._etc_x.jpg" == named("x.jpg", pattern="{profile}_{stem}{ext}", profile="../etc")


def test_a_jobs_result_is_named_from_the_job() -> None:
    """The source's subfolder is not part of the name, and the date is the local day of admission."""
    day = dt.datetime.fromtimestamp(job().admitted_at).astimezone().date()

    assert f"{job().profile} {day} a.jpg" == names.result_name_of(
        job(source="sub/folder/a.jpg"), "{profile} {date} {stem}{ext}", "jpeg"
    )


@given(raw_names, st.sampled_from(["jpeg", "png", "webp"]))
def test_every_source_gives_a_name_that_can_be_written(source: str, fmt: str) -> None:
    """At most 255 bytes, no separator, no control character, no leading dash, not one of our temporaries."""
    name = named(source, fmt=fmt)

    assert 0 < len(os.fsencode(name)) <= 255
    assert not set(name) & {"/", "\0", "\n"}
    assert not name.startswith("-")
    assert not names.is_part(name)
    assert not name.endswith((" ", "."))


@given(raw_names, st.integers(2, 9999))
def test_versions_fit_and_are_recognised(name: str, number: int) -> None:
    """However long the name, its version has room, differs from it, and is known for what it is."""
    version = names.version(name, number)

    assert len(os.fsencode(version)) <= 255
    assert version != name
    assert names.is_version(version, name)
    assert names.split(name)[1] == names.split(version)[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", "photo~2.jpg"),
        ("photo~2.jpg", "photo~2~2.jpg"),
        ("photo", "photo~2"),
        (".photo", ".photo~2"),
        ("a.tar.gz", "a.tar~2.gz"),
        ("a.", "a.~2"),
        ("x" * 251 + ".jpg", "x" * 249 + "~2.jpg"),
    ],
)
def test_a_version_stands_before_the_extension(name: str, expected: str) -> None:
    """The stem gives way where there is no room."""
    assert expected == names.version(name, 2)


@pytest.mark.parametrize(
    ("entry", "name", "expected"),
    [
        ("photo.jpg", "photo.jpg", True),
        ("PHOTO~17.JPG", "photo.jpg", True),
        ("photo~2.png", "photo.jpg", False),
        ("photo~x.jpg", "photo.jpg", False),
        ("photo2.jpg", "photo.jpg", False),
        ("photo~2~3.jpg", "photo~2.jpg", True),
    ],
)
def test_versions_are_told_from_other_names(entry: str, name: str, *, expected: bool) -> None:
    """Only a tilde and a number between stem and extension make a version."""
    assert expected == names.is_version(entry, name)


@given(raw_names, st.integers(20, 255))
def test_fitting_keeps_the_extension_and_whole_characters(name: str, limit: int) -> None:
    """What is cut is the stem's end, between two characters."""
    fitted = names.fit(name, limit)
    stem, extension = names.split(fitted)

    assert len(os.fsencode(fitted)) <= limit
    assert fitted.endswith(names.split(name)[1])
    assert name.startswith(stem)
    assert fitted == name or len(os.fsencode(name)) > limit
    assert extension == names.split(name)[1] or not extension


def test_an_accent_is_not_cut_off_its_letter() -> None:
    """A decomposed character goes as a whole."""
    name = unicodedata.normalize("NFD", "é" * 100) + ".jpg"

    assert unicodedata.normalize("NFD", "é" * 2) + ".jpg" == names.fit(name, 12)


def test_a_name_of_nothing_but_accents_is_cut_all_the_same() -> None:
    """There is no letter to keep them on, and an empty name would be worse."""
    assert "\u0301\u0301" == names.fit("\u0301" * 10, 5)


@given(raw_names, st.from_regex(r"[0-9A-Za-z_-]{6,64}", fullmatch=True))
def test_parts_are_recognised_with_their_job(name: str, job_id: str) -> None:
    """Hidden, at most 255 bytes, and told apart from everybody else's files by the job's id."""
    part = names.part_name(name, job_id)

    assert part.startswith(".")
    assert len(os.fsencode(part)) <= 255
    assert names.is_part(part)
    assert job_id == names.job_of_part(part)
    assert names.is_part(names.leaving_name(name, job_id))
    assert names.job_of_part(names.leaving_name(name, job_id)) is None


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", ".photo.jpg.part", "photo.jpg.abcdef01.part", ".part", ".x.part", ".a.b c d e f.part", ".hidden"],
)
def test_other_peoples_files_are_no_parts(name: str) -> None:
    """What we may delete must be ours beyond doubt."""
    assert not names.is_part(name)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("A.JPG", "a.jpg", True),
        ("caf\u00e9.jpg", "cafe\u0301.jpg", True),
        ("CAFE\u0301.jpg", "caf\u00e9.JPG", True),
        ("K.jpg", "\u212a.jpg", True),
        ("a.jpg", "b.jpg", False),
        ("a.jpg", "a.jpeg", False),
        ("\udce9.jpg", "\udce8.jpg", False),
    ],
)
def test_names_are_equal_where_some_system_takes_them_for_one(one: str, other: str, *, expected: bool) -> None:
    """Case does not count on Windows and macOS, composition not on macOS."""
    assert expected == names.same_name(one, other)
    assert expected == names.same_name(other, one)


@given(raw_names)
def test_anything_can_be_printed(name: str) -> None:
    """What comes out is UTF-8 on one line, and what was printable already is unchanged."""
    shown = names.printable(name)

    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert shown == name or not name.isprintable() or any(ord(character) > 0x7F for character in name)


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    """A person can tell from them which file is meant."""
    assert "caf\\xe9\\x0a\\u202e.jpg" == names.printable("caf\udce9\n\u202e.jpg")


def test_a_note_is_named_after_its_file() -> None:
    """And cut where both together would be too long."""
    assert "photo.jpg.error.txt" == names.note_name("photo.jpg")
    assert 255 == len(names.note_name("x" * 255))


@pytest.mark.parametrize(("name", "expected"), [("...", "_"), ("  ", "_"), ("a. ", "a"), ("-", "_"), ("a/b", "a_b")])
def test_a_name_without_an_extension_is_made_safe_too(name: str, expected: str) -> None:
    """Something always remains to be written."""
    assert expected == names.safe(name)
