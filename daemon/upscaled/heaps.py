"""How the C library keeps its memory: in few heaps, without large holes, and not for longer than there is work.

Separate from the threads and from the jobs, neither of which know how memory is come by. Python keeps its small objects
itself; everything else lies in these heaps: what is read and sent, SQLite's pages and statements, pictures. Where the C
library is not glibc, it does as it pleases.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from upscaled.events import Event

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

LULL: Final = 2.0
"""For so many seconds nothing must have come of any step before memory is given back: while there is work, what one job
is done with is what the next one asks for."""

LONGEST: Final = 60.0
"""So long does memory that is not used stay at most, in seconds, where work never rests."""


def keep_small() -> None:
    """Have threads share a few heaps, without large holes.

    Python's lock serves one thread at a time anyway, so hardly any waits for another there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, value in _MALLOPT.items():
            mallopt(name, value)


def give_back() -> None:
    """Give whole pages of the heaps that nothing lies on back to the system, also those in between others.

    By itself the C library gives back the end of a heap only. Blocks below `LARGE` come and go in the middle, and each
    time that more of them are there at once than ever before, small things come to lie behind them, and stay: with 26
    to 28 MB in use, 2.9 MB of the heaps were free after 1,200 jobs, 6.3 MB after 4,400 and 11.8 MB after 9,100. It
    takes some 2 ms, and to have 10 MB from the system again another 8 ms.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Lulls:
    """Has memory given back when work rests. Subscribe it to events, and `run` it."""

    def __init__(
        self,
        *,
        give_back: Callable[[], None] = give_back,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        longest: float = LONGEST,
    ) -> None:
        self._give_back = give_back
        self._sleep = sleep
        self._longest = longest
        self._worked = asyncio.Event()

    def __call__(self, _event: Event) -> None:
        """Take note that there is work."""
        self._worked.set()

    async def run(self) -> None:
        """Give back after each stretch of work, and once in a while within a long one, until cancelled."""
        while True:
            await self._worked.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._longest):
                    await self._lull()
            # In a thread, though it takes milliseconds: it waits for the kernel.
            await asyncio.to_thread(self._give_back)

    async def _lull(self) -> None:
        while self._worked.is_set():
            self._worked.clear()
            await self._sleep(LULL)
