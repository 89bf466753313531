"""What a result begins with while it is still coming is what would have been carried into it, or nothing is begun."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.files.metadata.test_hostile import IPTC, PACKET, mutated, segment, with_everything
from tests.support.metadata import drawn, exif_block
from upscaled.api import transfer
from upscaled.api.transfer import Incoming
from upscaled.files.metadata import Beginning, Mode, Provenance, beginning, begun, carry, resources, settled
from upscaled.files.metadata.packet import Packet

FORMATS = ("jpeg", "png", "webp")
MODES: tuple[Mode, ...] = ("keep", "strip-gps", "none")

PROVENANCE = Provenance("upscaled 1.0", "m", dt.datetime(2026, 11, 22, tzinfo=dt.UTC), {"target_resolution": "4k"})

HELD = 6000
"""So much is held back here: the metadata of these pictures, and some of their pixels."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have little held back; durability is tested elsewhere."""
    monkeypatch.setattr(transfer, "HELD", HELD)
    monkeypatch.setattr(transfer, "BLOCK", 3000)
    monkeypatch.setattr(os, "fsync", lambda _: None)


# --- results ---------------------------------------------------------------------------------------------------------


def behind(data: bytes, *, kind: str) -> bytes:
    """Put something behind a picture's end."""
    return data + b"something else" * 9 + kind.encode()


def truncated(data: bytes, *, kind: str) -> bytes:
    """Take the end of a picture."""
    return data[: len(data) * 9 // 10]


def within(name: bytes, content: bytes) -> Callable[..., bytes]:
    """Return what puts a chunk right before a PNG's end, and behind a WebP's pixels."""

    def put(data: bytes, *, kind: str) -> bytes:
        if kind == "png":
            chunk = len(content).to_bytes(4, "big") + name + content
            return data[:-12] + chunk + zlib.crc32(name + content).to_bytes(4, "big") + data[-12:]
        if kind == "webp":
            data += name[:4] + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)
            return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
        return data[:-2] + segment(0xED, content) + data[-2:]

    return put


def same(data: bytes, *, kind: str) -> bytes:
    """Leave it as it is."""
    return data


CHANGES: dict[str, Callable[..., bytes]] = {
    "whole": same,
    "more behind its end": behind,
    "truncated": truncated,
    "EXIF behind": within(b"eXIf", exif_block()),
    "XMP behind": within(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET),
    "a text behind": within(b"tEXt", b"Comment\0what is said"),
    "a manifest behind": within(b"caBX", b"\0\0\0\x10jumbc2pa manifest"),
    "a raw profile behind": within(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(b"\niptc\n 2\n1c02\n")),
}


def own(kind: str) -> dict[str, Any]:
    """Return what a result of this format may hold already."""
    options: dict[str, Any] = {"exif": b"Exif\0\0" + exif_block(orientation=3), "icc_profile": b"a profile"}
    if kind == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", PACKET.decode())
        options["pnginfo"].add_text("Comment", "its own")
        return options
    return {**options, "xmp": PACKET}


def result(path: Path, what: str) -> bytes:
    """Make a result that is longer than what is held back, or ``small``."""
    size = (20, 15) if what == "small" else (90, 80)
    lossless: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" and what != "lossy" else {}
    options = own(path.suffix[1:]) if what == "with its own" else {}
    mode = "RGBA" if what == "with alpha" and path.suffix != ".jpeg" else "RGB"
    more = {"progressive": what == "with alpha", "quality": 95}
    return drawn(path, size=size, mode=mode, **lossless, **more, **options).read_bytes()


RESULTS = ("plain", "small", "lossy", "with its own", "with alpha")


# --- sources ---------------------------------------------------------------------------------------------------------


def extended(path: Path) -> Path:
    """Draw a JPEG whose XMP is longer than a segment."""
    long = Packet.empty().saying({"my": "urn:my:"}, [f"<my:text>{'long ' * 30_000}</my:text>"])
    packed = path.with_name("long.webp")
    drawn(packed, xmp=long.data)
    carry(packed, drawn(path.with_name("plain.jpeg")), path, mode="keep")
    return path


