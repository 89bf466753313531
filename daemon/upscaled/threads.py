"""The threads that file work runs in, and the way out of a process in which some of them hang.

Separate because of what both asyncio and Python do by themselves: wait for every thread at the end. A call to a share
that does not answer returns when the share does, which may be never, and no thread can be ended from outside.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from upscaled import heaps

COUNT: Final = 64
"""How many there may be: those that hang must leave some for the others. Idle ones cost next to nothing."""

_NAME: Final = "upscaled-files"

LINGER: Final = 0.5
"""How long threads that are about to end are waited for, in seconds."""


@asynccontextmanager
async def own_threads() -> AsyncIterator[None]:
    """Give the running loop threads of its own, and take its leave of them at the end without waiting."""
    heaps.keep_small()
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(COUNT, thread_name_prefix=_NAME)
    loop.set_default_executor(threads)
    try:
        yield
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        # asyncio waits for the threads of the last one it was given.
        loop.set_default_executor(ThreadPoolExecutor(1))


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
