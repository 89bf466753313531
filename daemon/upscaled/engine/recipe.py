"""Which networks a picture is given, and in what proportion: pure decisions from an order and the source's condition.

A result is mixed of three pictures of the same size: the source resampled, what the *faithful* network makes of it and
what the *restoring* one makes of it. The restoring network cleans and sharpens and wipes the finest texture; the
faithful one keeps what is there, dirt included. ``creativity`` moves from the mix that is nearest to the truth towards
the restoring network, and strengthens the detail that networks add to resampling. None of them invents anything beyond
texture: this is a mix of pictures, not a diffusion model.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from upscaled.engine.order import Order, Tier

LEVELS: Final = ((-2.0, 0.0, 1.0), (-1.0, 0.08, 1.1), (0.0, 0.2, 1.2), (1.0, 0.4, 1.35), (2.0, 1.0, 1.4))
"""Creativity, how far it goes from the most truthful share of the restoring network to all of it, and how strong detail
is at it, where 1 is as the networks make it; linear between.

A mix of two estimates is nearer to the truth than either, and softer: fidelity and sharpness are curves over the share
with their extremes inside. So the share begins at the best fidelity, and the detail's strength makes good what mixing
softens. Fitted to one half of the benchmark's photographs and checked on the other: averaged over photographs, every
step means less fidelity and more sharpness."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """What a restoring network is like: ``truest`` is the share of it that is nearest to the truth for a damaged source
    (for a source like new that is 0), ``sharp`` that it is sharper than photographs are, so that its detail is left as
    it is.
    """

    truest: float
    sharp: bool = False


RESTORING: Final = {"animevideov3": Restoring(0.5), "x4plus": Restoring(0.35, sharp=True)}
"""The small and the large one."""

LIKE_NEW: Final = 95.0
"""A JPEG of this quality or a better one is as good as one that was never coded."""

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
    def damage(self) -> float:
        """From 0, like new, to 1, from where on cleaning gains more than it costs."""
        if self.noise > NOISY:
            return 1.0
        if self.quality is None:
            return 0.0
        return min(1.0, max(0.0, (LIKE_NEW - self.quality) / (LIKE_NEW - POOR_QUALITY)))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The networks to run: ``faithful`` one after the other, ``restoring`` once, mixed with ``share`` of the latter.

    ``detail`` is how strong what they add to the resampled source is in the result: 1 is as they make it.
    """

    faithful: tuple[str, ...]
    restoring: str | None
    share: float
    detail: float = 1.0

    @property
    def networks(self) -> tuple[str, ...]:
        """Every network that runs, each once."""
        return tuple(dict.fromkeys((*self.faithful, *([self.restoring] if self.restoring else []))))


def mix(creativity: float, damage: float, network: Restoring) -> tuple[float, float]:
    """Return the restoring network's share, 0 to 1, and the detail's strength, for a source with so much damage.

    Beyond -2 to 2 they stay as at the end.
    """
    progress, detail = _level(creativity)
    truest = network.truest * damage
    return truest + (1 - truest) * progress, 1.0 if network.sharp else detail


def _level(creativity: float) -> tuple[float, float]:
    if creativity <= LEVELS[0][0]:
        return LEVELS[0][1:]
    for (low, *before), (high, *after) in itertools.pairwise(LEVELS):
        if creativity <= high:
            part = (creativity - low) / (high - low)
            progress, detail = (one + part * (other - one) for one, other in zip(before, after, strict=True))
            return progress, detail
    return LEVELS[-1][1:]


def restoring(tier: Tier, *, gpu: bool) -> str:
    """Return the restoring network: the large one if asked for, or where a graphics processor makes it fast."""
    return "x4plus" if tier is Tier.MAX or gpu else "animevideov3"


def choose(order: Order, tier: Tier, condition: Condition, factor: float, *, gpu: bool = False) -> Recipe:
    """Return the networks for a picture to be enlarged ``factor`` times."""
    name = restoring(tier, gpu=gpu)
    if order.creativity is None:
        return Recipe((), name, 1.0)
    share, detail = (0.0, 1.0) if tier is Tier.FAST else mix(order.creativity, condition.damage, RESTORING[name])
    return Recipe(
        faithful=_faithful(condition, factor) if share < 1 else (),
        restoring=name if share > 0 else None,
        share=share,
        detail=detail,
    )


def _faithful(condition: Condition, factor: float) -> tuple[str, ...]:
    """One or two passes of the twofold network; beyond four times nothing is left to find, and Lanczos does the rest.

    Only the first pass cleans: after it there is nothing to be cleaned.
    """
    first = "waifu2x-photo-denoise1" if condition.damage >= 1 else "waifu2x-photo"
    return (first,) if factor <= ONE_PASS else (first, "waifu2x-photo")