def with_iptc(path: Path) -> Path:
    """Draw a JPEG with IPTC and a comment, for which not every format has a place."""
    data = drawn(path).read_bytes()
    path.write_bytes(
        data[:2] + segment(0xED, b"Photoshop 3.0\0" + resources.of_iptc(IPTC)) + segment(0xFE, b"said") + data[2:]
    )
    return path


SOURCES: dict[str, Callable[[Path], Path]] = {
    "everything": with_everything,
    "extended": extended,
    "iptc": with_iptc,
    "nothing": drawn,
    "gone": lambda path: path.with_name("gone"),
}


# --- the comparison --------------------------------------------------------------------------------------------------


async def came(
    data: bytes, source: Path, step: int, mode: Mode, provenance: Provenance | None, *, told: bool
) -> tuple[bytes, Beginning | None]:
    """Return what is in the file when a result has come in steps, and how it began."""
    found: list[Beginning | None] = []

    async def begin(held: bytes, size: int | None) -> Beginning | None:
        assert len(held) == min(HELD, len(data))
        found.append(begun(source, held, size, mode=mode, provenance=provenance, srgb=True))
        return found[0]

    file = io.BytesIO()
    incoming = Incoming(file, 1 << 30, begin=begin, promised=len(data) if told else None)
    for at in range(0, len(data), step):
        await incoming.add(data[at : at + step])
    got = await incoming.end("")
    assert 1 == len(found)
    assert len(file.getvalue()) == got.size
    assert (found[0] is None) == (got.fingerprint == "")
    return file.getvalue(), found[0]


async def alike(tmp_path: Path, data: bytes, source: Path, mode: Mode, step: int, *, told: bool = True) -> bool:
    """Hold what came against what is carried. Was it begun, and right?"""
    raw, out, file = tmp_path / "raw", tmp_path / "out", tmp_path / "file"
    raw.write_bytes(data)
    provenance = PROVENANCE if step > 1 else None
    carried = carry(source, raw, out, mode=mode, provenance=provenance, srgb=True)
    written, beginning = await came(data, source, step, mode, provenance, told=told)
    if beginning is None:
        assert data == written
        return False
    file.write_bytes(written)
    if not settled(file, mode=mode):
        return False
    assert out.read_bytes() == written
    assert carried.notes == beginning.notes
    return True


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("origin", SOURCES)
async def test_what_came_is_what_would_have_been_carried(tmp_path: Path, origin: str, kind: str) -> None:
    """Results of all sorts, in all modes, and bodies in pieces of all sizes; plain ones always begin at once."""
    source = SOURCES[origin](tmp_path / "source.jpeg")
    steps = (977, 4096, 65536, 1 << 20)
    results = {what: result(tmp_path / f"result.{kind}", what) for what in RESULTS}
    declined = set()
    for number, (what, change, mode) in enumerate(itertools.product(RESULTS, CHANGES, MODES)):
        data = CHANGES[change](results[what], kind=kind)
        step = 1 if change == "whole" and mode == "keep" else steps[number % len(steps)]
        if not await alike(tmp_path, data, source, mode, step):
            declined.add((what, change, mode))

    ordinary = {what for what, change, _ in declined if change == "whole"}
    assert ({"with its own"} if kind == "webp" else set()) == ordinary
    assert (kind != "jpeg") == (("plain", "XMP behind", "keep") in declined)
    assert ("plain", "XMP behind", "strip-gps") in declined


