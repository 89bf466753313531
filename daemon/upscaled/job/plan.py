"""What will happen to a source, and what it costs: decided once, for the step that does it and the verb that tells it.

Separate because `upscaled plan` must not say one thing and the daemon do another: both ask these functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OWN: Final = "source"
"""What `Job.reuse` says where the source itself is the result."""


class Verdict(StrEnum):
    """What will happen to a source."""

    SUBMIT = "submit"
    """It is upscaled, at the service's price."""
    REUSE = "reuse"
    """The same picture was upscaled with the same parameters: that result is delivered again, free."""
    TWIN = "twin"
    """The same picture is on its way: it waits for that result, and gets it free."""
    COPY = "copy"
    """It is as large as the target already, and is delivered free: as it is, or converted where its format is rare."""
    SKIP = "skip"
    """It is as large as the target already, and stays where it is."""
    REFUSE = "refuse"
    """It cannot be upscaled and goes to the failed folder, unpaid."""
    LEAVE = "leave"
    """It is no picture of ours and stays where it is."""
    WAIT = "wait"
    """It is not ready yet."""
    HOLD = "hold"
    """Too many came at once: it waits for `upscaled release`."""


FREE: Final = frozenset(Verdict) - {Verdict.SUBMIT, Verdict.HOLD}
"""Verdicts that cost nothing."""


@dataclass(frozen=True, slots=True)
class Large:
    """A source at or above its target: copy it or skip it, and why."""

    verdict: Verdict
    reason: str


def large(target: str | None, side: int | None, pixels: tuple[int, int] | None, rule: str) -> Large | None:
    """Return what ``large_enough`` means for a source of so many pixels; None: it is to be upscaled.

    ``side`` is the long side of ``target`` in pixels. Only models with a ``target_resolution`` have a target; others
    multiply, and are always submitted.
    """
    if rule == "submit" or side is None or pixels is None or max(pixels) < side:
        return None
    size = f"{pixels[0]} x {pixels[1]} pixels are at or above {target} ({side} along the longer side)"
    if rule == "skip":
        return Large(Verdict.SKIP, f"{size}; it stays in the inbox, as large_enough says.")
    return Large(Verdict.COPY, f"{size}; it was delivered without being upscaled, and nothing was spent.")


def least(pixels: tuple[int, int] | None, side: int | None) -> tuple[int, int] | None:
    """Return how large a result must be at least: as its source, or, where that is above the target, as the target.

    A source above it is only submitted where a person said so, by ``large_enough`` or with a hook's picture.
    """
    if pixels is None or side is None or max(pixels) <= side:
        return pixels
    width, height = pixels
    return max(1, width * side // max(pixels)), max(1, height * side // max(pixels))


DELIVERED: Final = ("jpeg", "png", "webp")
"""The formats in which results, and sources that are large enough, are delivered."""


def delivered(kind: str | None, output_format: str | None) -> str:
    """Return the format in which a source of a kind that is large enough is delivered.

    As it is where results may have its format. A TIFF, a HEIC or a raw file becomes what results are: an outbox holds
    only what those who look into it can open.
    """
    return kind if kind in DELIVERED else output_format or "jpeg"


def too_many(count: int, most: int | None) -> bool:
    """Are these more new files at once than a folder takes without leave?"""
    return most is not None and count > most


def duration(pictures: int, *, per_minute: float | None, at_once: int, seconds_each: float) -> float:
    """Return about how long so many predictions take, in seconds, by the tier's rate and places."""
    if not pictures:
        return 0.0
    rounds = math.ceil(pictures / max(1, at_once)) * seconds_each
    if per_minute is None:
        return rounds
    # The first minute's allowance goes at once; the last picture still has to be made.
    paced = max(0, math.ceil(pictures / max(1.0, per_minute)) - 1) * 60.0 + seconds_each
    return max(rounds, paced)
