"""Pictures that tell their colours in numbers: chunks of PNG, and the code points of HEIF and AVIF."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from tests.support import icc


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def cicp(primaries: int, transfer: int, full: int = 1) -> bytes:
    """Return code points as a chunk."""
    return chunk(b"cICP", bytes((primaries, transfer, 0, full)))


def gama(value: int) -> bytes:
    """Return a gamma as a chunk, in units of 1/100,000."""
    return chunk(b"gAMA", struct.pack(">I", value))


def chrm(space: icc.Space) -> bytes:
    """Return a space's white and primaries as a chunk."""
    values = (value for point in (space.white, *space.primaries) for value in point)
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


def with_chunks(path: Path, *chunks: bytes) -> Path:
    """Put chunks behind the header of a PNG."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + b"".join(chunks) + data[33:])
    return path


def recoded(path: Path, primaries: int, transfer: int) -> Path:
    """Make a HEIC or AVIF tell other code points of the samples that it has."""
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :])
    return path
