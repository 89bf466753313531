"""What each format asks of its writers."""

from __future__ import annotations

import datetime as dt
import io
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.support.metadata import PLACE, drawn, exif_block, pixels
from upscaled.files.metadata import Provenance, carry, png, reading, strip_places, webp, xmp
from upscaled.files.metadata.jpeg import LIMIT, XMP_LIMIT
from upscaled.files.metadata.packet import Packet

PROVENANCE = Provenance("upscaled 1.0", "m", dt.datetime(2026, 11, 22, tzinfo=dt.UTC))


def chunks_of(path: Path) -> list[tuple[str, bytes]]:
    """Return the chunks of a WebP."""
    data, at, found = path.read_bytes(), 12, []
    assert len(data) == 8 + int.from_bytes(data[4:8], "little")
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4].decode(), data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


@pytest.mark.parametrize(
    ("mode", "lossless", "flags"),
    [("RGB", False, 0x0C), ("RGB", True, 0x0C), ("RGBA", False, 0x1C), ("RGBA", True, 0x1C)],
)
def test_a_simple_webp_becomes_an_extended_one(tmp_path: Path, mode: str, lossless: bool, flags: int) -> None:
    """With flags that say what is there, and the alpha channel that its pixels have."""
    source = drawn(tmp_path / "source.jpg", exif=b"Exif\0\0" + exif_block())
    result = drawn(tmp_path / "result.webp", mode=mode, lossless=lossless)

    carry(source, result, tmp_path / "out", mode="keep", provenance=PROVENANCE)

    chunks = chunks_of(tmp_path / "out")
    head = dict(chunks)["VP8X"]
    assert (flags, 64, 48) == (
        head[0],
        1 + int.from_bytes(head[4:7], "little"),
        1 + int.from_bytes(head[7:10], "little"),
    )
    assert ["VP8X", "EXIF", "XMP "] == [name for name, _ in chunks if name not in {"ALPH", "VP8 ", "VP8L"}]
    assert pixels(result) == pixels(tmp_path / "out")


