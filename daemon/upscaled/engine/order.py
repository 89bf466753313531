"""The words between the API's server side and whatever makes the pictures: Order, Report, Upscaler.

They are separate so that the server runs with any upscaler (a quick one in tests) and the upscaler without a server.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from upscaled import errors
from upscaled.api import wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Tier(StrEnum):
    """How much work a picture is worth."""

    FAST = "fast"
    """The faithful network alone; creativity has no effect."""
    STANDARD = "standard"
    """The mix that creativity asks for."""
    MAX = "max"
    """The same mix with the largest restoring network: minutes for a picture without a GPU."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of one picture.

    The result's size is ``scale`` times the source's where that is set, else ``long_side`` pixels on its long side.
    ``creativity`` runs from -2 to 2; None asks for the restoring network alone, as it is. ``format`` is one of
    `wire.FORMATS`; ``tier`` overrides the engine's own.
    """

    creativity: float | None = 0.0
    long_side: int = wire.TARGETS["4k"]
    scale: float | None = None
    format: str = "jpeg"
    tier: Tier | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was made: the result's size in pixels, the networks that ran (none: it was resampled only), and how.

    ``note`` tells a person what was done other than they may expect; ``seconds`` is the time the work took.
    """

    width: int
    height: int
    networks: tuple[str, ...] = ()
    note: str = ""
    seconds: float = 0.0


class PictureRefused(errors.UpscaledError):
    """This picture cannot be upscaled, and trying again will not help. ``code`` is the service's task code."""

    def __init__(self, what: str, *, why: str = "", do: str = "", code: int = wire.CODE_MEDIA) -> None:
        super().__init__(what, why=why, do=do)
        self.code = code


class Upscaler(Protocol):
    """Makes pictures larger, one at a time."""

    async def start(self) -> None:
        """Get ready. Raises `errors.EngineError` when it cannot work here."""

    async def upscale(
        self,
        source: Path,
        output: Path,
        order: Order,
        *,
        progress: Callable[[float], None] | None = None,
        estimated: Callable[[float], None] | None = None,
    ) -> Report:
        """Write the enlarged ``source`` to ``output`` and tell what was done; ``progress`` is called with 0 to 1,
        ``estimated`` once, before the work, with the seconds it will take where that is known.

        Cancelling the call stops the work soon; ``output`` is then incomplete or missing. It is not fsynced: whoever
        keeps it does that. Raises `PictureRefused` when this picture can never be done, `errors.EngineError` when the
        engine itself failed.
        """

    async def close(self) -> None:
        """Stop all work and let go of memory, threads and processes."""
