"""ExifTool as the judge: it reads from results what it reads from sources, but for what was changed on purpose."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.metadata import PLACE, drawn, needs_exiftool, photographers_source, pixels, tags_of, write_tags
from upscaled.files.metadata import Mode, Provenance, carry, strip_places

pytestmark = needs_exiftool

FORMATS = ("jpeg", "png", "webp")

PROVENANCE = Provenance(
    "upscaled 1.0",
    "some/model & more",
    dt.datetime(2026, 11, 22, 1, 2, 3, tzinfo=dt.UTC),
    {"target_resolution": "4k", "creativity": -1},
    "pred-1",
    "ab" * 32,
)

OF_THE_FILE = re.compile(r"^(ExifTool|File|JFIF|Composite|ICC.*|PNG.*|RIFF|IFD1|Adobe|QuickTime|Meta):")
"""What says how a file holds the picture, or is worked out from the rest; the thumbnail's directory is to go."""

ON_PURPOSE: dict[str, Any] = {
    "IFD0:Orientation": 1,
    "ExifIFD:ColorSpace": 1,
    "ExifIFD:ExifImageWidth": 256,
    "ExifIFD:ExifImageHeight": 192,
    "InteropIFD:InteropIndex": "R98",
    "InteropIFD:RelatedImageWidth": 256,
    "InteropIFD:RelatedImageHeight": 192,
    "XMP-tiff:Orientation": 1,
    "XMP-tiff:ImageWidth": 256,
    "XMP-exif:ExifImageWidth": 256,
    "XMP-exif:ColorSpace": 1,
}

OURS = {
    "XMP-upscaled:Software": "upscaled 1.0",
    "XMP-upscaled:Model": "some/model & more",
    "XMP-upscaled:Parameters": '{"creativity": -1, "target_resolution": "4k"}',
    "XMP-upscaled:PredictionID": "pred-1",
    "XMP-upscaled:SourceFingerprint": f"sha256:{'ab' * 32}",
    "XMP-upscaled:Date": "2026:11:22 01:02:03+00:00",
    "XMP-iptcExt:DigitalSourceType": (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    ),
}

PLACES = re.compile(r"gps|latitude|longitude|location|(?<!chromati)city|country|state(?!ment)|province", re.IGNORECASE)


