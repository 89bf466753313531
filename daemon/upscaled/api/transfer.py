"""The bytes of pictures on their way to and from the service: in blocks, counted, hashed, never whole in memory.

It is separate from the client because nothing in it knows HTTP. Files are read and written in threads: an inbox may be
a network share, and one that hangs must not stop the program. What fails on the local file stays an ``OSError``, so
that nobody takes a full disk for a broken network.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from upscaled import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from upscaled.files.metadata import Beginning

    Begin = Callable[[bytes, int | None], Awaitable[Beginning | None]]
    """Is given the first bytes of an output (`HELD`, or all of them) and the size of all of it, None where nobody told;
    returns how the file is to begin instead, or None for: as it comes."""

BLOCK = 512 * 1024
"""Bytes read, hashed and sent, or written, at a time. Each is a trip to a thread, which costs more than the hashing."""

HELD = 256 * 1024
"""Bytes of an output that are held back until it is known how its file is to begin: more than stands before pixels."""

DOWNLOAD_LIMIT = 512 * 1024 * 1024
"""Largest output taken, in bytes: more than an 8k picture without compression needs."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file at the service: its URL there, and the SHA-256 and number of the bytes that were sent."""

    url: str
    fingerprint: str
    size: int


@dataclass(frozen=True, slots=True)
class Downloaded:
    """An output on disk: bytes written, their SHA-256, and the type its sender claims (or '').

    The SHA-256 is '' where the file was to begin in another way and could not: another file is made of it, and that of
    10 MB costs as much as the rest of its way.
    """

    size: int
    fingerprint: str
    content_type: str


class Outgoing:
    """The bytes of one open file, to be sent once: its size as it is now, and no more however it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self.problem: OSError | None = None
        """What went wrong with the file, for it comes back from the HTTP library in disguise."""
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bytes sent so far."""
        return self._digest.hexdigest()

    async def blocks(self, moved: Callable[[], None], frame: tuple[bytes, bytes]) -> AsyncIterator[bytes]:
        """Yield the file within a ``frame``, calling ``moved`` whenever the receiver has taken what came before.

        Raises OSError when the file cannot be read, or ends before its size.
        """
        before, after = frame
        if before:
            yield before
        left = self.size
        while left:
            moved()
            block = await self._read(min(BLOCK, left))
            left -= len(block)
            yield block
        moved()
        if after:
            yield after

    async def _read(self, count: int) -> bytes:
        try:
            block = await asyncio.to_thread(self._read_and_hash, count)
        except OSError as error:
            self.problem = error
            raise
        if not block:
            self.problem = OSError(f"the file became shorter while it was read (it had {self.size} bytes)")
            raise self.problem
        return block

    def _read_and_hash(self, count: int) -> bytes:
        block = self._file.read(count)
        self._digest.update(block)
        return block


class Incoming:
    """The bytes of one output, written to an open file as they come, or as ``begin`` says.

    ``promised`` is how many there will be, where that is known.
    """

    def __init__(self, file: BinaryIO, limit: int, *, begin: Begin | None = None, promised: int | None = None) -> None:
        self.size = 0
        self._file = file
        self._limit = limit
        self._begin = begin
        self._promised = promised
        self._digest = None if begin else hashlib.sha256()
        self._pending: list[bytes] = []
        self._tail = b""
        self._seen = 0
        self._written = 0

    async def add(self, data: bytes) -> None:
        """Take some bytes. Raises `errors.Trouble` beyond the limit, OSError when they cannot be written."""
        self.size += len(data)
        if self.size > self._limit:
            raise errors.Trouble("The result is larger than any picture", why=f"more than {self._limit} bytes came")
        self._pending.append(data)
        if self._begin is not None and self.size >= HELD:
            await self._begun(self._begin, self._promised)
        if self._begin is None and self.size - self._seen >= BLOCK:
            await self._write()

    async def _begun(self, begin: Begin, promised: int | None) -> None:
        self._begin = None
        came = b"".join(self._pending)
        beginning = await begin(came[:HELD], promised)
        if beginning is not None:
            self._digest = hashlib.sha256()
            self._pending = [beginning.head, came[beginning.skip :]]
            self._tail = beginning.tail

    async def end(self, content_type: str) -> Downloaded:
        """Write what is left. The file is neither flushed to the disk nor closed: that is its owner's business."""
        if self._begin is not None:
            await self._begun(self._begin, self.size)
        self._pending.append(self._tail)
        await self._write()
        return Downloaded(self._written, self._digest.hexdigest() if self._digest else "", content_type)

    async def _write(self) -> None:
        blocks, self._pending = self._pending, []
        self._seen = self.size
        await asyncio.to_thread(self._write_and_hash, blocks)

    def _write_and_hash(self, blocks: Sequence[bytes]) -> None:
        # Many small writes cost more than one copy, the more so where they do not begin where the disk's blocks do.
        block = b"".join(blocks)
        if self._digest:
            self._digest.update(block)
        self._written += len(block)
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]


async def decode_output(
    text: str, file: BinaryIO, *, limit: int = DOWNLOAD_LIMIT, begin: Begin | None = None
) -> Downloaded:
    """Write an output that is itself the picture, as bare base64 or a ``data:`` URI, to ``file``, as ``begin`` says.

    Raises `errors.Trouble` when it is not base64 or is empty, OSError when it cannot be written.
    """
    if re.search(r"\s", text):
        text = "".join(text.split())
    head = _DATA_URI.match(text)
    first = head.end() if head else 0
    digits = len(text) - first - text[-2:].count("=")
    incoming = Incoming(file, limit, begin=begin, promised=digits * 3 // 4)
    for start in range(first, len(text), 4 * BLOCK):
        end = start + 4 * BLOCK
        await incoming.add(await asyncio.to_thread(_decode, text[start:end], last=end >= len(text)))
    if not incoming.size:
        raise errors.Trouble("The service's result is empty")
    return await incoming.end(head["type"].lower() if head else "")


def _decode(block: str, *, last: bool) -> bytes:
    if last:
        block += "=" * (-len(block) % 4)
    elif "=" in block:
        raise _not_base64()
    try:
        return binascii.a2b_base64(block, strict_mode=True)
    except ValueError:
        raise _not_base64() from None


def _not_base64() -> errors.Trouble:
    return errors.Trouble("The service's result cannot be decoded", why="it is neither an address nor base64")


_DATA_URI = re.compile(r"data:(?P<type>[^;,]*)(;[^;,]*)*;base64,", re.IGNORECASE)
