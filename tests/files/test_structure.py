from __future__ import annotations

import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from upscaled.files.structure import Structure, inspect
from upscaled.files.structure.model import BLOCK, Reader

PHOTOS = Path(__file__).parent.parent / "photos"

ENCODINGS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": ("JPEG", {}),
    "jpeg, progressive": ("JPEG", {"progressive": True, "quality": 85}),
    "jpeg, best": ("JPEG", {"quality": 100, "subsampling": 0}),
    "jpeg, tables of its own": ("JPEG", {"optimize": True, "quality": 60, "subsampling": 2}),
    "jpeg, poor, with restarts": ("JPEG", {"quality": 10, "restart_marker_rows": 1}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "webp, best": ("WEBP", {"quality": 100, "method": 2}),
    "webp, lossless": ("WEBP", {"lossless": True, "method": 0}),
}


def encoded(image: Image.Image, encoding: str, **options: object) -> bytes:
    """Return the file of an image."""
    name, fixed = ENCODINGS[encoding]
    file = io.BytesIO()
    image.save(file, name, **(fixed | options))
    return file.getvalue()


@cache
def photographs() -> tuple[Image.Image, ...]:
    """Return real photographs, and noise with a gradient in sizes that are no multiples of anything."""
    noise = random.Random(1)
    made = []
    for width, height in ((1, 1), (17, 9), (333, 251), (640, 480)):
        grain = Image.frombytes("RGB", (width, height), noise.randbytes(width * height * 3))
        slope = Image.linear_gradient("L").resize((width, height)).convert("RGB")
        made.append(Image.blend(slope, grain, 0.3))
    real = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.[jpw][pne]*"))]
    assert len(real) >= 6
    return (*made, *real)


def of(data: bytes) -> Structure:
    """Inspect bytes."""
    return inspect(io.BytesIO(data))


# --- whole files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whole_photographs_are_complete(encoding: str) -> None:
    """With their size; nothing that an encoder does is taken for damage."""
    for image in photographs():
        found = of(encoded(image, encoding))

        assert Structure(encoding.partition(",")[0], complete=True, width=image.width, height=image.height) == found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("colour", ["white", "black", "#0a1ec8"])
def test_flat_pictures_are_complete_though_their_data_is_mostly_zeros(encoding: str, colour: str) -> None:
    """A page with a line of text, a night sky: zeros that the coding means are no hole."""
    for mode in ("L", "RGB"):
        image = Image.new(mode, (2400, 1800), colour)
        ImageDraw.Draw(image).text((99, 901), "a line of text", fill="grey")

        assert "" == of(encoded(image, encoding)).problem, mode


@pytest.mark.parametrize("quality", [50, 80, 95])
def test_a_product_on_white_is_complete_as_webp(quality: int) -> None:
    """The white below it ends in a few hundred zeros of the picture's own."""
    image = Image.new("RGB", (2000, 1500), "white")
    image.paste(photographs()[3].resize((2000, 500)))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=4)

    assert "" == of(file.getvalue()).problem


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_follows_the_end_does_not_matter(encoding: str) -> None:
    """A motion photo's film, a second picture, a maker's padding."""
    data = encoded(photographs()[4], encoding)

    for more in (b"\0" * 5000, b"\xff\xd8\xff\xe0", b"\xff\xd9", b"ftypmp42" * 100):
        assert of(data + more).complete


def test_a_picture_with_a_thumbnail_inside_is_followed_to_its_own_end() -> None:
    """The thumbnail's end marker is not the picture's."""
    thumbnail = encoded(photographs()[1], "jpeg")
    app1 = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    data = encoded(photographs()[4], "jpeg")
    data = data[:2] + app1 + data[2:]

    assert of(data).complete
    assert not of(data[: 20 + len(app1)]).complete


