"""What a picture's colour profile means, and how its colours become sRGB.

Separate because a profile is a program written by strangers: LittleCMS runs it, here alone. The service does not say
what it does with profiles, so it is given pixels that need none. Colours are converted relative to the paper white with
black point compensation, as Photoshop and most viewers do.

A profile is sRGB if it does to colours what sRGB does, whatever it calls itself: there are dozens of such profiles.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Mapping

_SRGB: Final = ImageCms.createProfile("sRGB")
_LAB: Final = ImageCms.createProfile("LAB")

_SPACES: Final[Mapping[str, str]] = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
"""The colour space that a profile of pixels of each mode has (ICC.1, table 19)."""

_NEAR: Final = 2
"""Two profiles mean the same where no colour differs by more than so many of 255 levels."""


class Meaning(StrEnum):
    """What a profile says about the pixels beside it."""

    SRGB = "srgb"
    OTHER = "other"
    NONSENSE = "nonsense"
    """It cannot be read, or is of another kind of pixels: it says nothing."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A picture in sRGB, and what was done to its colours ('' for nothing)."""

    image: Image.Image
    what: str = ""


@lru_cache(maxsize=8)
def meaning(profile: bytes, mode: str) -> Meaning:
    """Return what a profile means for pixels of a mode (``RGB``, ``L``, ``CMYK`` or ``LAB``)."""
    try:
        opened = ImageCms.getOpenProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space != _SPACES.get(mode):
            return Meaning.NONSENSE
        if mode not in {"RGB", "L"}:
            return Meaning.OTHER
        samples = _samples(mode)
        found = _transform(opened, mode).apply(samples)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return Meaning.NONSENSE
    pairs = zip(found.tobytes(), samples.convert("RGB").tobytes(), strict=True)
    return Meaning.SRGB if all(abs(one - other) <= _NEAR for one, other in pairs) else Meaning.OTHER


def to_srgb(image: Image.Image, profile: bytes | None) -> Converted:
    """Return an RGB, L, CMYK or LAB image in sRGB; grey stays grey where nothing has to be done."""
    said = Meaning.NONSENSE if profile is None else meaning(profile, image.mode)
    if profile is not None and said is Meaning.NONSENSE and image.mode == "L":
        # Grey pixels with an RGB profile: those are its greys.
        said = meaning(profile, "RGB")
        image = image if said is not Meaning.OTHER else image.convert("RGB")
    if said is Meaning.OTHER:
        assert profile is not None
        opened = ImageCms.getOpenProfile(io.BytesIO(profile))
        what = f"colours converted from {name_of(opened)} to sRGB"
        return Converted(_transform(opened, image.mode).apply(image), what)
    return _without_profile(image)


def _without_profile(image: Image.Image) -> Converted:
    if image.mode == "LAB":
        return Converted(_transform(ImageCms.ImageCmsProfile(_LAB), "LAB").apply(image), "colours converted from Lab")
    if image.mode == "CMYK":
        what = "colours converted from CMYK by the plain formula, as there is no profile that says which inks are meant"
        return Converted(image.convert("RGB"), what)
    return Converted(image)


def name_of(profile: ImageCms.ImageCmsProfile) -> str:
    """Return what a profile calls itself, short enough for a sentence."""
    try:
        name = ImageCms.getProfileDescription(profile).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        name = ""
    printable = "".join(letter for letter in name if letter.isprintable())
    return printable[:60] or "its colour profile"


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> Any:
    return ImageCms.buildTransform(
        profile,
        _SRGB,
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _samples(mode: str) -> Image.Image:
    """Return an image of colours spread over the whole space."""
    if mode == "L":
        return Image.frombytes("L", (16, 16), bytes(range(256)))
    steps = (0, 36, 73, 109, 146, 182, 219, 255)
    levels = bytes(value for red in steps for green in steps for blue in steps for value in (red, green, blue))
    return Image.frombytes("RGB", (64, 8), levels)
