"""PNG (ISO/IEC 15948, third edition): chunks, of which only the small ones that describe the picture are looked into.

EXIF lies in ``eXIf`` and XMP in an ``iTXt`` of a known keyword. For IPTC there is no chunk; it lies where ImageMagick
puts it and ExifTool finds it, in a text chunk called ``Raw profile type iptc``. Such profiles are read for EXIF and XMP
too, as older programs wrote them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from upscaled.files.metadata import exif
from upscaled.files.metadata.held import Held
from upscaled.files.metadata.model import LARGEST, TOO_LARGE, Canvas, Malformed, Metadata, Piece, Span
from upscaled.files.metadata.resources import of_iptc
from upscaled.files.structure.model import Reader

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_XMP: Final = b"XML:com.adobe.xmp"
_RAW: Final = b"Raw profile type "
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})

_OF_THE_PICTURE: Final = frozenset(
    {
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"),
        *(b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs"),
    }
)
"""The chunks that pixels and colours need."""

_COLOURS: Final = frozenset({b"iCCP", b"sRGB", b"cICP", b"cHRM", b"gAMA"})

_MOST: Final = 1_000_000
"""More chunks than any picture has; it bounds the time that a hostile file can take."""

_TEXT_MOST: Final = 4096
"""More text chunks than any picture has."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk that begins at ``at``; its content is ``size`` bytes long. Those of pixels are one, as far as they go."""

    name: bytes
    at: int
    size: int

    @property
    def span(self) -> Span:
        """All of it, with its checksum."""
        return Span(self.at, self.at + 12 + self.size)


def read(reader: Reader) -> Metadata:
    """Return what a file carries. Raises `Malformed` when its chunks cannot be followed."""
    found = Metadata()
    texts = 0
    for chunk in _chunks(reader):
        if chunk.name == b"eXIf":
            found = replace(found, exif=_content(reader, chunk))
        elif chunk.name == b"caBX":
            note = "The source's C2PA manifest was not carried: it vouches for the source's own bytes."
            found = replace(found, notes=(*found.notes, note))
        elif chunk.name in _TEXTS and texts < _TEXT_MOST:
            texts += 1
            found = _with_text(found, chunk, _content(reader, chunk))
    return found


def _with_text(found: Metadata, chunk: _Chunk, content: bytes) -> Metadata:
    keyword, _, rest = content.partition(b"\0")
    if keyword != _XMP and not keyword.startswith(_RAW):
        return found
    try:
        value = _text(chunk, rest)
        if keyword == _XMP:
            return replace(found, xmp=value)
        return _with_profile(found, keyword.removeprefix(_RAW).strip().lower(), value)
    except Malformed as error:
        text = f"The text chunk {keyword.decode('latin-1')[:40]!r} was not carried: {error}."
        return replace(found, notes=(*found.notes, text))


def _with_profile(found: Metadata, kind: bytes, value: bytes) -> Metadata:
    """Add what a raw profile holds; the format's own chunks are believed before it."""
    data = _unhexed(value)
    if kind in {b"exif", b"app1"} and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        return found if found.xmp else replace(found, xmp=data[29:])
    if kind in {b"exif", b"app1"}:
        return found if found.exif else replace(found, exif=data.removeprefix(b"Exif\0\0"))
    if kind == b"xmp":
        return found if found.xmp else replace(found, xmp=data)
    if kind in {b"iptc", b"8bim"}:
        data = data.removeprefix(b"Photoshop 3.0\0")
        return replace(found, resources=of_iptc(data) if data[:1] == b"\x1c" else data)
    return found


def _text(chunk: _Chunk, rest: bytes) -> bytes:
    """Return the text of a chunk, given what follows its keyword."""
    if chunk.size > LARGEST:
        raise Malformed("it is larger than any metadata")
    if chunk.name == b"tEXt":
        return rest
    if chunk.name == b"zTXt":
        return _inflated(rest[1:])
    if len(rest) < 2:
        raise Malformed("it is too short")
    compressed, text = rest[0], rest[2:].split(b"\0", 2)[-1]
    return _inflated(text) if compressed else text


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        value = inflater.decompress(data, LARGEST)
    except zlib.error as error:
        raise Malformed(f"it cannot be decompressed: {error}") from error
    if inflater.unconsumed_tail:
        raise Malformed("it is larger than any metadata")
    return value


_PROFILE: Final = re.compile(rb"\s*[^\n]{0,80}\n\s*(\d{1,9})\s([0-9a-fA-F\s]*)")


def _unhexed(value: bytes) -> bytes:
    """Return what a raw profile holds: a name, its length in bytes, and hexadecimal digits."""
    match = _PROFILE.match(value)
    if match is None:
        raise Malformed("it is no profile")
    digits = b"".join(match[2].split())
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))[: int(match[1])]