@pytest.mark.parametrize("encoding", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read(encoding: str, orientation: int) -> None:
    """From EXIF in either byte order, in all three formats."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    little = exif.tobytes()
    big = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)

    for block in (little, big):
        assert orientation == of(encoded(photographs()[1], encoding, exif=block)).orientation


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("PNG", {}, True),
        ("WEBP", {}, True),
        ("WEBP", {"lossless": True}, True),
    ],
)
def test_animations_are_told_from_stills(name: str, options: dict[str, object], *, expected: bool) -> None:
    """An APNG and an animated WebP are complete, and animated."""
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, name, save_all=True, append_images=frames[1:], duration=100, **options)
    found = of(file.getvalue())

    assert (True, expected, 40, 30) == (found.complete, found.animated, found.width, found.height)


# --- files that are not whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_truncated_photograph_is_taken_for_whole(encoding: str) -> None:
    """Wherever it stops; and the problem says where that is."""
    chance = random.Random(encoding)
    for image in photographs():
        data = encoded(image, encoding)
        for length in {*range(1, 40), *(chance.randrange(1, len(data)) for _ in range(30)), len(data) - 1}:
            if length >= len(data):
                continue
            found = of(data[:length])
            assert not found.complete, length
            assert f"{length:,}" in found.problem or length < 16, (length, found)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name.startswith("jpeg")])
def test_a_truncated_photograph_before_a_whole_one_is_not_whole(encoding: str) -> None:
    """The second one's end is not the first one's: the scan is over where another picture begins."""
    data = encoded(photographs()[5], encoding)

    assert "impossible marker" in of(data[: len(data) * 2 // 3].rstrip(b"\xff") + data).problem


@pytest.mark.parametrize("directory", [0, 8, 14, 60, 0xFFFFFFFF])
def test_an_orientation_that_lies_outside_its_block_is_none(directory: int) -> None:
    """Offsets and counts in EXIF are anybody's claim."""
    block = b"Exif\0\0II*\0" + struct.pack("<IH", directory, 500) + bytes(40)

    found = of(encoded(photographs()[1], "jpeg", exif=block))
    assert (True, None) == (found.complete, found.orientation)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_photograph_with_a_tail_of_zeros_is_taken_for_whole(encoding: str) -> None:
    """A file that was given its length before its bytes. WebP's own last bytes may be zeros: a few do not count."""
    chance = random.Random(encoding)
    for image in photographs():
        data = encoded(image, encoding)
        least = 18 + image.width * image.height // 3500 if "webp" in encoding else 1
        whole = data.rstrip(b"\0")
        for written in {0, 1, 512, 4096, *(chance.randrange(1, len(data)) for _ in range(30)), len(whole) - least}:
            if 0 <= written <= len(whole) - least:
                assert not of(data[:written] + bytes(len(data) - written)).complete, written


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_photograph_with_a_hole_is_taken_for_whole(encoding: str) -> None:
    """A piece of 4 KB that was not written yet, between pieces that were."""
    for image in photographs():
        data = encoded(image, encoding)
        for start in range(4096, len(data) - 8192, 4096):
            found = of(data[:start] + bytes(4096) + data[start + 4096 :])
            assert not found.complete, start


def test_a_hole_is_named_by_its_bytes() -> None:
    """So that a person can look at it."""
    data = encoded(photographs()[3], "jpeg, best")
    found = of(data[:8192] + bytes(4096) + data[12288:])

    assert "JPEG has a hole: bytes 8,192 to 12,287 are zeros" == found.problem


def test_a_jpeg_without_an_end_is_named_by_where_it_stops() -> None:
    """The words that the field notes ask for, with either kind of missing end."""
    data = encoded(photographs()[3], "jpeg")

    assert "JPEG has no end marker: the file stops at byte 30,000" == of(data[:30000]).problem
    assert (
        "JPEG has no end marker: the file holds nothing but zeros from byte 30,000 to its end at 40,000"
        == of(data[:30000].rstrip(b"\0").ljust(30000, b"x") + bytes(10000)).problem
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda data: data.replace(b"IEND", b"IENX"), "damaged in the chunk"),
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], "damaged in the chunk"),
        (lambda data: data[:8] + data[33:], "header is not where it must be"),
        (lambda data: data[:33] + png_chunk(b"IEND"), "without picture data"),
        (lambda data: data[:33] + b"\xff\xff\xff\xff" + data[37:], "no chunk begins at byte 33"),
        (lambda data: data[:8] + png_chunk(b"IHDR", bytes(13)), "header makes no sense"),
    ],
)
def test_a_damaged_png_is_told_by_its_checksums(change: Callable[[bytes], bytes], part: str) -> None:
    """Not one bit can be wrong unseen."""
    assert part in of(change(encoded(photographs()[2], "png"))).problem


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    """Return a chunk with the right checksum."""
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"\xff\xd8\xff\xd9", "without picture data"),
        (b"\xff\xd8\xff\xe0\x00\x01", "a segment without a length"),
        (b"\xff\xd8\xff\x01\x00\x02", "an impossible marker"),
        (b"\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\xff\xd9", "picture data without a header"),
        (b"\xff\xd8\xff\xc0\x00\x03\x08", "too short"),
        (b"\xff\xd8\xff\xe0\x00\x02\x12\xff\xd9", "no marker where one must be, at byte 6"),
        (b"\xff\xd8\xff\xff\xff\xff\xff", "no end marker"),
        (b"RIFF\x04\x00\x00\x00WEBP", "no chunk begins"),
        (b"RIFF\x0c\x00\x00\x00WEBPEXIF\x00\x00\x00\x00", "without picture data"),
        (b"RIFF\x16\x00\x00\x00WEBPVP8L\x09\x00\x00\x00123456789\x00", "does not begin as it must"),
        (b"RIFF\x0c\x00\x00\x00WEBPVP8L\x09\x00\x00\x00123456789\x00", "longer than the file says"),
    ],
)
def test_nonsense_is_named(data: bytes, part: str) -> None:
    """A file that begins as a picture and is none says what is wrong first."""
    assert part in of(data).problem


