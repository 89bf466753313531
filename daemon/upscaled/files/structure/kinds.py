"""What kind of file the first bytes tell, whatever the file is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD: Final = 512
"""How many bytes `kind_of` wants to see."""

_MAGIC: Final[tuple[tuple[str, bytes], ...]] = (
    ("jpeg", b"\xff\xd8\xff"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("gif", b"GIF87a"),
    ("gif", b"GIF89a"),
    ("orf", b"IIRO"),
    ("orf", b"IIRS"),
    ("orf", b"MMOR"),
    ("rw2", b"IIU\0"),
    ("tiff", b"II*\0"),
    ("tiff", b"MM\0*"),
    ("tiff", b"II+\0"),
    ("tiff", b"MM\0+"),
    ("raf", b"FUJIFILMCCD-RAW"),
    ("psd", b"8BPS\0"),
    ("jxl", b"\xff\x0a"),
    ("jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("jp2", b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("jp2", b"\xff\x4f\xff\x51"),
    ("pdf", b"%PDF-"),
    ("zip", b"PK\x03\x04"),
)

_BRANDS: Final[Mapping[bytes, str]] = {
    b"avif": "avif",
    b"avis": "avif",
    b"crx ": "cr3",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heif"),
}
"""Major brands of the ISO base media format (ISO/IEC 14496-12) that are pictures; the others are films."""

_TEXTS: Final[tuple[tuple[bytes, str], ...]] = ((b"<!doctype html", "html"), (b"<html", "html"), (b"<svg", "svg"))


def kind_of(head: bytes) -> str | None:
    """Return the kind of a file by its first `HEAD` bytes, or None for one that we do not know."""
    if head[:4] == b"RIFF":
        return "webp" if head[8:12] == b"WEBP" else None
    if head[:4] in {b"II*\0", b"MM\0*"} and head[8:10] == b"CR":
        return "cr2"
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _media(head)
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    if head[:4] == b"\0\0\1\0" and 0 < int.from_bytes(head[4:6], "little") < 256:
        return "ico"
    return next((kind for kind, magic in _MAGIC if head.startswith(magic)), None) or _text(head)


def _media(head: bytes) -> str:
    major = _BRANDS.get(head[8:12], "mp4")
    compatible = (head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4))
    # `mif1` says only that it is a picture in this container; which one it is stands among the compatible brands.
    return "avif" if major == "heif" and head[8:12] == b"mif1" and b"avif" in compatible else major


def _text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml"):
        return "svg" if b"<svg" in text else "html" if b"<html" in text else None
    return next((kind for start, kind in _TEXTS if text.startswith(start)), None)


def may_become_a_picture(head: bytes) -> bool:
    """Could a file of unknown kind with these first bytes become a picture, once all of them are written?

    It may stop within its signature, or be zeros from there on.
    """
    written = head.rstrip(b"\0")
    if len(written) >= 12:
        return False
    if b"RIFF".startswith(written[:4]) or b"BM".startswith(written[:2]):
        return True
    if head.startswith(b"\0\0\0") and b"ftyp".startswith(written[4:8]):
        return True
    return any(magic.startswith(written) for _, magic in _MAGIC)
