"""Is the daemon alive? Told to systemd, whose watchdog ends a process that has not said so for too long.

Alive means: the event loop turns, the worker has looked at the ledger, and no folder's sweep is overdue. A share that
is away or hangs does not count against it. Such a folder cannot be swept, says so in `status`, and holds up no other;
to be restarted would not bring the share back, and would take the others down. `upscaled.health` answers another
question: is all *well*? A daemon whose key is refused is not well, but alive, and must not be killed for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from upscaled import sdnotify
from upscaled.intakes import Intakes
from upscaled.worker import LOOK_EVERY, Worker

log = structlog.get_logger()

WORKER_SILENCE: Final = LOOK_EVERY + 60.0
"""A worker that has not looked at the ledger for so many seconds is stuck: it looks at least every `LOOK_EVERY`."""

SWEEP_LATE: Final = 60.0
"""A folder's thread that is so many seconds late is stuck; a busy machine makes it late by less."""

BEAT: Final = 5.0
"""Between two signs of life, in seconds, at most; more often where the watchdog is less patient."""

AT_ONCE: Final = 4
"""Signs of life within the watchdog's patience: one that is late must not be the end."""

EXTENSION: Final = 5.0
"""What is asked for at once while starting or stopping takes its time, in seconds."""

STARTING: Final = 900
"""For how long more time is asked for at the start, in seconds: a large ledger may have to be brought up to date."""

STOPPING: Final = 60
"""The same at the end. Requests get 10 seconds; an original that is being copied to another disk may take longer."""


@dataclass(frozen=True, slots=True)
class Signs:
    """When each part was last heard of: seconds since the worker's last look, and seconds each folder is overdue."""

    worker: float
    folders: Mapping[str, float]


def stuck(signs: Signs) -> str:
    """Return what is stuck, for a person; '' if the daemon is alive."""
    if signs.worker > WORKER_SILENCE:
        return f"The worker has not looked at the ledger for {signs.worker:.0f} s."
    late = [inbox for inbox, seconds in signs.folders.items() if seconds > SWEEP_LATE]
    return f"The sweep is overdue of {', '.join(sorted(late))}." if late else ""


def signs_of(worker: Worker, intakes: Intakes) -> Signs:
    """Look at the parts."""
    return Signs(worker.silent_for(), {intake.settings.folder: intake.overdue() for intake in intakes})


def interval(environ: Mapping[str, str], pid: int) -> float:
    """Return how often to give a sign, in seconds, by what systemd says of its watchdog (sd_watchdog_enabled(3))."""
    patience = environ.get("WATCHDOG_USEC", "")
    ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    return min(BEAT, int(patience) / 1e6 / AT_ONCE) if patience.isdigit() and ours else BEAT


async def beat(look: Callable[[], Signs], line: Callable[[], str]) -> None:
    """Give signs of life for ever, as long as there is life, with a line that `systemctl status` shows."""
    pause = interval(os.environ, os.getpid())
    said = ""
    while True:
        trouble = stuck(look())
        if trouble and not said:
            log.critical("daemon.stuck", reason=trouble, next="systemd restarts it, if it is its service")
        elif said and not trouble:
            log.info("daemon.unstuck")
        said = trouble
        sdnotify.notify(f"STATUS={trouble or line()}" + ("" if trouble else "\nWATCHDOG=1"))
        await asyncio.sleep(pause)


@asynccontextmanager
async def patience(status: str, seconds: int) -> AsyncIterator[None]:
    """Ask systemd for more time while what is inside goes on and the event loop turns, but no longer than this."""
    asking = asyncio.create_task(_ask(status, seconds), name="patience")
    try:
        yield
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


async def _ask(status: str, seconds: int) -> None:
    for _ in range(seconds):
        sdnotify.notify(f"STATUS={status}\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC={EXTENSION * 1e6:.0f}")
        await asyncio.sleep(1.0)
