"""Carry metadata from a source into the result that was made of it; and the other way: a source without any, to upload.

The result's pixels are its own bytes, copied. Whatever is wrong with metadata, the result is delivered: what cannot be
carried is left behind, and a note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from upscaled import errors
from upscaled.errors import FileTrouble
from upscaled.files.metadata import exif, jpeg, pieces, png, reading, resources, webp, xmp
from upscaled.files.metadata.held import Beyond
from upscaled.files.metadata.icc import profile_for
from upscaled.files.metadata.model import Aim, Canvas, Carried, Malformed, Metadata, Mode, Piece, Provenance, Span
from upscaled.files.metadata.packet import Packet, text_of
from upscaled.files.sources import open_source
from upscaled.files.structure.exif import orientation as orientation_of
from upscaled.files.structure.kinds import HEAD, kind_of
from upscaled.files.structure.model import Reader


class _Assemble(Protocol):
    def __call__(
        self, reader: Reader, new: Metadata, profile: bytes | None, *, bare: bool
    ) -> tuple[list[Piece], list[str]]: ...


class _Settled(Protocol):
    def __call__(self, reader: Reader, /, *, bare: bool) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Format:
    """What can be done with a result of one format."""

    canvas: Callable[[Reader], Canvas]
    read: Callable[[Reader], Metadata]
    assembled: _Assemble
    bare: Callable[[Reader, int], list[Piece]]
    settled: _Settled


FORMATS: Final[Mapping[str, _Format]] = {
    "jpeg": _Format(jpeg.canvas, jpeg.read, jpeg.assembled, jpeg.bare, jpeg.settled),
    "png": _Format(png.canvas, png.read, png.assembled, png.bare, png.settled),
    "webp": _Format(webp.canvas, webp.read, webp.assembled, webp.bare, webp.settled),
}


def carry(
    source: Path,
    result: Path,
    out: Path,
    *,
    mode: Mode,
    provenance: Provenance | None = None,
    orientation: int = 1,
    srgb: bool = False,
) -> Carried:
    """Write ``out``: the result's picture, bit for bit, with the source's metadata and its provenance.

    ``orientation`` is how the result's pixels stand (EXIF, 1 to 8); ``srgb`` says that they are sRGB, so that a result
    without a profile gets one. Run again after a crash: writes ``out`` again. Raises `FileTrouble` when the
    result cannot be read or ``out`` not written; then there is no ``out``. A source that is gone is only noted.
    """
    with open_source(result) as file:
        reader = Reader(file)
        try:
            parts, notes = parts_of(source, reader, mode, provenance, orientation, srgb=srgb)
        except Malformed as error:
            parts, notes = [Span(0, reader.size)], [f"Nothing was written into the result: {error}."]
        return pieces.write(out, file, parts, notes)


def strip_places(source: Path, out: Path) -> Carried:
    """Write ``out``: the picture of a JPEG, PNG or WebP, bit for bit, and nothing else that its file holds, to upload.

    What stays is what pixels and colours need; how it stands is said where it is not upright. Everything else goes,
    known or not: EXIF, XMP, IPTC, MakerNotes, thumbnails, texts, comments, and whatever lies behind the picture's end.
    Run again after a crash: writes ``out`` again. Raises `BadPicture` where the file cannot be followed, so that it is
    not uploaded as it is; `FileTrouble` when it cannot be read or written. In both cases there is no ``out``.
    """
    with open_source(source) as file:
        reader = Reader(file)
        kind = kind_of(reader.read(0, HEAD)) or ""
        if kind not in FORMATS:
            raise errors.BadPicture("places can be taken out of JPEG, PNG and WebP only")
        try:
            parts = FORMATS[kind].bare(reader, _orientation(FORMATS[kind], reader))
        except Malformed as error:
            raise errors.BadPicture("places cannot be taken out of the picture", why=str(error)) from error
        return pieces.write(out, file, parts)


def _orientation(kind: _Format, reader: Reader) -> int:
    block = kind.read(reader).exif
    return (orientation_of(block) if block else None) or 1


def parts_of(
    source: Path, reader: Reader, mode: Mode, provenance: Provenance | None, orientation: int, *, srgb: bool
) -> tuple[list[Piece], list[str]]:
    """Return the pieces of the result, and what could not be carried. Raises `Malformed`: the result is not known.

    Raises `Beyond` where only its first bytes are there and more must be known.
    """
    kind = FORMATS.get(kind_of(reader.read(0, HEAD)) or "")
    if kind is None:
        raise Malformed("it is neither JPEG, PNG nor WebP")
    canvas = kind.canvas(reader)
    aim = Aim(canvas.width, canvas.height, orientation, srgb=srgb)
    notes: list[str] = []
    strip = mode != "keep"
    try:
        found = _found(source, kind, reader, notes) if mode != "none" else Metadata()
        new = _fitted(_adapted(found, aim, provenance, notes, strip=strip), canvas.kind, notes)
    except Beyond:
        raise
    except Exception as error:  # noqa: BLE001 - nothing that a stranger's file holds may cost a result that was paid
        notes.append(f"The source's metadata was not carried: {error or type(error).__name__}.")
        new = _fitted(_adapted(Metadata(), aim, provenance, [], strip=strip), canvas.kind, [])
    profile = profile_for(canvas, srgb=srgb)
    parts, more = kind.assembled(reader, new, profile, bare=strip)
    return parts, [*notes, *more]


def _found(source: Path, kind: _Format, reader: Reader, notes: list[str]) -> Metadata:
    """Return what is to be carried: the source's, and where it has nothing of a kind, what the service wrote."""
    try:
        with open_source(source) as file:
            theirs = reading.read(file)
    except (FileTrouble, OSError) as error:
        notes.append(f"The source's metadata was not carried, because it cannot be read: {error}.")
        theirs = Metadata()
    notes += theirs.notes
    own = Metadata()
    with suppress(Malformed):
        own = reading.bounded(kind.read(reader))
    return Metadata(
        exif=theirs.exif or own.exif,
        xmp=theirs.xmp or own.xmp,
        extended=theirs.extended if theirs.xmp else own.extended,
        resources=theirs.resources or own.resources,
        comments=theirs.comments or own.comments,
    )


