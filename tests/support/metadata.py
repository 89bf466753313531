"""Pictures with everything that a camera and a photographer write into them, and ExifTool to read it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from upscaled.files.metadata.tiff import Branch, Field, build

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")

PLACE = "Zzyzx Springs"
"""A place that is nowhere in a picture's bytes by chance."""


def ascii_field(tag: int, text: str) -> Field:
    """Return a field of text."""
    data = text.encode() + b"\0"
    return Field(tag, 2, len(data), data)


def short(tag: int, *values: int) -> Field:
    """Return a field of 16-bit numbers, in little-endian order."""
    return Field(tag, 3, len(values), b"".join(value.to_bytes(2, "little") for value in values))


def rationals(tag: int, *values: tuple[int, int]) -> Field:
    """Return a field of fractions, in little-endian order."""
    data = b"".join(part.to_bytes(4, "little") for value in values for part in value)
    return Field(tag, 5, len(values), data)


def maker_notes(at: int) -> bytes:
    """Return MakerNotes as Canon makes them, a directory whose offsets count from the block's beginning.

    ``at`` is where they will stand: their values are found only if they stay there.
    """
    fields = (
        ascii_field(0x0006, "Canon Made-Up 1"),
        ascii_field(0x0007, "Firmware 1.2.3"),
        ascii_field(0x0009, "A. B."),
    )
    table, values = bytearray(len(fields).to_bytes(2, "little")), bytearray()
    start = at + 2 + 12 * len(fields) + 4
    for each in fields:
        table += each.tag.to_bytes(2, "little") + each.kind.to_bytes(2, "little") + each.count.to_bytes(4, "little")
        table += (start + len(values)).to_bytes(4, "little")
        values += each.data + bytes(len(each.data) % 2)
    return bytes(table + bytes(4) + values)


def exif_block(*, orientation: int = 6, thumbnail: bytes = b"", notes: bool = True, gps: bool = True) -> bytes:
    """Return an EXIF block of a camera, with its second directory behind everything else, as cameras write it."""
    first = _block(orientation, maker_notes(0) if notes else b"", gps=gps)
    at = first.find(maker_notes(0)) if notes else 0
    block = bytearray(_block(orientation, maker_notes(at) if notes else b"", gps=gps))
    if thumbnail:
        count = int.from_bytes(block[8:10], "little")
        link = 10 + 12 * count
        second = len(block)
        block[link : link + 4] = second.to_bytes(4, "little")
        start = second + 2 + 12 * 4 + 4
        fields = ((0x0103, 3, 6), (0x0128, 3, 2), (0x0201, 4, start), (0x0202, 4, len(thumbnail)))
        block += len(fields).to_bytes(2, "little")
        for tag, kind, value in fields:
            block += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
            block += value.to_bytes(4, "little")
        block += bytes(4) + thumbnail
    return bytes(block)


def _block(orientation: int, notes: bytes, *, gps: bool) -> bytes:
    interop = Branch((ascii_field(0x0001, "R03"), Field(0x0002, 7, 4, b"0100"), short(0x1001, 64), short(0x1002, 48)))
    exif = Branch(
        (
            rationals(0x829A, (1, 250)),
            Field(0x9000, 7, 4, b"0232"),
            ascii_field(0x9003, "2024:05:06 07:08:09"),
            ascii_field(0x9004, "2024:05:06 07:08:09"),
            Field(0x9101, 7, 4, b"\1\2\3\0"),
            *((Field(0x927C, 7, len(notes), notes),) if notes else ()),
            Field(0x9286, 7, 20, b"ASCII\0\0\0what was said"[:20]),
            Field(0xA000, 7, 4, b"0100"),
            short(0xA001, 0xFFFF),
            short(0xA002, 64),
            short(0xA003, 48),
            ascii_field(0xA434, "A Lens 50mm"),
        ),
        ((0xA005, interop),),
    )
    place = Branch(
        (
            Field(0x0000, 1, 4, bytes((2, 3, 0, 0))),
            ascii_field(0x0001, "N"),
            rationals(0x0002, (35, 1), (8, 1), (35, 1)),
            ascii_field(0x0003, "W"),
            rationals(0x0004, (116, 1), (6, 1), (15, 1)),
            Field(0x001C, 7, 8 + len(PLACE), b"ASCII\0\0\0" + PLACE.encode()),
        )
    )
    root = Branch(
        (
            ascii_field(0x010E, "what is seen"),
            ascii_field(0x010F, "Canon"),
            ascii_field(0x0110, "Canon EOS Made-Up"),
            short(0x0112, orientation),
            rationals(0x011A, (300, 1)),
            rationals(0x011B, (300, 1)),
            short(0x0128, 2),
            ascii_field(0x0132, "2024:05:06 07:08:09"),
            short(0x0213, 1),
            ascii_field(0x8298, "(c) A. B."),
            Field(0x9C9C, 1, 2 * len(PLACE) + 2, f"{PLACE}\0".encode("utf-16-le")),
        ),
        ((0x8769, exif), *(((0x8825, place),) if gps else ())),
    )
    return build("little", root)


