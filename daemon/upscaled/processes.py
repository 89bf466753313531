"""Worker processes for what would stall the event loop or might not survive a hostile picture: decoding.

Each may use so much memory and time and no more. Memory is limited by RLIMIT_DATA, which since Linux 4.7 counts private
writable memory alone, where pixels lie, and not the libraries and files that are merely mapped, as RLIMIT_AS does. The
limit is half of what the machine (or our control group) has free when the processes are started, at least 512 MiB,
which 60 megapixels need, and at most 4 GiB. A call that goes on for too long is ended with its process: a decoder that
goes round in circles asks nobody. They import what their calls need and no more of the program, which takes a third of
the memory that all of it would, and a quarter of the time to start.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from types import ModuleType
from typing import Final, ParamSpec, TypeVar

import structlog

from upscaled.engine.memory import available
from upscaled.errors import BadPicture, Flaw
from upscaled.worker_process import begin, timed

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

LEAST: Final = 512 << 20
MOST: Final = 4 << 30
"""What a process may use at least and at most, in bytes."""

TOO_LONG: Final = 300
"""How long one call may take, in seconds; the largest pictures take one."""


def memory_limit() -> int:
    """Return how much memory one process may use, in bytes."""
    return max(LEAST, min(MOST, (available() or MOST) // 2))


class Processes:
    """A few processes, started when first needed and again when one died."""

    def __init__(self, count: int | None = None, *, memory: int | None = None, seconds: int = TOO_LONG) -> None:
        self._count = count or (1 if (os.cpu_count() or 1) <= 2 else 2)
        self._memory = memory
        self._seconds = seconds
        self._pool: ProcessPoolExecutor | None = None

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``function`` returns, or raise what it raises.

        A process that dies is replaced and the call made once more: it may have been another's picture that killed it.
        Raises `errors.BadPicture` when it dies again.
        """
        call = partial(timed, self._seconds, partial(function, *args, **kwargs))
        pool = self._ready()
        try:
            return await _given(pool, call)
        except BrokenProcessPool:
            log.warning("process.died", during=getattr(function, "__name__", repr(function)))
        self._replace(pool)
        pool = self._ready()
        try:
            return await _given(pool, call)
        except BrokenProcessPool as error:
            self._replace(pool)
            raise BadPicture(
                "the process that decoded it died twice, or took too long", flaw=Flaw.UNREADABLE
            ) from error

    def _ready(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: the daemon has threads, and a fork would copy their locks.
            context = multiprocessing.get_context("spawn")
            memory = self._memory or memory_limit()
            self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=begin, initargs=(memory,))
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


def _given(pool: ProcessPoolExecutor, call: Callable[[], T]) -> asyncio.Future[T]:
    """Give a call to a pool, which may start a process for it; that one does not import the program's main module.

    `multiprocessing` has a child import it, as functions may be defined there; ours are not, and it imports everything.
    """
    loop = asyncio.get_running_loop()
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        return loop.run_in_executor(pool, call)
    finally:
        sys.modules["__main__"] = main
