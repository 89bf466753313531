"""WebP (RFC 9649): a RIFF container that says how long it is.

It has no checksums and no end marker. A file that was given its full length before its bytes is known by the zeros at
its end, and by them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from upscaled.files.structure import exif
from upscaled.files.structure.model import Broken, require_no_hole, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_MOST: Final = 200_000
"""More chunks than any picture has; it bounds the time that a hostile file can take."""

_PIXELS: Final = frozenset({b"VP8 ", b"VP8L"})
_TEXTLIKE: Final = frozenset({b"EXIF", b"XMP ", b"ICCP"})


def walk(reader: Reader, found: Found) -> None:
    """Follow the chunks to the end of the container, and look at what its last bytes are."""
    end = 8 + int.from_bytes(reader.read(4, 4), "little")
    if end > reader.size:
        raise Broken(f"WebP is {end:,} bytes long, but {stops(reader)}")
    offset, pixels = 12, False
    for _ in range(_MOST):
        name, start, beyond = _chunk(reader, offset, end)
        _note(reader, found, name, start, beyond)
        pixels = pixels or name in _PIXELS or name == b"ANMF"
        offset = beyond + (beyond - start) % 2
        if offset >= end:
            break
    else:
        raise Broken(f"WebP has more than {_MOST:,} chunks")
    if not pixels:
        raise Broken(f"WebP ends at byte {end:,} without picture data")
    _require_tail(reader, found, name, start, beyond)


def _chunk(reader: Reader, offset: int, end: int) -> tuple[bytes, int, int]:
    """Return a chunk's name, and where its content begins and ends."""
    head = reader.read(offset, 8)
    if len(head) < 8 or offset + 8 > end or not all(0x20 <= byte < 0x7F for byte in head[:4]):
        raise Broken(f"WebP is damaged: no chunk begins at byte {offset:,}; {stops(reader)}")
    start = offset + 8
    beyond = start + int.from_bytes(head[4:], "little")
    if beyond > end:
        raise Broken(f"WebP is damaged: the chunk at byte {offset:,} is longer than the file says it is itself")
    return head[:4], start, beyond


def _note(reader: Reader, found: Found, name: bytes, start: int, beyond: int) -> None:
    data = reader.read(start, min(beyond - start, 65536 if name == b"EXIF" else 16))
    if name == b"VP8X" and len(data) >= 10:
        found.width = int.from_bytes(data[4:7], "little") + 1
        found.height = int.from_bytes(data[7:10], "little") + 1
        found.animated = bool(data[0] & 2)
    elif name in {b"ANIM", b"ANMF"}:
        found.animated = True
    elif name == b"EXIF":
        found.orientation = exif.orientation(data)
    elif name in _PIXELS:
        _frame(found, name, data, beyond - start)
        require_no_hole(reader, start, beyond, name="WebP", zeros_are_data=True)


def _frame(found: Found, name: bytes, data: bytes, length: int) -> None:
    if name == b"VP8L":
        if data[:1] != b"\x2f" or len(data) < 5:
            raise Broken("WebP is damaged: its picture data does not begin as it must")
        bits = int.from_bytes(data[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        if data[3:6] != b"\x9d\x01\x2a" or len(data) < 10 or int.from_bytes(data[:3], "little") >> 5 > length - 10:
            raise Broken("WebP is damaged: its picture data does not begin as it must")
        width, height = int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    if found.width is None:
        found.width, found.height = width, height


def _require_tail(reader: Reader, found: Found, name: bytes, start: int, beyond: int) -> None:
    """Raise `Broken` if the last chunk ends in zeros that are not its own."""
    first = max(reader.zeros_before(beyond), start)
    if beyond - first < 16:
        return
    at_page = -(first - reader.shift) % 4096 <= 3
    if at_page or beyond - first > _own_zeros(found, name, beyond - start):
        raise Broken(f"WebP has no end: it holds nothing but zeros from byte {first:,} to {beyond:,}")


def _own_zeros(found: Found, name: bytes, length: int) -> int:
    """Return how many zeros a chunk may end with.

    An area of one colour at the bottom of a lossy picture costs up to 0.002 bits a pixel, and those are zeros; where
    the whole picture costs as little as an empty one, all of it may be (measured with libwebp 1.5, qualities 1 to 100).
    """
    if name in _TEXTLIKE:
        return length // 2
    pixels = (found.width or 0) * (found.height or 0)
    return length if length * 8 < pixels * 0.08 else 16 + pixels // 3500
