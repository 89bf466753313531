"""What is found out about a file, and the reader that it is found out with."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK: Final = 1 << 20
"""The most that is read at a time, in bytes."""

_NOT_ZERO: Final = re.compile(rb"[^\0]")


@dataclass(frozen=True, slots=True)
class Structure:
    """What a file's bytes say about it.

    ``problem`` says why it is not ``complete``, with the byte offset. Width and height are pixels as stored, before
    ``orientation`` (the EXIF tag, 1 to 8) is applied; each is None where it could not be read. ``raw`` tells a TIFF
    that holds what a sensor saw, ``animated`` more frames or pages than one.
    """

    kind: str | None
    complete: bool
    problem: str = ""
    width: int | None = None
    height: int | None = None
    animated: bool = False
    orientation: int | None = None
    raw: bool = False


@dataclass(slots=True)
class Found:
    """What a walk has found out so far, so that a walk that breaks off still tells it."""

    width: int | None = None
    height: int | None = None
    animated: bool = False
    orientation: int | None = None
    raw: bool = False

    def structure(self, kind: str, problem: str = "") -> Structure:
        """Return it as a value; a problem means that the file is not complete."""
        return Structure(kind, not problem, problem, self.width, self.height, self.animated, self.orientation, self.raw)


class Broken(Exception):
    """The walk cannot go on; its text is the problem."""


class Reader:
    """Random access to a file that may be of any size, and may even shrink while it is read. ``size`` is in bytes."""

    def __init__(self, file: BinaryIO, *, shift: int = 0) -> None:
        """``shift``: by how many bytes the pixels stand further behind than where they were written first."""
        self.size = file.seek(0, os.SEEK_END)
        self.shift = shift
        self._read = _reading(file)

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end of the file."""
        data = self._read(length, offset)
        while len(data) < length and (more := self._read(length - len(data), offset + len(data))):
            data += more
        return data

    def blocks(self, start: int, end: int, *, overlap: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the range in blocks, each with its offset; each begins ``overlap`` bytes before the last one's end."""
        # Small at first: what is looked for mostly lies near, and a hostile file may have us look 100,000 times.
        size = max(4096, 16 * overlap)
        while start < end:
            block = self.read(start, min(size, end - start))
            if not block:
                return
            yield start, block
            if start + len(block) >= end:
                return
            start += max(1, len(block) - overlap)
            size = min(4 * size, BLOCK)

    def zero_runs(self, start: int, end: int, least: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of at least ``least`` zero bytes, each as long as it goes."""
        zeros = bytes(least)
        known = start
        for offset, block in self.blocks(start, end, overlap=least - 1):
            at = max(0, known - offset)
            while (at := block.find(zeros, at)) >= 0:
                known = self._nonzero(offset + at, end)
                yield offset + at, known
                at = known - offset

    def zeros_before(self, end: int) -> int:
        """Return where the zero bytes begin that stand right before ``end``; ``end`` itself when there are none."""
        while end > 0:
            start = max(0, end - BLOCK)
            kept = len(self.read(start, end - start).rstrip(b"\0"))
            if kept:
                return start + kept
            end = start
        return 0

    def _nonzero(self, start: int, end: int) -> int:
        for offset, block in self.blocks(start, end):
            if match := _NOT_ZERO.search(block):
                return offset + match.start()
        return end


def _reading(file: BinaryIO) -> Callable[[int, int], bytes]:
    """Return what reads some bytes at an offset: without the file's own buffer, which each jump would fill in vain."""
    try:
        return partial(os.pread, file.fileno())
    except OSError:  # it is no file but bytes

        def read(length: int, offset: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return read


def require_no_hole(reader: Reader, start: int, end: int, *, name: str, zeros_are_data: bool) -> None:
    """Raise `Broken` if compressed picture data holds a range that was never written, which reads as zeros.

    Half a kilobyte of zeros is none of any picture's own, except where the coding writes flat areas as zeros. There a
    hole is told by its edges: what writes files in pieces begins and ends them at multiples of 512 bytes, give or take
    the zeros that the data beside a hole may begin or end with.
    """
    for first, beyond in reader.zero_runs(start, end, 4096 if zeros_are_data else 512):
        edges = -(first - reader.shift) % 512, (beyond - reader.shift) % 512
        if not zeros_are_data or max(edges) <= 3:
            raise Broken(f"{name} has a hole: bytes {first:,} to {beyond - 1:,} are zeros")


def require_written(reader: Reader, start: int, end: int, *, name: str) -> None:
    """Raise `Broken` if picture data in which zeros may be black has a hole or a tail that was never written.

    Both begin where the writer's last piece ended, at a multiple of 512 bytes (give or take zeros of the data's own).
    Zeros that begin anywhere else cannot be told from a black area.
    """
    first = max(reader.zeros_before(end), start)
    if end - first >= 4096 and -first % 512 <= 3:
        raise Broken(f"{name} has no end: it holds nothing but zeros from byte {first:,} to {end:,}")
    require_no_hole(reader, start, end, name=name, zeros_are_data=True)


def stops(reader: Reader) -> str:
    """Return where the file ends as a half sentence, for problems: what was written, and what is only zeros."""
    zeros = reader.zeros_before(reader.size)
    if reader.size - zeros < 16:
        return f"the file stops at byte {reader.size:,}"
    return f"the file holds nothing but zeros from byte {zeros:,} to its end at {reader.size:,}"
