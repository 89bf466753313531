"""HEIF and AVIF (ISO/IEC 14496-12 and 23008-12): EXIF and XMP are items, found by the boxes that list and place them.

Only read: no result is of these formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from upscaled.files.metadata.model import LARGEST, Malformed, Metadata
from upscaled.files.structure.model import Reader

_MOST: Final = 10_000
"""More boxes or items than any picture has; it bounds the time that a hostile file can take."""

_XMP: Final = b"application/rdf+xml"


class _Cursor:
    """Bytes read from their beginning. Raises `Malformed` where they stop."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, size: int) -> int:
        """Return the next number of so many bytes; 0 where it has none."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        piece = self.data[self.at : self.at + size]
        if len(piece) < size:
            raise Malformed("its boxes cannot be followed")
        self.at += size
        return piece

    def text(self) -> bytes:
        """Return the next text that a zero ends."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise Malformed("its boxes cannot be followed")
        return self.take(end - self.at + 1)[:-1]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item lies: ranges of the file, or of the box ``idat``."""

    inside: bool
    ranges: tuple[tuple[int, int], ...]


def read(reader: Reader) -> Metadata:
    """Return what a file carries. Raises `Malformed` when its boxes cannot be followed."""
    meta = next((content for name, content in _top(reader) if name == b"meta"), None)
    if meta is None:
        return Metadata()
    boxes = dict(_boxes(meta[4:]))
    places = dict(_places(boxes.get(b"iloc", b"")))
    found = Metadata()
    for item, kind in _items(boxes.get(b"iinf", b"")):
        if item not in places or (found.exif if kind == b"Exif" else found.xmp) is not None:
            continue
        data = _content(reader, places[item], boxes.get(b"idat", b""))
        if kind == b"Exif":
            # The number before it says how far behind it the block begins (ISO/IEC 23008-12, A.2.1).
            start = 4 + int.from_bytes(data[:4], "big")
            found = replace(found, exif=data[start:].removeprefix(b"Exif\0\0") or None)
        else:
            found = replace(found, xmp=data)
    return found


def _top(reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of the file, the contents of those that are small."""
    at = 0
    for _ in range(_MOST):
        head = reader.read(at, 16)
        if len(head) < 8:
            return
        size, start = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), 16
        size = size or reader.size - at
        if size < start or at + size > reader.size:
            raise Malformed("its boxes cannot be followed")
        if head[4:8] == b"meta":
            yield head[4:8], reader.read(at + start, min(size - start, LARGEST))
        at += size


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor = _Cursor(data)
    for _ in range(_MOST):
        if len(data) - cursor.at < 8:
            return
        size, name = cursor.number(4), cursor.take(4)
        if size == 1:
            size = cursor.number(8) - 8
        yield name, cursor.take(size - 8 if size else len(data) - cursor.at) if size >= 8 or not size else _refuse()


def _refuse() -> bytes:
    raise Malformed("its boxes cannot be followed")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the items that are metadata, with their kinds (ISO/IEC 14496-12, 8.11.6)."""
    if not data:
        return
    count_size = 2 if data[0] == 0 else 4
    for name, content in _boxes(data[4 + count_size :]):
        entry = _Cursor(content)
        version = entry.number(4) >> 24
        if name != b"infe" or version < 2:
            continue
        item = entry.number(2 if version == 2 else 4)
        entry.number(2)
        kind = entry.take(4)
        entry.text()
        if kind == b"Exif" or (kind == b"mime" and entry.text() == _XMP):
            yield item, kind


def _places(data: bytes) -> Iterator[tuple[int, _Place]]:
    """Yield where each item lies (ISO/IEC 14496-12, 8.11.3)."""
    if not data:
        return
    cursor = _Cursor(data)
    version = cursor.number(4) >> 24
    sizes = cursor.number(2)
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    left = _MOST
    for _ in range(min(cursor.number(wide), _MOST)):
        item = cursor.number(wide)
        method = cursor.number(2) & 15 if version else 0
        cursor.number(2)
        start = cursor.number(base)
        ranges = []
        for _ in range(cursor.number(2)):
            left -= 1
            if left < 0:
                raise Malformed("it has too many pieces")
            cursor.number(index)
            ranges.append((start + cursor.number(offset), cursor.number(length)))
        if method in {0, 1}:
            yield item, _Place(method == 1, tuple(ranges))


def _content(reader: Reader, place: _Place, inside: bytes) -> bytes:
    total = sum(length for _, length in place.ranges)
    if total > LARGEST:
        raise Malformed("it is larger than any metadata")
    if place.inside:
        return b"".join(inside[start : start + length] for start, length in place.ranges)
    return b"".join(reader.read(start, length) for start, length in place.ranges)