# --- other files -----------------------------------------------------------------------------------------------------


def other(name: str) -> bytes:
    """Return a picture in a format that is recognised only."""
    file = io.BytesIO()
    Image.new("RGB", (70, 50)).save(file, name)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"), [("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tiff"), ("AVIF", "avif"), ("JPEG2000", "jp2")]
)
def test_other_pictures_are_recognised_with_their_size(name: str, kind: str) -> None:
    """Though nothing is done with them yet."""
    found = of(other(name))

    assert (kind, True) == (found.kind, found.complete)
    assert (70, 50) == (found.width, found.height) or kind == "jp2"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7 and so on", "pdf"),
        (b"  \n<!DOCTYPE HTML><html><title>502</title>", "html"),
        (b"\xef\xbb\xbf<html>", "html"),
        (b"<?xml version='1.0'?><svg>", "svg"),
        (b"PK\x03\x04 and so on .....", "zip"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "mp4"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "cr3"),
        (b"II*\0\x10\0\0\0CR\x02\0", "cr2"),
        (b"FUJIFILMCCD-RAW 0201", "raf"),
        (b"8BPS\0\x01" + bytes(20), "psd"),
        (b"hello, this is no picture", None),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
        (b"BMW is a car, not a bitmap", None),
    ],
)
def test_other_files_are_recognised_by_their_first_bytes(data: bytes, kind: str | None) -> None:
    """Whatever they are called; what is certainly no picture is complete as what it is."""
    found = of(data)

    assert (kind, kind not in {"heif", "avif"}) == (found.kind, found.complete)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "empty"),
        (bytes(5000), "begins with zeros"),
        (b"\xff", "stops at byte 1,"),
        (b"\x89PN", "stops at byte 3,"),
        (b"RIFF", "stops at byte 4,"),
        (b"\0\0\0\x18ft", "stops at byte 6,"),
    ],
)
def test_a_file_that_has_hardly_begun_cannot_be_told_yet(data: bytes, part: str) -> None:
    """It is not judged to be no picture: its first bytes may still come."""
    found = of(data)

    assert (None, False) == (found.kind, found.complete)
    assert part in found.problem


# --- anything --------------------------------------------------------------------------------------------------------

STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\xff\0\0\0WEBP",
    b"II*\0",
    b"MM\0*",
    b"II+\0\x08\0\0\0",
    b"GIF89a",
    b"BM\0\0\0\0\0\0\0\0",
    b"\0\0\0\x18ftypheic",
    b"\0\0\0\x10ftypheic\0\0\0\0\0\0\1\0meta\0\0\0\0\0\0\0\x60iloc",
]


@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_no_bytes_whatever_raise(start: bytes, rest: bytes) -> None:
    """Garbage is a finding, not an accident."""
    found = of(start + rest)

    assert found.complete == (not found.problem) or (found.kind, found.problem) == (None, "not a picture")


@given(
    st.sampled_from(list(ENCODINGS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=9)), max_size=5),
)
@example("jpeg", [(0.0, b"\xff\xd8\xff\xff")])
def test_no_mutated_photograph_raises(encoding: str, changes: list[tuple[float, bytes]]) -> None:
    """Whatever is written over a real file, at whatever place."""
    data = bytearray(mutable(encoding))
    for place, change in changes:
        at = int(place * len(data))
        data[at : at + len(change)] = change
    found = of(bytes(data))

    assert found.complete == (not found.problem) or found.kind is None


