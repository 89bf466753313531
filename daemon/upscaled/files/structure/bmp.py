"""BMP (Windows bitmap): a header that says how many bytes of pixels follow it.

Most are not compressed, so zeros may be black: a tail that was never written is told by where it begins and by its
length alone, as `require_written` says.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from upscaled.files.structure.model import Broken, require_written, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_PLAIN: Final = frozenset({0, 3, 6})
"""Not compressed; the pixels' masks stand in the header or behind it."""


def walk(reader: Reader, found: Found) -> None:
    """Compare what the header promises with what is there."""
    head = reader.read(0, 54)
    try:
        start, end = _pixels(head, found)
    except struct.error:
        raise Broken(f"BMP stops inside its header: {stops(reader)}") from None
    if not found.width or not found.height or start < 26 or end <= start:
        raise Broken("BMP is damaged: its header makes no sense")
    if end > reader.size:
        raise Broken(f"BMP is {end:,} bytes long, but {stops(reader)}")
    require_written(reader, start, end, name="BMP")


def _pixels(head: bytes, found: Found) -> tuple[int, int]:
    """Note the size, and return where the pixels begin and end."""
    start, header = struct.unpack_from("<II", head, 10)
    if header == 12:
        found.width, found.height, _, bits = struct.unpack_from("<4H", head, 18)
        compression = 0
    else:
        # Height is negative where the rows run from top to bottom.
        width, height, _, bits, compression, length = struct.unpack_from("<iiHHII", head, 18)
        found.width, found.height = max(0, width), abs(height)
        if compression not in _PLAIN:
            return start, start + length
    row = (found.width * bits + 31) // 32 * 4
    return start, start + row * found.height
