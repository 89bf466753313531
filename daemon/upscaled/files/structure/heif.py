"""HEIF and AVIF (ISO/IEC 14496-12 and 23008-12): boxes, one of which names every piece of the picture by its place.

The coded pixels never hold long runs of zeros: HEVC forbids them, and AV1's arithmetic coder does not make them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from upscaled.files.structure.model import Broken, require_no_hole, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_MOST: Final = 100_000
"""More boxes, items or pieces than any picture has; it bounds the time that a hostile file can take."""

_LARGEST_META: Final = 16 * 1024 * 1024

_DATA: Final = frozenset({b"mdat", b"idat", b"moov", b"moof"})


@dataclass(frozen=True, slots=True)
class _Box:
    """One box; its content lies from ``start`` to ``end``."""

    name: bytes
    start: int
    end: int


def walk(reader: Reader, found: Found) -> None:
    """Follow the boxes to the end, and look at every piece that they name."""
    boxes = list(_boxes(reader, 0, reader.size))
    metas = [box for box in boxes if box.name == b"meta"]
    for box in metas:
        meta = reader.read(box.start, min(box.end - box.start, _LARGEST_META))
        found.width, found.height = _size(meta)
        found.orientation = None
        total = 0
        for start, end in _pieces(reader, box):
            if end > reader.size:
                raise Broken(f"the picture's data reaches to byte {end:,}, but {stops(reader)}")
            total += end - start
            if total > 2 * reader.size:
                raise Broken(f"its list of pieces at byte {box.start:,} names the same bytes over and over")
            require_no_hole(reader, start, end, name="the picture", zeros_are_data=False)
    names = {box.name for box in boxes}
    if not (metas or b"moov" in names) or not (names & _DATA or _inside(reader, metas)):
        raise Broken(f"the picture's data is missing: {stops(reader)}")
    # A sequence of pictures keeps its frames as a film does.
    found.animated = b"moov" in names and not metas


def _boxes(reader: Reader, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes of a range; each must lie in it whole."""
    for _ in range(_MOST):
        if start >= end:
            return
        head = reader.read(start, 16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in name):
            raise Broken(f"no box begins at byte {start:,}: {stops(reader)}")
        content = start + 8
        if length == 1:
            length, content = int.from_bytes(head[8:16], "big"), start + 16
        beyond = start + length if length else end
        if beyond > end or beyond < content:
            raise Broken(f"the box at byte {start:,} reaches to byte {beyond:,}, but {stops(reader)}")
        yield _Box(name, content, beyond)
        start = beyond
    raise Broken(f"more than {_MOST:,} boxes")


def _size(meta: bytes) -> tuple[int | None, int | None]:
    """Read the largest ``ispe`` property (ISO/IEC 23008-12, 6.5.3): tiles and thumbnails have smaller ones."""
    sizes = []
    at = meta.find(b"ispe")
    while at >= 0 and at + 16 <= len(meta):
        sizes.append(struct.unpack_from(">II", meta, at + 8))
        at = meta.find(b"ispe", at + 4)
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return (width, height) if width and height else (None, None)


def _inside(reader: Reader, metas: list[_Box]) -> bool:
    """Does a picture keep its data inside the box that describes it?"""
    return any(box.name == b"idat" for meta in metas for box in _boxes(reader, meta.start + 4, meta.end))


def _pieces(reader: Reader, meta: _Box) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the file that the item locations name (ISO/IEC 14496-12, 8.11.3)."""
    for box in _boxes(reader, meta.start + 4, meta.end):
        if box.name == b"iloc":
            data = reader.read(box.start, min(box.end - box.start, _LARGEST_META))
            try:
                yield from _Locations(data).ranges()
            except (struct.error, IndexError):
                raise Broken(f"its list of pieces at byte {box.start:,} makes no sense") from None


class _Locations:
    """The ``iloc`` box read from its beginning. Raises `struct.error` or IndexError where it stops."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._version = data[0]

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the range of every piece that lies in the file itself."""
        sizes = self._take(2)
        offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index = sizes & 15 if self._version else 0
        wide = 4 if self._version == 2 else 2
        left = _MOST
        for _ in range(self._take(wide)):
            self._take(wide)
            method = self._take(2) & 15 if self._version else 0
            self._take(2)
            start = self._take(base)
            for _ in range(self._take(2)):
                left -= 1
                if not left:
                    raise Broken(f"it has more than {_MOST:,} pieces")
                self._take(index)
                first = start + self._take(offset)
                count = self._take(length)
                if method == 0:
                    yield first, first + count

    def _take(self, size: int) -> int:
        """Return the next number of so many bytes; 0 where it has none."""
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise IndexError(self._at)
        self._at += size
        return int.from_bytes(piece, "big")
