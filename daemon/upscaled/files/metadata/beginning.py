"""The beginning of a result with its metadata in it, made while the rest is still to come: its bytes are written once.

What comes out is, to the byte, what `carry` would have written, or nothing: that is decided by the same code, which is
given the first bytes only (`held`). Where it looks at what is not there yet, nothing is begun, and `carry` does it
later. What follows the beginning of the pixels is believed to be theirs until all of it is there; then `settled` looks,
and where it is not so, `carry` sees to it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from upscaled.files.metadata import carrying, pieces
from upscaled.files.metadata.held import ENDLESS, Held
from upscaled.files.metadata.model import Beginning, Malformed, Mode, Piece, Provenance
from upscaled.files.sources import open_source
from upscaled.files.structure.kinds import HEAD, kind_of
from upscaled.files.structure.model import Reader

MOST: Final = 256 * 1024
"""More metadata than a result begins with, in bytes: what is larger is for `carry`, after the picture was looked at as
the service made it, as decoders refuse texts that are too long for them."""


def begun(
    source: Path,
    held: bytes,
    size: int | None,
    *,
    mode: Mode,
    provenance: Provenance | None = None,
    orientation: int = 1,
    srgb: bool = False,
) -> Beginning | None:
    """Return how a result begins that has its source's metadata, as `carry` would write it; None where it cannot be.

    ``held`` are its first bytes and ``size`` is that of all of it, None where nobody told. Nothing that it or the
    source holds makes this fail, and nothing is written.
    """
    whole = size == len(held)
    reader = Reader(io.BytesIO(held)) if whole else Held(held, ENDLESS if size is None else size)
    try:
        parts, notes = carrying.parts_of(source, reader, mode, provenance, orientation, srgb=srgb)
        return _beginning(parts, held, reader.size, notes)
    except Exception:  # noqa: BLE001 - `Beyond` mostly; whatever else it is, `carry` meets it again and says so
        return None


def _beginning(parts: Iterable[Piece], held: bytes, size: int, notes: Iterable[str]) -> Beginning | None:
    """Return pieces as what stands before and behind the one range that is still to come.

    None where there is no such range and more to come all the same: it is nothing that `carry` would leave there.
    """
    before: list[bytes] = []
    behind: list[bytes] = []
    start = None
    for piece in pieces.joined(parts):
        now = before if start is None else behind
        if isinstance(piece, bytes):
            now.append(piece)
        elif piece[1] <= len(held):
            now.append(held[slice(*piece)])
        elif start is None and piece[0] <= len(held) and piece[1] == size:
            start = piece[0]
        else:
            return None
    if start is None and size > len(held):
        return None
    new, tail = b"".join(before), b"".join(behind)
    skipped = len(held) if start is None else start
    if len(new) + len(tail) - skipped > MOST:
        return None
    return Beginning(new, skipped, tail, tuple(dict.fromkeys(notes)))


def settled(result: Path, *, mode: Mode) -> bool:
    """Is what follows the beginning as `carry` would have left it? Raises `FileTrouble` when it cannot be read.

    Not where something stands behind the pixels that was to be taken out, or to be carried.
    """
    with open_source(result) as file:
        reader = Reader(file)
        kind = carrying.FORMATS.get(kind_of(reader.read(0, HEAD)) or "")
        try:
            return kind is not None and kind.settled(reader, bare=mode != "keep")
        except Malformed:
            return False
