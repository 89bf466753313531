"""GIF (GIF89a specification): blocks, each a chain of counted pieces, up to the trailer.

Whatever was not written yet reads as zeros, and a zero ends a chain of pieces: what follows it must be a block again,
and is none. So a hole is seen wherever it is longer than one piece, and a missing end always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from upscaled.files.structure.model import Broken, stops

if TYPE_CHECKING:
    from upscaled.files.structure.model import Found, Reader

_MOST: Final = 5_000_000
"""More pieces than any picture has (of 255 bytes at most); it bounds the time that a hostile file can take."""

_EXTENSION: Final = 0x21
_IMAGE: Final = 0x2C
_TRAILER: Final = 0x3B
_TABLE: Final = 0x80

_WINDOW: Final = 65536


def walk(reader: Reader, found: Found) -> None:
    """Follow the blocks to the trailer. A second frame makes it an animation."""
    screen = reader.read(6, 7)
    if len(screen) < 7:
        raise Broken(_no_end(reader))
    found.width, found.height = int.from_bytes(screen[:2], "little"), int.from_bytes(screen[2:4], "little")
    pieces = _Pieces(reader)
    offset, frames = 13 + _table(screen[4]), 0
    while (kind := pieces.byte(offset)) != _TRAILER:
        if kind == _EXTENSION:
            offset = pieces.end(offset + 2)
        elif kind == _IMAGE:
            frames += 1
            offset = pieces.end(offset + 11 + _table(pieces.byte(offset + 9)))
        else:
            raise Broken(_no_block(reader, offset))
    if not frames or not found.width or not found.height:
        raise Broken(f"GIF ends at byte {offset + 1:,} without picture data")
    found.animated = frames > 1


def _table(flags: int) -> int:
    """Return how many bytes of colours follow."""
    return 3 << ((flags & 7) + 1) if flags & _TABLE else 0


def _no_block(reader: Reader, offset: int) -> str:
    if reader.zeros_before(reader.size) <= offset:
        return _no_end(reader)
    return f"GIF is damaged: no block begins at byte {offset:,}"


def _no_end(reader: Reader) -> str:
    return f"GIF has no end: {stops(reader)}"


class _Pieces:
    """Chains of counted pieces, read through a window: one read for each would cost a system call for 255 bytes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._start = 0
        self._window = b""
        self._left = _MOST

    def byte(self, offset: int) -> int:
        """Return one byte. Raises `Broken` behind the end."""
        if not self._start <= offset < self._start + len(self._window):
            self._start, self._window = offset, self._reader.read(offset, _WINDOW)
        if not self._window:
            raise Broken(_no_end(self._reader))
        return self._window[offset - self._start]

    def end(self, offset: int) -> int:
        """Return where the chain ends whose first count stands at ``offset``."""
        while count := self.byte(offset):
            offset += 1 + count
            self._left -= 1
            if not self._left:
                raise Broken(f"GIF has more than {_MOST:,} pieces")
        return offset + 1