def drawn(path: Path, *, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> Path:
    """Draw noise into a file whose suffix is its format."""
    noise = Image.effect_noise(size, 60)
    Image.merge(mode, [noise.rotate(90 * band) for band in range(len(mode))]).save(path, **options)
    return path


def pixels(path: Path) -> bytes:
    """Return what a file's picture decodes to, with its size and mode."""
    with Image.open(path) as image:
        return f"{image.size} {image.mode}".encode() + image.tobytes()


def write_tags(path: Path, *arguments: str) -> None:
    """Have ExifTool write tags into a file."""
    subprocess.run(["exiftool", "-q", "-m", "-overwrite_original", *arguments, str(path)], check=True)


def tags_of(*paths: Path, options: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return every tag that ExifTool reads from files, by group and name; the files' own names and dates left out."""
    command = ["exiftool", "-j", "-G1", "-a", "-u", "-struct", "-n", "-b", "-x", "System:all", *options]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, check=False, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    for each in found:
        del each["SourceFile"]
    return found


def photographers_source(path: Path) -> Path:
    """Make a JPEG with EXIF, MakerNotes, GPS, a thumbnail, XMP, extended XMP, IPTC and a comment."""
    thumbnail = drawn(path.with_name("thumbnail.jpg"), size=(16, 12)).read_bytes()
    drawn(path, exif=b"Exif\0\0" + exif_block(thumbnail=thumbnail), quality=90)
    long = path.with_name("long.txt")
    long.write_text("all that can be said of it. " * 4000)
    write_tags(
        path,
        "-XMP-dc:Title=A title",
        "-XMP-dc:Subject=one",
        "-XMP-dc:Subject=two & three",
        "-XMP-xmp:Rating=4",
        "-XMP-tiff:Orientation#=6",
        "-XMP-tiff:ImageWidth=64",
        "-XMP-exif:ExifImageWidth=64",
        "-XMP-exif:ColorSpace#=65535",
        "-XMP-xmp:ThumbnailFormat=JPEG",
        "-XMP-crs:Exposure2012=+0.50",
        f"-XMP-dc:Description<={long}",
        "-XMP-photoshop:Headline=A headline",
        f"-XMP-photoshop:City={PLACE}",
        "-XMP-photoshop:Country=Nowhere Land",
        f"-XMP-iptcCore:Location={PLACE}",
        "-XMP-exif:GPSLatitude=35.143",
        "-XMP-exif:GPSLongitude=-116.104",
        "-XMP-drone-dji:GpsLatitude=35.143",
        f"-XMP-iptcExt:LocationShown={{City={PLACE},CountryName=Nowhere Land}}",
        f"-XMP-iptcExt:LocationCreated={{City={PLACE}}}",
        f"-XMP-xmpDM:ShotLocation={PLACE}",
        f"-XMP-dc:Coverage={PLACE}",
        f"-XMP-dwc:dctermsLocation={{Locality={PLACE}}}",
        f"-XMP-exif:UserComment={PLACE}",
        "-IPTC:CodedCharacterSet=UTF8",
        "-IPTC:ObjectName=A title",
        "-IPTC:Keywords=one",
        "-IPTC:Keywords=zwei",
        "-IPTC:By-line=A. Bérénice",
        "-IPTC:DateCreated=2024:05:06",
        f"-IPTC:City={PLACE}",
        f"-IPTC:Sub-location={PLACE}",
        "-IPTC:Country-PrimaryLocationName=Nowhere Land",
        "-Photoshop:XResolution=300",
        "-Comment=a remark",
    )
    return path