@pytest.mark.parametrize("kind", FORMATS)
async def test_a_result_of_unknown_size_is_begun_where_its_size_is_nowhere_written(tmp_path: Path, kind: str) -> None:
    """A WebP says it first of all."""
    data = result(tmp_path / f"result.{kind}", "plain")
    source = with_everything(tmp_path / "source.jpeg")

    assert (kind != "webp") == await alike(tmp_path, data, source, "keep", 4096, told=False)
    small = result(tmp_path / f"result.{kind}", "small")
    assert await alike(tmp_path, small, source, "keep", 4096, told=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", FORMATS)
async def test_results_with_anything_wrong_begin_as_they_would_end(tmp_path: Path, kind: str, mode: Mode) -> None:
    """Forty broken ones of each format, in each mode."""
    whole = result(tmp_path / f"whole.{kind}", "with its own")
    source = with_everything(tmp_path / "source.jpeg")
    for number in range(40):
        data = mutated(whole, random.Random(f"{kind}{mode}{number}"))
        await alike(tmp_path, data, source, mode, 4096)


@pytest.mark.parametrize("origin", ["jpeg", "png", "webp", "tiff"])
async def test_sources_with_anything_wrong_change_nothing_of_that(tmp_path: Path, origin: str) -> None:
    """Whatever is wrong with them is the same, early and late."""
    whole = with_everything(tmp_path / f"whole.{origin}").read_bytes()
    source = tmp_path / f"source.{origin}"
    results = [result(tmp_path / f"result.{kind}", "plain") for kind in FORMATS]
    for number in range(60):
        source.write_bytes(mutated(whole, random.Random(f"{origin}{number}")))
        assert await alike(tmp_path, results[number % 3], source, MODES[number % 2], 65536)


def test_what_stands_before_the_pixels_may_be_longer_than_what_is_held(tmp_path: Path) -> None:
    """Then it is carried when all is there."""
    data = drawn(tmp_path / "result.jpeg", size=(90, 80), icc_profile=bytes(9000)).read_bytes()

    assert begun(tmp_path / "gone", data[:HELD], len(data), mode="keep") is None
    assert begun(tmp_path / "gone", data, len(data), mode="keep") is not None


def test_nothing_but_a_known_picture_is_begun(tmp_path: Path) -> None:
    """Nor is one that is empty."""
    data = drawn(tmp_path / "result.bmp", size=(90, 80)).read_bytes()

    assert begun(tmp_path / "gone", data[:HELD], len(data), mode="keep") is None
    assert begun(tmp_path / "gone", b"", 0, mode="keep") is None


def test_no_place_stays_behind_the_beginning(tmp_path: Path) -> None:
    """A second picture behind a JPEG's end has metadata of its own."""
    path = tmp_path / "result.jpeg"
    second = io.BytesIO()
    with Image.open(drawn(path, size=(90, 80), progressive=True)) as image:
        image.save(second, "JPEG", exif=b"Exif\0\0" + exif_block())
    data = path.read_bytes() + second.getvalue()
    beginning = begun(tmp_path / "gone", data[:HELD], len(data), mode="strip-gps")
    assert beginning is not None
    path.write_bytes(beginning.head + data[beginning.skip :] + beginning.tail)

    assert [True, False] == [settled(path, mode="keep"), settled(path, mode="strip-gps")]


@pytest.mark.parametrize("told", [True, False])
def test_a_webp_that_goes_on_behind_its_end_is_not_begun(tmp_path: Path, told: bool) -> None:
    """Its chunks are all known, but what is still to come is none of them, and may hold anything."""
    data = drawn(tmp_path / "result.webp", size=(20, 15)).read_bytes() + bytes(HELD) + PACKET

    assert begun(tmp_path / "gone", data[:HELD], len(data) if told else None, mode="strip-gps") is None


@pytest.mark.parametrize("kind", FORMATS)
def test_much_metadata_is_left_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Decoders refuse long texts: whether the picture is right is found out without them."""
    data = drawn(tmp_path / f"result.{kind}", size=(20, 15)).read_bytes()
    assert begun(tmp_path / "gone", data, len(data), mode="keep", provenance=PROVENANCE) is not None

    monkeypatch.setattr(beginning, "MOST", 500)

    assert begun(tmp_path / "gone", data, len(data), mode="keep", provenance=PROVENANCE) is None
