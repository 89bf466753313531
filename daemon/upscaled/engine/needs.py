"""How much memory a picture takes on its way, and with which blocks it stays within a limit.

Pure arithmetic with what was measured, rounded up: peaks of the engine's process, which `picture` and `render` keep
low. What is decoded, worked on and encoded is not all there at once, so the largest of the three counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from upscaled.engine.memory import EDGES, Share
from upscaled.engine.order import PictureRefused, Tier
from upscaled.engine.tiles import Size

BARE: Final = {Tier.FAST: 180_000_000, Tier.STANDARD: 260_000_000, Tier.MAX: 950_000_000}
"""What the process uses before its first picture, with the networks of a tier, in bytes."""

WORKER: Final = {256: 600_000_000, 128: 430_000_000}
"""What one worker uses, by the side of its blocks, in bytes."""

ROOM: Final = 100_000_000
"""What an ordinary picture takes beside one worker, in bytes. With less than that and the least engine nothing could be
made at all, so a limit below both is kept as nearly as can be.
"""

ENCODING: Final = {("jpeg", False): 4, ("png", False): 4, ("png", True): 4, ("webp", False): 10, ("webp", True): 29}
"""What writing a result takes beside its pixels, by format and whether it is transparent, in bytes a pixel."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file says of its picture before it is decoded.

    ``size`` as it is stored; ``decoding`` is what decoding takes, pixels included, in bytes a pixel; ``clear`` tells
    that it may be transparent.
    """

    size: Size
    decoding: int
    clear: bool


def needed(outline: Outline, target: Size, form: str, tier: Tier, share: Share) -> int:
    """Return how many bytes the process will use at its peak."""
    clear = outline.clear and form != "jpeg"
    source, result = (4 if outline.clear else 3), (4 if clear else 3)
    runs = target.long_side > outline.size.long_side
    workers = share.workers * WORKER[share.edge] if runs else 0  # ncnn keeps it when the last block is made
    return BARE[tier] + max(
        outline.size.pixels * outline.decoding,
        workers + outline.size.pixels * (source + 1) + target.pixels * (result + 2),
        workers + target.pixels * (result + ENCODING[form, clear]),
    )


def share_within(limit: int, outline: Outline, target: Size, form: str, *, tier: Tier, share: Share) -> Share:
    """Return how to work so that a picture stays within ``limit`` bytes: as ``share`` says, if that can be.

    Else with smaller blocks, and then on fewer of them at once. Raises `PictureRefused` where it cannot, however.
    """
    allowed = max(limit, BARE[tier] + WORKER[EDGES[-1]] + ROOM)
    ways = [share, *(Share(workers, EDGES[-1]) for workers in range(share.workers, 0, -1))]
    needs = {way: needed(outline, target, form, tier, way) for way in ways}
    for way, most in needs.items():
        if most <= allowed:
            return way
    least = min(needs.values())
    raise PictureRefused(
        "The picture takes more memory than the engine may use",
        why=f"it takes up to {least / 1e9:.2f} GB, and engine.memory (--memory) allows {limit / 1e9:.2f} GB",
        do="Allow more, or send a smaller picture; smaller results and quicker tiers take less, too.",
    )
