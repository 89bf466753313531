"""What every format has in common: the pixels, the digest, and what happens when something is not there."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from PIL import Image

from upscaled.errors import BadPicture
from upscaled.files.metadata import Provenance, carry, strip_places
from upscaled.files.metadata.model import Mode

FORMATS = ("jpeg", "png", "webp")

PROVENANCE = Provenance(
    "upscaled 1.0", "some/model", dt.datetime(2026, 11, 22, tzinfo=dt.UTC), {"target_resolution": "4k"}, "pred-1", "ab"
)


def drawn(path: Path, *, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    """Draw noise into a file whose suffix is its format."""
    noise = Image.effect_noise(size, 60)
    Image.merge(mode, [noise.rotate(90 * band) for band in range(len(mode))]).save(path, quality=90)
    return path


def pixels(path: Path) -> bytes:
    """Return what a file's picture decodes to."""
    with Image.open(path) as image:
        return image.convert("RGBA").tobytes()


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
