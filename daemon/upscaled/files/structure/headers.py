"""The size of pictures that are recognised but not followed to their end, where it is cheap to read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from upscaled.files.structure.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from upscaled.files.structure.model import Found, Reader


def walk(reader: Reader, found: Found) -> None:
    """Read width and height where the kind has them in a fixed place."""
    head = reader.read(0, 64)
    read = _SIZES.get(kind_of(reader.read(0, 512)) or "")
    if read is None:
        return
    try:
        size = read(head, reader)
    except struct.error:
        return
    if size is not None and min(size) > 0:
        found.width, found.height = size


def _gif(head: bytes, _: Reader) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _bmp(head: bytes, _: Reader) -> tuple[int, int]:
    # Height is negative in files whose rows run from top to bottom.
    (header,) = struct.unpack_from("<I", head, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", head, 18)
    return width, abs(height)


def _psd(head: bytes, _: Reader) -> tuple[int, int]:
    height, width = struct.unpack_from(">II", head, 14)
    return width, height


def _tiff(head: bytes, reader: Reader) -> tuple[int, int] | None:
    """Read the first directory's ImageWidth and ImageLength (TIFF 6.0, section 2)."""
    order = "<" if head[:2] == b"II" else ">"
    (version, offset) = struct.unpack_from(f"{order}HI", head, 2)
    if version != 42:  # BigTIFF
        return None
    (count,) = struct.unpack(f"{order}H", reader.read(offset, 2))
    entries = reader.read(offset + 2, 12 * count)
    sides: dict[int, int] = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind = struct.unpack_from(f"{order}HH", entries, at)
        if tag in {256, 257} and kind in {3, 4}:
            (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", entries, at + 8)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _heif(_: bytes, reader: Reader) -> tuple[int, int] | None:
    """Read the largest ``ispe`` property (ISO/IEC 23008-12, 6.5.3): tiles and thumbnails have smaller ones."""
    data = reader.read(0, 1 << 16)
    sizes = []
    at = data.find(b"ispe")
    while at >= 0:
        sizes.append(struct.unpack_from(">II", data, at + 8))
        at = data.find(b"ispe", at + 4)
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height


_SIZES: Final[Mapping[str, Callable[[bytes, Reader], tuple[int, int] | None]]] = {
    "gif": _gif,
    "bmp": _bmp,
    "psd": _psd,
    "tiff": _tiff,
    "heif": _heif,
    "avif": _heif,
}
