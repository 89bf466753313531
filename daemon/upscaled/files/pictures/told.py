"""Which colours a picture has, whichever way it tells: a profile, code points, primaries and a gamma, or EXIF.

Separate because each format has its own ways and its own order among them. Whatever is told otherwise than by a profile
becomes one, so that everything behind this knows profiles only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from PIL import ExifTags

from upscaled.errors import BadPicture
from upscaled.files.pictures import made
from upscaled.files.pictures.made import SRGB_CURVE, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from upscaled.files.structure.colours import CodePoints

_SRGB: Final = Space("sRGB", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
_ADOBE: Final = Space("Adobe RGB (told by EXIF)", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), curve=(563 / 256,))
"""Adobe RGB (1998) Color Image Encoding, 2005-05."""

_UNSPECIFIED: Final = 2

_C: Final = (0.310, 0.316)
_SMPTE: Final = Space("SMPTE 170M", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)))
_P3: Final = Space("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)))

_PRIMARIES: Final[Mapping[int, Space]] = {
    1: _SRGB,
    _UNSPECIFIED: _SRGB,
    4: Space("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _C),
    5: Space("BT.470 BG", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: _SMPTE,
    7: _SMPTE,
    8: Space("film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _C),
    9: Space("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: replace(_P3, name="DCI P3", white=(0.314, 0.351)),
    12: _P3,
    22: Space("EBU 3213", ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
}
"""H.273, table 2."""

_CURVES: Final[Mapping[int, tuple[float, ...]]] = {
    # Those of video say how cameras encode; it is shown on displays of sRGB's curve, and encoders of pictures write
    # them where they mean sRGB.
    **dict.fromkeys((1, _UNSPECIFIED, 6, 7, 11, 12, 13, 14, 15), SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    17: (2.6,),
}
"""H.273, table 3."""

_HDR: Final = {16: "PQ", 18: "HLG"}

_GAMMA_NEAR: Final = 0.05
"""A gamma that is nearer than this to sRGB's is sRGB's, as for libpng (`PNG_GAMMA_THRESHOLD`)."""

_GAMMAS: Final = (0.1, 10.0)
"""Beyond these a number is no gamma."""

_NEAR: Final = 0.005
"""Chromaticities are the same where they differ by less: programs round them."""

_IN_DCF: Final = frozenset({"JPEG", "MPO", "TIFF"})
"""What cameras write; other formats have a place of their own for colours."""


@dataclass(frozen=True, slots=True)
class Told:
    """A picture's profile; None for one that says nothing, or nothing that is understood, which ``note`` says then."""

    profile: bytes | None = None
    note: str = ""


def colours_of(image: Image.Image, points: CodePoints | None) -> Told:
    """Return what an open image, and the code points in its file, say of its colours.

    Raises `BadPicture` for a range of brightness that eight bits of sRGB do not have.
    """
    embedded = image.info.get("icc_profile")
    profile = Told(embedded) if isinstance(embedded, bytes) and embedded else None
    if points is not None and points.primaries == points.transfer == _UNSPECIFIED:
        points = None
    # PNG puts code points first (third edition, 4.3); in HEIF and AVIF a profile does (ISO/IEC 23000-22, 7.3.6.4).
    if points is not None and (profile is None or image.format == "PNG"):
        return _by_code_points(points)
    if profile is None and image.format == "PNG" and "srgb" not in image.info:
        return _by_primaries(image)
    if profile is None and _says_adobe(image):
        return Told(made.profile(_ADOBE))
    return profile or Told()


def _by_code_points(points: CodePoints) -> Told:
    if points.transfer in _HDR:
        raise BadPicture(
            f"it is an HDR picture ({_HDR[points.transfer]}), whose brightness upscaled pictures cannot show",
            do="Export it as SDR: in sRGB, Adobe RGB or Display P3.",
        )
    space, curve = _PRIMARIES.get(points.primaries), _CURVES.get(points.transfer)
    if space is None or curve is None or not points.full_range:
        numbers = f"{points.primaries}/{points.transfer}{'' if points.full_range else ', narrow range'}"
        return Told(None, f"colours taken as sRGB, as what it says of them (CICP {numbers}) is not known here")
    return Told(_profile_of(space, curve))


def _by_primaries(image: Image.Image) -> Told:
    """Return what PNG's ``cHRM`` and ``gAMA`` say; what makes no sense says nothing."""
    gamma, told = image.info.get("gamma"), image.info.get("chromaticity")
    if gamma is not None and not _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        gamma = None
    space = _SRGB
    if told is not None:
        white, *primaries = zip(told[::2], told[1::2], strict=True)
        apart = (abs(one - other) for one, other in zip(told, _flat(_SRGB), strict=True))
        if max(apart) >= _NEAR:
            space = Space("the primaries that it tells", (primaries[0], primaries[1], primaries[2]), white)
    curve = SRGB_CURVE if not gamma or (space is _SRGB and abs(gamma * 2.2 - 1) < _GAMMA_NEAR) else (1 / gamma,)
    if space is _SRGB and curve is SRGB_CURVE:
        return Told()
    try:
        return Told(_profile_of(space, curve))
    except (ValueError, struct.error):
        return Told()


def _flat(space: Space) -> tuple[float, ...]:
    """Return white and primaries as PNG lists them."""
    return tuple(value for point in (space.white, *space.primaries) for value in point)


def _profile_of(space: Space, curve: tuple[float, ...]) -> bytes:
    name = space.name if curve is SRGB_CURVE else f"{space.name} with a gamma of {curve[0]:.4g}"
    return made.profile(replace(space, name=name, curve=curve))


def _says_adobe(image: Image.Image) -> bool:
    """Does EXIF alone say Adobe RGB: colours not sRGB, and the interoperability index ``R03`` (DCF 2.0, 5.7)?

    Cameras write it so, and leave the profile out.
    """
    if image.format not in _IN_DCF:
        return False
    try:
        exif = image.getexif()
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
        colours = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and says nothing then
        return False
    return isinstance(index, str) and index.rstrip("\0 ") == "R03" and colours != 1
