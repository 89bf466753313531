"""How damaged is a source? Its JPEG quality from the quantisation tables, its noise from the calmest blocks.

Separate because it is measurement: what follows from it is decided in `recipe`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LUMINANCE_SUM: Final = 3688
"""Sum of the standard's luminance table (ITU-T T.81, table K.1), which encoders scale to make a quality."""

_SAMPLE: Final = 1024
"""Side in pixels of the part in the middle that noise is measured on."""

_BLOCK: Final = 16
_CALM: Final = 0.1
"""The share of blocks taken as calm: what varies in them is noise."""


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> float | None:
    """Return the quality, 1 to 100, whose scaled standard table comes nearest to these; None without tables.

    The scale of the Independent JPEG Group: 5000/q below 50, 200 - 2q above.
    """
    if not tables or not tables.get(0):
        return None
    percent = 100 * sum(tables[0]) / _LUMINANCE_SUM
    quality = 5000 / percent if percent > 100 else (200 - percent) / 2
    return min(100.0, max(1.0, quality))


def noise(pixels: npt.NDArray[np.uint8]) -> float:
    """Return the noise of an RGB picture as a standard deviation in levels of 255.

    Immerkaer's estimator (Fast noise variance estimation, 1996) over the calmest tenth of blocks that are neither
    black nor white: clipped areas have no noise and would hide it. 0 where nothing can be measured.
    """
    grey = _middle(pixels).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    if min(grey.shape) < 2 * _BLOCK:
        return 0.0
    across = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    laplacian = np.abs(across[:-2] - 2 * across[1:-1] + across[2:])
    level, spread = _means(grey[1:-1, 1:-1]), _means(laplacian)
    usable = np.sort(spread[(level > 8) & (level < 247)])
    calm = usable[: math.ceil(usable.size * _CALM)]
    return float(math.sqrt(math.pi / 2) * calm.mean() / 6) if calm.size else 0.0


def _middle(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    top, left = max(0, (height - _SAMPLE) // 2), max(0, (width - _SAMPLE) // 2)
    return pixels[top : top + _SAMPLE, left : left + _SAMPLE]


def _means(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    rows, columns = (side // _BLOCK for side in values.shape)
    tiles = values[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    means: npt.NDArray[np.float32] = tiles.mean(axis=(1, 3), dtype=np.float32)
    return means
