"""Runs the daemon and kills it, as the operating system would, at one named boundary of an effect or a commit.

`run` gives each run a process of its own, forked from one that has imported everything: dozens of them are started.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.house import Threads
from upscaled import app, building, config, ending, logs
from upscaled.api.client import Service
from upscaled.files import durable
from upscaled.job import pacing
from upscaled.job.machine import Change
from upscaled.job.model import Cause
from upscaled.ledger import Ledger
from upscaled.steps import finishing

LISTING_LAG = 0.5
"""The test service lists at once; half a second keeps the look-ups short."""


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def run(config_file: Path, log: Path, *doomed: str, impatient: bool = False) -> int:
    """Run the daemon until nothing is left to do, or until it is killed; return its exit code, -9 for a kill."""
    target = give_up_soon if impatient else work
    process = CONTEXT.Process(target=target, args=(str(config_file), str(log), doomed))
    process.start()
    process.join(60)
    assert process.exitcode is not None, f"the daemon hangs: {log.read_text('utf-8')}"
    return process.exitcode


def die() -> None:
    """End this process without a chance to do anything more."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(owner: Any, name: str, label: Callable[..., str], doomed: tuple[str, str]) -> None:
    """Have ``owner.name`` kill the process right before or after its effect, where its label is the doomed one."""
    original = getattr(owner, name)

    @functools.wraps(original)
    async def slow(*args: Any, **kwargs: Any) -> Any:
        here = label(*args, **kwargs)
        if doomed == (here, "before"):
            die()
        result = await original(*args, **kwargs)
        if doomed == (here, "after"):
            die()
        return result

    @functools.wraps(original)
    def quick(*args: Any, **kwargs: Any) -> Any:
        here = label(*args, **kwargs)
        if doomed == (here, "before"):
            die()
        result = original(*args, **kwargs)
        if doomed == (here, "after"):
            die()
        return result

    setattr(owner, name, slow if inspect.iscoroutinefunction(original) else quick)


def commit_label(_ledger: Ledger, _job: object, change: Change, **_: object) -> str:
    """Name a commit by the event it records."""
    return f"commit {change.event}"


def arm_everything(doomed: tuple[str, str]) -> None:
    """Put the trap under every effect on the way of a picture."""
    arm(Ledger, "commit", commit_label, doomed)
    for owner, names in (
        (Ledger, ("admit", "intend")),
        (Service, ("upload", "submit", "result", "download", "history")),
        (durable, ("create_part", "sync", "publish", "set_aside", "write_note", "make_directories")),
        (durable, ("copy_into", "bring", "forget")),
        (finishing, ("begin", "finished")),
    ):
        for name in names:
            arm(owner, name, lambda *_, _name=name, **__: _name, doomed)


def work(path: str, log: str, doomed: tuple[str, ...]) -> None:
    """Run `once`, and die where asked. The entry of a process; its exit code is the command's."""
    with Path(log).open("a", encoding="utf-8") as stream:
        logs.configure(style="console", level="debug", stream=stream)
        building.Processes = Threads  # type: ignore[attr-defined]
        if doomed:
            arm_everything((doomed[0], doomed[1]))
        settings = config.load(Path(path), environ={}, cwd=Path(path).parent)
        code = asyncio.run(app.run(settings, once=True, listing_lag=LISTING_LAG))
    sys.exit(code)


def torture(path: str, log: str) -> None:
    """Run `once` with trouble waited out in fractions of a second. The entry of a process that is killed at random."""
    pacing.BACKOFF = dict.fromkeys(Cause, (0.05, 0.4))  # type: ignore[misc]
    ending.GIVE_UP = 1_000_000  # type: ignore[attr-defined]
    work(path, log, ())


def give_up_soon(path: str, log: str, doomed: tuple[str, ...]) -> None:
    """Run `once` without waiting for what does not mend itself in a moment."""
    pacing.BACKOFF = dict.fromkeys(Cause, (0.05, 0.4))  # type: ignore[misc]
    ending.GIVE_UP = 2  # type: ignore[attr-defined]
    work(path, log, doomed)
