"""Is the service's result what was asked for? One decode of it, and nothing else that costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image

from upscaled.errors import BadPicture, FileTrouble, Flaw
from upscaled.files import structure
from upscaled.files.pictures.opening import MAX_PIXELS, Picture, described, opened, require_sane
from upscaled.files.pictures.upright import eight_bits
from upscaled.files.sources import open_source

if TYPE_CHECKING:
    from pathlib import Path

_TOLERANCE: Final = 0.01
"""How far the ratio of a result's sides may be off; one row of pixels is always allowed, for rounding."""

_TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that stand a picture on its side (EXIF 2.32, 4.6.4)."""

_FLAT: Final = 2
"""A picture whose channels differ by no more than so many of 255 levels is of one colour."""


def verify(
    path: Path,
    *,
    expected_format: str | None,
    source_size: tuple[int, int] | None,
    orientation: int | None = None,
    source: Path | None = None,
    shift: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Decode a whole result, and return what it is if it is what was asked for.

    ``source_size`` is the width and height in pixels of what was upscaled, and ``orientation`` its EXIF orientation if
    it was not upright: the service may have turned it. None leaves out the comparison. A result of a single colour is
    right only where ``source`` is of one. ``shift`` is what `structure.inspect` takes. Raises `BadPicture`, whose text
    is for a person, or `FileTrouble` when the file cannot be read.
    """
    with open_source(path) as file:
        found = structure.inspect(file, shift=shift)
        _require_whole(found)
        require_sane(found.width, found.height, max_pixels)
        with opened(file, found.kind, max_pixels) as image:
            picture = described(image, found.orientation)
            _require_format(picture, expected_format)
            if source_size is not None:
                _require_shape(picture, source_size, turned=orientation in _TURNED)
            # Every byte is decoded all the same, but of a JPEG's blocks only one pixel each is worked out, and of that
            # only how bright it is.
            image.draft("L", (1, 1))
            image.load()
            suspect = source is not None and _is_flat(image)
        if suspect and source is not None:
            with opened(file, found.kind, max_pixels) as whole:
                _require_something_on_it(whole, source)
    return picture


def _require_whole(found: structure.Structure) -> None:
    if found.kind is None or found.kind in {"html", "pdf", "zip", "mp4"}:
        what = "a web page" if found.kind == "html" else "no picture"
        raise BadPicture(f"the file is {what}")
    if not found.complete:
        raise BadPicture(f"the picture is incomplete: {found.problem}", flaw=Flaw.TRUNCATED)


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
    """Is one side what the other would have it be?"""
    height, width = size[0] * source[1] / source[0], size[1] * source[0] / source[1]
    return abs(size[1] - height) <= max(1.0, _TOLERANCE * height) or abs(size[0] - width) <= max(
        1.0, _TOLERANCE * width
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


# --- a result with nothing on it --------------------------------------------------------------------------------------


def _require_something_on_it(image: Image.Image, source: Path) -> None:
    """Raise `BadPicture` for a result of a single colour, unless the source is of one or cannot be asked any more."""
    # Some thousand pixels tell almost every picture from a blank one, at no cost.
    if not _is_flat(image.resize((64, 64), Image.Resampling.NEAREST)) or not _is_flat(image):
        return
    try:
        with open_source(source) as file, opened(file, structure.inspect(file).kind) as original:
            blank = _is_flat(original)
    except (BadPicture, FileTrouble):
        return
    if not blank:
        raise BadPicture("the result is of a single colour, and the source is not", flaw=Flaw.BLANK)


def _is_flat(image: Image.Image) -> bool:
    image = eight_bits(image)
    if image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")
    extrema = image.getextrema()
    ranges = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(high - low <= _FLAT for low, high in ranges)
