"""Engine: the real upscaler, as the API's server side and the command line use it, off the event loop.

Separate from `render` because that needs the extra ``engine``, and this module can be imported without it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from upscaled import errors
from upscaled.engine import memory
from upscaled.engine.order import Tier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upscaled.engine.order import Order, Report
    from upscaled.engine.render import Renderer


class Engine:
    """The upscaler on this machine's processor; satisfies `order.Upscaler`.

    ``tier`` is for orders that name none, ``workers`` how many pieces are worked on at once (default: one a core, fewer
    where memory is short), ``memory_limit`` caps what is taken as free memory, in bytes.
    """

    def __init__(
        self, *, tier: Tier = Tier.STANDARD, workers: int | None = None, memory_limit: int | None = None
    ) -> None:
        self._tier = tier
        self._workers = workers
        self._memory_limit = memory_limit
        self._renderer: Renderer | None = None

    async def start(self) -> None:
        """Load what is needed. Raises `errors.EngineError` when the extra ``engine`` is not installed."""
        if self._renderer is None:
            self._renderer = await asyncio.to_thread(self._make)

    async def upscale(
        self, source: Path, output: Path, order: Order, progress: Callable[[float], None] | None = None
    ) -> Report:
        """See `order.Upscaler.upscale`."""
        await self.start()
        assert self._renderer is not None
        loop = asyncio.get_running_loop()
        cancelled = threading.Event()

        def tell(share: float) -> None:
            if progress is not None and not cancelled.is_set():
                loop.call_soon_threadsafe(progress, share)

        work = asyncio.ensure_future(asyncio.to_thread(self._renderer.render, source, output, order, tell, cancelled))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.wait([work])  # it writes to `output`: nobody may reuse that before it has stopped
            work.exception()
            raise

    async def close(self) -> None:
        """Stop the threads and let go of the networks."""
        if self._renderer is not None:
            renderer, self._renderer = self._renderer, None
            await asyncio.to_thread(renderer.close)

    def _make(self) -> Renderer:
        try:
            from upscaled.engine.render import Renderer  # noqa: PLC0415 -- it needs the extra, this module does not
        except ImportError as error:
            raise errors.EngineError(
                "The built-in engine is not installed",
                why=str(error),
                do="Install it: pip install 'upscaled[engine]'; or set service.url to a service and its key.",
            ) from error
        renderer = Renderer(workers=self._workers or memory.workers(self._memory_limit), tier=self._tier)
        renderer.network("waifu2x-photo")  # its absence is better known now than at the first picture
        return renderer
