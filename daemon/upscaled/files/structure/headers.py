"""The size of pictures that are recognised but not followed to their end, where it is cheap to read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader


def walk(reader: Reader, found: Found) -> None:
    """Read width and height where the kind has them in a fixed place: of these, Photoshop's alone."""
    head = reader.read(0, 26)
    if not head.startswith(b"8BPS") or len(head) < 22:
        return
    height, width = struct.unpack_from(">II", head, 14)
    if min(width, height) > 0:
        found.width, found.height = width, height
