"""What is uploaded in a source's place, or delivered where the source is large enough but of a rare format.

The service does not say what it does with orientation, colour profiles, 16 bits or transparency, so it is given
pictures about which nothing can be misunderstood: upright, sRGB, eight bits, JPEG, PNG or WebP. A source that is all
that goes byte for byte, and is not even decoded. Anything else is rendered without loss where that fits, else with as
little as fits. A rendition carries no metadata: neither EXIF nor a place goes to the service with it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from upscaled.errors import BadPicture, FileTrouble, Flaw
from upscaled.files.parts import create_part, discard
from upscaled.files.pictures.opening import MAX_PIXELS, explained, frames, opened, require_sane
from upscaled.files.pictures.upright import Header, header_of, is_opaque, upright
from upscaled.files.sources import copy_into, fingerprint, open_source
from upscaled.files.structure.colours import code_points
from upscaled.files.structure.kinds import HEAD, kind_of
from upscaled.files.structure.model import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from PIL import Image

AS_THEY_ARE: Final = ("jpeg", "png", "webp")
"""The formats that the service takes byte for byte."""

_ENCODERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    # Level 1 takes half the time of the next and makes files a few percent larger.
    "png": ("PNG", {"compress_level": 1}),
    "jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 95, "method": 2}),
}

_LONGEST: Final[Mapping[str, int]] = {"jpeg": 65500, "webp": 16383}
"""The longest side that a format can hold, in pixels."""

_MOST_FRAMES: Final = 16
"""So many directories of a TIFF are looked at; the readiness gate has refused those with several pages."""

_TURNED: Final = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may come out. ``largest`` is in bytes."""

    as_they_are: tuple[str, ...] = AS_THEY_ARE
    """Formats of which a picture may stay byte for byte."""
    encodings: tuple[str, ...] = ("png", "jpeg")
    """What is tried in turn for all others, until it fits."""
    alpha: bool = False
    """May it have transparent parts? JPEG never has."""
    largest: int = 200_000_000
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Rendition:
    """What there is now. Width and height are pixels, upright.

    ``digest`` is the SHA-256 of the file that was made; None: the source is fine byte for byte, and nothing was made.
    ``done`` is what was done to the picture, for a person.
    """

    format: str
    width: int
    height: int
    digest: str | None = None
    size: int = 0
    done: tuple[str, ...] = ()


def render(source: Path, out: Path, wanted: Wanted, *, in_any_case: bool = False) -> Rendition:
    """Write to ``out`` what must stand for a source, unless that may stay as it is.

    ``in_any_case`` copies what may, because the source will not stay. ``out`` is written anew each time and need not
    survive a crash: whoever uses it compares its fingerprint. When this raises there is no such file. Raises
    `BadPicture`, or `FileTrouble` when a file cannot be read or written.
    """
    try:
        with open_source(source) as file:
            head = file.read(HEAD)
            kind = kind_of(head)
            size = file.seek(0, 2)
            points = code_points(Reader(file), kind)
            with opened(file, kind, wanted.max_pixels) as image:
                _require_one(image, wanted)
                header = header_of(image, head, points)
                if kind in wanted.as_they_are and size <= wanted.largest and _is_plain(image, header, wanted):
                    untouched = _untouched(image, header, str(kind))
                    return _copied(source, out, untouched, size) if in_any_case else untouched
                return _rendered(image, header, out, wanted, kind=str(kind))
    except (BadPicture, FileTrouble):
        with suppress(OSError):
            discard(out)
        raise


def _require_one(image: Image.Image, wanted: Wanted) -> None:
    """Raise `BadPicture` for several pictures in one file. In a TIFF some may be smaller copies: the largest counts."""
    count = frames(image)
    if image.format == "TIFF":
        image.seek(_largest_frame(image, min(count, _MOST_FRAMES)))
        require_sane(image.width, image.height, wanted.max_pixels)
    elif count > 1:
        what = "frames: it is animated" if image.format in {"GIF", "WEBP", "PNG"} else "pages or pictures in one file"
        raise BadPicture(f"it has {count} {what}", do="Export the one you want as a picture.", flaw=Flaw.MANY)


def _largest_frame(image: Image.Image, count: int) -> int:
    areas = []
    for number in range(count):
        image.seek(number)
        areas.append(image.width * image.height)
    return areas.index(max(areas))


def _is_plain(image: Image.Image, header: Header, wanted: Wanted) -> bool:
    """May the file stay as it is? What is not told by the header is asked last."""
    simple = header.orientation == 1 and header.srgb and header.plain and not header.deep
    return simple and (wanted.alpha or not header.transparent or is_opaque(image))


def _untouched(image: Image.Image, header: Header, kind: str) -> Rendition:
    width, height = image.size
    return Rendition(kind, *((height, width) if header.orientation in _TURNED else (width, height)))


def _copied(source: Path, out: Path, untouched: Rendition, size: int) -> Rendition:
    with create_part(out) as file:
        return replace(untouched, digest=copy_into(source, file), size=size)


def _rendered(image: Image.Image, header: Header, out: Path, wanted: Wanted, *, kind: str) -> Rendition:
    picture = upright(image, header, alpha=wanted.alpha)
    if kind not in wanted.as_they_are:
        picture.done.insert(0, f"converted from {kind.upper()}")
    rendition = Rendition("", *picture.image.size, done=tuple(picture.done))
    for form in wanted.encodings:
        made = _encoded(picture.image, out, form, rendition)
        if made is not None and made.size <= wanted.largest:
            lossless = form == wanted.encodings[0]
            return made if lossless else replace(made, done=(*made.done, f"compressed as {form.upper()} to fit"))
    raise BadPicture(
        f"the picture of {picture.image.width} x {picture.image.height} pixels does not fit into "
        f"{wanted.largest:,} bytes in any way",
        do="Save it with fewer pixels.",
        flaw=Flaw.ABSURD,
    )


def _encoded(image: Image.Image, out: Path, form: str, rendition: Rendition) -> Rendition | None:
    """Write one encoding; None where the format cannot hold such a picture."""
    if max(image.size) > _LONGEST.get(form, max(image.size)) or (form == "jpeg" and image.mode not in {"L", "RGB"}):
        return None
    name, options = _ENCODERS[form]
    with create_part(out) as file:
        with explained(out):
            image.save(file, name, **options)
        return replace(rendition, format=form, digest=fingerprint(file), size=file.seek(0, 2))
