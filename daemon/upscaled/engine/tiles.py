"""Geometry: how large the result is, and which piece of the source becomes which rectangle of it.

Pure arithmetic without pixels. The result is cut into *blocks*; each is made on its own from a window of the source
that reaches further than the block by what networks and resampling look at, so that blocks meet without a seam.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def long_side(self) -> int:
        """The larger of the two."""
        return max(self.width, self.height)

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a block: result pixels ``start`` to ``stop``, made of the source between ``low`` and ``high``."""

    start: int
    stop: int
    low: float
    high: float

    @property
    def length(self) -> int:
        """Result pixels."""
        return self.stop - self.start

    def window(self, margin: int) -> tuple[int, int]:
        """The whole source pixels that the block needs, ``margin`` more on each side; may lie beyond the picture."""
        return math.floor(self.low) - margin, math.ceil(self.high) + margin


@dataclass(frozen=True, slots=True)
class Block:
    """One rectangle of the result."""

    across: Span
    down: Span

    @property
    def pixels(self) -> int:
        """Result pixels in it."""
        return self.across.length * self.down.length


def fitted(source: Size, long_side: int) -> Size:
    """Return the size with this long side and the source's aspect, each side rounded and at least one pixel."""
    return multiplied(source, long_side / source.long_side)


def multiplied(source: Size, factor: float) -> Size:
    """Return the size that is ``factor`` times the source's, each side rounded and at least one pixel."""
    return Size(max(1, round(source.width * factor)), max(1, round(source.height * factor)))


def blocks(source: Size, target: Size, edge: int) -> list[Block]:
    """Cut the target into blocks of equal size, each from at most ``edge`` source pixels a side, row by row."""
    across = list(_spans(source.width, target.width, edge))
    return [Block(column, row) for row in _spans(source.height, target.height, edge) for column in across]


def _spans(source: int, target: int, edge: int) -> Iterator[Span]:
    count = min(target, math.ceil(source / edge))
    cuts = [round(index * target / count) for index in range(count + 1)]
    for start, stop in itertools.pairwise(cuts):
        yield Span(start, stop, start * source / target, stop * source / target)
