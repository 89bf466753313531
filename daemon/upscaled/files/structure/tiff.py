"""TIFF 6.0 and BigTIFF: directories that name every strip and tile of the picture by its place and length.

The directories may stand anywhere, often at the end. A file is whole when all of them and all that they name lie in it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Final

from upscaled.files.structure.model import Broken, require_written, stops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upscaled.files.structure.model import Found, Reader

_MOST_DIRECTORIES: Final = 1000
_MOST_ENTRIES: Final = 1000
_MOST_VALUES: Final = 4_000_000
"""More than any picture has; they bound the time and memory that a hostile file can take."""

_WIDTH, _HEIGHT, _ORIENTATION, _SUBTYPE, _SUBFOLDERS = 256, 257, 274, 254, 330
_PHOTOMETRIC, _OLD_SUBTYPE = 262, 255
_STRIPS: Final = ((273, 279), (324, 325), (513, 514))
"""Tags of places and lengths: strips, tiles, and the thumbnail of an old JPEG kind."""

_SIZES: Final = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4), 16: ("Q", 8), 18: ("Q", 8)}
"""Types of whole numbers: their code and how many bytes they take."""

_REDUCED: Final = 1
"""A directory of a smaller copy."""

_NO_PAGE: Final = 1 | 4
"""A directory of a smaller copy, or of a mask."""

_SENSOR: Final = frozenset({32803, 34892})
"""Photometric interpretations of raw files: a colour filter array, and linear raw (DNG 1.6)."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How this file writes numbers: byte order, and whether offsets have 64 bits."""

    order: str
    big: bool

    @classmethod
    def of(cls, head: bytes) -> _Layout:
        return cls("<" if head[:2] == b"II" else ">", head[2:4] in {b"+\0", b"\0+"})

    @property
    def offset(self) -> str:
        return "Q" if self.big else "I"

    @property
    def count(self) -> str:
        return "Q" if self.big else "H"


class _File:
    """Numbers out of a TIFF file. Every read raises `Broken` where the file stops before it."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.layout = _Layout.of(reader.read(0, 4))

    def numbers(self, offset: int, code: str, count: int) -> Sequence[int]:
        form = f"{self.layout.order}{count}{code}"
        data = self.reader.read(offset, struct.calcsize(form)) if offset < self.reader.size else b""
        try:
            return struct.unpack(form, data)
        except struct.error:
            raise Broken(f"TIFF stops before its directory at byte {offset:,}: {stops(self.reader)}") from None

    def number(self, offset: int, code: str) -> int:
        return self.numbers(offset, code, 1)[0]

    def directory(self, offset: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """Return a directory's entries (type, count, place of the value) and where the next directory stands."""
        layout = self.layout
        count = self.number(offset, layout.count)
        if not 0 < count <= _MOST_ENTRIES:
            raise Broken(f"TIFF has no directory at byte {offset:,}, or it is not written yet; {stops(self.reader)}")
        first = offset + struct.calcsize(f"<{layout.count}")
        length, at = (20, 12) if layout.big else (12, 8)
        entries = {}
        for place in range(first, first + count * length, length):
            tag, kind = self.numbers(place, "H", 2)
            entries[tag] = (kind, self.number(place + 4, layout.offset), place + at)
        return entries, self.number(first + count * length, layout.offset)

    def values(self, entry: tuple[int, int, int] | None) -> Sequence[int]:
        """Return an entry's whole numbers; none where it has none."""
        if entry is None or entry[0] not in _SIZES:
            return ()
        kind, count, place = entry
        code, size = _SIZES[kind]
        if count > _MOST_VALUES:
            raise Broken(f"TIFF is damaged: a list of {count:,} numbers at byte {place:,}")
        room = 8 if self.layout.big else 4
        return self.numbers(place if count * size <= room else self.number(place, self.layout.offset), code, count)


def walk(reader: Reader, found: Found) -> None:
    """Follow all directories, and what they name."""
    file = _File(reader)
    first = file.number(8 if file.layout.big else 4, file.layout.offset)
    pending, seen, end, total = [first], set[int](), 0, 0
    chain, pages = {first}, list[int]()
    while pending:
        offset = pending.pop()
        if not offset or offset in seen:
            continue
        if len(seen) >= _MOST_DIRECTORIES:
            raise Broken(f"TIFF has more than {_MOST_DIRECTORIES:,} directories")
        seen.add(offset)
        entries, following = file.directory(offset)
        _note(file, entries, found)
        if offset in chain:
            chain.add(following)
            pages.append(_page(file, entries))
        start, beyond = _pixels(file, entries)
        total += beyond - start
        if total > 4 * reader.size:
            raise Broken("TIFF is damaged: its directories name the same bytes over and over")
        if beyond:
            require_written(reader, start, beyond, name="TIFF")
        end = max(end, beyond)
        pending += [*file.values(entries.get(_SUBFOLDERS)), following]
    # A second page that is much smaller is a thumbnail which does not say so.
    found.animated = not found.raw and sum(4 * area >= max(pages) > 0 for area in pages) > 1
    if not end or not found.width or not found.height:
        raise Broken("TIFF names no picture data")


def _note(file: _File, entries: dict[int, tuple[int, int, int]], found: Found) -> None:
    """Take the size of the first directory, or of a full one behind a thumbnail's."""
    (width, height, orientation, subtype) = (
        next(iter(file.values(entries.get(tag))), 0) for tag in (_WIDTH, _HEIGHT, _ORIENTATION, _SUBTYPE)
    )
    if found.width is None or (not subtype & _REDUCED and width * height > found.width * (found.height or 0)):
        found.width, found.height = width, height
    found.raw = found.raw or not _SENSOR.isdisjoint(file.values(entries.get(_PHOTOMETRIC)))
    if found.orientation is None and 1 <= orientation <= 8:
        found.orientation = orientation


def _page(file: _File, entries: dict[int, tuple[int, int, int]]) -> int:
    """Return how many pixels the page of a directory has; 0 where it is a smaller copy of another, or a mask."""
    width, height, subtype, old = (
        next(iter(file.values(entries.get(tag))), 0) for tag in (_WIDTH, _HEIGHT, _SUBTYPE, _OLD_SUBTYPE)
    )
    return 0 if subtype & _NO_PAGE or old == 2 else width * height


def _pixels(file: _File, entries: dict[int, tuple[int, int, int]]) -> tuple[int, int]:
    """Return the range that holds a directory's strips. Raises `Broken` if one lies behind the end of the file."""
    first, last = file.reader.size, 0
    for places, lengths in _STRIPS:
        offsets, counts = file.values(entries.get(places)), file.values(entries.get(lengths))
        for offset, count in zip(offsets, counts or repeat(1), strict=False):
            if offset + count > file.reader.size:
                raise Broken(f"TIFF names picture data up to byte {offset + count:,}, but {stops(file.reader)}")
            first, last = min(first, offset), max(last, offset + count)
    return (first, last) if last else (0, 0)