@cache
def mutable(encoding: str) -> bytes:
    """Return a small photograph with metadata."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photographs()[4].resize((90, 60)), encoding, exif=exif.tobytes())


def tiff_directories(count: int) -> bytes:
    """Return so many directories of 600 entries each, every one naming the next."""
    length = 2 + 600 * 12 + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in range(1000, 1600))
    return b"".join(struct.pack("<H", 600) + entries + struct.pack("<I", 8 + n * length) for n in range(1, count))


def heif_locations(data: bytes) -> bytes:
    """Return a picture that is nothing but a list of pieces."""
    list_ = struct.pack(">I4s", 8 + len(data), b"iloc") + data
    meta = struct.pack(">I4sI", 12 + len(list_), b"meta", 0) + list_
    return b"\0\0\0\x10ftypheic\0\0\0\0" + meta


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xfe\0\2" * 200_000,
        b"\xff\xd8" + b"\xff" * 4_000_000,
        b"\xff\xd8\xff\xc0\0\x08\x08\0\1\0\1\1" + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 150_000,
        b"\xff\xd8\xff\xc0\0\x08\x08\0\1\0\1\1\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\xff\xd0" * 2_000_000,
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0") + png_chunk(b"abcd") * 300_000,
        b"RIFF" + (4 + 8 * 300_000).to_bytes(4, "little") + b"WEBP" + b"abcd\0\0\0\0" * 300_000,
        b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\1x\0" * 1_000_000,
        b"II*\0\x08\0\0\0" + tiff_directories(1200),
        b"\0\0\0\x10ftypheic\0\0\0\0" + b"\0\0\0\x08free" * 200_000,
        heif_locations(b"\1\0\0\0\0\0\xff\xff" + (b"\0\1\0\0\0\0\xff\xff") * 65535),
    ],
    ids=[
        *("segments", "fill bytes", "scans", "restarts", "PNG chunks", "WebP chunks"),
        *("GIF blocks", "TIFF directories", "HEIF boxes", "HEIF pieces"),
    ],
)
def test_hostile_files_come_to_an_end(data: bytes) -> None:
    """Millions of the smallest parts there are: seconds of CPU at most, and never complete."""
    before = time.process_time()

    assert not of(data).complete
    assert time.process_time() - before < 20


def test_a_large_jpeg_is_looked_through_in_no_time() -> None:
    """A 20 MB photograph of a real camera's kind costs some hundredths of a second."""
    data = encoded(Image.frombytes("RGB", (3000, 2000), random.Random(2).randbytes(18_000_000)), "jpeg, best")
    assert len(data) > 12_000_000
    before = time.process_time()

    assert of(data).complete
    assert time.process_time() - before < 0.5


class Shrinking(io.BytesIO):
    """A file that loses its second half once it was looked at."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and cut."""
        data = super().read(size)
        self.truncate(len(self.getvalue()) // 2)
        return data


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_that_shrinks_meanwhile_is_not_complete(encoding: str) -> None:
    """Somebody is writing it."""
    assert not inspect(Shrinking(encoded(photographs()[5], encoding))).complete


def test_a_hole_is_found_where_something_was_put_before_the_pixels_since() -> None:
    """Its edges lie where a disk's blocks did when it was written; by how much they moved must be known."""
    file = io.BytesIO()
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(file, "JPEG", quality=92, progressive=True)
    data = bytearray(file.getvalue())
    at = len(data) // 4096 * 4096 - 6 * 4096
    data[at : at + 8192] = bytes(8192)
    comment = b"\xff\xfe" + (604).to_bytes(2, "big") + b"x" * 602
    moved = io.BytesIO(bytes(data[:2] + comment + data[2:]))

    assert "has a hole" in (inspect(io.BytesIO(bytes(data))).problem or "")
    assert "has a hole" in (inspect(moved, shift=len(comment)).problem or "")
    assert inspect(moved).complete


# --- the reader ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), max_size=6), st.sampled_from([16, 512, 4096]))
def test_runs_of_zeros_are_found_whole(pieces: list[tuple[int, int]], least: int) -> None:
    """Wherever blocks begin and end."""
    data, expected = b"", []
    for ones, zeros in pieces:
        data += b"\1" * ones
        expected += [(len(data), len(data) + zeros)] if zeros >= least else []
        data += bytes(zeros)

    assert expected == list(Reader(io.BytesIO(data)).zero_runs(0, len(data), least))


def test_a_run_of_zeros_may_be_longer_than_any_block() -> None:
    """And end at the end of the range."""
    data = b"\1" * 10 + bytes(3 * BLOCK)

    assert [(10, len(data))] == list(Reader(io.BytesIO(data)).zero_runs(0, len(data), 512))
    assert 10 == Reader(io.BytesIO(data)).zeros_before(len(data))
