"""How much room must be free before a picture is paid for: what its result will take, and some for the others.

Separate from the plan because the step that pays, `why` and `check` must all say the same number. Sizes are bytes.
"""

from __future__ import annotations

from typing import Final

from upscaled.job.model import Parameters

FLOOR: Final = 10**9
"""What must be free at least, unless the folder says otherwise: a full disk troubles other programs, too."""

TIMES: Final = 3
"""So many results of this size must fit: one is expected, one may be twice as large, and others are on their way."""

_BYTES_PER_PIXEL: Final = {"jpeg": 0.5, "webp": 0.4, "png": 2.5}
"""Rather more than photographs take: a JPEG of 4k has 2 to 4 MB, a PNG 18 to 21 MB."""

_UNKNOWN_FORMAT: Final = 2.5

_UNKNOWN_SCALE: Final = 4.0
"""What models without a target resolution multiply the sides by, where they are not told."""


def expected(
    params: Parameters, *, side: int | None, fmt: str | None, pixels: tuple[int, int] | None, size: int
) -> int:
    """Return about how many bytes the result of a source will have.

    ``side`` is the long side of the target in pixels (None: the model multiplies), ``fmt`` and ``pixels`` are the
    source's as far as they are known, ``size`` is the source's in bytes.
    """
    per_pixel = _BYTES_PER_PIXEL.get(params.output_format or fmt or "", _UNKNOWN_FORMAT)
    return max(size, round(_pixels(params, side, pixels) * per_pixel))


def _pixels(params: Parameters, side: int | None, pixels: tuple[int, int] | None) -> float:
    width, height = pixels or (1, 1)
    if side is not None:
        return side * side * min(width, height) / max(width, height)
    scale = params.inputs.get("scale")
    factor = float(scale) if isinstance(scale, int | float) and not isinstance(scale, bool) else _UNKNOWN_SCALE
    return width * height * factor**2 if pixels else 0.0


def needed(floor: int | None, expected: int) -> int:
    """Return how much must be free for a result of so many bytes; ``floor`` None is no demand at all."""
    return 0 if floor is None else max(floor, TIMES * expected)


def spelled(size: int) -> str:
    """Return a size for people: ``0.9 GB``, ``12 MB``."""
    if size >= 10**9:
        return f"{size / 10**9:.1f} GB"
    return f"{size // 10**6} MB" if size >= 10**6 else f"{size // 1000} KB"


def lacking(disk: str, free: int, need: int) -> str:
    """Return why nothing is paid for while a disk has too little room, or '' where it has enough."""
    if free >= need:
        return ""
    return (
        f"The disk at {disk} has {spelled(free)} free, and {spelled(need)} must be free before a picture is paid for "
        "(min_free, and room for its result). Free some space there; it goes on by itself."
    )
