from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

from upscaled import processes, worker_process
from upscaled.errors import BadPicture
from upscaled.processes import Processes


def greedy(size: int) -> int:
    """Take so much memory, in bytes."""
    return len(bytearray(size))


def limit() -> int:
    """Return what this process may use."""
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def endless() -> None:
    """Never return."""
    time.sleep(3600)


def dead() -> None:
    """Take the process down, as a broken decoder does."""
    os.abort()


async def test_a_worker_process_gets_no_more_memory_than_it_may_use() -> None:
    """A picture that unfolds into gigabytes meets the limit and not the machine's end."""
    pool = Processes(1, memory=600 << 20)
    try:
        assert 600 << 20 == await pool(limit)
        assert 100 << 20 == await pool(greedy, 100 << 20)
        with pytest.raises(MemoryError):
            await pool(greedy, 800 << 20)
        assert 1 == await pool(greedy, 1), "and the process goes on"
    finally:
        pool.close()


async def test_a_worker_process_stands_behind_the_daemon_for_the_processor() -> None:
    """Decoding must not keep the event loop waiting where there are few cores."""
    pool = Processes(1)
    try:
        assert min(19, os.nice(0) + worker_process.NICE) == await pool(os.nice, 0)
    finally:
        pool.close()


async def test_what_takes_too_long_is_ended_and_others_go_on() -> None:
    """A decoder that goes round in circles."""
    pool = Processes(1, seconds=1)
    try:
        with pytest.raises(BadPicture, match="took too long"):
            await pool(endless)
        assert 1 == await pool(greedy, 1)
    finally:
        pool.close()


async def test_a_process_that_dies_is_replaced() -> None:
    """Tried once more, then it is the picture's fault."""
    pool = Processes(1)
    try:
        with pytest.raises(BadPicture, match="died twice"):
            await pool(dead)
        assert 1 == await pool(greedy, 1)
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("free", "expected"), [(100 << 20, 512 << 20), (2 << 30, 1 << 30), (64 << 30, 4 << 30), (None, 2 << 30)]
)
def test_the_limit_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch, free: int | None, expected: int) -> None:
    """Between 512 MiB and 4 GiB."""
    monkeypatch.setattr(processes, "available", lambda: free)

    assert expected == processes.memory_limit()


async def test_a_worker_process_does_not_import_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was started: the command line imports everything, which costs each process 50 MB and a second."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", str(Path(processes.__file__).with_name("__main__.py")), raising=False)
    pool = Processes(1)
    try:
        # A function of this module would have it imported.
        known = await pool(eval, "set(__import__('sys').modules)")
    finally:
        pool.close()

    assert set() == known & {"upscaled.cli", "upscaled.app", "httpx", "aiohttp", "typer"}
