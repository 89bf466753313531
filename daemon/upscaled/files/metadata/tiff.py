"""TIFF's directories (TIFF 6.0, section 2), which EXIF blocks are made of too: read without belief, and put together.

Separate from what the tags mean (`upscaled.files.metadata.exif`). An entry whose value does not lie in the file has no
value here; a directory that begins beyond the end has no entries. Nothing else can go wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from upscaled.files.metadata.model import LARGEST, Malformed

ByteOrder = Literal["little", "big"]

SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""Bytes of one value of each type; 129 is EXIF 3.0's UTF-8."""

SHORT: Final = 3
LONG: Final = 4

_LONGEST: Final = 16 << 20
"""A value of more bytes is none that describes a picture."""

_MOST: Final = 4096
"""More entries than any directory has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: it stands at ``at``, and its value takes ``size`` bytes at ``where``, which may be in the entry."""

    at: int
    tag: int
    kind: int
    count: int
    where: int
    size: int

    @property
    def inline(self) -> bool:
        """Does the value lie in the entry itself?"""
        return self.where == self.at + 8


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: it stands at ``at``, and where the next one stands is written at ``link``."""

    at: int
    entries: tuple[Entry, ...] = ()
    link: int | None = None

    def get(self, tag: int) -> Entry | None:
        """Return the first entry of a tag, or None."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One entry with its value's bytes, in the byte order of the block that it is from and goes to."""

    tag: int
    kind: int
    count: int
    data: bytes


class Tiff:
    """Access to the directories of a TIFF of ``size`` bytes. Raises `Malformed` when it does not begin as one."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self.size = size
        head = read(0, 8)
        orders: dict[bytes, ByteOrder] = {b"II*\0": "little", b"MM\0*": "big"}
        if len(head) < 8 or head[:4] not in orders:
            raise Malformed("it does not begin as it must")
        self.order: ByteOrder = orders[head[:4]]
        self.first = int.from_bytes(head[4:8], self.order)

    @classmethod
    def of(cls, block: bytes | bytearray) -> Tiff:
        """Read a block in memory."""
        return cls(lambda start, length: bytes(block[start : start + length]), len(block))

    def directory(self, at: int) -> Directory:
        """Return the directory at an offset; one without entries where there is none."""
        count = self._number(at, 2) if at >= 8 else 0
        table = self._read(at + 2, 12 * min(count, _MOST)) if count else b""
        entries = tuple(entry for entry in self._entries(at + 2, table) if entry is not None)
        link = at + 2 + 12 * count
        return Directory(at, entries, link if count and link + 4 <= self.size else None)

    def next(self, directory: Directory) -> int:
        """Return where the directory after this one stands, 0 for none."""
        return 0 if directory.link is None else self._number(directory.link, 4)

    def number(self, entry: Entry | None) -> int | None:
        """Return an entry's first value where it is a whole number."""
        if entry is None or entry.kind not in {SHORT, LONG, 13} or not entry.count:
            return None
        return self._number(entry.where, SIZES[entry.kind])

    def numbers(self, entry: Entry | None) -> list[int]:
        """Return all of an entry's values where they are whole numbers."""
        if entry is None or entry.kind not in {SHORT, LONG, 13} or entry.count > _MOST:
            return []
        size, data = SIZES[entry.kind], self.value(entry)
        return [int.from_bytes(data[at : at + size], self.order) for at in range(0, len(data), size)]

    def value(self, entry: Entry) -> bytes:
        """Return the bytes of an entry's value."""
        return self._read(entry.where, entry.size)

    def fields(self, directory: Directory, drop: Callable[[int], bool]) -> Iterator[Field]:
        """Yield a directory's entries with their values, but for the tags that ``drop`` says.

        Raises `Malformed` where the values lie over each other so often that they are more than any metadata.
        """
        left = min(2 * self.size, LARGEST)
        for entry in directory.entries:
            if not drop(entry.tag):
                left -= entry.size
                if left < 0:
                    raise Malformed("its values lie over each other")
                yield Field(entry.tag, entry.kind, entry.count, self.value(entry))

    def _entries(self, at: int, table: bytes) -> Iterator[Entry | None]:
        for offset in range(0, len(table) - 11, 12):
            tag, kind, count = struct.unpack_from(("<" if self.order == "little" else ">") + "HHI", table, offset)
            size = SIZES.get(kind, 0) * count
            far = int.from_bytes(table[offset + 8 : offset + 12], self.order)
            where = at + offset + 8 if size <= 4 else far
            if size and size <= _LONGEST and where + size <= self.size:
                yield Entry(at + offset, tag, kind, count, where, size)

    def _number(self, at: int, size: int) -> int:
        data = self._read(at, size) if at + size <= self.size else b""
        return int.from_bytes(data, self.order)


# --- putting together ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Branch:
    """A directory to be written: its fields, and the directories that a tag of it leads to."""

    fields: tuple[Field, ...]
    branches: tuple[tuple[int, Branch], ...] = ()


def build(order: ByteOrder, root: Branch) -> bytes:
    """Return a block that holds a directory and those below it, and nothing else."""
    head = (b"II*\0" if order == "little" else b"MM\0*") + (8).to_bytes(4, order)
    return head + _written(order, root, 8)


def _written(order: ByteOrder, branch: Branch, at: int) -> bytes:
    """Return a directory that stands at ``at``, its values behind it, and its branches behind those."""
    below = [(tag, child) for tag, child in branch.branches if child.fields or child.branches]
    fields = [*branch.fields, *(Field(tag, LONG, 1, bytes(4)) for tag, _ in below)]
    fields.sort(key=lambda each: each.tag)
    beyond = at + 2 + 12 * len(fields) + 4
    values, placed = _placed(order, fields, beyond)
    tail = bytearray(values)
    for tag, child in below:
        start = beyond + len(tail)
        placed = [
            replace(each, data=start.to_bytes(4, order)) if each.tag == tag and each.data == bytes(4) else each
            for each in placed
        ]
        tail += _written(order, child, start)
        tail += bytes(len(tail) % 2)
    return _table(order, placed) + bytes(tail)


def _placed(order: ByteOrder, fields: Iterable[Field], at: int) -> tuple[bytes, list[Field]]:
    """Return the values that do not fit into their entries, standing at ``at``, and the fields that point to them."""
    values, placed = bytearray(), []
    for each in fields:
        if len(each.data) > 4:
            placed.append(replace(each, data=(at + len(values)).to_bytes(4, order)))
            values += each.data + bytes(len(each.data) % 2)
        else:
            placed.append(replace(each, data=each.data.ljust(4, b"\0")))
    return bytes(values), placed


def _table(order: ByteOrder, fields: list[Field]) -> bytes:
    head = "<" if order == "little" else ">"
    rows = (struct.pack(f"{head}HHI", each.tag, each.kind, each.count) + each.data for each in fields)
    return len(fields).to_bytes(2, order) + b"".join(rows) + bytes(4)
