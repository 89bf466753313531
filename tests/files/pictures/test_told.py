"""What a picture says of its colours, in whichever order its format has it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tests.support import coded, icc
from upscaled.errors import BadPicture
from upscaled.files import pictures
from upscaled.files.pictures import Rendition, Wanted
from upscaled.files.structure.colours import CodePoints, code_points
from upscaled.files.structure.model import Reader

SRGB_CHUNK = coded.chunk(b"sRGB", b"\0")


def png(path: Path, *chunks: bytes, profile: bytes | None = None) -> Path:
    """Write a PNG that says something of its colours."""
    Image.linear_gradient("L").convert("RGB").save(path, icc_profile=profile)
    return coded.with_chunks(path, *chunks)


def rendered(path: Path) -> Rendition:
    """Return what is uploaded of a picture."""
    return pictures.render(path, path.with_suffix(".out"), Wanted())


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (SRGB_CHUNK,),
        (coded.gama(45455),),
        (coded.gama(45455), coded.chrm(icc.SRGB)),
        (coded.chrm(icc.SRGB),),
        (SRGB_CHUNK, coded.gama(100_000), coded.chrm(icc.ADOBE)),
        (coded.cicp(1, 13),),
        (coded.cicp(1, 1),),
        (coded.cicp(2, 2),),
        (coded.cicp(1, 13), coded.gama(100_000)),
    ],
)
def test_a_picture_that_says_srgb_or_nothing_goes_byte_for_byte(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    """Whatever it says besides that weighs less (PNG, third edition, 4.3)."""
    assert rendered(png(tmp_path / "a.png", *chunks)).digest is None


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((coded.cicp(12, 13), SRGB_CHUNK), "Display P3"),
        ((coded.cicp(9, 8),), "BT.2020 with a gamma of 1"),
        ((coded.gama(55556),), "sRGB with a gamma of 1.8"),
        ((coded.gama(45455), coded.chrm(icc.ADOBE)), "the primaries that it tells with a gamma of 2.2"),
        ((coded.chrm(icc.P3),), "the primaries that it tells"),
    ],
)
def test_other_colours_are_converted_and_named(tmp_path: Path, chunks: tuple[bytes, ...], expected: str) -> None:
    """By the chunk that weighs most."""
    assert (f"colours converted from {expected} to sRGB",) == rendered(png(tmp_path / "a.png", *chunks)).done


def test_code_points_weigh_more_than_a_profile_in_png_and_less_elsewhere(tmp_path: Path) -> None:
    """PNG, third edition, 4.3; ISO/IEC 23000-22, 7.3.6.4."""
    source = png(tmp_path / "a.png", coded.cicp(12, 13), profile=icc.ADOBE.profile())
    assert ("colours converted from Display P3 to sRGB",) == rendered(source).done

    unspecified = png(tmp_path / "b.png", coded.cicp(2, 2), profile=icc.ADOBE.profile())
    assert ("colours converted from Adobe RGB (1998) to sRGB",) == rendered(unspecified).done

    Image.linear_gradient("L").convert("RGB").save(tmp_path / "a.avif", icc_profile=icc.ADOBE.profile())
    coded.recoded(tmp_path / "a.avif", 12, 13)
    assert "colours converted from Adobe RGB (1998) to sRGB" in rendered(tmp_path / "a.avif").done


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("suffix", [".png", ".heic", ".avif"])
def test_hdr_is_refused_with_a_remedy(tmp_path: Path, suffix: str, transfer: int, name: str) -> None:
    """It would come out dull and grey, and be paid for."""
    source = tmp_path / f"a{suffix}"
    if suffix == ".png":
        png(source, coded.cicp(9, transfer))
    else:
        pillow_heif.register_heif_opener()
        Image.linear_gradient("L").convert("RGB").save(source)
        coded.recoded(source, 9, transfer)

    with pytest.raises(BadPicture, match=rf"HDR picture \({name}\).*\n.*Export it as SDR"):
        rendered(source)


@pytest.mark.parametrize("chunk", [coded.cicp(10, 13), coded.cicp(1, 9), coded.cicp(1, 13, full=0)])
def test_colours_that_are_not_known_are_taken_as_srgb_and_that_is_said(tmp_path: Path, chunk: bytes) -> None:
    """And what is uploaded does not say them any more."""
    made = rendered(png(tmp_path / "a.png", chunk))

    assert made.digest is not None
    assert made.done[0].startswith("colours taken as sRGB, as what it says of them (CICP ")
    assert b"cICP" not in (tmp_path / "a.out").read_bytes()


@pytest.mark.parametrize(
    "chunks",
    [
        (coded.gama(0),),
        (coded.gama(0xFFFFFFFF),),
        (coded.chunk(b"cHRM", bytes(32)),),
        (coded.chunk(b"cHRM", struct.pack(">8I", *(30_000,) * 8)),),
        (coded.chunk(b"cICP", b"\x0c"),),
        (coded.chunk(b"cICP", b"\x0c\x0d\x06\x01"),),
    ],
)
def test_what_makes_no_sense_says_nothing(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    """As with profiles."""
    assert rendered(png(tmp_path / "a.png", *chunks)).digest is None


def box(name: bytes, *contents: bytes) -> bytes:
    """Return a box of HEIF."""
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), name) + content


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("version", [0, 1])
def test_code_points_are_those_of_the_primary_picture(version: int, wide: bool) -> None:
    """A file may hold the same picture in HDR, and a gain map, beside it."""

    def item(number: int, *properties: int) -> bytes:
        head = struct.pack(">IB" if version else ">HB", number, len(properties))
        return head + struct.pack(f">{len(properties)}{'H' if wide else 'B'}", *properties)

    essential = 0x8000 if wide else 0x80
    colr = [box(b"colr", b"nclx", struct.pack(">HHHB", 9, transfer, 9, 0x80)) for transfer in (16, 13)]
    ipma = box(b"ipma", bytes((version, 0, 0, wide)), struct.pack(">I", 2), item(1, 1), item(2, 3, essential | 2))
    pitm = box(b"pitm", bytes((version, 0, 0, 0)), struct.pack(">I" if version else ">H", 2))
    ipco = box(b"ipco", *colr, box(b"ispe", bytes(12)))
    file = box(b"ftyp", b"avif") + box(b"meta", bytes(4), pitm, box(b"iprp", ipco, ipma))

    assert CodePoints(9, 13) == code_points(Reader(io.BytesIO(file)), "avif")
    for end in range(len(file)):
        assert code_points(Reader(io.BytesIO(file[:end])), "avif") in {None, CodePoints(9, 13), CodePoints(9, 16)}


@pytest.mark.parametrize("size", [0, 15, 16, 1 << 62, (1 << 63) + 5, (1 << 64) - 20])
def test_a_box_of_any_size_is_followed_no_further_than_the_file(tmp_path: Path, size: int) -> None:
    """Sizes have 64 bits, and offsets of files 63."""
    path = tmp_path / "a.avif"
    path.write_bytes(box(b"ftyp", b"avif") + struct.pack(">I4sQ", 1, b"free", size) + bytes(50))

    with path.open("rb") as file:
        assert code_points(Reader(file), "avif") is None
