"""The answer to `why` as a value, as JSON and as lines, and what is asked to find it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from upscaled import status
from upscaled.files.names import printable
from upscaled.inbox import mounts
from upscaled.inbox.opening import Opener
from upscaled.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the gate. ``passed`` is None for one that was not come to, or is only said."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a file is, or is not, being upscaled. ``well`` says that it is taken, or will be; ``since`` is an epoch time.

    ``plan`` and ``job`` are what `upscaled why --json` prints of them.
    """

    path: Path
    well: bool
    answer: str
    since: float | None = None
    folder: str | None = None
    steps: Sequence[Step] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """Return it as `why --json` prints it."""
        return {
            "path": str(self.path),
            "folder": self.folder,
            "well": self.well,
            "answer": self.answer,
            "since": status.moment(self.since),
            "steps": [{"name": step.name, "passed": step.passed, "detail": step.detail} for step in self.steps],
            "plan": dict(self.plan),
            "job": None if self.job is None else dict(self.job),
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        yield printable(str(self.path))
        yield printable(self.answer) + (f" (since {clock(self.since)})" if self.since is not None else "")
        marks = {True: "ok ", False: "NO ", None: "   "}
        for step in self.steps:
            yield f"  {marks[step.passed]} {step.name:<9} {printable(step.detail)}"
        if self.plan:
            yield "Plan: " + printable("; ".join(str(value) for value in self.plan.values() if value))


@dataclass(frozen=True, slots=True)
class World:
    """What is asked besides the file: the ledger (None where there is none yet), and whether a daemon runs."""

    ledger: Ledger | None
    running: bool
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    opener: Opener = field(default_factory=Opener)
    kind_of: Callable[[Path], str] = mounts.kind_of


def clock(at: float) -> str:
    """Return a time of the local clock, with its day where that is not today."""
    then, now = datetime.fromtimestamp(at).astimezone(), datetime.now().astimezone()
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M:%S}"
