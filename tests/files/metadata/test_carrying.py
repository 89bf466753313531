"""What every format has in common: the pixels, the digest, and what happens when something is not there."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.metadata import drawn, pixels
from upscaled.errors import BadPicture, DiskFull, PartMissing
from upscaled.files.metadata import Provenance, carry, pieces, strip_places
from upscaled.files.metadata.model import Mode, Span

FORMATS = ("jpeg", "png", "webp")

PROVENANCE = Provenance(
    "upscaled 1.0", "some/model", dt.datetime(2026, 11, 22, tzinfo=dt.UTC), {"target_resolution": "4k"}, "pred-1", "ab"
)


@pytest.mark.parametrize("mode", ["keep", "strip-gps", "none"])
@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixels_stay_and_the_digest_is_that_of_the_file(tmp_path: Path, kind: str, mode: Mode) -> None:
    """Whatever is carried, the picture decodes to the same pixels, and nobody must read it again to know its digest."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / f"result.{kind}"), tmp_path / "out"

    carried = carry(source, result, out, mode=mode, provenance=PROVENANCE, srgb=True)

    assert pixels(result) == pixels(out)
    assert (hashlib.sha256(out.read_bytes()).hexdigest(), out.stat().st_size) == (carried.digest, carried.size)
    assert () == carried.notes


@pytest.mark.parametrize("kind", FORMATS)
def test_a_result_that_is_carried_into_twice_is_the_same(tmp_path: Path, kind: str) -> None:
    """After a crash it is done again, with the same outcome."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / f"result.{kind}"), tmp_path / "out"

    first = carry(source, result, out, mode="keep", provenance=PROVENANCE)
    second = carry(source, result, out, mode="keep", provenance=PROVENANCE)

    assert first == second


def test_pixels_are_taken_over_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows begin where the processor's pages do, and ranges anywhere."""
    origin = tmp_path / "origin"
    origin.write_bytes(bytes(range(256)) * 100)
    data = origin.read_bytes()
    monkeypatch.setattr(pieces, "_WINDOW", 5000)

    with origin.open("rb") as file:
        found = pieces.write(
            tmp_path / "out", file, [b"head", Span(3, 9), Span(9, 21_000), b"tail", Span(25_599, 25_600)]
        )

    expected = b"head" + data[3:21_000] + b"tail" + data[-1:]
    assert expected == (tmp_path / "out").read_bytes()
    assert (hashlib.sha256(expected).hexdigest(), len(expected)) == (found.digest, found.size)


def test_a_result_that_became_shorter_leaves_nothing(tmp_path: Path) -> None:
    """It is downloaded again."""
    origin, out = tmp_path / "origin", tmp_path / "out"
    origin.write_bytes(b"short")

    with origin.open("rb") as file, pytest.raises(PartMissing, match="shorter"):
        pieces.write(out, file, [Span(0, 6)])

    assert not out.exists()


def test_a_source_that_is_gone_costs_nothing_but_its_metadata(tmp_path: Path) -> None:
    """The result was paid: it is delivered with a note."""
    result, out = drawn(tmp_path / "result.png"), tmp_path / "out"

    carried = carry(tmp_path / "gone.jpg", result, out, mode="keep", provenance=PROVENANCE)

    assert pixels(result) == pixels(out)
    assert "cannot be read" in carried.notes[0]


def test_a_result_of_another_format_is_copied_as_it_is(tmp_path: Path) -> None:
    """Nothing is written into what cannot be followed."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / "result.bmp"), tmp_path / "out"

    carried = carry(source, result, out, mode="keep", provenance=PROVENANCE)

    assert result.read_bytes() == out.read_bytes()
    assert ("Nothing was written into the result: it is neither JPEG, PNG nor WebP.",) == carried.notes


@pytest.mark.parametrize("kind", FORMATS)
def test_an_upload_without_places_has_the_same_pixels(tmp_path: Path, kind: str) -> None:
    """Only the picture is left."""
    source, out = drawn(tmp_path / f"source.{kind}"), tmp_path / "out"

    strip_places(source, out)

    assert pixels(source) == pixels(out)


def test_what_cannot_be_followed_is_not_uploaded_in_part(tmp_path: Path) -> None:
    """Better no upload than one of which nobody knows what it holds."""
    source, out = tmp_path / "source.jpg", tmp_path / "out"
    source.write_bytes(drawn(tmp_path / "whole.jpg").read_bytes()[:300])

    with pytest.raises(BadPicture):
        strip_places(source, out)

    assert not out.exists()


def test_a_full_disk_leaves_nothing_and_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The downloaded result is still there."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / "result.jpg"), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            carry(source, result, out, mode="keep", provenance=PROVENANCE)

    assert not out.exists()
    carry(source, result, out, mode="keep", provenance=PROVENANCE)
    assert pixels(result) == pixels(out)


def full(_file: int) -> None:
    """Sync to a disk that has no room."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_a_killed_run_left_is_never_written_into(tmp_path: Path) -> None:
    """It may be a second name of a result that is published already."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / "result.jpg"), tmp_path / "out"
    published = tmp_path / "published.jpg"
    published.write_bytes(b"published")
    out.hardlink_to(published)

    carry(source, result, out, mode="keep", provenance=PROVENANCE)

    assert b"published" == published.read_bytes()
    assert pixels(result) == pixels(out)


def test_carrying_that_is_killed_is_done_again(tmp_path: Path) -> None:
    """Before the first byte, between two, and before they are on the disk."""
    source, result, out = drawn(tmp_path / "source.jpg"), drawn(tmp_path / "result.png"), tmp_path / "out"
    expected = carry(source, result, out, mode="keep", provenance=PROVENANCE)

    for moment in ("create_part", "_written", "sync"):
        killed = subprocess.run([sys.executable, "-c", KILLED, moment, source, result, out], check=False)
        assert -signal.SIGKILL == killed.returncode
        assert expected == carry(source, result, out, mode="keep", provenance=PROVENANCE)


KILLED = """
import os, signal, sys
from pathlib import Path
from upscaled.files.metadata import carry, pieces
def dying(*arguments):
    if sys.argv[1] == "_written":
        arguments[0].write(b"half")
        arguments[0].flush()
    os.kill(os.getpid(), signal.SIGKILL)
setattr(pieces, sys.argv[1], dying)
carry(*map(Path, sys.argv[2:]), mode="keep")
"""
