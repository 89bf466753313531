"""The engine's predictions and outputs on disk: a killed server finishes its tasks under the same ids.

One JSON file a prediction, written before the request is answered, and one file an output, written before the
prediction says ``completed``. All predictions are in memory too, so that polling touches no disk. A death between
an output and its prediction costs the work, never the task: it is unfinished at the next start and made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from upscaled.api import wire
from upscaled.engine import disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)

CREATED: Final = "created"
PROCESSING: Final = "processing"
STATUSES: Final = (CREATED, PROCESSING, *sorted(wire.TERMINAL))
"""Every status that an answer may have."""


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction as we keep it. ``created_at`` and ``finished_at`` are in seconds since 1970, ``inference_ms`` in
    milliseconds, ``estimate_s``, what was expected of it, in seconds.

    ``inputs`` is what the client sent; ``upload`` the upload that its ``image`` means (None: an address elsewhere);
    ``output`` the file's name; ``networks`` and ``note`` what was done to make it; ``webhook`` whom to tell of it
    still; ``base`` our own address as the client knows it.
    """

    id: str
    model: str
    inputs: Mapping[str, Any]
    created_at: float
    upload: str | None = None
    status: str = CREATED
    output: str | None = None
    error: str = ""
    code: int | None = None
    inference_ms: int = 0
    estimate_s: float | None = None
    networks: tuple[str, ...] = field(default=())
    note: str = ""
    webhook: str | None = None
    base: str = ""
    finished_at: float | None = None

    @property
    def finished(self) -> bool:
        """Will it never change again?"""
        return self.status in wire.TERMINAL


class Store:
    """Predictions and outputs in one directory, for ``retain`` seconds from their end; for one process at a time."""

    def __init__(self, directory: Path, *, retain: float = wire.RETENTION) -> None:
        self._tasks = directory / "predictions"
        self._outputs = directory / "outputs"
        self._retain = retain
        for folder in (self._tasks, self._outputs):
            folder.mkdir(parents=True, exist_ok=True)
            disk.clear(folder)
        self._known = {task.id: task for task in sorted(_read(self._tasks), key=lambda task: task.created_at)}

    def write(self, task: Task) -> None:
        """Write a prediction to disk; on return it is durable. It is shown to nobody until it is `note`d too."""
        disk.write(self._tasks / f"{task.id}.json", json.dumps(asdict(task)).encode())

    def note(self, task: Task) -> None:
        """Show a prediction from memory. That it is being worked on is never written: no restart needs to know."""
        self._known[task.id] = task

    def find(self, task_id: str, now: float) -> Task | None:
        """Return a prediction that has not expired."""
        task = self._known.get(task_id)
        return None if task is None or self._expired(task, now) else task

    def newest(self, now: float) -> list[Task]:
        """Return every prediction that has not expired, newest first."""
        return [task for task in reversed(list(self._known.values())) if not self._expired(task, now)]

    def unfinished(self) -> list[Task]:
        """Return what is still to be done, oldest first."""
        return [task for task in list(self._known.values()) if not task.finished]

    def untold(self) -> list[Task]:
        """Return finished predictions whose webhook was not delivered yet."""
        return [task for task in list(self._known.values()) if task.finished and task.webhook]

    def delete(self, task_id: str) -> bool:
        """Forget a prediction and its output; tell whether there was one."""
        task = self._known.pop(task_id, None)
        if task is None:
            return False
        (self._tasks / f"{task_id}.json").unlink(missing_ok=True)
        if task.output:
            (self._outputs / task.output).unlink(missing_ok=True)
        return True

    def expire(self, now: float) -> None:
        """Delete what was kept long enough, and outputs that no prediction knows."""
        for task in [task for task in list(self._known.values()) if self._expired(task, now)]:
            self.delete(task.id)
        known = {task.output for task in list(self._known.values())}
        for path in self._outputs.iterdir():
            with contextlib.suppress(FileNotFoundError):  # one that is being made is given its name meanwhile
                if path.name not in known and now - path.stat().st_mtime > self._retain:
                    path.unlink()

    def part(self) -> Path:
        """Return a new path for an output that is being made."""
        return disk.part(self._outputs)

    def keep_output(self, temporary: Path, name: str) -> None:
        """Make a finished output durable under its name."""
        disk.keep(temporary, self._outputs / name)

    def output(self, name: str) -> Path | None:
        """Return where an output lies; None for any name that is not exactly that of a file there."""
        path = self._outputs / name
        return path if path.parent == self._outputs and not name.startswith(".") and path.is_file() else None

    def _expired(self, task: Task, now: float) -> bool:
        """Has it been kept long enough? Files of earlier versions do not say when it ended."""
        ended = task.created_at if task.finished_at is None else task.finished_at
        return task.finished and now - ended > self._retain


def _read(folder: Path) -> Iterable[Task]:
    for path in folder.glob("*.json"):
        try:
            values = json.loads(path.read_bytes())
            yield Task(**{**values, "networks": tuple(values["networks"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("prediction file %s cannot be read and is left alone: %s", path, error)
