"""The program with a stopwatch in its event loop: how late does the loop come to what is due?

    WATCHED=FILE python -m tests.benchmarks.watched run -c CONFIG
    WATCHED=FILE python -m tests.benchmarks.watched idle

Every 10 ms a timer notes how late it is; at the end the latenesses are written to FILE as 64-bit floats, in seconds,
each after the time (of `time.monotonic`) at which it was noted. ``idle`` does nothing else, until it is ended: how late
its loop is beside the program's tells what of that is the machine's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from upscaled import app, cli, loop

EVERY: Final = 0.01

_noted = array("d")


async def _watch() -> None:
    while True:
        due = time.monotonic() + EVERY
        await asyncio.sleep(EVERY)
        now = time.monotonic()
        _noted.extend((now, now - due))


async def _idle() -> None:
    task = asyncio.create_task(_watch())
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    task.cancel()
    _write()


def _write() -> None:
    Path(os.environ["WATCHED"]).write_bytes(_noted.tobytes())


def main() -> None:
    """Run the program's command line, or nothing."""
    if sys.argv[1:] == ["idle"]:
        loop.run(_idle())
        return
    run = app.run

    async def watched(*arguments: Any, **options: Any) -> int:
        task = asyncio.create_task(_watch())
        try:
            return await run(*arguments, **options)
        finally:
            task.cancel()
            _write()

    app.run = watched
    cli.main()


def read(file: Path, since: float, until: float) -> Sequence[float]:
    """Return the latenesses that were noted between two times, sorted, in seconds."""
    noted = array("d")
    noted.frombytes(file.read_bytes())
    return sorted(late for at, late in zip(noted[::2], noted[1::2], strict=True) if since <= at <= until)


if __name__ == "__main__":
    main()
