"""Colours by code points (CICP, ITU-T H.273): PNG says them in a chunk, HEIF and AVIF in a property of a picture.

Separate from following those files to their ends: a few reads find it, and what cannot be followed says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from upscaled.files.structure.model import Reader

_MOST: Final = 10_000
"""More chunks, boxes or items than any picture has; it bounds the time that a hostile file can take."""

_LARGEST_META: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class CodePoints:
    """What is said: numbers of H.273's tables 2 and 3, and whether samples use their whole range."""

    primaries: int
    transfer: int
    full_range: bool = True


def code_points(reader: Reader, kind: str | None) -> CodePoints | None:
    """Return what a file of a kind says of its colours by code points; None where it says nothing."""
    try:
        return _FINDERS.get(kind or "", _nothing)(reader)
    except (struct.error, IndexError):
        return None


def _nothing(_reader: Reader) -> None:
    return None


def _of_png(reader: Reader) -> CodePoints | None:
    """Look for ``cICP`` (PNG, third edition, 11.3.2.6), which stands before the pixels."""
    at = 8
    for _ in range(_MOST):
        length, name = struct.unpack(">I4s", reader.read(at, 8))
        if name == b"cICP":
            primaries, transfer, matrix, full = struct.unpack(">4B", reader.read(at + 8, min(length, 5)))
            # PNG holds RGB, and nothing else may be said.
            return CodePoints(primaries, transfer, full == 1) if matrix == 0 else None
        if name in {b"IDAT", b"IEND"}:
            return None
        at += 12 + length
    return None


def _of_heif(reader: Reader) -> CodePoints | None:
    """Look for ``colr`` of type ``nclx`` (ISO/IEC 14496-12, 12.1.5) among the properties of the primary item.

    Other items may be films, masks, gain maps, or the same picture with another range of brightness. The decoders see
    to the range of samples.
    """
    meta = dict(_boxes(_meta(reader)[4:]))
    properties = dict(_boxes(meta.get(b"iprp", b"")))
    listed = list(_boxes(properties.get(b"ipco", b"")))
    for index in _associated(properties.get(b"ipma", b""), _primary(meta.get(b"pitm", b""))):
        name, content = listed[index - 1] if index else (b"", b"")
        if name == b"colr" and content[:4] == b"nclx":
            return CodePoints(*struct.unpack_from(">HH", content, 4))
    return None


def _meta(reader: Reader) -> bytes:
    """Return the content of the box that describes the file's pictures."""
    at = 0
    for _ in range(_MOST):
        size, name = struct.unpack(">I4s", reader.read(at, 8))
        start = 8
        if size == 1:
            size, start = struct.unpack(">Q", reader.read(at + 8, 8))[0], 16
        if name == b"meta":
            return reader.read(at + start, min(size - start if size else _LARGEST_META, _LARGEST_META))
        if size < start or size > reader.size - at:
            break
        at += size
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield name, data[at + 8 : at + size]
        at += size


def _primary(data: bytes) -> int:
    """Return the number of the primary item (ISO/IEC 14496-12, 8.11.4)."""
    number: int = struct.unpack_from(">I" if data[0] else ">H", data, 4)[0]
    return number


def _associated(data: bytes, wanted: int) -> list[int]:
    """Return which properties an item has, counted from 1 (ISO/IEC 23008-12, 9.3.1)."""
    version, wide = data[0], data[3] & 1
    (count,) = struct.unpack_from(">I", data, 4)
    at = 8
    for _ in range(min(count, _MOST)):
        item, many = struct.unpack_from(">IB" if version else ">HB", data, at)
        at += 5 if version else 3
        if item == wanted:
            mask = 0x7FFF if wide else 0x7F  # the highest bit says that it is essential
            return [each & mask for each in struct.unpack_from(f">{many}{'H' if wide else 'B'}", data, at)]
        at += many * (2 if wide else 1)
    return []


_FINDERS: Final[Mapping[str, Callable[[Reader], CodePoints | None]]] = {
    "png": _of_png,
    "heif": _of_heif,
    "avif": _of_heif,
}
