"""Thousands of damaged copies of real photographs, in every format that can be told whole: none passes the gate."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from upscaled.files.structure import Structure, inspect
from upscaled.job.model import Identity
from upscaled.job.readiness import TAKEN, Ready, Refuse, Rules, Track, Verdict, Wait, content

pillow_heif.register_heif_opener()

PHOTOS = sorted((Path(__file__).parent.parent / "photos").glob("*.[jpw][pne]*"))

FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": ("JPEG", {"quality": 90}),
    "jpeg, progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {"compress_level": 1}),
    "webp": ("WEBP", {"method": 0}),
    "webp, lossless": ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff, big": ("TIFF", {"big_tiff": True}),
    "tiff, lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "heif": ("HEIF", {}),
    "avif": ("AVIF", {"speed": 10}),
}

PLAIN = {"bmp", "tiff", "tiff, big"}
"""Not compressed: zeros beside black cannot be told from black, so there damage is done beside other colours only."""

RULES = Rules(settle=5, hold=0, grace=600, largest=200_000_000)
PAGE = 4096


@cache
def photograph(path: Path, name: str) -> bytes:
    """Return a real photograph's file in another format."""
    encoder, options = FORMATS[name]
    file = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(file, encoder, **options)
    return file.getvalue()


def verdict(found: Structure, *, quiet: float) -> Verdict:
    """Return the gate's verdict on a file of this content that has not changed for so many seconds."""
    identity = Identity(1, 2, 3, 4, 5)
    return content("photo", found, Track(identity, first=0, since=0, seen=quiet, looks=9), RULES)


def truncated(data: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    """Yield beginnings of a file: copies under way."""
    for _ in range(count):
        yield data[: chance.randrange(len(data) // 50, len(data) - 32)]


def zero_tailed(data: bytes, chance: random.Random, count: int, *, plain: bool) -> Iterator[bytes]:
    """Yield files of full length whose rest was not written yet."""
    for page in chance.choices(range(1, len(data) // PAGE), k=count):
        at = page * PAGE
        if not plain or data[at - 4 : at].strip(b"\0") == data[at - 4 : at]:
            yield data[:at] + bytes(len(data) - at)


def punched(data: bytes, chance: random.Random, count: int, *, plain: bool) -> Iterator[bytes]:
    """Yield files that lack a page in their middle."""
    for page in chance.choices(range(1, len(data) // PAGE - 1), k=count):
        at, end = page * PAGE, (page + 1) * PAGE
        if not plain or b"\0" not in data[at - 4 : at] + data[end : end + 4]:
            yield data[:at] + bytes(PAGE) + data[end:]


def flipped(data: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    """Yield files with one wrong bit."""
    for _ in range(count):
        at = chance.randrange(len(data))
        yield data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def damaged(name: str, count: int) -> Iterator[bytes]:
    """Yield about ``3 * count`` copies of each photograph that lack a part."""
    for path in PHOTOS:
        data, chance = photograph(path, name), random.Random(f"{path.name} {name}")
        yield from truncated(data, chance, count)
        yield from zero_tailed(data, chance, count, plain=name in PLAIN)
        yield from punched(data, chance, count, plain=name in PLAIN)


def assert_none_passes(name: str, count: int) -> int:
    """Assert what the gate says of damaged copies, and return how many they were."""
    tried = 0
    for data in damaged(name, count):
        found = inspect(io.BytesIO(data))
        assert not found.complete, len(data)
        assert any(character.isdigit() for character in found.problem), found.problem
        assert isinstance(verdict(found, quiet=10), Wait)
        after = verdict(found, quiet=601)
        assert isinstance(after, Refuse) if found.kind in TAKEN else not isinstance(after, Ready | Refuse)
        tried += 1
    return tried


@pytest.mark.parametrize("name", FORMATS)
def test_every_whole_photograph_passes(name: str) -> None:
    """In every format."""
    for path in PHOTOS:
        found = inspect(io.BytesIO(photograph(path, name)))
        said = verdict(found, quiet=10)

        assert (True, "") == (found.complete, found.problem)
        assert name.partition(",")[0] == found.kind
        assert isinstance(said, Ready)


@pytest.mark.parametrize("name", FORMATS)
def test_no_photograph_that_lacks_a_part_passes(name: str) -> None:
    """Cut off, zeros at the end, a page of zeros in the middle: it waits, with the byte, and is then refused."""
    # Thirteen formats together are more than 2,000 files.
    assert assert_none_passes(name, 12) >= 160


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_bit_is_never_an_accident(name: str) -> None:
    """Only PNG has checksums and sees all of them; in the others nothing is missing, and nothing breaks."""
    for path in PHOTOS:
        for data in flipped(photograph(path, name), random.Random(path.name), 15):
            found = inspect(io.BytesIO(data))
            assert not (found.complete and found.kind == "png")


@pytest.mark.stress
@pytest.mark.parametrize("name", FORMATS)
def test_no_photograph_of_many_that_lacks_a_part_passes(name: str) -> None:
    """The same with many more places to cut."""
    assert assert_none_passes(name, 400) >= 4000
