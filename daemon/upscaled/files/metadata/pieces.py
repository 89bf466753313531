"""Writing: the pieces of a result, some new and most as they were, into a part that is durable and known by its digest.

The crash argument. The part is a new file beside the one it is made from, which stays as it is; a second run writes it
again from the start. It is whole and on the disk when its digest is returned, and gone when writing it fails.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from upscaled import errors
from upscaled.files.metadata.model import Carried, Piece
from upscaled.files.parts import create_part, discard, sync
from upscaled.files.sources import identity_of_open
from upscaled.files.trouble import translated

_WINDOW: Final = 16 << 20
"""How much is mapped, hashed and written at a time, in bytes: what is written in large pieces costs Linux less."""


def write(out: Path, origin: BinaryIO, pieces: Iterable[Piece], notes: Iterable[str] = ()) -> Carried:
    """Write pieces, some of which are ranges of ``origin``, and return what was written, with notes, each once.

    Raises `FileTrouble`; then there is no file.
    """
    try:
        with create_part(out) as file, translated(out, "write"):
            os.fchmod(file.fileno(), os.fstat(origin.fileno()).st_mode & 0o777)
            digest, size = _written(file, _blocks(origin, pieces))
            sync(file)
            identity = identity_of_open(file)
    except errors.FileTrouble:
        with suppress(OSError):
            discard(out)
        raise
    return Carried(digest, size, identity, tuple(dict.fromkeys(notes)))


def _written(file: BinaryIO, blocks: Iterable[bytes | memoryview]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        file.write(block)
        size += len(block)
    return digest.hexdigest(), size


def _blocks(origin: BinaryIO, pieces: Iterable[Piece]) -> Iterator[bytes | memoryview]:
    """Yield the pieces' bytes. A view is good until the next one."""
    for piece in joined(pieces):
        if isinstance(piece, bytes):
            yield piece
            continue
        start, end = piece
        for at in range(start, end, _WINDOW):
            with _mapped(origin, at, min(end, at + _WINDOW)) as view:
                yield view


@contextmanager
def _mapped(origin: BinaryIO, start: int, end: int) -> Iterator[memoryview]:
    """Show a range of a file, which is copied nowhere for that.

    A share that goes away while it is looked at ends the process, which is a worker's and is replaced.
    """
    first = start - start % mmap.ALLOCATIONGRANULARITY
    # Private, as some file systems map nothing else; nothing is written into it.
    flags = mmap.MAP_PRIVATE | mmap.MAP_POPULATE
    try:
        with translated(Path(str(origin.name)), "read"):
            mapping = mmap.mmap(origin.fileno(), end - first, flags=flags, prot=mmap.PROT_READ, offset=first)
    except ValueError:
        what = "The result became shorter while it was read"
        raise errors.PartMissing(what, path=Path(str(origin.name))) from None
    with mapping, memoryview(mapping) as all_of_it, all_of_it[start - first :] as view:
        yield view


def joined(pieces: Iterable[Piece]) -> Iterator[bytes | tuple[int, int]]:
    """Yield ranges that follow each other as one."""
    start = end = 0
    for piece in pieces:
        if not isinstance(piece, bytes) and piece.start == end and end > start:
            end = piece.end
            continue
        if end > start:
            yield start, end
        start = end = 0
        if isinstance(piece, bytes):
            yield piece
        else:
            start, end = piece.start, piece.end
    if end > start:
        yield start, end
