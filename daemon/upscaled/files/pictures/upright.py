"""A Pillow image as it is meant to be seen: turned upright, eight bits a channel, in sRGB, on white if need be.

Separate because every oddity of picture files ends here: palettes, 16 bits, CMYK, transparency, orientation. What has
to be done to a picture is told from its header alone, so that one that needs nothing is never decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from PIL import ExifTags, Image

from upscaled.errors import BadPicture
from upscaled.files.pictures import colour, told
from upscaled.files.pictures.colour import Meaning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.files.structure.colours import CodePoints

_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation (EXIF 2.32, 4.6.4) upright."""

_TURNED_BY_DECODER: Final = frozenset({"TIFF", "HEIF"})
"""Formats that come upright out of their decoders: Pillow applies TIFF's tag, libheif HEIF's own properties."""

_ALPHA: Final = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})

_PLAIN: Final = frozenset({"RGB", "L", "P"}) | _ALPHA

_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 258, 259, 262, 284
"""Tags of TIFF 6.0."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says that matters here."""

    orientation: int
    profile: bytes | None
    deep: bool
    """More than eight bits a channel."""
    transparent: bool
    """It may have transparent parts."""
    plain: bool
    """Its pixels are of a kind that every program reads."""
    srgb: bool
    """Its colours are sRGB, as far as it says anything about them."""
    note: str = ""
    """What it says about its colours that is not heeded, for a person."""


@dataclass(slots=True)
class Upright:
    """A picture as it is meant to be seen, and what was done to it, for a person."""

    image: Image.Image
    done: list[str] = field(default_factory=list)


def header_of(image: Image.Image, head: bytes, points: CodePoints | None = None) -> Header:
    """Return what an image's header says; ``head`` are the first bytes of its file, ``points`` what it says of colours.

    Nothing is decoded. Raises `BadPicture` where the colours are beyond what can be shown.
    """
    colours = told.colours_of(image, points)
    return Header(
        orientation=_orientation(image),
        profile=colours.profile,
        deep=_is_deep(image, head),
        transparent=image.mode in _ALPHA or "transparency" in image.info,
        plain=image.mode in _PLAIN,
        srgb=not colours.note and (colours.profile is None or _says_srgb(colours.profile, image.mode)),
        note=colours.note,
    )


def _orientation(image: Image.Image) -> int:
    if image.format in _TURNED_BY_DECODER:
        return 1
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - damaged metadata can raise anything, and says nothing then
        return 1
    return found if found in _TURNS else 1


def _is_deep(image: Image.Image, head: bytes) -> bool:
    if image.format == "PNG":
        return len(head) > 24 and head[24] == 16
    return image.mode.startswith(("I", "F")) or _bits(image) > 8


def _bits(image: Image.Image) -> int:
    """Return the bits a channel of a TIFF or HEIF; 8 where it does not say."""
    tags: Any = getattr(image, "tag_v2", {})
    try:
        return max(tags.get(_BITS, (8,))) if tags else int(image.info.get("bit_depth", 8))
    except (TypeError, ValueError):
        return 8


def _says_srgb(profile: bytes, mode: str) -> bool:
    pixels = "L" if mode in {"L", "LA", "La"} else "CMYK" if mode == "CMYK" else "RGB"
    found = colour.meaning(profile, pixels)
    if found is Meaning.NONSENSE and pixels == "L":
        found = colour.meaning(profile, "RGB")
    return found is not Meaning.OTHER and pixels != "CMYK"


# --- with its pixels -------------------------------------------------------------------------------------------------


def is_opaque(image: Image.Image) -> bool:
    """Is nothing in this image transparent? Decodes it."""
    if image.mode not in _ALPHA and "transparency" not in image.info:
        return True
    alpha = eight_bits(image).getchannel("A")
    return alpha.getextrema()[0] == 255


def upright(image: Image.Image, header: Header, *, alpha: bool) -> Upright:
    """Return an open image as it is meant to be seen, with its transparency (``alpha``) or on white.

    Raises `BadPicture` for one that would come out of its decoder as something else.
    """
    _require_decoder(image)
    image.load()
    result = Upright(eight_bits(image))
    if header.deep:
        result.done.append("brought to 8 bits")
    mask = _split_alpha(result)
    converted = colour.to_srgb(result.image, header.profile)
    result.image = converted.image
    result.done += [what for what in (converted.what, header.note) if what]
    if mask is not None:
        _join_alpha(result, mask, alpha=alpha)
    turn = _TURNS.get(header.orientation)
    if turn is not None:
        result.image = result.image.transpose(turn)
        result.done.append("turned upright")
    # Else the encoders would write some of it into the new file.
    result.image.info = {}
    return result


def _require_decoder(image: Image.Image) -> None:
    """Raise `BadPicture` for a TIFF that Pillow reads wrongly without saying so (13.0, `TiffImagePlugin._setup`).

    Uncompressed channels one behind the other are read as bytes, whatever they are. What is compressed, libtiff reads.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(_PLANAR) == 2 and tags.get(_COMPRESSION, 1) == 1 and _bits(image) > 8:
        raise BadPicture(
            "it is an uncompressed TIFF with more than 8 bits and each channel by itself, which cannot be decoded here",
            do="Save it with LZW compression, or with interleaved channels.",
        )


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the image as L, RGB, CMYK or LAB, or L or RGB with alpha."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    if image.mode == "1":
        return image.convert("L")
    if "transparency" in image.info and image.mode in {"P", "RGB", "L"}:
        return image.convert("RGBA")
    other = {"P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB"}
    return image.convert(other[image.mode]) if image.mode in other else image


def _scaled(image: Image.Image) -> Image.Image:
    """Map 16 or 32 bits, or fractions, to 8 bits; Pillow's own conversion would clip them.

    Formats do not say what white is in 32 bits or fractions: the least usual range that holds all values is taken.
    """
    deep = image.mode.startswith("I;16")
    values = image.convert("F")
    top = float(values.getextrema()[1])  # type: ignore[arg-type]
    white = 65535.0 if deep else next((white for white in (1.0, 255.0, 65535.0) if top <= white), top)
    if image.mode == "I":
        white = max(white, 255.0)
    scale, offset = 255.0 / white, 0.5
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        # 0 is white; Pillow turns that over for 8 bits and fewer only.
        scale, offset = -scale, 255.5
    return values.point(lambda value: value * scale + offset).convert("L")


def _split_alpha(picture: Upright) -> Image.Image | None:
    if picture.image.mode not in {"RGBA", "LA"}:
        return None
    mask = picture.image.getchannel("A")
    picture.image = picture.image.convert(picture.image.mode.removesuffix("A"))
    return None if mask.getextrema()[0] == 255 else mask


def _join_alpha(picture: Upright, mask: Image.Image, *, alpha: bool) -> None:
    if alpha:
        picture.image = picture.image.copy()
        picture.image.putalpha(mask)
        return
    white = Image.new(picture.image.mode, picture.image.size, "white")
    white.paste(picture.image, mask=mask)
    picture.image = white
    picture.done.append("put on white, as what is transparent cannot be kept")
