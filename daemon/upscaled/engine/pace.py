"""How long a picture will take, from the speed measured at the start; pure arithmetic.

It decides when the usual mix is worth more time than somebody is willing to wait, before any of that time is spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from upscaled.engine.tiles import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.engine.recipe import Recipe

_OVERLAP: Final = 1.3
"""What blocks cost beyond their own pixels, as they overlap; measured with blocks of 256 pixels."""

_PARALLEL: Final = 0.85
"""What each further worker adds: cores share caches and memory."""

_CODING: Final = 0.05
"""Seconds for each megapixel of the result: resampling, mixing, encoding."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one worker takes for one megapixel given to each network, and how many workers there are."""

    rates: Mapping[str, float]
    workers: int

    def estimate(self, recipe: Recipe, source: Size, target: Size, scales: Mapping[str, int]) -> float:
        """Return how many seconds a picture will take; a network that was not measured counts as the slowest."""
        megapixels, seconds = source.pixels / 1e6, 0.0
        for index, name in enumerate(recipe.faithful):
            seconds += self._rate(name) * megapixels * scales[name] ** (2 * index)
        if recipe.restoring is not None:
            seconds += self._rate(recipe.restoring) * megapixels
        return seconds * _OVERLAP / (1 + _PARALLEL * (self.workers - 1)) + _CODING * target.pixels / 1e6

    def _rate(self, name: str) -> float:
        return self.rates.get(name, max(self.rates.values(), default=0.0))