def test_an_srgb_result_without_a_profile_gets_one(tmp_path: Path) -> None:
    """Once, and small."""
    for kind in ("jpeg", "webp"):
        carry(tmp_path / "gone", drawn(tmp_path / f"result.{kind}"), tmp_path / "out", mode="keep", srgb=True)
        with Image.open(tmp_path / "out") as image:
            assert 400 < len(image.info["icc_profile"]) < 1000
    carry(tmp_path / "gone", drawn(tmp_path / "result.png"), tmp_path / "out", mode="keep", srgb=True)
    with Image.open(tmp_path / "out") as image:
        assert 0 == image.info["srgb"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_profile_of_the_result_stays_and_that_of_the_source_never_comes(tmp_path: Path, kind: str) -> None:
    """The pixels are in the result's colours."""
    source = drawn(tmp_path / "source.jpg", mode="CMYK", icc_profile=b"the source's profile")
    result = drawn(tmp_path / f"result.{kind}", icc_profile=b"the result's profile")

    carry(source, result, tmp_path / "out", mode="keep", srgb=True, provenance=PROVENANCE)

    with Image.open(tmp_path / "out") as image:
        assert b"the result's profile" == image.info["icc_profile"]
    assert b"Adobe\0" not in (tmp_path / "out").read_bytes()
    assert b"the source's profile" not in (tmp_path / "out").read_bytes()


def test_a_grey_jpeg_gets_no_profile_for_three_colours(tmp_path: Path) -> None:
    """A profile for three colours on one is an error."""
    result = drawn(tmp_path / "result.jpg", mode="L")
    carry(tmp_path / "gone", result, tmp_path / "out", mode="keep", srgb=True)

    with Image.open(tmp_path / "out") as image:
        assert "icc_profile" not in image.info


def test_xmp_that_is_too_long_for_a_segment_becomes_extended(tmp_path: Path) -> None:
    """Readers put it together again by its GUID, which is the MD5 of all of it."""
    long = Packet.empty().saying({"my": "urn:my:"}, [f"<my:text>{'long ' * 30_000}</my:text>"])
    source = drawn(tmp_path / "source.png")
    with Image.open(source) as image:
        image.save(tmp_path / "source.webp", xmp=long.data)

    carry(tmp_path / "source.webp", drawn(tmp_path / "result.jpg"), tmp_path / "out.jpg", mode="keep")
    carry(tmp_path / "out.jpg", drawn(tmp_path / "result.png"), tmp_path / "out.png", mode="keep")

    with Image.open(tmp_path / "out.jpg") as image:
        packet = Packet.read(image.info["xmp"])
    assert len(packet.data) <= XMP_LIMIT
    assert ("urn:my:", "text") not in packet.names
    with Image.open(tmp_path / "out.png") as image:
        assert ("long " * 30_000).strip() == Packet.read(image.info["xmp"]).names["urn:my:", "text"]


@pytest.mark.parametrize("spoilt", ["changed", "missing"])
def test_extended_xmp_that_is_not_what_was_meant_is_left_behind(tmp_path: Path, spoilt: str) -> None:
    """Its GUID is checked."""
    extended = Packet.empty().saying({"my": "urn:my:"}, ["<my:text>more</my:text>"]).data
    packet = xmp.extended_by(Packet.empty(), extended)
    piece = xmp.guid(extended).encode() + len(extended).to_bytes(4, "big") + bytes(4) + extended
    piece = piece.replace(b"more", b"less") if spoilt == "changed" else piece[:-1]
    body = b"http://ns.adobe.com/xmp/extension/\0" + piece
    data = drawn(tmp_path / "plain.jpg", xmp=packet.data).read_bytes()
    (tmp_path / "source.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:])

    carried = carry(tmp_path / "source.jpg", drawn(tmp_path / "result.jpg"), tmp_path / "out", mode="keep")

    assert ("The extended XMP was not carried: pieces of it are missing or were changed.",) == carried.notes
    assert b"HasExtendedXMP" not in (tmp_path / "out").read_bytes()


def test_exif_that_is_too_long_for_a_jpeg_loses_its_maker_notes(tmp_path: Path) -> None:
    """Which is said."""
    block = exif_block(notes=True) + bytes(LIMIT)
    with Image.open(drawn(tmp_path / "plain.png")) as image:
        image.save(tmp_path / "source.png", exif=block)

    carried = carry(tmp_path / "source.png", drawn(tmp_path / "result.jpg"), tmp_path / "out", mode="keep")

    assert ("The MakerNotes were not carried: with them the EXIF is more than a JPEG can hold.",) == carried.notes
    with Image.open(tmp_path / "out") as image:
        assert "Canon" == image.getexif()[0x010F]


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_what_is_larger_than_any_metadata_is_left_behind_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Never silently, and never cut off."""
    for module in (png, reading):
        monkeypatch.setattr(module, "LARGEST", 4000)
    for module in (png, webp):
        monkeypatch.setattr(module, "TOO_LARGE", 4064)
    options: dict[str, Any] = {"exif": exif_block(thumbnail=bytes(5000)), "xmp": b"<x:xmpmeta>" + bytes(5000)}
    if kind == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", str(options.pop("xmp")))
    source, out = drawn(tmp_path / f"a.{kind}", **options), tmp_path / "out"

    carried = carry(source, drawn(tmp_path / "result.png"), out, mode="keep")

    assert 2 == sum("larger than any metadata" in note for note in carried.notes)
    with Image.open(out) as image:
        assert set() == {"exif", "xmp", "XML:com.adobe.xmp"} & set(image.info)


@pytest.mark.parametrize("name", [b"exif", b"APP1"])
def test_old_profiles_in_png_text_are_read(tmp_path: Path, name: bytes) -> None:
    """Older programs wrote EXIF as hexadecimal digits."""
    block = b"Exif\0\0" + exif_block()
    text = b"\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())
    content = b"Raw profile type " + name + b"\0\0" + zlib.compress(text)
    data = drawn(tmp_path / "plain.png").read_bytes()
    chunk = len(content).to_bytes(4, "big") + b"zTXt" + content
    chunk += zlib.crc32(b"zTXt" + content).to_bytes(4, "big")
    (tmp_path / "source.png").write_bytes(data[:33] + chunk + data[33:])

    carry(tmp_path / "source.png", drawn(tmp_path / "result.jpg"), tmp_path / "out", mode="keep")

    with Image.open(tmp_path / "out") as image:
        assert "Canon EOS Made-Up" == image.getexif()[0x0110]


def test_a_bomb_in_png_text_is_left_behind(tmp_path: Path) -> None:
    """A few bytes that would be more than any metadata."""
    content = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(33 << 20), 1)
    data = drawn(tmp_path / "plain.png").read_bytes()
    chunk = len(content).to_bytes(4, "big") + b"iTXt" + content + zlib.crc32(b"iTXt" + content).to_bytes(4, "big")
    (tmp_path / "source.png").write_bytes(data[:33] + chunk + data[33:])

    carried = carry(tmp_path / "source.png", drawn(tmp_path / "result.jpg"), tmp_path / "out", mode="keep")

    assert "larger than any metadata" in carried.notes[0]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_manifest_is_neither_carried_nor_kept(tmp_path: Path, kind: str) -> None:
    """It vouches for bytes that are not these any more."""
    box = b"\0\0\0\x10jumbc2pa manifest"
    source, result = signed(drawn(tmp_path / f"source.{kind}"), box), signed(drawn(tmp_path / f"result.{kind}"), box)

    carried = carry(source, result, tmp_path / "out", mode="keep", provenance=PROVENANCE)

    assert b"c2pa manifest" not in (tmp_path / "out").read_bytes()
    assert "The source's C2PA manifest was not carried: it vouches for the source's own bytes." in carried.notes
    assert pixels(result) == pixels(tmp_path / "out")


def signed(path: Path, box: bytes) -> Path:
    """Put a manifest where C2PA has it."""
    data = path.read_bytes()
    if path.suffix == ".jpeg":
        content = b"JP\0\1\0\0\0\1" + box
        data = data[:2] + b"\xff\xeb" + (len(content) + 2).to_bytes(2, "big") + content + data[2:]
    elif path.suffix == ".png":
        chunk = len(box).to_bytes(4, "big") + b"caBX" + box + zlib.crc32(b"caBX" + box).to_bytes(4, "big")
        data = data[:33] + chunk + data[33:]
    else:
        data += b"C2PA" + len(box).to_bytes(4, "little") + box + bytes(len(box) % 2)
        data = data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    path.write_bytes(data)
    return path


def test_pictures_behind_the_end_are_not_uploaded(tmp_path: Path) -> None:
    """A motion photo's film and a gain map have places of their own."""
    source = drawn(tmp_path / "source.jpg", progressive=True)
    second = io.BytesIO()
    with Image.open(source) as image:
        image.save(second, "JPEG", exif=b"Exif\0\0" + exif_block())
    whole = pixels(source)
    source.write_bytes(source.read_bytes() + second.getvalue() + b"....ftypmp42 film")

    strip_places(source, tmp_path / "out")

    assert whole == pixels(tmp_path / "out")
    assert (tmp_path / "out").read_bytes().endswith(b"\xff\xd9")
    assert b"Canon" not in (tmp_path / "out").read_bytes()
    assert b"film" not in (tmp_path / "out").read_bytes()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_source_that_is_its_own_result_loses_its_places_and_nothing_else(tmp_path: Path, kind: str) -> None:
    """Delivered as it is, because it is large enough: it stands as it stood."""
    source = drawn(tmp_path / f"source.{kind}", exif=b"Exif\0\0" + exif_block(), icc_profile=b"its own profile")
    source.write_bytes(source.read_bytes() + PLACE.encode())

    carry(source, source, tmp_path / "out", mode="strip-gps", orientation=6)

    assert pixels(source) == pixels(tmp_path / "out")
    assert PLACE.encode() not in (tmp_path / "out").read_bytes()
    with Image.open(tmp_path / "out") as image:
        assert (6, "Canon", b"its own profile") == (
            image.getexif()[0x0112],
            image.getexif()[0x010F],
            image.info["icc_profile"],
        )
