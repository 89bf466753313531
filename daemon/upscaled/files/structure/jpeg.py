"""JPEG (ITU T.81): marker segments, then entropy-coded scans, up to the end marker.

Inside a scan every 0xFF is followed by a zero or a restart marker, so the next other marker ends it: an end marker
cannot occur by chance. Thumbnails have end markers of their own, and are stepped over with the segments they lie in.
What follows the end marker (a motion photo's film, a gain map, a maker's padding) is accepted unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from upscaled.files.structure import exif
from upscaled.files.structure.model import Broken, require_no_hole, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_MOST: Final = 100_000
"""More segments than any picture has; it bounds the time that a hostile file can take."""

_FILL: Final = re.compile(rb"[^\xff]")
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_SOI: Final = 0xD8
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_DHT: Final = 0xC4
_DNL: Final = 0xDC
_APP1: Final = 0xE1
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6})
_WITHOUT_BLOCKS: Final = frozenset({0xC3, 0xC7, *range(0xC9, 0xD0)})
"""Frames that are lossless or arithmetically coded."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """One marker segment; its content lies from ``start`` to ``end``."""

    marker: int
    start: int
    end: int

    def content(self, reader: Reader) -> bytes:
        """Return its content, 64 KB at most."""
        return reader.read(self.start, self.end - self.start)


@dataclass(slots=True)
class _State:
    """What later segments need to know of earlier ones."""

    frame: int | None = None
    scans: int = 0
    zero_codes: dict[int, int] = field(default_factory=dict)
    """What the code of zero bits means in each Huffman table, by the table's class and number."""


def walk(reader: Reader, found: Found) -> None:
    """Follow segments and scans to the end marker."""
    state = _State()
    offset = 2
    for _ in range(_MOST):
        marker, offset = _marker(reader, offset)
        if marker == _EOI:
            return _require_picture(state, found, offset)
        segment = _segment(reader, marker, offset)
        _note(reader, found, state, segment)
        offset = _scan(reader, state, segment) if marker == _SOS else segment.end
    raise Broken(f"JPEG has more than {_MOST:,} segments")


def _require_picture(state: _State, found: Found, offset: int) -> None:
    if not state.scans:
        raise Broken(f"JPEG ends at byte {offset:,} without picture data")
    if not found.width or not found.height:
        raise Broken("JPEG is damaged: its header makes no sense")


def _marker(reader: Reader, offset: int) -> tuple[int, int]:
    """Return the marker at ``offset``, and where its segment begins. Any number of 0xFF may stand before it."""
    for start, block in reader.blocks(offset, reader.size):
        match = _FILL.search(block)
        if match is None:
            continue
        marker, at = block[match.start()], start + match.start()
        if marker == 0 or at == offset:
            raise Broken(_no_marker(reader, offset))
        return marker, at + 1
    raise Broken(f"JPEG has no end marker: {stops(reader)}")


def _no_marker(reader: Reader, offset: int) -> str:
    if reader.zeros_before(reader.size) <= offset:
        return f"JPEG has no end marker: {stops(reader)}"
    return f"JPEG is damaged: no marker where one must be, at byte {offset:,}"


def _segment(reader: Reader, marker: int, offset: int) -> _Segment:
    if marker < 0xC0 or 0xD0 <= marker <= _SOI:
        raise Broken(f"JPEG is damaged: an impossible marker at byte {offset - 2:,}")
    head = reader.read(offset, 2)
    length = int.from_bytes(head, "big")
    if len(head) < 2 or offset + length > reader.size:
        raise Broken(f"JPEG has no end marker: {stops(reader)}")
    if length < 2:
        raise Broken(f"JPEG is damaged: a segment without a length at byte {offset:,}")
    return _Segment(marker, offset + 2, offset + length)


def _note(reader: Reader, found: Found, state: _State, segment: _Segment) -> None:
    if segment.marker in _FRAMES:
        _note_frame(found, state, segment, segment.content(reader))
    elif segment.marker == _DNL and not found.height:
        found.height = int.from_bytes(segment.content(reader)[:2], "big")
    elif segment.marker == _DHT:
        _note_tables(state, segment.content(reader))
    elif segment.marker == _APP1 and found.orientation is None:
        data = segment.content(reader)
        found.orientation = exif.orientation(data) if data.startswith(b"Exif\0\0") else None


def _note_frame(found: Found, state: _State, segment: _Segment, data: bytes) -> None:
    if len(data) < 6:
        raise Broken(f"JPEG is damaged: its header at byte {segment.start:,} is too short")
    state.frame = segment.marker
    found.height, found.width = int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")


def _note_tables(state: _State, data: bytes) -> None:
    """Remember the first symbol of each table: codes are canonical, so it has the code of zero bits (T.81, C.2)."""
    at = 0
    while at + 17 < len(data):
        state.zero_codes[data[at]] = data[at + 17]
        at += 17 + sum(data[at + 1 : at + 17])


def _scan(reader: Reader, state: _State, header: _Segment) -> int:
    """Return where the marker stands that ends a scan, having looked for holes in the scan."""
    if state.frame is None:
        raise Broken(f"JPEG is damaged: picture data without a header at byte {header.start:,}")
    end = _next_marker(reader, header.end)
    zeros_are_data = _zeros_are_data(state, header.content(reader))
    require_no_hole(reader, header.end, end, name="JPEG", zeros_are_data=zeros_are_data)
    state.scans += 1
    return end


def _next_marker(reader: Reader, start: int) -> int:
    for offset, block in reader.blocks(start, reader.size, overlap=1):
        if match := _NEXT_MARKER.search(block):
            return offset + match.start()
    raise Broken(f"JPEG has no end marker: {stops(reader)}")


def _zeros_are_data(state: _State, header: bytes) -> bool:
    """May the scan with this header hold long runs of zeros? Yes, where zero bits mean: the same as before, no details.

    With the usual tables they do not for brightness; with tables made for one picture, and in refining scans, they do.
    """
    if state.frame in _WITHOUT_BLOCKS or len(header) < 6:
        return True
    tables = header[2 : 1 + 2 * header[0] : 2]
    first, _, precision = header[-3:]
    steady = all(state.zero_codes.get(table >> 4, 0) == 0 for table in tables)
    empty = all(state.zero_codes.get(0x10 | table & 15, 1) & 15 == 0 for table in tables)
    if state.frame in _PROGRESSIVE:
        return precision >> 4 > 0 or (steady if first == 0 else empty)
    return steady and empty
