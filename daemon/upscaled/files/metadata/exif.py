"""EXIF (CIPA DC-008): carried byte for byte and patched in place, or put together anew where it cannot stay as it is.

In place, because MakerNotes point into the block by offsets that only their maker knows: nothing in it may move. Put
together anew in two cases, in which MakerNotes that point outside themselves cannot be kept: from a TIFF file, which
has no block; and without places, where not a byte may stay that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from upscaled.files.metadata.model import Aim, Malformed
from upscaled.files.metadata.tiff import LONG, SHORT, Branch, Directory, Entry, Field, Tiff, build

EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
INTEROP_IFD: Final = 0xA005
MAKER_NOTE: Final = 0x927C

_WIDTHS: Final = frozenset({0x0100, 0xA002, 0x1001})
_HEIGHTS: Final = frozenset({0x0101, 0xA003, 0x1002})
_ORIENTATION: Final = 0x0112
_YCBCR_POSITIONING: Final = 0x0213
_COLOR_SPACE: Final = 0xA001
_INTEROP_INDEX: Final = 0x0001

_OF_A_PICTURE: Final = frozenset(
    {
        *(0x010D, 0x010E, 0x010F, 0x0110, 0x0112, 0x011A, 0x011B, 0x011D, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
        *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5),
    }
)
"""What the first directory of a TIFF file says of the picture, and not of how that file holds it (EXIF 2.32, 4.6.4)."""

_KNOWN_OF_TIFF: Final = (
    _OF_A_PICTURE | frozenset(range(0x00FE, 0x0215)) | {0x02BC, 0x83BB, 0x8649, 0x8773, EXIF_IFD, GPS_IFD}
)
"""These, what says how a TIFF file holds its pixels (TIFF 6.0), and what is carried in other ways."""

_SELF_CONTAINED: Final = (b"Nikon\0\x02", b"OLYMPUS\0", b"OM SYSTEM\0", b"Apple iOS\0", b"FUJIFILM", b"PENTAX \0")
"""How MakerNotes begin whose offsets count from themselves, so that they may be moved (ExifTool, MakerNotes.pm)."""

_TELLS_OR_HIDES: Final = frozenset(
    {
        *(0x014A, 0x02BC, 0x83BB, 0x8649, 0x8773, 0x935C, 0xC634, 0xEA1C),  # more directories, copies, private data
        *(0x830E, 0x8480, 0x8482, 0x87AF, 0x87B0, 0x87B1, 0x8830, 0xA480, 0xA481, 0xC6D3),  # GeoTIFF and its like
        *(GPS_IFD, EXIF_IFD, INTEROP_IFD, MAKER_NOTE),
    }
)
"""Tags that say a place, may hold one unseen, or lead to another directory."""

_COMMENTS: Final = frozenset({0x9286, 0x9C9C})
"""UserComment and XPComment: phones and programs write anything into them, coordinates too."""


@dataclass(frozen=True, slots=True)
class _Block:
    """The directories of an EXIF block."""

    tiff: Tiff
    root: Directory
    exif: Directory
    gps: Directory
    interop: Directory
    second: Directory

    @classmethod
    def of(cls, tiff: Tiff) -> _Block:
        """Find them; those that are not there have no entries."""
        root = tiff.directory(tiff.first)
        exif = tiff.directory(tiff.number(root.get(EXIF_IFD)) or 0)
        gps = tiff.directory(tiff.number(root.get(GPS_IFD)) or 0)
        interop = tiff.directory(tiff.number(exif.get(INTEROP_IFD)) or 0)
        return cls(tiff, root, exif, gps, interop, tiff.directory(tiff.next(root)))

    def main(self) -> tuple[Directory, ...]:
        """Return those that describe the picture, and not its thumbnail."""
        return (self.root, self.exif, self.gps, self.interop)


def corrected(block: bytes, aim: Aim) -> bytes:
    """Return a block that says the truth about the new pixels, with everything else where it was.

    The thumbnail, which shows the old picture, is removed. Raises `Malformed` when the block has no directory.
    """
    found = _Block.of(Tiff.of(block))
    if not found.root.entries:
        raise Malformed("it has no directory that can be read")
    data = bytearray(block)
    for directory in (found.root, found.exif, found.interop):
        _correct(data, found.tiff, directory, aim)
    if aim.srgb:
        _say_srgb(data, found)
    return _without_thumbnail(data, found)


def without_places(block: bytes, aim: Aim) -> tuple[bytes, list[str]]:
    """Return a new block that holds what is known not to be a place, and what else had to go with the places.

    It has no GPS, no MakerNotes, no comments, and no bytes that nobody looked at. Raises `Malformed` when it has no
    directory.
    """
    found = _Block.of(Tiff.of(corrected(block, aim)))
    notes = []
    if found.exif.get(MAKER_NOTE) is not None:
        notes.append("The MakerNotes were not carried: they may tell a place in ways that only their maker knows.")
    return _rebuilt(found, lambda tag: tag in _TELLS_OR_HIDES, gps=False, notes=()), notes


def of_tiff_file(tiff: Tiff) -> tuple[bytes | None, list[str]]:
    """Return a block with what a TIFF file says of its picture, and what had to be left behind."""
    found = _Block.of(tiff)
    notes: list[str] = []
    maker = found.exif.get(MAKER_NOTE)
    kept = () if maker is None else (Field(MAKER_NOTE, maker.kind, maker.count, tiff.value(maker)),)
    if kept and not kept[0].data.startswith(_SELF_CONTAINED):
        kept = ()
        notes.append("The MakerNotes were not carried: they are bound to where they stand in the TIFF file.")
    if any(entry.tag not in _KNOWN_OF_TIFF for entry in found.root.entries):
        notes.append("Tags of the TIFF file that EXIF does not know (private ones, GeoTIFF) were not carried.")
    # EXIF wants it of JPEG (2.32, table 17); what the TIFF says of it is about that file's own pixels.
    centred = Field(_YCBCR_POSITIONING, SHORT, 1, (1).to_bytes(2, tiff.order))
    block = _rebuilt(found, lambda tag: tag not in _OF_A_PICTURE, gps=True, notes=kept, added=(centred,))
    return (block if len(block) > len(build(tiff.order, Branch((centred,)))) else None), notes


def without_maker_notes(block: bytes) -> bytes:
    """Return a new, smaller block without MakerNotes, for a format that cannot hold the whole one."""
    return _rebuilt(_Block.of(Tiff.of(block)), lambda tag: tag in _TELLS_OR_HIDES, gps=True, notes=())


def oriented(orientation: int) -> bytes:
    """Return a block that says how a picture stands, and nothing else."""
    return build("big", Branch((Field(_ORIENTATION, SHORT, 1, orientation.to_bytes(2, "big")),)))


def _rebuilt(
    found: _Block, drop: Callable[[int], bool], *, gps: bool, notes: tuple[Field, ...], added: tuple[Field, ...] = ()
) -> bytes:
    tiff = found.tiff

    def hidden(tag: int) -> bool:
        # The tags of GPS are numbers below this, and so are some of the interoperability directory's, which are short.
        return tag in _TELLS_OR_HIDES or (not gps and (tag < 0x0100 or tag in _COMMENTS))

    interop = tiff.fields(found.interop, lambda tag: tag in _TELLS_OR_HIDES)
    short = tuple(each for each in interop if len(each.data) <= 4)
    exif = Branch((*tiff.fields(found.exif, hidden), *notes), ((INTEROP_IFD, Branch(short)),) if short else ())
    places = Branch(tuple(tiff.fields(found.gps, lambda tag: tag in _TELLS_OR_HIDES)) if gps else ())
    kept = tiff.fields(found.root, lambda tag: drop(tag) or hidden(tag))
    return build(tiff.order, Branch((*kept, *added), ((EXIF_IFD, exif), (GPS_IFD, places))))


# --- patching --------------------------------------------------------------------------------------------------------


def _correct(data: bytearray, tiff: Tiff, directory: Directory, aim: Aim) -> None:
    for entry in directory.entries:
        if entry.tag in _WIDTHS:
            _set(data, tiff, entry, aim.width)
        elif entry.tag in _HEIGHTS:
            _set(data, tiff, entry, aim.height)
        elif entry.tag == _ORIENTATION:
            _set(data, tiff, entry, aim.orientation)


def _set(data: bytearray, tiff: Tiff, entry: Entry, value: int) -> None:
    """Write a whole number into its entry; a short one that it does not fit becomes a long one."""
    if entry.kind not in {SHORT, LONG} or entry.count != 1:
        return
    kind = LONG if value > 0xFFFF else entry.kind
    size = 4 if kind == LONG else 2
    data[entry.at + 2 : entry.at + 4] = kind.to_bytes(2, tiff.order)
    data[entry.at + 8 : entry.at + 12] = value.to_bytes(size, tiff.order).ljust(4, b"\0")


def _say_srgb(data: bytearray, found: _Block) -> None:
    """Take back what says Adobe RGB: viewers believe it where a picture has no profile (DCF 2.0, 6.2)."""
    if (space := found.exif.get(_COLOR_SPACE)) is not None:
        _set(data, found.tiff, space, 1)
    index = found.interop.get(_INTEROP_INDEX)
    if index is not None and found.tiff.value(index) == b"R03\0":
        data[index.where : index.where + 4] = b"R98\0"


def _without_thumbnail(data: bytearray, found: _Block) -> bytes:
    """Cut the second directory off, overwrite it and what it points to, and drop what of that is the block's end.

    Bytes that anything else points to stay: in a malformed block directories may overlap.
    """
    link = found.root.link
    if link is None or found.tiff.next(found.root) == 0:
        return bytes(data)
    used = list(_used(found))
    data[link : link + 4] = bytes(4)
    free = [part for part in _thumbnail(found) if not any(part[0] < end and start < part[1] for start, end in used)]
    for start, end in free:
        data[start:end] = bytes(end - start)
    return bytes(data[: _end(len(data), free)])


def _end(end: int, free: list[tuple[int, int]]) -> int:
    """Return where a block ends without the free ranges that lie at its end, one byte of padding behind each."""
    for start, beyond in sorted(free, reverse=True):
        if beyond >= end - 1:
            end = min(end, start)
    return end


def _used(found: _Block) -> Iterator[tuple[int, int]]:
    yield 0, 8
    for directory in found.main():
        yield from _ranges(directory)


def _ranges(directory: Directory) -> Iterator[tuple[int, int]]:
    """Yield where a directory and its values lie."""
    if directory.link is not None:
        yield directory.at, directory.link + 4
    for entry in directory.entries:
        yield (entry.at, entry.at + 12) if entry.inline else (entry.where, entry.where + entry.size)


def _thumbnail(found: _Block) -> Iterator[tuple[int, int]]:
    second, tiff = found.second, found.tiff
    # More entries than any thumbnail has stay; each is compared with everything else.
    yield from _ranges(replace(second, entries=second.entries[:64]))
    for offsets, lengths in ((0x0201, 0x0202), (0x0111, 0x0117)):
        for start, length in zip(tiff.numbers(second.get(offsets)), tiff.numbers(second.get(lengths)), strict=False):
            if length and start + length <= tiff.size:
                yield start, start + length
