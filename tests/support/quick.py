"""A quick upscaler for tests of the API's server side: Pillow's resize, which can be held and made to fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from PIL import Image

from upscaled.engine import tiles
from upscaled.engine.order import Order, PictureRefused, Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Quick:
    """Satisfies `Upscaler`. While ``gate`` is cleared every picture waits; ``orders`` remembers what was asked for."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.orders: list[Order] = []
        self.at_work = 0
        self.most_at_work = 0
        self.trouble: Exception | None = None

    async def start(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def upscale(
        self,
        source: Path,
        output: Path,
        order: Order,
        *,
        progress: Callable[[float], None] | None = None,
        estimated: Callable[[float], None] | None = None,
    ) -> Report:
        """Resize once the gate is open."""
        self.orders.append(order)
        self.at_work += 1
        self.most_at_work = max(self.at_work, self.most_at_work)
        try:
            if estimated is not None:
                estimated(1.5)
            if progress is not None:
                progress(0.25)
            await self.gate.wait()
            if self.trouble is not None:
                raise self.trouble
            return _resized(source, output, order)
        finally:
            self.at_work -= 1


def _resized(source: Path, output: Path, order: Order) -> Report:
    try:
        with Image.open(source) as image:
            target = tiles.fitted(tiles.Size(*image.size), order.long_side)
            result = image.convert("RGB").resize((target.width, target.height), Image.Resampling.NEAREST)
    except OSError as error:
        raise PictureRefused("The picture cannot be read", why="it is damaged") from error
    result.save(output, order.format)
    return Report(target.width, target.height, ("nearest",), "made quickly")
