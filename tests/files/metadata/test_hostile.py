"""Whatever a source's metadata is, the result is delivered with its pixels, and nothing else is left behind."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.metadata import drawn, exif_block, pixels
from upscaled.errors import BadPicture
from upscaled.files.metadata import carry, exif, heif, jpeg, png, resources, strip_places, webp, xmp
from upscaled.files.metadata.model import Aim, Malformed, Metadata, Mode
from upscaled.files.metadata.packet import Packet
from upscaled.files.metadata.tiff import Tiff
from upscaled.files.structure.model import Reader

# The block stays as it is, and Pillow warns of what is wrong with it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

FORMATS = ("jpeg", "png", "webp")

AIM = Aim(256, 192, srgb=True)

PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:exif="http://ns.adobe.com/exif/1.0/" tiff:Orientation="6" exif:GPSLatitude="1,2N">'
    "<dc:subject><rdf:Bag><rdf:li>a &amp; b</rdf:li><rdf:li/></rdf:Bag></dc:subject>"
    "<exif:PixelXDimension>64</exif:PixelXDimension></rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
).encode()

IPTC = b"\x1c\x02\x05\x00\x03one\x1c\x02\x5a\x00\x04City\x1c\x02\x19\x00\x03key"


def with_everything(path: Path) -> Path:
    """Draw a picture with EXIF, XMP and, in a JPEG, IPTC and extended XMP."""
    extended = PACKET.replace(b"a &amp; b", b"much more")
    packet = PACKET.replace(
        b' tiff:Orientation="6"',
        b' xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="%s"' % xmp.guid(extended).encode(),
    )
    block = exif_block(thumbnail=b"\xff\xd8 a thumbnail \xff\xd9")
    options: dict[str, Any] = {} if path.suffix == ".jpeg" else {"xmp": PACKET}
    drawn(path, size=(64, 48), mode="RGB", exif=b"Exif\0\0" + block, **options)
    if path.suffix == ".jpeg":
        head, rest = path.read_bytes()[:2], path.read_bytes()[2:]
        piece = xmp.guid(extended).encode() + len(extended).to_bytes(4, "big") + bytes(4) + extended
        path.write_bytes(
            head
            + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
            + segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + piece)
            + segment(0xED, b"Photoshop 3.0\0" + resources.of_iptc(IPTC))
            + rest
        )
    return path


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with something wrong among the first of them, where the metadata is, or anywhere."""
    broken = bytearray(data)
    reach = len(broken) if chance.random() < 0.3 else min(len(broken), 3000)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(2, reach)
        match chance.randrange(7):
            case 0:
                broken[at] ^= 1 << chance.randrange(8)
            case 1:
                broken[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                broken[at : at + 4] = chance.choice((bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\1\0\0\0"))
            case 3:
                del broken[at : at + chance.randrange(1, 40)]
            case 4:
                broken[at:at] = broken[chance.randrange(reach) :][: chance.randrange(1, 60)]
            case 5:
                broken[at : at + 2] = struct.pack(">H", chance.randrange(65536))
            case _ if chance.random() < 0.2:
                del broken[at:]
        reach = max(3, min(reach, len(broken)))
        broken = broken if len(broken) > 3 else bytearray(data)
    return bytes(broken)


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is tested elsewhere; here it would only take time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize("mode", ["keep", "strip-gps"])
@pytest.mark.parametrize("origin", ["jpeg", "png", "webp", "tiff", "avif"])
def test_sources_with_anything_wrong_cost_no_result(tmp_path: Path, origin: str, mode: Mode) -> None:
    """Eighty broken sources of each format, in both modes: 800 in all."""
    whole = with_everything(tmp_path / f"whole.{origin}").read_bytes()
    results = [drawn(tmp_path / f"result.{kind}") for kind in FORMATS]
    expected = [pixels(result) for result in results]
    source, out = tmp_path / f"source.{origin}", tmp_path / "out"
    there = {path.name for path in tmp_path.iterdir()} | {source.name, out.name}

    for number in range(80):
        source.write_bytes(mutated(whole, random.Random(f"{origin}{mode}{number}")))
        chosen = number % len(FORMATS)
        carried = carry(source, results[chosen], out, mode=mode, srgb=True)

        assert expected[chosen] == pixels(out), number
        assert hashlib.sha256(out.read_bytes()).hexdigest() == carried.digest
    assert there == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("kind", FORMATS)
def test_results_with_anything_wrong_are_delivered_or_copied(tmp_path: Path, kind: str) -> None:
    """The service is believed no more than anybody: at worst its bytes are the result as they came."""
    whole = with_everything(tmp_path / f"whole.{kind}").read_bytes()
    source, result, out = with_everything(tmp_path / "source.jpeg"), tmp_path / f"result.{kind}", tmp_path / "out"

    for number in range(60):
        result.write_bytes(mutated(whole, random.Random(f"{kind}{number}")))
        carried = carry(source, result, out, mode="keep")
        if any("Nothing was written" in note for note in carried.notes):
            assert result.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_uploads_of_anything_wrong_hold_the_picture_or_are_refused(tmp_path: Path, kind: str) -> None:
    """And a refused one leaves nothing."""
    whole = with_everything(tmp_path / f"whole.{kind}").read_bytes()
    source, out = tmp_path / "source", tmp_path / "out"

    for number in range(60):
        source.write_bytes(mutated(whole, random.Random(f"{kind}{number}")))
        try:
            strip_places(source, out)
        except BadPicture:
            assert not out.exists()
        else:
            assert b"Zzyzx" not in out.read_bytes()
            assert b"GPSLatitude" not in out.read_bytes()
            out.unlink()


# --- each part by itself ---------------------------------------------------------------------------------------------


def quietly(function: Callable[[], object]) -> None:
    """Call what may find its input malformed, and may do nothing else."""
    try:
        function()
    except Malformed as error:
        assert str(error)  # noqa: PT017 - a note is made of it


@given(st.binary(max_size=300), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_no_exif_breaks_its_reader(data: bytes, head: bytes) -> None:
    """Directories at and of anything."""
    quietly(lambda: exif.corrected(head + data, AIM))
    quietly(lambda: exif.without_places(head + data, AIM))
    quietly(lambda: exif.of_tiff_file(Tiff.of(head + data)))
    quietly(lambda: exif.without_maker_notes(head + data))


@given(st.integers(0, 1 << 32), st.integers(0, 40))
def test_no_pointer_in_exif_breaks_its_reader(seed: int, count: int) -> None:
    """Directories that lead into each other, and values that lie over them."""
    block = bytearray(exif_block(thumbnail=b"thumbnail"))
    chance = random.Random(seed)
    for _ in range(count):
        at = chance.randrange(8, len(block) - 4)
        block[at : at + 4] = chance.randrange(len(block)).to_bytes(4, "little")
    quietly(lambda: exif.corrected(bytes(block), AIM))
    quietly(lambda: exif.without_places(bytes(block), AIM))


@given(
    st.lists(
        st.sampled_from(
            [
                b"<",
                b">",
                b"</",
                b"/>",
                b'"',
                b"'",
                b"=",
                b" ",
                b"rdf:RDF",
                b"rdf:Description",
                b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"',
                b"tiff:Orientation",
                b"<?xpacket end?>",
                b"&amp;",
                b"&x;",
                b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
                b"<![CDATA[",
                b"]]>",
                b"<!--",
                b"-->",
                b"\0",
                b"\xff",
                b"a",
                b"exif:GPS",
            ]
        )
    )
)
def test_no_text_breaks_the_reader_of_xmp(parts: list[bytes]) -> None:
    """It is refused or read."""
    quietly(lambda: Packet.read(b"".join(parts), xmp.rule(AIM, strip=True, provenance=True)))


@given(st.integers(0, 1 << 32))
def test_xmp_that_was_changed_can_be_read(seed: int) -> None:
    """What a packet became is a packet, with what was added to it."""
    try:
        packet = Packet.read(mutated(PACKET, random.Random(seed)), xmp.rule(AIM, strip=True, provenance=True))
    except Malformed:
        return
    again = Packet.read(packet.saying({"a": "urn:a:"}, ["<a:b>c</a:b>"]).data)
    assert "c" == again.names["urn:a:", "b"]


@given(st.binary(max_size=400))
def test_no_bytes_break_the_other_readers(data: bytes) -> None:
    """Neither boxes, chunks, segments nor resources."""
    quietly(lambda: heif.read(Reader(io.BytesIO(b"\0\0\0\x10ftypheic\0\0\0\0\0\0\1\0meta\0\0\0\0" + data))))
    quietly(lambda: png.read(Reader(io.BytesIO(b"\x89PNG\r\n\x1a\n" + data))))
    quietly(lambda: webp.assembled(Reader(io.BytesIO(b"RIFF\xff\0\0\0WEBP" + data)), Metadata(), None, bare=True))
    quietly(lambda: jpeg.bare(Reader(io.BytesIO(b"\xff\xd8" + data)), 6))
    resources.carried(b"8BIM\4\4\0\0" + data, strip=True)
    resources.as_xmp(resources.of_iptc(b"\x1c\2" + data), lambda *_: False, str)


def test_segments_without_number_are_more_than_any_metadata(tmp_path: Path) -> None:
    """They would be copied into every result, or take for ever to be followed."""
    data = drawn(tmp_path / "plain.jpeg").read_bytes()
    comments = segment(0xFE, bytes(60_000)) * 20
    iptc = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5_000) * 600
    (tmp_path / "source.jpeg").write_bytes(data[:2] + comments + iptc + data[2:])

    carried = carry(tmp_path / "source.jpeg", tmp_path / "plain.jpeg", tmp_path / "out", mode="keep")

    assert carried.size < 100_000
    assert {
        "The comments were not carried: they are longer than any person writes.",
        "The IPTC was not carried: it is larger than any metadata.",
    } == set(carried.notes)


def test_directories_of_nothing_but_themselves_are_soon_read() -> None:
    """Four thousand entries, in every directory, each over the others."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 5, 8) for tag in range(0x0200, 0x1200))
    table = struct.pack("<H", 4096) + entries + struct.pack("<I", 8)
    block = b"II*\0\x08\0\0\0" + table.replace(
        struct.pack("<HHII", 0x0300, 7, 5, 8), struct.pack("<HHII", 0x8769, 4, 1, 8)
    )

    quietly(lambda: exif.corrected(block, AIM))
    quietly(lambda: exif.without_places(block, AIM))
