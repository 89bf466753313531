"""A child process that makes pictures, seen from the server: start it, give it an order, notice its death.

Separate from `upscale`, which decides when to have one and what to do when it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from upscaled import errors
from upscaled.engine.gpu import Verdict
from upscaled.engine.order import PictureRefused, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from upscaled.engine.order import Order


TEST_LIMIT: Final = 120.0
"""Longest time that the test of graphics processors may take, in seconds; compiling for a new driver takes some."""


class Died(Exception):
    """The process ended in the middle of its work; the text says how."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture for the process, and whom to tell of it; see `order.Upscaler.upscale`."""

    source: Path
    output: Path
    order: Order
    progress: Callable[[float], None] | None = None
    estimated: Callable[[float], None] | None = None


class Child:
    """One process; made by `start`, of no use after `Died` or `kill`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ready: Mapping[str, Any] = {}

    @classmethod
    async def start(cls, settings: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> Child:
        """Start one and wait until it has loaded and measured its networks.

        Raises `errors.EngineError` when it says why it cannot work, and `Died` when it cannot even do that.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "upscaled.engine.child", json.dumps(dict(settings))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which then stops it in its own order
            env=None if environment is None else {**os.environ, **environment},
        )
        child = cls(process)
        try:
            child.ready = (await child._said())["ready"]
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def alive(self) -> bool:
        """Is it there to take an order?"""
        return self._process.returncode is None

    async def make(self, job: Job) -> Report:
        """Have one picture made.

        Raises what `order.Upscaler.upscale` does, and `Died`. Whoever cancels this must `kill` the process.
        """
        assert self._process.stdin is not None
        message = {"source": str(job.source), "output": str(job.output), "order": asdict(job.order)}
        with contextlib.suppress(ConnectionError):  # its death is noticed, and explained, when reading
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
        while "report" not in (said := await self._said()):
            if job.progress is not None and "progress" in said:
                job.progress(said["progress"])
            if job.estimated is not None and "estimate" in said:
                job.estimated(said["estimate"])
        if job.progress is not None:
            job.progress(1.0)
        return Report(**{**said["report"], "networks": tuple(said["report"]["networks"])})

    async def kill(self) -> None:
        """End it at once and wait until it has."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        # Reads what is left, as the pipe would else be closed by the garbage collector only.
        await self._process.communicate()

    async def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise Died(_ending(await self._process.wait()))
        said: dict[str, Any] = json.loads(line)
        if refused := said.get("refused"):
            raise PictureRefused(refused["what"], why=refused["why"], do=refused["do"], code=refused["code"])
        if failed := said.get("failed"):
            raise errors.EngineError(failed["what"], why=failed["why"], do=failed["do"])
        if disk := said.get("disk"):
            raise OSError(disk["number"], disk["text"])
        return said


async def verdict(*, forced: bool) -> Verdict:
    """Have graphics processors tested in a process of their own; one that crashes or hangs is not used."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "upscaled.engine.gpu", *(["--force"] if forced else [])),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a library that is missing is said eight times there
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TEST_LIMIT):
            output, _ = await process.communicate()
        return Verdict(**json.loads(output))
    except TimeoutError:
        return Verdict(None, "", f"its test took longer than {TEST_LIMIT:g} s")
    except ValueError:
        return Verdict(None, "", f"its test failed: {_ending(process.returncode or 0)}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def _ending(status: int) -> str:
    if status >= 0:
        return f"it ended with status {status}"
    name = signal.Signals(-status).name
    hint = ", as the system does when memory runs out" if -status == signal.SIGKILL else ""
    return f"it was ended by {name}{hint}"
