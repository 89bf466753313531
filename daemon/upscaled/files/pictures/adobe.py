"""Adobe RGB without a profile: cameras say it in EXIF alone, as DCF 2.0 has it, and leave the profile out.

Separate because the profile has to be made: LittleCMS has only sRGB ready. It says what the encoding's definition does
(Adobe RGB (1998) Color Image Encoding, 2005-05): primaries adapted to D50 by Bradford, and a gamma of 563 / 256.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from PIL import ExifTags

if TYPE_CHECKING:
    from PIL import Image

_COLUMNS: Final = {
    b"wtpt": (0.95045, 1.0, 1.08905),
    b"rXYZ": (0.60974, 0.31111, 0.01947),
    b"gXYZ": (0.20528, 0.62567, 0.06087),
    b"bXYZ": (0.14919, 0.06322, 0.74457),
}
"""The white point, and what each primary is in XYZ (Annex A of the definition)."""

_D50: Final = (0.9642, 1.0, 0.8249)
_GAMMA: Final = 0x0233
"""563 / 256, with eight binary places."""

_IN_DCF: Final = frozenset({"JPEG", "MPO", "TIFF"})
"""What cameras write; other formats have a place of their own for colours."""


def says_adobe(image: Image.Image) -> bool:
    """Does EXIF alone say Adobe RGB: colours not sRGB, and the interoperability index ``R03`` (DCF 2.0, 5.7)?"""
    if image.format not in _IN_DCF:
        return False
    try:
        exif = image.getexif()
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
        colours = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and says nothing then
        return False
    return isinstance(index, str) and index.rstrip("\0 ") == "R03" and colours != 1


@cache
def profile() -> bytes:
    """Return an ICC profile of Adobe RGB (1998), as ICC.1:2001-04 lays it out."""
    name = b"Adobe RGB (told by EXIF)\0"
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, _GAMMA)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78 + -(90 + len(name)) % 4),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
        **{tag: b"XYZ " + bytes(4) + _fixed(values) for tag, values in _COLUMNS.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">2I", start + len(data), len(content))
        data += content
    made = struct.pack(">6H", 2005, 5, 1, 0, 0, 0)
    head = struct.pack(">II", 0x02100000, 0x6D6E7472) + b"RGB XYZ " + made + b"acsp" + bytes(28) + _fixed(_D50)
    return struct.pack(">I4x", start + len(data)) + head + bytes(128 - 8 - len(head)) + table + data


def _fixed(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">3i", *(round(value * 65536) for value in values))
