"""The threads that file work runs in."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from upscaled.threads import ARENAS

THREADS = 12

PROGRAM = f"""
import ctypes, sys, threading
from upscaled.threads import keep_heaps_small

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p] * 2
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "shared":
    keep_heaps_small()
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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
def test_threads_share_a_few_heaps(tmp_path: Path) -> None:
    """Else what one has given back is no use to the others, and with each thread the daemon grows."""
    assert heaps("shared", tmp_path / "shared") <= ARENAS
    assert heaps("own", tmp_path / "own") > ARENAS
