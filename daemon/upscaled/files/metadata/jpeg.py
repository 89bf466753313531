"""JPEG (ITU T.81): the segments before the first scan, read and put together; the scans are never looked into.

APP1    EXIF, XMP, and pieces of extended XMP (XMP specification part 3, 1.1.3)
APP2    ICC profile (ICC.1, B.4); MPF, the list of the pictures behind the end
APP11   C2PA manifests, in JUMBF boxes
APP13   Photoshop image resources
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from upscaled.files.metadata import exif, xmp
from upscaled.files.metadata.held import Held
from upscaled.files.metadata.model import LARGEST, Canvas, Malformed, Metadata, Piece, Span
from upscaled.files.structure.model import Reader

_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_ICC: Final = b"ICC_PROFILE\0"
_MPF: Final = b"MPF\0"

_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _COM = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
_SOS, _EOI = 0xDA, 0xD9
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_DECODED: Final = _FRAMES | {0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD}
"""Frames, scans, and the tables and numbers that they are decoded with."""

_MOST: Final = 10_000
"""More segments than any picture has before its first scan."""

LIMIT: Final = 0xFFFF - 2
"""The most that a segment holds, in bytes."""

_NEXT_MARKER: Final = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment: its marker is at ``at``, and its content lies from ``start`` to ``end``."""

    marker: int
    at: int
    start: int
    end: int
    head: bytes
    """The first bytes of the content, which tell what it is."""

    def is_a(self, marker: int, *heads: bytes) -> bool:
        """Is it the application segment that begins so?"""
        return self.marker == marker and self.head.startswith(heads)

    @property
    def span(self) -> Span:
        """All of it, with its marker."""
        return Span(self.at, self.end)

    @property
    def describes(self) -> bool:
        """Is it metadata that is carried, or of a picture that another file was?"""
        return self.is_a(_APP1, _EXIF, _XMP, _EXTENSION) or self.is_a(_APP13, _PHOTOSHOP) or self.manifest

    @property
    def manifest(self) -> bool:
        """Does it hold a signed manifest (C2PA 2.1, A.3.1)? They are JUMBF boxes; little else uses them."""
        return self.is_a(_APP11, b"JP") and self.head[12:16] == b"jumb"


def read(reader: Reader) -> Metadata:
    """Return what a file carries. Raises `Malformed` when its segments cannot be followed."""
    segments, _ = _segments(reader)
    notes = [_LEFT[name] for name, there in _left(segments) if there]
    comments = _contents(reader, [each for each in segments if each.marker == _COM], b"", _LONGEST_COMMENT)
    if comments is None:
        notes.append("The comments were not carried: they are longer than any person writes.")
    found = Metadata(
        exif=_first(reader, segments, _EXIF),
        xmp=_first(reader, segments, _XMP),
        resources=_resources(reader, segments, notes),
        comments=tuple(comments or ()),
        notes=tuple(notes),
    )
    return _with_extended(found, reader, segments)


def _first(reader: Reader, segments: list[_Segment], head: bytes) -> bytes | None:
    """Return what the first segment of a kind holds: there is one of each."""
    found = next((each for each in segments if each.is_a(_APP1, head)), None)
    return None if found is None else _content(reader, found)[len(head) :]


def _resources(reader: Reader, segments: list[_Segment], notes: list[str]) -> bytes | None:
    parts = [each for each in segments if each.is_a(_APP13, _PHOTOSHOP)]
    found = _contents(reader, parts, _PHOTOSHOP, LARGEST)
    if found is None:
        notes.append("The IPTC was not carried: it is larger than any metadata.")
    return b"".join(found or ()) or None


def _contents(reader: Reader, segments: list[_Segment], head: bytes, most: int) -> list[bytes] | None:
    """Return what segments hold behind their heads; None where that is more than ``most`` bytes."""
    if sum(each.end - each.start for each in segments) > most:
        return None
    return [_content(reader, each)[len(head) :] for each in segments]


_LONGEST_COMMENT: Final = 1 << 20

