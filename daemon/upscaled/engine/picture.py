"""A picture on its way in and out: a file to upright RGB pixels with what must be kept beside them, and back.

Separate because every oddity of file formats ends here: palettes, 16 bits, CMYK, transparency, orientation, bombs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from upscaled.engine.condition import jpeg_quality, noise
from upscaled.engine.order import PictureRefused
from upscaled.engine.recipe import Condition
from upscaled.engine.tiles import Size

if TYPE_CHECKING:
    from pathlib import Path

Bytes = npt.NDArray[np.uint8]

MAX_PIXELS: Final = 80_000_000
"""Largest source, in pixels, that is decoded. A small file can hold a picture that fills all memory."""

READS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What the service's documents list; of an animation the first frame counts."""

Image.init()  # else a list of formats to open may name only those already seen

_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "jpeg": {"quality": 92, "subsampling": 0, "optimize": False},
    "png": {"compress_level": 3},  # the default of 6 takes three times as long for a few percent
    "webp": {"quality": 92, "method": 2},  # method 4 takes 13 s for an 8k picture
}

_SPACES: Final = {"RGB": b"RGB ", "L": b"GRAY"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded source: ``pixels`` height x width x RGB, ``alpha`` where something is transparent.

    ``grey`` tells that it had no colour, ``profile`` is its ICC profile where that fits such pixels.
    """

    pixels: Bytes
    alpha: Bytes | None = None
    grey: bool = False
    profile: bytes | None = None
    condition: Condition = field(default_factory=Condition)

    @property
    def size(self) -> Size:
        """Its size after turning it upright."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    def on_white(self) -> Picture:
        """Return it without transparency, as it looks on white paper."""
        if self.alpha is None:
            return self
        opacity = self.alpha[..., None].astype(np.float32) / 255
        flat = self.pixels * opacity + 255 * (1 - opacity)
        return replace(self, pixels=(flat + 0.5).astype(np.uint8), alpha=None)


def load(path: Path) -> Picture:
    """Decode a picture. Raises `PictureRefused` when it is none, is damaged, or is too large to be decoded safely."""
    try:
        with Image.open(path, formats=READS) as image:
            _refuse_bombs(image)
            return _decoded(image)
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(str(error)) from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise PictureRefused(
            "The picture cannot be read",
            why=str(error).replace(str(path), "the file"),
            do="Send a whole JPEG, PNG, WebP, GIF, BMP or TIFF file.",
        ) from error


def save(pixels: Bytes, alpha: Bytes | None, like: Picture, path: Path, form: str) -> None:
    """Encode a result as JPEG, PNG or WebP with what ``like`` had beside its pixels: grey, profile."""
    image = Image.fromarray(pixels)
    if like.grey:
        image = image.convert("L")
    profile = like.profile
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    image.save(path, form, icc_profile=profile, **_SETTINGS[form])


def resampled(plane: Bytes, size: Size) -> Bytes:
    """Return pixels or a single plane at another size, by Lanczos."""
    image = Image.fromarray(plane).resize((size.width, size.height), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _refuse_bombs(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"it has {image.width} x {image.height} pixels")


def _too_large(why: str) -> PictureRefused:
    return PictureRefused(
        "The picture is too large to be decoded safely",
        why=why,
        do=f"Send at most {MAX_PIXELS // 1_000_000} megapixels.",
    )


def _decoded(image: Image.Image) -> Picture:
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    profile = image.info.get("icc_profile")
    image.load()
    upright = _eight_bits(ImageOps.exif_transpose(image))
    grey = upright.mode in {"L", "LA"}
    colours = upright.convert("RGBA" if upright.mode in {"LA", "PA", "RGBA"} else "RGB")
    pixels = np.asarray(colours)
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    if alpha is not None and alpha.min() == 255:
        alpha = None
    rgb = np.ascontiguousarray(pixels[..., :3])
    fits = isinstance(profile, bytes) and profile[16:20] == _SPACES["L" if grey else "RGB"]
    return Picture(
        pixels=rgb if alpha is None else _bled(rgb, alpha),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        grey=grey,
        profile=profile if fits and image.mode in {"L", "LA", "RGB", "RGBA", "P"} else None,
        condition=Condition(jpeg_quality(tables), noise(rgb)),
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the picture with eight bits a channel and without palette; Pillow's own conversion would clip 16 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(np.asarray(image).astype(np.float64), image.mode))
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in {"RGB", "L"} and "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))


def _scaled(values: npt.NDArray[np.float64], mode: str) -> Bytes:
    """Map 16 or 32 bits to 8 by the range that the values really use: 0-1, 0-255 or 0-65535."""
    values = np.nan_to_num(values)
    top = values.max(initial=0.0)
    if mode == "F":
        factor = 255.0 if top <= 1 else 1.0 if top <= 255 else 255 / 65535
    else:
        factor = 255 / 65535 if mode.startswith("I;16") or top > 255 else 1.0
    return np.clip(values * factor + 0.5, 0, 255).astype(np.uint8)


def _bled(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Replace the unseen colours of transparent pixels by their seen neighbours', or an edge would show them."""
    opacity = Image.fromarray(alpha)
    seen = Image.composite(Image.fromarray(rgb), Image.new("RGB", opacity.size), opacity)
    blur = ImageFilter.GaussianBlur(4)
    weight = np.asarray(opacity.filter(blur)).astype(np.float32)[..., None]
    colours = np.asarray(seen.filter(blur)).astype(np.float32) * 255 / np.maximum(weight, 1)
    hidden = (alpha == 0)[..., None] & (weight > 0)
    return np.where(hidden, np.clip(colours, 0, 255), rgb).astype(np.uint8)
