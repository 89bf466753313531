"""Which networks a picture is given, and in what proportion: pure decisions from an order and the source's condition.

``creativity`` is the share of the *restoring* network in the result; the rest is the *faithful* one. The restoring
network cleans and sharpens and wipes the finest texture; the faithful one keeps what is there, dirt included. Neither
invents anything beyond texture: this is a mix of two pictures, not a diffusion model.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from upscaled.engine.order import Order, Tier

SHARES: Final = ((-2.0, 0.0), (-1.0, 0.2), (0.0, 0.4), (1.0, 0.7), (2.0, 1.0))
"""Creativity and the restoring network's share at it, linear between.

Measured on photographs, fidelity to a clean source falls along it (from -2 to -1 it stays the same when enlarging
fourfold), and a damaged source becomes sharper with each step. A clean source does not: its edges stay as sharp at
twofold and become softer at fourfold, as the restoring network keeps less of the finest detail."""

POOR_QUALITY: Final = 75.0
"""A JPEG of at most this quality has visible blocks; the faithful network then cleans as it enlarges."""

NOISY: Final = 3.0
"""Noise, as a standard deviation in levels of 255, from which cleaning gains more than it costs in sharpness."""

ONE_PASS: Final = 2.2
"""Up to this factor one pass of the twofold network is enough: a second costs four times as much for 10 %."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known about how damaged a source is: ``quality`` of its JPEG coding (None: not a JPEG), and ``noise``."""

    quality: float | None = None
    noise: float = 0.0

    @property
    def needs_cleaning(self) -> bool:
        """Would cleaning gain more than it costs?"""
        return (self.quality is not None and self.quality <= POOR_QUALITY) or self.noise > NOISY


@dataclass(frozen=True, slots=True)
class Recipe:
    """The networks to run: ``faithful`` one after the other, ``restoring`` once, mixed with ``share`` of the latter."""

    faithful: tuple[str, ...]
    restoring: str | None
    share: float

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network that runs, each once."""
        return tuple(dict.fromkeys((*self.faithful, *([self.restoring] if self.restoring else []))))


def share_of(creativity: float) -> float:
    """Return the restoring network's share, 0 to 1, for a creativity; beyond -2 to 2 it stays at the end."""
    if creativity <= SHARES[0][0]:
        return SHARES[0][1]
    for (low, share), (high, next_share) in itertools.pairwise(SHARES):
        if creativity <= high:
            return share + (next_share - share) * (creativity - low) / (high - low)
    return SHARES[-1][1]


def restoring(tier: Tier, *, gpu: bool) -> str:
    """Return the restoring network: the large one if asked for, or where a graphics processor makes it fast."""
    return "x4plus" if tier is Tier.MAX or gpu else "animevideov3"


def choose(order: Order, tier: Tier, condition: Condition, factor: float, *, gpu: bool = False) -> Recipe:
    """Return the networks for a picture to be enlarged ``factor`` times."""
    share = 0.0 if tier is Tier.FAST else share_of(order.creativity)
    return Recipe(
        faithful=_faithful(condition, factor) if share < 1 else (),
        restoring=restoring(tier, gpu=gpu) if share > 0 else None,
        share=share,
    )


def _faithful(condition: Condition, factor: float) -> tuple[str, ...]:
    """One or two passes of the twofold network; beyond four times nothing is left to find, and Lanczos does the rest.

    Only the first pass cleans: after it there is nothing to be cleaned.
    """
    first = "waifu2x-photo-denoise1" if condition.needs_cleaning else "waifu2x-photo"
    return (first,) if factor <= ONE_PASS else (first, "waifu2x-photo")
