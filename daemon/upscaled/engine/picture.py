"""A picture on its way in and out: a file to upright RGB pixels with what must be kept beside them, and back.

Separate because every oddity of file formats ends here: palettes, 16 bits, CMYK, transparency, orientation, bombs.
Whatever is done to all of a picture is done in strips, as its intermediates would take several times its own memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFilter

from upscaled.engine.condition import jpeg_quality, noise
from upscaled.engine.needs import Outline
from upscaled.engine.order import PictureRefused
from upscaled.engine.recipe import Condition
from upscaled.engine.tiles import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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

_ROWS: Final = 64
"""Rows of a strip."""

_BLUR: Final = 4
"""How far seen colours spread below what is transparent, as the blur's standard deviation in pixels."""

_DECODING: Final = {"progressive": 10, "WEBP": 20}
"""What decoding takes, in bytes a pixel, where that is more than Pillow's four and ours: these decoders keep all of a
picture themselves. Measured."""

_STORED: Final[dict[int, Callable[[Bytes], Bytes]]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""An upright picture seen the way that it lies in a file of each EXIF orientation, so that it can be written there."""

_TURNED: Final = frozenset({5, 6, 7, 8})
"""Orientations in which a file's rows are the picture's columns."""

_CLEAR: Final = frozenset({"LA", "PA", "RGBA"})
"""Modes of eight bits with transparency."""

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

    def emptied(self) -> Picture:
        """Return all but its pixels, for when they are not needed any more: they take memory."""
        return replace(self, pixels=np.empty((0, 0, 3), np.uint8), alpha=None)

    def on_white(self) -> Picture:
        """Return it without transparency, as it looks on white paper."""
        if self.alpha is None:
            return self
        white = np.empty_like(self.pixels)
        for rows in _strips(self.size.height):
            opacity = self.alpha[rows, :, None].astype(np.float32) / 255
            white[rows] = self.pixels[rows] * opacity + 255 * (1 - opacity) + np.float32(0.5)
        return replace(self, pixels=white, alpha=None)


def outline(path: Path) -> Outline:
    """Return what a file says of its picture before it is decoded. Raises `PictureRefused` as `load` does."""
    with _opened(path) as image:
        kind = "progressive" if image.info.get("progressive") else image.format or ""
        return Outline(Size(*image.size), _DECODING.get(kind, 9), image.has_transparency_data)


def load(path: Path) -> Picture:
    """Decode a picture. Raises `PictureRefused` when it is none, is damaged, or is too large to be decoded safely."""
    with _opened(path) as image:
        return _decoded(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Give an image whose size is known to be safe and whose pixels are still to be decoded; explain what fails."""
    try:
        with Image.open(path, formats=READS) as image:
            _refuse_bombs(image)
            yield image
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


def resampled(plane: Bytes, size: Size, how: Image.Resampling = Image.Resampling.LANCZOS) -> Bytes:
    """Return pixels or a single plane at another size.

    Channel by channel, which is the same to the last bit: Pillow sees a single plane where it is, and copies others.
    """
    if plane.ndim == 3:
        result = np.empty((size.height, size.width, plane.shape[2]), np.uint8)
        for channel in range(plane.shape[2]):
            result[..., channel] = resampled(plane[..., channel], size, how)
        return result
    image = Image.fromarray(np.ascontiguousarray(plane)).resize((size.width, size.height), how)
    return np.asarray(image)


def _strips(height: int) -> Iterator[slice]:
    for top in range(0, height, _ROWS):
        yield slice(top, min(top + _ROWS, height))


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
    factor = _factor(image)
    mode = _eight_bits(image.crop((0, 0, 1, 1)), factor).mode
    grey = mode in {"L", "LA"}
    turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    width, height = reversed(image.size) if turn in _TURNED else image.size
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if mode in _CLEAR else None
    stored = _STORED.get(turn, np.asarray)
    for rows in _strips(image.height):
        strip = _eight_bits(image.crop((0, rows.start, image.width, rows.stop)), factor)
        pixels = np.asarray(strip.convert("RGB" if alpha is None else "RGBA"))
        stored(rgb)[rows] = pixels[..., :3]
        if alpha is not None:
            stored(alpha)[rows] = pixels[..., 3]
    if alpha is not None and alpha.min() == 255:
        alpha = None
    condition = Condition(jpeg_quality(tables), noise(rgb))
    if alpha is not None:
        _bleed(rgb, alpha)
    fits = isinstance(profile, bytes) and profile[16:20] == _SPACES["L" if grey else "RGB"]
    return Picture(
        pixels=rgb,
        alpha=alpha,
        grey=grey,
        profile=profile if fits and image.mode in {"L", "LA", "RGB", "RGBA", "P"} else None,
        condition=condition,
    )


def _eight_bits(image: Image.Image, factor: float) -> Image.Image:
    """Return a strip with eight bits a channel and without palette; Pillow's own conversion would clip 16 bits."""
    if _deep(image):
        values = _values(image)
        return Image.fromarray(np.clip(values * factor + 0.5, 0, 255).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in {"RGB", "L"} and "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))


def _deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _values(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image).astype(np.float64))


def _factor(image: Image.Image) -> float:
    """What maps 16 or 32 bits to 8, by the range that the values really use: 0-1, 0-255 or 0-65535."""
    if not _deep(image):
        return 1.0
    strips = (image.crop((0, rows.start, image.width, rows.stop)) for rows in _strips(image.height))
    top = max(_values(strip).max(initial=0.0) for strip in strips)
    if image.mode == "F":
        return 255.0 if top <= 1 else 1.0 if top <= 255 else 255 / 65535
    return 255 / 65535 if image.mode.startswith("I;16") or top > 255 else 1.0


def _bleed(rgb: Bytes, alpha: Bytes) -> None:
    """Replace the unseen colours of transparent pixels by their seen neighbours', or an edge would show them.

    A strip is blurred with the rows around it that the blur reaches; what was replaced in them is unseen here, too.
    """
    blur = ImageFilter.GaussianBlur(_BLUR)
    for rows in _strips(len(rgb)):
        top = max(0, rows.start - 4 * _BLUR)
        reach, inner = slice(top, rows.stop + 4 * _BLUR), slice(rows.start - top, rows.stop - top)
        opacity = Image.fromarray(alpha[reach])
        seen = Image.composite(Image.fromarray(rgb[reach]), Image.new("RGB", opacity.size), opacity)
        weight = np.asarray(opacity.filter(blur))[inner].astype(np.float32)[..., None]
        colours = np.asarray(seen.filter(blur))[inner].astype(np.float32) * 255 / np.maximum(weight, 1)
        hidden = (alpha[rows] == 0)[..., None] & (weight > 0)
        rgb[rows] = np.where(hidden, np.clip(colours, 0, 255), rgb[rows])