def of_the_picture(tags: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is said of the picture, and the remark, which ExifTool counts as the file's."""
    for name, value in tags.items():
        if name == "File:Comment" or not OF_THE_FILE.match(name):
            yield name, value


def expected_of(tags: dict[str, Any]) -> dict[str, Any]:
    """Return what a result made of a source with these tags must say."""
    kept = {name: ON_PURPOSE.get(name, value) for name, value in of_the_picture(tags)}
    kept.pop("XMP-xmp:Thumbnails", None)
    return kept | OURS


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG with everything."""
    return photographers_source(tmp_path_factory.mktemp("source") / "source.jpg")


@pytest.fixture(scope="module")
def sources(source: Path) -> dict[str, Path]:
    """The same in other formats."""
    made = {}
    for kind in ("png", "webp", "tiff", "avif"):
        made[kind] = drawn(source.with_name(f"source.{kind}"))
        write_tags(made[kind], "-tagsFromFile", str(source), "-all:all", "-Orientation#=6", "--XMP-xmp:Thumbnails")
    return made | {"jpeg": source}


def result(directory: Path, kind: str) -> Path:
    """Return a result, which is larger than its source and says nothing."""
    return drawn(directory / f"result.{kind}", size=(256, 192))


@dataclass(frozen=True)
class Case:
    """A result that was carried into, and what ExifTool reads from it and from its source."""

    out: Path
    plain: Path
    notes: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


Cases = dict[tuple[Mode, str, str], Case]

ALL: tuple[Mode, ...] = ("keep", "strip-gps")
ORIGINS = ("jpeg", "png", "webp", "tiff", "avif")


@pytest.fixture(scope="module")
def cases(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Every format from every other, in both modes; read all at once, because ExifTool takes long to start."""
    directory = tmp_path_factory.mktemp("cases")
    plain = {kind: result(directory, kind) for kind in FORMATS}
    keys = [(mode, origin, kind) for mode in ALL for origin in ORIGINS for kind in FORMATS]
    outs = {key: directory / f"{key[0]}-{key[1]}.{key[2]}" for key in keys}
    notes = {}
    for mode, origin, kind in keys:
        out = outs[mode, origin, kind]
        notes[mode, origin, kind] = carry(
            sources[origin], plain[kind], out, mode=mode, provenance=PROVENANCE, srgb=mode == "keep"
        ).notes
    before = dict(zip(ORIGINS, tags_of(*(sources[origin] for origin in ORIGINS)), strict=True))
    after = dict(zip(keys, tags_of(*outs.values(), options=["-U"]), strict=True))
    return {key: Case(outs[key], plain[key[2]], notes[key], before[key[1]], after[key]) for key in keys}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_every_tag_is_carried_from_every_format_into_every_other(cases: Cases, origin: str, kind: str) -> None:
    """All but for the ones changed on purpose, and for what the target cannot hold, which is said."""
    case = cases["keep", origin, kind]

    lost = [name for condition, names in UNCARRIED if condition in {origin, f"to {kind}"} for name in names]
    expected = {
        name: value for name, value in expected_of(case.before).items() if not name.startswith(tuple(lost) or "-")
    }
    found = dict(of_the_picture(case.after))
    assert {} == {name: (value, found.get(name)) for name, value in expected.items() if value != found.get(name)}
    assert pixels(case.plain) == pixels(case.out)
    assert (origin == "tiff" or (origin == "jpeg" and kind != "jpeg")) == bool(case.notes)


UNCARRIED = (
    # Extended XMP becomes part of the packet, or is another document, with another name.
    ("to jpeg", ("XMP-xmpNote:HasExtendedXMP",)),
    ("to png", ("XMP-xmpNote:HasExtendedXMP", "File:Comment")),
    ("to webp", ("XMP-xmpNote:HasExtendedXMP", "File:Comment", "IPTC")),
    (
        "tiff",
        tuple(
            f"IFD0:{name}"
            for name in (
                *("ImageWidth", "ImageHeight", "BitsPerSample", "Compression", "PhotometricInterpretation"),
                *("StripOffsets", "SamplesPerPixel", "RowsPerStrip", "StripByteCounts", "PlanarConfiguration"),
                *("SampleFormat", "YCbCrSubSampling", "YCbCrPositioning"),
            )
        ),
    ),
    ("tiff", ("Canon:",)),
)
"""What is left behind: of which source or into which result, and the tags."""


def test_nothing_is_carried_that_was_not_there(cases: Cases) -> None:
    """But for our own properties, IPTC where it must be XMP, and a tag that EXIF wants of every JPEG."""
    new = {
        name
        for (mode, _, _), case in cases.items()
        for name in dict(of_the_picture(case.after))
        if mode == "keep" and name not in expected_of(case.before)
    }
    xmp = {"XMP-dc:Creator", "XMP-photoshop:DateCreated", "XMP-xmpNote:HasExtendedXMP"}
    assert xmp | {"IFD0:YCbCrPositioning"} == new


@pytest.mark.parametrize("origin", ["jpeg", "tiff"])
@pytest.mark.parametrize("kind", FORMATS)
def test_the_result_is_as_valid_as_the_source(sources: dict[str, Path], cases: Cases, origin: str, kind: str) -> None:
    """ExifTool's validation has no warning about the result that it does not have about the source."""
    case = cases["keep", origin, kind]
    known, own, found = (
        {warning for name, each in tags.items() if name.endswith("Warning") for warning in listed(each)}
        for tags in tags_of(sources[origin], case.plain, case.out, options=["-validate"])
    )
    assert set() == found - known - own


def listed(value: object) -> list[object]:
    """Return one or many as many."""
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_after_strip_gps_there_is_no_place_anywhere(cases: Cases, origin: str, kind: str) -> None:
    """Not in a tag, and not in a byte; what tells no place is still there."""
    case = cases["strip-gps", origin, kind]

    assert {} == {name: value for name, value in case.after.items() if PLACES.search(name) or PLACE in str(value)}
    assert PLACE.encode() not in case.out.read_bytes()
    kept = ("IFD0:ImageDescription", "ExifIFD:DateTimeOriginal", "ExifIFD:LensModel", "XMP-xmp:Rating")
    assert [case.before[name] for name in kept] == [case.after[name] for name in kept]
    assert pixels(case.plain) == pixels(case.out)
    assert ("Canon:OwnerName" in case.before) == any("MakerNotes" in note for note in case.notes)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_uploaded_without_places_says_nothing_at_all(
    sources: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """But for how it stands."""
    out = tmp_path / f"out.{kind}"
    source = tmp_path / "source"
    source.write_bytes(sources[kind].read_bytes() + b"trailer" + PLACE.encode())
    strip_places(source, out)

    (after,) = tags_of(out, options=["-U", "-ee"])
    assert {"IFD0:Orientation": 6} == dict(of_the_picture(after))
    assert PLACE.encode() not in out.read_bytes()
    assert pixels(source) == pixels(out)


@pytest.mark.parametrize("kind", FORMATS)
def test_with_none_only_the_provenance_is_there(source: Path, tmp_path: Path, kind: str) -> None:
    """Nothing of the source's, and nothing that the service wrote."""
    plain, out = result(tmp_path, kind), tmp_path / f"out.{kind}"
    write_tags(plain, f"-XMP-photoshop:City={PLACE}", "-GPSLatitude=1", "-GPSLatitudeRef=N")
    carry(source, plain, out, mode="none", provenance=PROVENANCE)

    (after,) = tags_of(out)
    assert OURS == dict(of_the_picture(after))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_the_service_wrote_is_kept_where_the_source_has_nothing(tmp_path: Path, kind: str) -> None:
    """Its own marks are part of the result."""
    plain, out = result(tmp_path, kind), tmp_path / f"out.{kind}"
    write_tags(plain, "-XMP-dc:Source=the service", "-Artist=the service", "-Orientation#=6")
    carry(drawn(tmp_path / "source.jpg"), plain, out, mode="keep", provenance=PROVENANCE)

    found = dict(of_the_picture(tags_of(out)[0]))
    assert ("the service", "the service", 1) == (
        found["XMP-dc:Source"],
        found["IFD0:Artist"],
        found["IFD0:Orientation"],
    )
