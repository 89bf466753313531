"""What does a source carry? One question for all formats; nothing that a file holds can make it fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from upscaled.files.metadata import exif, heif, jpeg, png, webp
from upscaled.files.metadata.model import LARGEST, Malformed, Metadata
from upscaled.files.metadata.resources import of_iptc
from upscaled.files.metadata.tiff import Tiff
from upscaled.files.structure.kinds import HEAD, kind_of
from upscaled.files.structure.model import Reader

_XMP, _IPTC, _PHOTOSHOP = 0x02BC, 0x83BB, 0x8649


def read(file: BinaryIO) -> Metadata:
    """Return what an open file carries, with a note where it cannot be read. Raises `OSError` of the file itself."""
    reader = Reader(file)
    kind = kind_of(reader.read(0, HEAD))
    try:
        return bounded(_READ.get(kind or "", _nothing)(reader))
    except Malformed as error:
        return Metadata(notes=(f"The source's metadata was not carried: {error}.",))


def _nothing(_reader: Reader) -> Metadata:
    return Metadata()


def _of_tiff(reader: Reader) -> Metadata:
    """Read a TIFF file: its tags are EXIF's, and XMP and IPTC are values of some of them."""
    tiff = Tiff(reader.read, reader.size)
    block, notes = exif.of_tiff_file(tiff)
    root = tiff.directory(tiff.first)
    xmp, iptc, photoshop = (
        None if entry is None else tiff.value(entry) for entry in (root.get(tag) for tag in (_XMP, _IPTC, _PHOTOSHOP))
    )
    return Metadata(exif=block, xmp=xmp, resources=photoshop or (of_iptc(iptc) if iptc else None), notes=tuple(notes))


def bounded(found: Metadata) -> Metadata:
    """Leave out what is larger than any metadata, and what is nothing."""
    large = [name for name in _NAMES if len(getattr(found, name) or b"") > LARGEST]
    notes = (f"The {_NAMES[name]} was not carried: it is larger than any metadata." for name in large)
    kept = {name: None if name in large else getattr(found, name) or None for name in _NAMES}
    return Metadata(**kept, comments=found.comments, notes=(*found.notes, *notes))


_NAMES: Final = {"exif": "EXIF", "xmp": "XMP", "extended": "extended XMP", "resources": "IPTC"}


_READ: Final[Mapping[str, Callable[[Reader], Metadata]]] = {
    "jpeg": jpeg.read,
    "png": png.read,
    "webp": webp.read,
    "tiff": _of_tiff,
    "cr2": _of_tiff,
    "heif": heif.read,
    "avif": heif.read,
}
