"""Worker processes for what would stall the event loop or might not survive a hostile picture: decoding."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Final, ParamSpec, TypeVar

import structlog

from upscaled.errors import BadPicture, Flaw

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

_PR_SET_PDEATHSIG: Final = 1


class Processes:
    """A few processes, started when first needed and again when one died."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or (1 if (os.cpu_count() or 1) <= 2 else 2)
        self._pool: ProcessPoolExecutor | None = None

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, or raise what it raises.

        A process that dies is replaced and the call made once more: it may have been another's picture that killed it.
        Raises `errors.BadPicture` when it dies again.
        """
        call = partial(function, *args, **kwargs)
        loop = asyncio.get_running_loop()
        pool = self._ready()
        try:
            return await loop.run_in_executor(pool, call)
        except BrokenProcessPool:
            log.warning("process.died", during=getattr(function, "__name__", repr(function)))
        self._replace(pool)
        pool = self._ready()
        try:
            return await loop.run_in_executor(pool, call)
        except BrokenProcessPool as error:
            self._replace(pool)
            raise BadPicture("The process that decoded it died twice", flaw=Flaw.UNREADABLE) from error

    def _ready(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: the daemon has threads, and a fork would copy their locks.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_child)
        return self._pool

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Let a broken pool go, unless another call that it failed has done so already."""
        if self._pool is broken:
            self.close()

    def close(self) -> None:
        """End the processes; calls that have not begun are cancelled."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _child() -> None:
    """Leave signals to the daemon, and die with it: nothing may be left behind by a kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
