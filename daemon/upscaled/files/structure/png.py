"""PNG (ISO/IEC 15948): chunks with checksums up to IEND, so that not one byte can be missing or wrong unseen."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from upscaled.files.structure import exif
from upscaled.files.structure.model import Broken, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_MOST: Final = 200_000
"""More chunks than any picture has; it bounds the time that a hostile file can take."""

_KEPT: Final = 65536
"""The longest chunk that is kept to be looked into, in bytes."""


def walk(reader: Reader, found: Found) -> None:
    """Follow the chunks to IEND. Whatever stands behind that is no business of PNG's."""
    offset = 8
    pixels = False
    for number in range(_MOST):
        name, end = _chunk(reader, found, offset, first=number == 0)
        if name == b"IEND":
            if not pixels:
                raise Broken(f"PNG ends at byte {end:,} without picture data")
            return
        pixels = pixels or name == b"IDAT"
        offset = end
    raise Broken(f"PNG has more than {_MOST:,} chunks")


def _chunk(reader: Reader, found: Found, offset: int, *, first: bool) -> tuple[bytes, int]:
    """Return a chunk's name and where it ends, having checked its checksum."""
    head = reader.read(offset, 8)
    length, name = int.from_bytes(head[:4], "big"), head[4:]
    if len(head) < 8 or not head.strip(b"\0"):
        raise Broken(f"PNG has no end chunk: {stops(reader)}")
    if length > 0x7FFFFFFF or not name.isalpha():
        raise Broken(f"PNG is damaged: no chunk begins at byte {offset:,}")
    if first != (name == b"IHDR"):
        raise Broken(f"PNG is damaged: its header is not where it must be, at byte {offset:,}")
    end = offset + 12 + length
    if end > reader.size:
        raise Broken(f"PNG stops inside a chunk: {stops(reader)}, and {end - reader.size:,} bytes are missing")
    if _checksum(reader, offset + 4, offset + 8 + length) != reader.read(end - 4, 4):
        raise Broken(f"PNG is damaged in the chunk at byte {offset:,}, or not written yet there; {stops(reader)}")
    _note(found, name, reader.read(offset + 8, min(length, _KEPT)) if name in _NOTED else b"")
    return name, end


def _checksum(reader: Reader, start: int, end: int) -> bytes:
    checksum = 0
    for _, block in reader.blocks(start, end):
        checksum = zlib.crc32(block, checksum)
    return checksum.to_bytes(4, "big")


_NOTED: Final = frozenset({b"IHDR", b"acTL", b"eXIf"})


def _note(found: Found, name: bytes, data: bytes) -> None:
    if name == b"IHDR":
        found.width, found.height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        if len(data) != 13 or not found.width or not found.height:
            raise Broken("PNG is damaged: its header makes no sense")
    elif name == b"acTL":  # one frame alone is a still picture
        found.animated = int.from_bytes(data[:4], "big") > 1
    elif name == b"eXIf":
        found.orientation = exif.orientation(data)