_LEFT: Final = {
    "pictures": "The pictures or films behind the source's end (a gain map, a motion photo) were not carried.",
    "manifest": "The source's C2PA manifest was not carried: it vouches for the source's own bytes.",
}


def _left(segments: list[_Segment]) -> Iterator[tuple[str, bool]]:
    yield "pictures", any(each.is_a(_APP2, _MPF) for each in segments)
    yield "manifest", any(each.manifest for each in segments)


def _with_extended(found: Metadata, reader: Reader, segments: list[_Segment]) -> Metadata:
    """Put the pieces of the extended XMP together that the packet refers to, if they are all there and right."""
    pieces = [each for each in segments if each.is_a(_APP1, _EXTENSION)]
    if found.xmp is None or not pieces:
        return found
    try:
        document = _joined(xmp.expected_guid(found.xmp), _contents(reader, pieces, _EXTENSION, LARGEST))
    except Malformed as error:
        return replace(found, notes=(*found.notes, f"The extended XMP was not carried: {error}."))
    return replace(found, extended=document)


def _joined(name: str | None, pieces: list[bytes] | None) -> bytes:
    """Put pieces together, each of which begins with the document's GUID, its length, and where the piece belongs."""
    if pieces is None:
        raise Malformed("it is larger than any metadata")
    if name is None:
        raise Malformed("the XMP does not refer to it")
    parts = {int.from_bytes(piece[36:40], "big"): piece[40:] for piece in pieces if piece[:32] == name.encode()}
    document = b"".join(parts[at] for at in sorted(parts))
    if xmp.guid(document) != name.upper():
        raise Malformed("pieces of it are missing or were changed")
    return document


def _content(reader: Reader, segment: _Segment) -> bytes:
    return reader.read(segment.start, segment.end - segment.start)


def _segments(reader: Reader, at: int = 2) -> tuple[list[_Segment], int]:
    """Return the segments from ``at`` to the next scan, its header among them, and where its data begins."""
    found: list[_Segment] = []
    for _ in range(_MOST):
        head = reader.read(at, 64)
        filled = len(head) - len(head.lstrip(b"\xff"))
        if filled and head[filled : filled + 1] == bytes((_EOI,)):
            return found, at + filled - 1
        if not filled or len(head) < filled + 3:
            raise Malformed("its segments cannot be followed")
        marker, start = head[filled], at + filled + 3
        end = start - 2 + int.from_bytes(head[filled + 1 : filled + 3], "big")
        if marker < 0xC0 or 0xD0 <= marker <= 0xD8 or end < start or end > reader.size:
            raise Malformed("its segments cannot be followed")
        found.append(_Segment(marker, at, start, end, head[filled + 3 :][: end - start]))
        if marker == _SOS:
            return found, end
        at = end
    raise Malformed("it has too many segments")


# --- writing ---------------------------------------------------------------------------------------------------------


def canvas(reader: Reader) -> Canvas:
    """Return what the result is. Raises `Malformed`."""
    segments, _ = _segments(reader)
    frame = next((each for each in segments if each.marker in _FRAMES), None)
    if frame is None or len(frame.head) < 6:
        raise Malformed("it has no header")
    height, width = int.from_bytes(frame.head[1:3], "big"), int.from_bytes(frame.head[3:5], "big")
    profiled = any(each.is_a(_APP2, _ICC) for each in segments)
    return Canvas("jpeg", width, height, grey=frame.head[5] != 3, profiled=profiled)


