"""EXIF stays where it is, byte for byte, but for what the new pixels make untrue."""

from __future__ import annotations

import pytest

from tests.support.metadata import PLACE, exif_block, maker_notes
from upscaled.files.metadata import exif
from upscaled.files.metadata.model import Aim, Malformed
from upscaled.files.metadata.tiff import LONG, SHORT, Branch, ByteOrder, Field, Tiff, build

AIM = Aim(8000, 6000)


def numbers(block: bytes, *path: int) -> int | None:
    """Return a number of a block: the last tag in the directory that the tags before it lead to."""
    tiff = Tiff.of(block)
    at = tiff.first
    for tag in path[:-1]:
        at = tiff.number(tiff.directory(at).get(tag)) or 0
    return tiff.number(tiff.directory(at).get(path[-1]))


def test_only_the_bytes_that_must_change_are_changed() -> None:
    """Orientation and four sizes: nothing else, and nothing moves."""
    block = exif_block()

    new = exif.corrected(block, AIM)

    assert len(block) == len(new)
    assert [1, 8000, 6000, 8000, 6000] == [
        numbers(new, 0x0112),
        numbers(new, 0x8769, 0xA002),
        numbers(new, 0x8769, 0xA003),
        numbers(new, 0x8769, 0xA005, 0x1001),
        numbers(new, 0x8769, 0xA005, 0x1002),
    ]
    assert 7 == sum(one != other for one, other in zip(block, new, strict=True))


def test_the_thumbnail_is_cut_off_where_it_is_the_end() -> None:
    """What was before it stays as it was: MakerNotes keep their offsets."""
    block, without = exif_block(thumbnail=b"\xff\xd8 old picture \xff\xd9"), exif_block()

    new = exif.corrected(block, AIM)

    assert exif.corrected(without, AIM) == new


def test_a_thumbnail_in_the_middle_is_overwritten() -> None:
    """It is not seen any more, and nothing moves."""
    block = exif_block(thumbnail=b"\xff\xd8 old picture \xff\xd9") + b"something of the maker's"

    new = exif.corrected(block, AIM)

    assert len(block) == len(new)
    assert b"old picture" not in new
    assert new.endswith(b"something of the maker's")


def test_a_thumbnail_that_overlaps_what_is_used_is_left_there() -> None:
    """A malformed block loses its second directory, and no byte of the first."""
    block = bytearray(exif_block(thumbnail=b"x" * 40))
    second = Tiff.of(block).directory(Tiff.of(block).next(Tiff.of(block).directory(8)))
    start = second.get(0x0201)
    assert start is not None
    block[start.where : start.where + 4] = (8).to_bytes(4, "little")

    new = exif.corrected(bytes(block), AIM)

    assert "Canon EOS Made-Up" in new.decode("latin-1")
    assert 1 == numbers(new, 0x0112)


def test_a_side_that_is_too_long_for_its_type_gets_a_longer_one() -> None:
    """A PNG may be more than 65,535 pixels wide."""
    new = exif.corrected(exif_block(), Aim(70_000, 10))
    entry = Tiff.of(new).directory(numbers(new, 0x8769) or 0).get(0xA002)

    assert entry is not None
    assert (LONG, 70_000) == (entry.kind, numbers(new, 0x8769, 0xA002))


@pytest.mark.parametrize("order", ["little", "big"])
def test_both_byte_orders_are_patched(order: ByteOrder) -> None:
    """A short number stands at the left of its four bytes in either."""
    block = build(order, Branch((Field(0x0112, SHORT, 1, (6).to_bytes(2, order)),)))

    assert 3 == numbers(exif.corrected(block, Aim(1, 1, orientation=3)), 0x0112)


def test_adobe_rgb_is_taken_back_where_the_pixels_are_srgb() -> None:
    """Viewers believe the tags where there is no profile."""
    new = exif.corrected(exif_block(), Aim(1, 1, srgb=True))

    assert 1 == numbers(new, 0x8769, 0xA001)
    assert b"R98\0" in new


def test_without_places_nothing_is_left_that_nobody_looked_at() -> None:
    """Bytes that no directory leads to may be anything, and so may MakerNotes."""
    block = exif_block(thumbnail=PLACE.encode()) + PLACE.encode()

    new, notes = exif.without_places(block, AIM)

    assert PLACE.encode() not in new
    assert b"Made-Up 1" in block
    assert b"Made-Up 1" not in new
    assert numbers(new, 0x8825) is None
    assert 1 == len(notes)
    assert b"A Lens 50mm" in new


def test_comments_go_with_the_places() -> None:
    """Programs write coordinates into them; otherwise they stay."""
    comments = (b"what was said"[:12], PLACE.encode("utf-16-le"))

    assert all(comment in exif.corrected(exif_block(), AIM) for comment in comments)
    assert not any(comment in exif.without_places(exif_block(), AIM)[0] for comment in comments)


def test_maker_notes_that_count_from_themselves_are_kept_from_a_tiff_file() -> None:
    """Others point into a file that is not there any more."""
    nikon = b"Nikon\0\2\x10\0\0II*\0\x08\0\0\0\0\0"
    for notes, expected in ((nikon, True), (maker_notes(0), False)):
        fields = Branch((Field(0x927C, 7, len(notes), notes), Field(0xA002, SHORT, 1, b"\1\0")))
        file = build("little", Branch((Field(0x0112, SHORT, 1, b"\1\0"),), ((0x8769, fields),)))

        block, said = exif.of_tiff_file(Tiff.of(file))

        assert block is not None
        assert expected == (notes in block)
        assert expected == (not said)


@pytest.mark.parametrize("order", ["little", "big"])
def test_what_a_tiff_says_is_as_complete_as_a_jpeg_wants_it(order: ByteOrder) -> None:
    """Nothing is put together of a file that says nothing of its picture."""
    said = Field(0x010F, 2, 5, b"Made\0")
    width = Field(0x0100, SHORT, 1, (64).to_bytes(2, order))

    block, _ = exif.of_tiff_file(Tiff.of(build(order, Branch((width, said)))))

    assert block is not None
    assert 1 == numbers(block, 0x0213)
    assert (None, []) == exif.of_tiff_file(Tiff.of(build(order, Branch((width,)))))


@pytest.mark.parametrize("block", [b"", b"II*\0", b"JPEG not EXIF", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\0"])
def test_what_has_no_directory_is_malformed(block: bytes) -> None:
    """It is left behind with a note."""
    with pytest.raises(Malformed):
        exif.corrected(block, AIM)
