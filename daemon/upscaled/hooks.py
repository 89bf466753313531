"""Hooks: programs of the user's own, run at four moments of a picture's way. Never through a shell.

Separate because they are the one thing here that nobody of us has written: each gets a time limit, a temporary
directory of its own, the job as JSON on its standard input, and nothing else of ours (the service's key is taken out of
its environment). At the limit its whole process group is killed. The last line that it writes is kept as its reason.

    convert         a raw file -> a picture in {out}, before anything is spent
    before_submit   exit 0: go on, with the file it put into {out} if it did; anything else: a veto, with its reason
    after_publish   the result is in the outbox and the original in the archive
    after_failure   the original is in the failed folder

How often each runs: as a rule once for each picture. The steps run them before their fact is committed, so after a
crash in between each may run once more, and when a picture has to be uploaded again, so may the first two.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from upscaled.files.directories import remove_own
from upscaled.files.names import printable
from upscaled.job.model import Job

CONVERT: Final = "convert"
BEFORE_SUBMIT: Final = "before_submit"
AFTER_PUBLISH: Final = "after_publish"
AFTER_FAILURE: Final = "after_failure"

_ALWAYS: Final = frozenset({"source", "folder", "profile", "job"})

PLACEHOLDERS: Final[Mapping[str, frozenset[str]]] = {
    CONVERT: _ALWAYS | {"in", "out"},
    BEFORE_SUBMIT: _ALWAYS | {"in", "out"},
    AFTER_PUBLISH: _ALWAYS | {"output", "archived"},
    AFTER_FAILURE: _ALWAYS | {"archived"},
}
"""What may stand in braces in the arguments of each."""

_SECRETS: Final = ("WAVESPEED_API_KEY", "UPSCALED_SERVE_KEY", "CREDENTIALS_DIRECTORY")

_KEPT: Final = 4096
"""So much of the end of what a hook writes is kept, in bytes."""

_SIGNALS_ALLOWED: Final = 3
"""So many times in a row a hook may be ended by a signal (memory ran out, it crashed) before that counts as a no."""

_LINGER: Final = 0.5
"""How long to wait for the last words of a hook that has ended but left a child behind, in seconds."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a hook: its exit status, in ``trouble`` why it has none, or none of its own; and its last line."""

    status: int | None
    said: str = ""
    trouble: str = ""

    @property
    def well(self) -> bool:
        """Did it end with 0?"""
        return self.status == 0

    def undecided(self, tries: int) -> bool:
        """Is its status nobody's verdict? One that a signal ended may get through next time, but not for ever."""
        return self.status is None or (self.status < 0 and tries < _SIGNALS_ALLOWED)

    def __str__(self) -> str:
        if self.trouble:
            return self.trouble
        return self.said or f"it ended with status {self.status} and said nothing"


def _nothing(_: Job) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Hooks:
    """The configured programs. ``seconds`` is how long each may take; they work in directories below ``work``."""

    commands: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    seconds: float = 120.0
    describe: Callable[[Job], Mapping[str, Any]] = _nothing
    work: Path | None = None

    def wanted(self, name: str) -> bool:
        """Is there such a hook?"""
        return bool(self.commands.get(name))

    def clear(self) -> None:
        """Remove what hooks that were running when an earlier process died left behind. Ours alone: nobody else's."""
        if self.work is not None:
            remove_own(self.work)

    @asynccontextmanager
    async def workplace(self) -> AsyncIterator[Path]:
        """Give an empty directory, and remove it with all that was put there."""
        assert self.work is not None
        self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = TemporaryDirectory(dir=self.work, prefix="hook-", ignore_cleanup_errors=True)
        try:
            yield Path(directory.name)
        finally:
            await asyncio.to_thread(directory.cleanup)

    async def run(self, name: str, job: Job, places: Mapping[str, str], directory: Path) -> Ran:
        """Run a hook to its end in ``directory``. ``places`` are its own placeholders, beside those that all have."""
        command = self.commands[name]
        assert command is not None
        known = {"source": job.source, "folder": job.folder, "profile": job.profile, "job": job.id, **places}
        arguments = [_filled(argument, known) for argument in command]
        document = json.dumps({"hook": name, **self.describe(job), **places}, ensure_ascii=True).encode()
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=directory,
                env={key: value for key, value in os.environ.items() if key not in _SECRETS},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Ran(None, trouble=f"{printable(arguments[0])} cannot be started: {error}")
        return await self._watched(process, document)

    async def _watched(self, process: asyncio.subprocess.Process, document: bytes) -> Ran:
        said = bytearray()
        talking = [asyncio.create_task(_feed(process, document)), asyncio.create_task(_listen(process, said))]
        try:
            async with asyncio.timeout(self.seconds):
                status = await process.wait()
                await asyncio.wait(talking, timeout=_LINGER)
        except TimeoutError:
            return Ran(None, _last_line(said), f"it took longer than {self.seconds:g} s and was stopped")
        finally:
            for task in talking:
                task.cancel()
            await _end(process)
            await asyncio.gather(*talking, return_exceptions=True)
        return Ran(status, _last_line(said), f"it was ended by {_named(-status)}" if status < 0 else "")


def _filled(argument: str, known: Mapping[str, str]) -> str:
    # In one go: what a file's name holds is no placeholder.
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), argument)


async def _feed(process: asyncio.subprocess.Process, document: bytes) -> None:
    assert process.stdin is not None
    # A hook need not read what it is told.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(document)
        await process.stdin.drain()
        process.stdin.close()


async def _listen(process: asyncio.subprocess.Process, said: bytearray) -> None:
    assert process.stdout is not None
    while block := await process.stdout.read(_KEPT):
        said += block
        del said[:-_KEPT]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a hook that has not ended, with its whole process group."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _named(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"


def _last_line(said: bytearray) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return printable(lines[-1].strip())[:500] if lines else ""
