"""Is this file a whole picture? By magic bytes and structure, without decoding, with the standard library alone.

Separate from `upscaled.files.pictures`, because it stands between a file that somebody may still be writing and money
being spent on it: it must be cheap enough to run on every file, and must never be impressed by what it reads. It reads
in blocks, raises nothing whatever the bytes (an `OSError` of the file itself passes), and always comes to an end.

JPEG, PNG, WebP, TIFF, BMP, GIF, HEIF and AVIF are followed to their end. What that cannot see: bytes that are wrong but
not zero (PNG alone has checksums); a WebP that lacks only a last few bytes, which its own last bytes may look like; and
in uncompressed pictures (BMP, TIFF) zeros that may be black, unless they are a tail that begins where writers stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from upscaled.files.structure import bmp, gif, headers, heif, jpeg, png, tiff, webp
from upscaled.files.structure.kinds import HEAD, kind_of, may_become_a_picture
from upscaled.files.structure.model import Broken, Found, Reader, Structure, stops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Structure", "inspect"]

_WALKS: Final[Mapping[str, Callable[[Reader, Found], None]]] = {
    "jpeg": jpeg.walk,
    "png": png.walk,
    "webp": webp.walk,
    "gif": gif.walk,
    "bmp": bmp.walk,
    "tiff": tiff.walk,
    "heif": heif.walk,
    "avif": heif.walk,
}


def inspect(file: BinaryIO, *, shift: int = 0) -> Structure:
    """Return what a file's bytes say about it. ``file`` must be seekable; where it stands does not matter.

    ``shift`` is by how many bytes its pixels stand further behind than where they were written first: holes are told by
    their edges, which lie where a disk's blocks do.

    Kind None is certainly no picture when ``complete``, and cannot be told yet when not. Kinds that are not followed
    are recognised only: their ``complete`` means no more than that nothing is known to be missing.
    """
    reader = Reader(file, shift=shift)
    head = reader.read(0, HEAD)
    kind = kind_of(head)
    if kind is None:
        return _unknown(head, reader)
    found = Found()
    try:
        _WALKS.get(kind, headers.walk)(reader, found)
    except Broken as problem:
        return found.structure(kind, str(problem))
    return found.structure(kind)


def _unknown(head: bytes, reader: Reader) -> Structure:
    if not reader.size:
        return Structure(None, complete=False, problem="the file is empty")
    if not head.strip(b"\0"):
        return Structure(None, complete=False, problem="the file begins with zeros: nothing was written there yet")
    if may_become_a_picture(head):
        return Structure(None, complete=False, problem=f"{stops(reader)}, before its type can be told")
    return Structure(None, complete=True, problem="not a picture")
