"""The source's broad colours, given back to an enlarged picture.

Networks drift: the restoring ones by several levels, most in greys and whites, the faithful one darkens by half a level
a pass. What is broader than a JPEG's blocks needs no network, so the result's means over cells of the source are set to
the source's own. That costs no run of a network and leaves no seam, as it is done to the picture as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from upscaled.engine.picture import resampled
from upscaled.engine.tiles import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from upscaled.engine.picture import Bytes

CELL: Final = 16
"""Side of a cell in source pixels: a JPEG's largest block, whose own mean is the least damaged thing in it. Smaller
cells bring the blocks back and put halos of colour round edges."""

_FINER: Final = 4
"""A cell's mean is taken of so many squared means of eight bits, or it would be off by half a level."""

_ROWS: Final = 256
"""Rows that are corrected at once, which bounds memory."""

Plane = npt.NDArray[np.float32]


def settle(
    result: Bytes, source: Bytes, each: Callable[[Callable[[slice], None], list[slice]], Iterable[None]] = map
) -> None:
    """Correct ``result`` in place; ``each`` maps a function over the parts of the work, as `map` does."""
    height, width = (max(1, round(side / CELL)) for side in source.shape[:2])
    planes = [Image.fromarray(plane) for plane in _means(source, width, height) - _means(result, width, height)]
    rows, columns = result.shape[:2]

    def correct(part: slice) -> None:
        box = (0.0, part.start * height / rows, float(width), part.stop * height / rows)
        size = (columns, part.stop - part.start)
        for channel, plane in enumerate(planes):
            off = np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box=box))
            result[part, :, channel] = np.clip(result[part, :, channel] + off + np.float32(0.5), 0, 255)

    for _ in each(correct, [slice(row, min(row + _ROWS, rows)) for row in range(0, rows, _ROWS)]):
        pass


def _means(pixels: Bytes, width: int, height: int) -> Plane:
    """Return channel x height x width means of a picture's cells."""
    finer = resampled(pixels, Size(width * _FINER, height * _FINER), Image.Resampling.BOX)
    parts = finer.astype(np.float32).reshape(height, _FINER, width, _FINER, 3)
    return np.ascontiguousarray(parts.mean(axis=(1, 3), dtype=np.float32).transpose(2, 0, 1))
