"""A file to a Pillow image, whatever the file is: nothing here trusts a byte of it.

Separate because everything that decodes has the same guards before it: the kind of the file by its first bytes, so that
only that kind's decoder ever sees it, and the number of pixels before they are decoded.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image, UnidentifiedImageError, features

from upscaled.errors import BadPicture, FileTrouble, Flaw
from upscaled.files.sources import open_source
from upscaled.files.structure import inspect
from upscaled.files.structure.kinds import HEAD, kind_of
from upscaled.files.trouble import translate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_PIXELS: Final = 400_000_000
"""More pixels than any result has: an 8k result has 59 million at most, a 24-megapixel picture four times as wide and
high has 384 million. Decoded, a picture takes three or four bytes a pixel."""

_DECODERS: Final[Mapping[str, tuple[str, ...]]] = {
    "jpeg": ("JPEG", "MPO"),
    "png": ("PNG",),
    "webp": ("WEBP",),
    "tiff": ("TIFF",),
    "bmp": ("BMP",),
    "gif": ("GIF",),
    "avif": ("AVIF",),
    "heif": ("HEIF",),
}
"""What may look at a file of each kind."""

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


def missing() -> dict[str, str]:
    """Return the kinds of pictures that cannot be decoded here, each with what would have to be installed."""
    lacking = {}
    if util.find_spec("pillow_heif") is None:
        lacking["heif"] = "pip install 'upscaled[heif]'"
    if not features.check("avif"):
        lacking["avif"] = "a newer Pillow: pip install 'pillow>=11.3'"
    return lacking


def format_of(path: Path) -> str | None:
    """Return ``jpeg``, ``png``, ``webp`` or another kind by a file's first bytes; None for no picture, or no file."""
    try:
        with open_source(path) as file:
            return kind_of(file.read(HEAD))
    except (FileTrouble, OSError):
        return None


def probe(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return what a picture's header says. Raises `BadPicture`, or `FileTrouble` when it cannot be read."""
    with open_source(path) as file:
        found = inspect(file)
        with opened(file, found.kind, max_pixels) as image:
            return described(image, found.orientation)


def described(image: Image.Image, orientation: int | None) -> Picture:
    """Return what an open image is."""
    name = (image.format or "").lower()
    return Picture(_NAMES.get(name, name), image.width, image.height, image.mode, frames(image), orientation)


def frames(image: Image.Image) -> int:
    """Return how many pictures the file holds; what stands behind a JPEG is its own business."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


@contextmanager
def opened(file: BinaryIO, kind: str | None, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Give the image in a file of that kind, its header read and nothing decoded.

    What goes wrong inside the block is raised as what it means: `BadPicture`, or `FileTrouble` for the disk's errors.
    """
    with explained(Path(file.name)), warnings.catch_warnings():
        # They are about metadata that is odd, not about pixels.
        warnings.simplefilter("ignore")
        decoders = _decoders(kind)
        # Pillow's own guard is one number for the whole process; ours is the one that decides.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, max_pixels)
        file.seek(0)
        with Image.open(file, formats=decoders) as image:
            require_sane(image.width, image.height, max_pixels)
            yield image


def _decoders(kind: str | None) -> tuple[str, ...]:
    if kind is None or kind not in _DECODERS:
        raise BadPicture(f"the file is {'a web page' if kind == 'html' else 'no picture that can be decoded'}")
    if kind == "heif":
        _register_heif()
    return _DECODERS[kind]


@cache
def _register_heif() -> None:
    try:
        library = import_module("pillow_heif")
    except ImportError:
        raise BadPicture("HEIF cannot be decoded here", do=f"Install what is missing: {missing()['heif']}") from None
    # One frame is wanted, and no thumbnail; a deeper picture comes in eight bits.
    library.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what the decoders' many exceptions mean. Which ones they raise on damaged files, they do not say."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise BadPicture("the file is not a picture that can be decoded") from error
    except (BadPicture, FileTrouble):
        raise
    except MemoryError as error:
        raise BadPicture("the picture takes more memory than upscaled allows itself", flaw=Flaw.ABSURD) from error
    except OSError as error:
        if error.errno is not None:  # the disk's error, not the decoder's
            raise translate(error, path, "read") from error
        raise BadPicture("the picture is damaged and cannot be decoded", why=str(error)) from error
    except Image.DecompressionBombError as error:
        raise BadPicture("the picture has an absurd number of pixels", flaw=Flaw.ABSURD) from error
    except Exception as error:
        raise BadPicture("the picture is damaged and cannot be decoded", why=str(error)) from error


def require_sane(width: int | None, height: int | None, max_pixels: int) -> None:
    """Raise `BadPicture` for more pixels than are decoded."""
    if width and height and width * height > max_pixels:
        raise BadPicture(
            f"the picture has an absurd size: {width:,} x {height:,} pixels, more than {max_pixels:,}", flaw=Flaw.ABSURD
        )