# --- adapting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Adapted:
    """Metadata that is true of the result, with its XMP still open to more."""

    exif: bytes | None
    packet: Packet | None
    extended: Packet | None
    resources: bytes | None
    comments: tuple[bytes, ...]

    def written(self) -> Metadata:
        """Return it as the bytes that are written."""
        packet, extended = (None if each is None else each.data for each in (self.packet, self.extended))
        return Metadata(self.exif, packet, extended, self.resources, self.comments)


def _adapted(found: Metadata, aim: Aim, provenance: Provenance | None, notes: list[str], *, strip: bool) -> _Adapted:
    """Return metadata that is true of the result, without places where ``strip``."""
    how = xmp.rule(aim, strip=strip, provenance=provenance is not None)
    packet = xmp.read_or_none(found.xmp, how, "XMP", notes)
    extended = xmp.read_or_none(found.extended, how, "extended XMP", notes) if packet is not None else None
    if provenance is not None:
        packet = xmp.with_provenance(packet or Packet.empty(), provenance)
    return _Adapted(
        exif=_exif(found.exif, aim, notes, strip=strip),
        packet=packet,
        extended=extended,
        resources=_resources(found.resources, notes, strip=strip),
        comments=() if strip else found.comments,
    )


def _exif(block: bytes | None, aim: Aim, notes: list[str], *, strip: bool) -> bytes | None:
    if block is None:
        return None
    try:
        if not strip:
            return exif.corrected(block, aim)
        kept, more = exif.without_places(block, aim)
    except Malformed as error:
        notes.append(f"The EXIF was not carried: {error}.")
        return None
    notes += more
    return kept


def _resources(block: bytes | None, notes: list[str], *, strip: bool) -> bytes | None:
    if block is None:
        return None
    kept, whole = resources.carried(block, strip=strip)
    if not whole:
        notes.append("Not all of the IPTC was carried: its resources cannot be followed.")
    return kept or None


# --- fitting into a format -------------------------------------------------------------------------------------------


def _fitted(new: _Adapted, kind: str, notes: list[str]) -> Metadata:
    """Return metadata as the result's format can hold it. Raises `Malformed` where XMP cannot be joined."""
    if kind == "jpeg":
        return _within_segments(new)
    if new.comments:
        notes.append(f"The comment was not carried: {_NAMES[kind]} has no place for it.")
    if new.extended is not None and new.packet is not None:
        new = replace(new, packet=new.packet.having(new.extended), extended=None)
    if kind == "webp" and new.resources is not None:
        new = _as_xmp(new, new.resources, notes)
    return new.written()


_NAMES: Final = {"png": "PNG", "webp": "WebP"}


def _within_segments(new: _Adapted) -> Metadata:
    """Return metadata whose XMP fits into JPEG's segments: what is longer than one becomes extended XMP."""
    packet, extended = new.packet, new.extended
    if packet is None:
        return new.written()
    whole = packet
    if extended is not None:
        packet = xmp.extended_by(packet, extended.data)
    if len(packet.data) > jpeg.XMP_LIMIT:
        packet = packet.trimmed()
    if len(packet.data) > jpeg.XMP_LIMIT:
        extended = whole if extended is None else whole.having(extended)
        packet = xmp.extended_by(Packet.empty(), extended.data)
    return replace(new, packet=packet, extended=extended).written()


def _as_xmp(new: _Adapted, block: bytes, notes: list[str]) -> _Adapted:
    """Return metadata with its IPTC as XMP, for a format that has no place for the one and has one for the other."""
    packet = new.packet or Packet.empty()
    lines, everything = resources.as_xmp(block, lambda *name: name in packet.names, text_of)
    if not everything:
        notes.append("Not all of the IPTC was carried: WebP holds it as XMP, which has no properties for some of it.")
    if lines:
        packet = packet.saying(resources.NAMESPACES, lines)
    return replace(new, packet=packet if lines else new.packet, resources=None)