def _chunks(reader: Reader) -> Iterator[_Chunk]:
    """Yield the chunks to the end. Raises `Malformed` where they cannot be followed.

    Of a file that is still coming, all from the first one of pixels on is one chunk.
    """
    # libpng writes 8 KB of pixels to a chunk: they are the many.
    pixels: list[int] = []
    for name, at, size in _heads(reader):
        if name == b"IDAT" and isinstance(reader, Held):
            yield _Chunk(name, at, reader.size - at - 12)
            return
        if name == b"IDAT":
            pixels.append(at)
            continue
        if pixels:
            yield _Chunk(b"IDAT", pixels[0], at - pixels[0] - 12)
            pixels = []
        yield _Chunk(name, at, size)


def _heads(reader: Reader) -> Iterator[tuple[bytes, int, int]]:
    """Yield what each chunk begins with, to the end: its name, where it is, and its size."""
    at = len(_SIGNATURE)
    for _ in range(_MOST):
        head = reader.read(at, 8)
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or not name.isalpha() or at + 12 + size > reader.size:
            raise Malformed("its chunks cannot be followed")
        yield name, at, size
        if name == b"IEND":
            return
        at += 12 + size
    raise Malformed("it has too many chunks")


def _content(reader: Reader, chunk: _Chunk) -> bytes:
    return reader.read(chunk.at + 8, min(chunk.size, TOO_LARGE))


# --- writing ---------------------------------------------------------------------------------------------------------


def canvas(reader: Reader) -> Canvas:
    """Return what the result is. Raises `Malformed`."""
    head = reader.read(len(_SIGNATURE), 25)
    if len(head) < 25 or head[4:8] != b"IHDR":
        raise Malformed("it has no header")
    profiled = any(name in _COLOURS for name in _before_pixels(reader))
    width, height = int.from_bytes(head[8:12], "big"), int.from_bytes(head[12:16], "big")
    return Canvas("png", width, height, grey=head[17] in {0, 4}, profiled=profiled)


def _before_pixels(reader: Reader) -> Iterator[bytes]:
    for name, _, _ in _heads(reader):
        if name == b"IDAT":
            return
        yield name


def assembled(reader: Reader, new: Metadata, profile: bytes | None, *, bare: bool) -> tuple[list[Piece], list[str]]:
    """Return the pieces of the result with new metadata instead of its own.

    What else it says stays as it is; with ``bare`` only what its pixels and colours need. Raises `Malformed`.
    """
    chunks = _chunks(reader)
    header = next(chunks)
    pieces: list[Piece] = [_SIGNATURE, header.span]
    # One chunk says it, and says it of grey pixels too; its value is the intent: perceptual.
    pieces += [_chunk(b"sRGB", b"\0")] if profile is not None else []
    pieces += [_chunk(b"eXIf", new.exif)] if new.exif is not None else []
    pieces += [_chunk(b"iTXt", _XMP + b"\0\0\0\0\0" + new.xmp)] if new.xmp is not None else []
    pieces += [_profile(new.resources)] if new.resources is not None else []
    for chunk in chunks:
        if not _unwanted(reader, chunk, bare=bare):
            pieces.append(chunk.span)
    return pieces, []


def settled(reader: Reader, *, bare: bool) -> bool:
    """Would all that stands behind the beginning of the pixels stay where it is? Raises `Malformed`."""
    pixels, end = False, 0
    for chunk in _chunks(reader):
        pixels, end = pixels or chunk.name == b"IDAT", chunk.span.end
        if pixels and _unwanted(reader, chunk, bare=bare):
            return False
    return end == reader.size


def _unwanted(reader: Reader, chunk: _Chunk, *, bare: bool) -> bool:
    if bare or chunk.name in {b"eXIf", b"caBX"}:
        return chunk.name not in _OF_THE_PICTURE
    if chunk.name not in _TEXTS:
        return False
    return reader.read(chunk.at + 8, min(chunk.size, 24)).startswith((_XMP, _RAW))


def _profile(resources: bytes) -> bytes:
    digits = resources.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = b"\niptc\n%8d\n%s\n" % (len(resources), lines)
    return _chunk(b"zTXt", _RAW + b"iptc\0\0" + zlib.compress(text))


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")


# --- nothing but the picture -----------------------------------------------------------------------------------------


def bare(reader: Reader, orientation: int) -> list[Piece]:
    """Return the pieces of a picture without anything but what its pixels and colours need. Raises `Malformed`."""
    pieces: list[Piece] = [_SIGNATURE]
    for chunk in _chunks(reader):
        if chunk.name in _OF_THE_PICTURE:
            pieces.append(chunk.span)
        if chunk.name == b"IHDR" and orientation != 1:
            pieces.append(_chunk(b"eXIf", exif.oriented(orientation)))
    return pieces
