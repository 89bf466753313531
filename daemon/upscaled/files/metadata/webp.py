"""WebP (RFC 9649): a RIFF container; with metadata it begins with a ``VP8X`` chunk that says what is there.

A picture in the simple format, which is one chunk of pixels, becomes one in the extended format around the same chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from upscaled.files.metadata import exif
from upscaled.files.metadata.model import TOO_LARGE, Canvas, Malformed, Metadata, Piece, Span
from upscaled.files.structure.model import Reader

_ICC, _ALPHA, _EXIF, _XMP, _ANIMATED = 0x20, 0x10, 0x08, 0x04, 0x02

_OF_THE_PICTURE: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})

_MOST: Final = 200_000
"""More chunks than any picture has; it bounds the time that a hostile file can take."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk that begins at ``at``; its content is ``size`` bytes long."""

    name: bytes
    at: int
    size: int

    @property
    def span(self) -> Span:
        """All of it, with its padding."""
        return Span(self.at, self.at + 8 + self.size + self.size % 2)


def read(reader: Reader) -> Metadata:
    """Return what a file carries. Raises `Malformed` when its chunks cannot be followed."""
    found = Metadata()
    for chunk in _chunks(reader):
        if chunk.name == b"EXIF" and found.exif is None:
            found = replace(found, exif=_content(reader, chunk).removeprefix(b"Exif\0\0"))
        elif chunk.name == b"XMP " and found.xmp is None:
            found = replace(found, xmp=_content(reader, chunk))
        elif chunk.name == b"C2PA":
            note = "The source's C2PA manifest was not carried: it vouches for the source's own bytes."
            found = replace(found, notes=(*found.notes, note))
    return found


def _chunks(reader: Reader) -> Iterator[_Chunk]:
    """Yield the chunks of the container. Raises `Malformed` where they cannot be followed."""
    end = 8 + int.from_bytes(reader.read(4, 4), "little")
    at = 12
    for _ in range(_MOST):
        if at >= end:
            return
        head = reader.read(at, 8)
        chunk = _Chunk(head[:4], at, int.from_bytes(head[4:], "little"))
        # The padding of the last one is missing in files of careless writers.
        if len(head) < 8 or at + 8 + chunk.size > min(end, reader.size):
            raise Malformed("its chunks cannot be followed")
        yield chunk
        at = chunk.span.end
    raise Malformed("it has too many chunks")


def _content(reader: Reader, chunk: _Chunk) -> bytes:
    return reader.read(chunk.at + 8, min(chunk.size, TOO_LARGE))


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a file's chunks are, and what its first one says or would say."""

    chunks: tuple[_Chunk, ...]
    flags: int
    size: bytes
    """Width and height of the canvas, less one, as ``VP8X`` has them."""


def _layout(reader: Reader) -> _Layout:
    chunks = tuple(_chunks(reader))
    if not chunks:
        raise Malformed("it has no chunks")
    head = reader.read(chunks[0].at + 8, 10)
    if chunks[0].name == b"VP8X" and len(head) == 10 and chunks[0].size >= 10:
        return _Layout(chunks, head[0], head[4:])
    pixels = next((chunk for chunk in chunks if chunk.name in {b"VP8 ", b"VP8L"}), None)
    if pixels is None:
        raise Malformed("it has no pixels")
    width, height, alpha = _frame(pixels.name, reader.read(pixels.at + 8, 10))
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _Layout(chunks, _ALPHA if alpha else 0, size)


def _frame(name: bytes, head: bytes) -> tuple[int, int, bool]:
    """Return width, height, and whether there is an alpha channel (RFC 9649, 2.5 and 3.4; RFC 6386, 9.1)."""
    if name == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if name == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) >= 10:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        if width and height:
            return width, height, False
    raise Malformed("its pixels do not begin as they must")


def canvas(reader: Reader) -> Canvas:
    """Return what the result is. Raises `Malformed`."""
    layout = _layout(reader)
    width, height = (int.from_bytes(layout.size[at : at + 3], "little") + 1 for at in (0, 3))
    return Canvas("webp", width, height, profiled=any(chunk.name == b"ICCP" for chunk in layout.chunks))


def assembled(reader: Reader, new: Metadata, profile: bytes | None, *, bare: bool) -> tuple[list[Piece], list[str]]:
    """Return the pieces of the result with new metadata instead of its own. With ``bare``, nothing unknown stays.

    Raises `Malformed`.
    """
    layout = _layout(reader)
    kept = [chunk for chunk in layout.chunks if _wanted(chunk.name, bare=bare)]
    icc = [_chunk(b"ICCP", profile)] if profile is not None else []
    tail = [_chunk(b"EXIF", new.exif)] if new.exif is not None else []
    tail += [_chunk(b"XMP ", new.xmp)] if new.xmp is not None else []
    flags = layout.flags & (_ALPHA | _ANIMATED)
    flags |= _ICC if icc or any(chunk.name == b"ICCP" for chunk in kept) else 0
    flags |= (_EXIF if new.exif is not None else 0) | (_XMP if new.xmp is not None else 0)
    return _file(reader, flags, layout.size, kept, first=icc, last=tail), []


def settled(_reader: Reader, *, bare: bool) -> bool:  # noqa: ARG001 - as other formats have it
    """Would all that stands behind the beginning stay where it is? Always: all chunks were known when it was begun."""
    return True


def _wanted(name: bytes, *, bare: bool) -> bool:
    return name in _OF_THE_PICTURE or not (bare or name in {b"EXIF", b"XMP ", b"VP8X", b"C2PA"})


def _file(
    reader: Reader, flags: int, size: bytes, kept: list[_Chunk], *, first: list[bytes], last: list[bytes]
) -> list[Piece]:
    """Return the pieces of a file: with ``VP8X`` where there is anything for it to say, else in the simple format."""
    simple = not flags and not first and not last and len(kept) == 1
    head = [] if simple else [_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + size)]
    body: list[Piece] = [*head, *first]
    for chunk in kept:
        end = min(chunk.span.end, reader.size)
        body += [Span(chunk.at, end), bytes(chunk.span.end - end)]
    body += last
    total = 4 + sum(len(each) if isinstance(each, bytes) else each.end - each.start for each in body)
    if total > 0xFFFFFFFE:
        raise Malformed("it would be larger than the format allows")
    return [b"RIFF" + total.to_bytes(4, "little") + b"WEBP", *body]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


# --- nothing but the picture -----------------------------------------------------------------------------------------


def bare(reader: Reader, orientation: int) -> list[Piece]:
    """Return the pieces of a picture without anything but what its pixels and colours need. Raises `Malformed`."""
    layout = _layout(reader)
    kept = [chunk for chunk in layout.chunks if chunk.name in _OF_THE_PICTURE]
    tail = [_chunk(b"EXIF", exif.oriented(orientation))] if orientation != 1 else []
    flags = layout.flags & (_ALPHA | _ANIMATED) | (_EXIF if tail else 0)
    flags |= _ICC if any(chunk.name == b"ICCP" for chunk in kept) else 0
    return _file(reader, flags, layout.size, kept, first=[], last=tail)
