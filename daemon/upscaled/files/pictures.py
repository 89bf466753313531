"""Pictures as Pillow sees them: what is this, and is the service's result what was asked for?

Separate from `upscaled.files.structure`, because decoding costs a thousand times more and trusts a large library: these
are plain functions of plain values, to be run in a worker process.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image, UnidentifiedImageError

from upscaled.errors import BadPicture, FileTrouble, Flaw
from upscaled.files import structure
from upscaled.files.sources import open_source
from upscaled.files.trouble import translate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_PIXELS", "BadPicture", "Flaw", "Picture", "format_of", "probe", "verify"]

MAX_PIXELS: Final = 400_000_000
"""More pixels than any result has: an 8k result has 59 million at most, a 24-megapixel picture four times as wide and
high has 384 million. Decoded, a picture takes three or four bytes a pixel."""

_TOLERANCE: Final = 0.02
"""How far the ratio of a result's sides may be off; two pixels are always allowed, for rounding."""

_TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that stand a picture on its side (EXIF 2.32, 4.6.4)."""

_NAMES: Final = {"mpo": "jpeg"}
"""What Pillow calls by another name: a JPEG with more pictures behind it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture is. Width and height are pixels as stored, before ``orientation`` (EXIF, 1 to 8) is applied."""

    format: str
    width: int
    height: int
    mode: str
    frames: int = 1
    orientation: int | None = None


def format_of(path: Path) -> str | None:
    """Return ``jpeg``, ``png``, ``webp`` or another kind by a file's first bytes; None for no picture, or no file."""
    try:
        with open_source(path) as file:
            return structure.inspect(file).kind
    except (FileTrouble, OSError):
        return None


def probe(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return what a picture's header says. Raises `BadPicture`, or `FileTrouble` when it cannot be read."""
    with open_source(path) as file:
        found = structure.inspect(file)
        with _opened(file, found, max_pixels) as image:
            return _picture(image, found)


def verify(
    path: Path,
    *,
    expected_format: str | None,
    source_size: tuple[int, int] | None,
    orientation: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Decode a whole result, and return what it is if it is what was asked for.

    ``source_size`` is the source's width and height in pixels as stored, and ``orientation`` its EXIF orientation: the
    service may have stood it upright. None leaves out the comparison. Raises `BadPicture`, whose text is for a person,
    or `FileTrouble` when the file cannot be read.
    """
    with open_source(path) as file:
        found = structure.inspect(file)
        _require_whole(found)
        with _opened(file, found, max_pixels) as image:
            picture = _picture(image, found)
            _require_format(picture, expected_format)
            if source_size is not None:
                _require_shape(picture, source_size, turned=orientation in _TURNED)
            _decode(image)
    return picture


# --- reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(file: BinaryIO, found: structure.Structure, max_pixels: int) -> Iterator[Image.Image]:
    _require_sane(found.width, found.height, max_pixels)
    # Pillow's own guard is one number for the whole process; ours, which stands before it, is the one that decides.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels)
    file.seek(0)
    with warnings.catch_warnings():
        # They are about metadata that is odd, not about pixels.
        warnings.simplefilter("ignore")
        with _explained(Path(file.name)), Image.open(file) as image:
            _require_sane(image.width, image.height, max_pixels)
            yield image


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise what Pillow's many exceptions mean. Which ones it raises on damaged files, it does not say."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise BadPicture("the file is not a picture that can be decoded") from error
    except (BadPicture, FileTrouble, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # the disk's error, not the decoder's
            raise translate(error, path, "read") from error
        raise BadPicture("the picture is damaged and cannot be decoded", why=str(error)) from error
    except Image.DecompressionBombError as error:
        raise BadPicture("the picture has an absurd number of pixels", flaw=Flaw.ABSURD) from error
    except Exception as error:
        raise BadPicture("the picture is damaged and cannot be decoded", why=str(error)) from error


def _picture(image: Image.Image, found: structure.Structure) -> Picture:
    name = (image.format or "").lower()
    frames = getattr(image, "n_frames", 1) if name != "mpo" else 1
    return Picture(_NAMES.get(name, name), image.width, image.height, image.mode, frames, found.orientation)


def _decode(image: Image.Image) -> None:
    # Closed with the image: the pixels are wanted only to know that they are all there.
    image.load()


# --- judging ---------------------------------------------------------------------------------------------------------


def _require_whole(found: structure.Structure) -> None:
    if found.kind is None or found.kind in {"html", "pdf", "zip", "mp4"}:
        what = "a web page" if found.kind == "html" else "no picture"
        raise BadPicture(f"the file is {what}")
    if not found.complete:
        raise BadPicture(f"the picture is incomplete: {found.problem}", flaw=Flaw.TRUNCATED)


def _require_sane(width: int | None, height: int | None, max_pixels: int) -> None:
    if width and height and width * height > max_pixels:
        raise BadPicture(
            f"the picture has an absurd size: {width:,} x {height:,} pixels, more than {max_pixels:,}", flaw=Flaw.ABSURD
        )


def _require_format(picture: Picture, expected: str | None) -> None:
    if expected is not None and picture.format != expected:
        raise BadPicture(f"the picture is {picture.format.upper()}, not {expected.upper()}", flaw=Flaw.FORMAT)


def _require_shape(picture: Picture, source: tuple[int, int], *, turned: bool) -> None:
    size = (picture.width, picture.height)
    candidates = [source, (source[1], source[0])] if turned else [source]
    alike = [candidate for candidate in candidates if _alike(size, candidate)]
    if not alike:
        raise BadPicture(
            f"the result's {_text(size)} pixels are not of the shape of the source's {_text(source)}", flaw=Flaw.SHAPE
        )
    if not any(size[0] >= width and size[1] >= height for width, height in alike):
        raise BadPicture(
            f"the result is smaller than the source: {_text(size)} pixels for {_text(source)}", flaw=Flaw.SMALLER
        )


def _alike(size: tuple[int, int], source: tuple[int, int]) -> bool:
    expected = size[0] * source[1] / source[0]
    return abs(size[1] - expected) <= max(2.0, _TOLERANCE * expected)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
