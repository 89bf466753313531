"""What the C library keeps of memory."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.jobs import job
from upscaled.events import Event
from upscaled.heaps import ARENAS, LULL, Lulls
from upscaled.job.model import Step

GLIBC = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")

THREADS = 12

PROGRAM = f"""
import ctypes, sys, threading
from upscaled import heaps

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p] * 2
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "shared":
    heaps.keep_small()
there = threading.Barrier({THREADS})

def take():
    libc.malloc(1000)
    there.wait()

threads = [threading.Thread(target=take) for _ in range({THREADS})]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


def heaps(how: str, path: Path) -> int:
    """Return how many heaps a process has whose threads have all taken memory."""
    subprocess.run([sys.executable, "-c", PROGRAM, how, path], check=True, timeout=60)
    return path.read_text("ascii").count("<heap nr=")


@GLIBC
def test_threads_share_a_few_heaps(tmp_path: Path) -> None:
    """Else what one has given back is no use to the others, and with each thread the daemon grows."""
    assert heaps("shared", tmp_path / "shared") <= ARENAS
    assert heaps("own", tmp_path / "own") > ARENAS


HOLES = """
import ctypes
from upscaled import heaps

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def held():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))

heaps.keep_small()
blocks, pins = [], []
for _ in range(100):
    blocks.append(libc.malloc(200_000))
    ctypes.memset(blocks[-1], 1, 200_000)
    pins.append(libc.malloc(2000))
for block in blocks:
    libc.free(block)
before = held()
heaps.give_back()
print(before - held())
"""


@GLIBC
def test_holes_between_what_is_in_use_are_given_back() -> None:
    """The C library by itself gives back the end of a heap alone, and something lies there always."""
    done = subprocess.run([sys.executable, "-c", HOLES], check=True, timeout=60, capture_output=True, text=True)
    assert int(done.stdout) > 18_000


EVENT = Event(job(), Step.PREPARE, "prepared", "")


class Clock:
    """Stands in for the time that lulls are waited for; something is done in the first ``busy`` of them."""

    def __init__(self, busy: float) -> None:
        self.busy, self.passed, self.given_back = busy, 0.0, list[float]()
        self.lulls = Lulls(give_back=self._give_back, sleep=self._sleep)

    def _give_back(self) -> None:
        self.given_back.append(self.passed)

    async def _sleep(self, seconds: float) -> None:
        self.passed += seconds
        if self.passed <= self.busy:
            self.lulls(EVENT)
        await asyncio.sleep(0)


@asynccontextmanager
async def running(lulls: Lulls) -> AsyncIterator[None]:
    """Run it for a moment."""
    task = asyncio.create_task(lulls.run())
    try:
        yield
        await asyncio.sleep(0.2)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_memory_is_given_back_once_when_work_rests() -> None:
    """Not with each step: what one is done with the next one asks for."""
    clock = Clock(busy=5 * LULL)
    async with running(clock.lulls):
        clock.lulls(EVENT)
    assert [6 * LULL] == clock.given_back


async def test_nothing_is_done_where_nothing_happens() -> None:
    """An idle daemon sleeps."""
    clock = Clock(busy=0.0)
    async with running(clock.lulls):
        pass
    assert [] == clock.given_back


async def test_memory_is_given_back_where_work_never_rests() -> None:
    """Once in a while, that is."""
    given_back = []

    async def sleep(_: float) -> None:
        lulls(EVENT)
        await asyncio.sleep(0.001)

    lulls = Lulls(give_back=lambda: given_back.append(1), sleep=sleep, longest=0.02)
    async with running(lulls):
        lulls(EVENT)
    assert len(given_back) > 2
