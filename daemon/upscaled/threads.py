"""The threads that file work runs in, what memory they take, and the way out of a process in which some of them hang.

Separate because of what both asyncio and Python do by themselves: wait for every thread at the end. A call to a share
that does not answer returns when the share does, which may be never, and no thread can be ended from outside.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, NoReturn

COUNT: Final = 64
"""How many there may be: those that hang must leave some for the others. Idle ones cost next to nothing."""

_NAME: Final = "upscaled-files"

ARENAS: Final = 2
"""Heaps of the C library's that all threads share. It would make eight for each processor, and free memory in one is no
use to a thread of another: of a daemon's 62 MB of heap after 2,000 jobs 26 MB were free (measured with malloc_info)."""

LARGE: Final = 320 << 10
"""From so many bytes on, memory is the system's again as soon as it is given back. The C library begins with less, but
learns to keep what was large once, such as the blocks that files are read in, and small things come to lie between:
after 9,000 jobs 41 MB of a heap of 72 MB were free, in 2,300 pieces. It must be more than 256 KB: TLS asks for so much
for each record that it reads, and fetching that from the system each time took 13 ms of CPU for a result of 2 MB."""

_MALLOPT: Final = {-8: ARENAS, -3: LARGE, -1: LARGE}
"""M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD; see mallopt(3)."""

LINGER: Final = 0.5
"""How long threads that are about to end are waited for, in seconds."""


@asynccontextmanager
async def own_threads() -> AsyncIterator[None]:
    """Give the running loop threads of its own, and take its leave of them at the end without waiting."""
    keep_heaps_small()
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(COUNT, thread_name_prefix=_NAME)
    loop.set_default_executor(threads)
    try:
        yield
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        # asyncio waits for the threads of the last one it was given.
        loop.set_default_executor(ThreadPoolExecutor(1))


def keep_heaps_small() -> None:
    """Have threads share a few heaps, without holes; where the C library is not glibc, it does as it pleases.

    Python's lock serves one thread at a time anyway, so hardly any waits for another there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in _MALLOPT.items():
            mallopt(name, value)


def leave(code: int) -> NoReturn:
    """End the process; a thread that hangs is left to the kernel.

    Everything that is to be durable must be so by now: what a thread is in the midst of is cut off as by a kill.
    """
    end = time.monotonic() + LINGER
    for thread in _others():
        thread.join(max(0.0, end - time.monotonic()))
    if _others():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _others() -> list[threading.Thread]:
    """The threads that Python would wait for: ours, and those that look after a pool of processes."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(_NAME) or _looks_after_pool(thread)]


def _looks_after_pool(thread: threading.Thread) -> bool:
    return type(thread).__name__ == "_ExecutorManagerThread"