def assembled(reader: Reader, new: Metadata, profile: bytes | None, *, bare: bool) -> tuple[list[Piece], list[str]]:
    """Return the pieces of the result with new metadata instead of its own.

    What else it says (JFIF, Adobe, its ICC profile) stays as it is; with ``bare`` only what its pixels and colours
    need, and nothing behind its end. Raises `Malformed`.
    """
    segments, scan = _segments(reader)
    block, notes = _fitting_exif(new)
    opening = [each.span for each in segments if each.is_a(_APP0, b"JFIF\0")]
    kept = [each for each in segments if _of_the_picture(each)] if bare else _undescribed(segments, new)
    rest = [each.span for each in kept if not each.is_a(_APP0, b"JFIF\0")]
    pieces: list[Piece] = [b"\xff\xd8", *opening]
    pieces += [_segment(_APP1, _EXIF + block)] if block else []
    pieces += _xmp_segments(new)
    pieces += [_segment(_APP13, _PHOTOSHOP + part) for part in _parts(new.resources or b"", LIMIT - len(_PHOTOSHOP))]
    if profile is not None:
        pieces.append(_segment(_APP2, _ICC + b"\1\1" + profile))
    pieces += [_segment(_COM, comment) for comment in new.comments]
    pieces += rest
    pieces += _scans(reader, scan) if bare and not isinstance(reader, Held) else [Span(scan, reader.size)]
    return pieces, notes


def settled(reader: Reader, *, bare: bool) -> bool:
    """Would all that stands behind the first scan's header stay where it is? Raises `Malformed`."""
    if not bare:
        return True
    end = _segments(reader)[1]
    for piece in _scans(reader, end):
        if not isinstance(piece, Span):
            return reader.read(end, 3) == piece
        if piece.start != end:
            return False
        end = piece.end
    return False


def _undescribed(segments: list[_Segment], new: Metadata) -> list[_Segment]:
    """Return the segments that new metadata does not replace."""
    return [each for each in segments if not each.describes and not (new.comments and each.marker == _COM)]


def _fitting_exif(new: Metadata) -> tuple[bytes | None, list[str]]:
    limit = LIMIT - len(_EXIF)
    if new.exif is None or len(new.exif) <= limit:
        return new.exif, []
    smaller = exif.without_maker_notes(new.exif)
    if len(smaller) <= limit:
        return smaller, ["The MakerNotes were not carried: with them the EXIF is more than a JPEG can hold."]
    return None, ["The EXIF was not carried: it is more than a JPEG can hold."]


def _xmp_segments(new: Metadata) -> Iterator[bytes]:
    if new.xmp is not None:
        yield _segment(_APP1, _XMP + new.xmp)
    if new.extended is not None:
        size = len(new.extended).to_bytes(4, "big")
        head = _EXTENSION + xmp.guid(new.extended).encode() + size
        at = 0
        for part in _parts(new.extended, LIMIT - len(head) - 4):
            yield _segment(_APP1, head + at.to_bytes(4, "big") + part)
            at += len(part)


XMP_LIMIT: Final = LIMIT - len(_XMP)
"""The longest packet that fits; what is longer is extended XMP."""


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def _next_marker(reader: Reader, start: int) -> int:
    for offset, block in reader.blocks(start, reader.size, overlap=1):
        if match := _NEXT_MARKER.search(block):
            return offset + match.end() - 2
    raise Malformed("it has no end")


# --- nothing but the picture -----------------------------------------------------------------------------------------


def bare(reader: Reader, orientation: int) -> list[Piece]:
    """Return the pieces of a picture without anything but what its pixels and colours need. Raises `Malformed`."""
    segments, scan = _segments(reader)
    pieces: list[Piece] = [b"\xff\xd8"]
    if orientation != 1:
        pieces.append(_segment(_APP1, _EXIF + exif.oriented(orientation)))
    pieces += [each.span for each in segments if _of_the_picture(each)]
    pieces += _scans(reader, scan)
    return pieces


def _of_the_picture(segment: _Segment) -> bool:
    if segment.marker in _DECODED:
        return True
    return segment.is_a(_APP0, b"JFIF\0") or segment.is_a(_APP2, _ICC) or segment.is_a(_APP14, b"Adobe")


def _scans(reader: Reader, scan: int) -> Iterator[Piece]:
    """Yield the scans and the tables between them, to the end marker."""
    for _ in range(_MOST):
        marker = _next_marker(reader, scan)
        yield Span(scan, marker)
        segments, scan = _segments(reader, marker)
        yield from (each.span for each in segments if _of_the_picture(each))
        if not segments or segments[-1].marker != _SOS:
            yield b"\xff\xd9"
            return
    raise Malformed("it has too many scans")
