"""The queue: unfinished predictions, oldest first, one at a time unless told otherwise.

One at a time because a picture already keeps every core busy; side by side they would only all be late. More are for
pictures that are fetched from elsewhere: one is fetched while another is made. What waits is on disk, so a death at
any moment leaves a queue that is taken up again; the pictures at work are made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from upscaled import errors
from upscaled.api import wire
from upscaled.engine.metrics import Tally
from upscaled.engine.models import MODELS
from upscaled.engine.order import PictureRefused
from upscaled.engine.outside import OutsideError, Reach
from upscaled.engine.store import PROCESSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from upscaled.engine.order import Report, Upscaler
    from upscaled.engine.outside import Outside
    from upscaled.engine.store import Store, Task
    from upscaled.engine.uploads import Uploads

_log = logging.getLogger(__name__)

_CLEANING: Final = 3600.0
"""How often expired files are looked for, in seconds; an expired prediction is hidden at once."""

_NOT_FETCHED: Final = "Failed to download image from the provided URL."
_FOREIGN: Final = f"{_NOT_FETCHED} This server does not fetch from other addresses; upload the picture first."
_GONE: Final = f"{_NOT_FETCHED} There is no such upload, or it was never finished."


class Runner:
    """Takes predictions from the store and has them made; `start` and `stop` are its whole life.

    ``in_flight`` is how many are at work at once; the others wait as ``created``.
    """

    def __init__(
        self,
        store: Store,
        uploads: Uploads,
        upscaler: Upscaler,
        clock: Callable[[], float],
        *,
        outside: Outside,
        finished: Callable[[Task], None],
        in_flight: int = 1,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._upscaler = upscaler
        self._clock = clock
        self._outside = outside
        self._tell_finished = finished
        self._wake = asyncio.Event()
        self._done: dict[str, asyncio.Event] = {}
        self._loop: asyncio.Task[None] | None = None
        self._in_flight = in_flight
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._making: dict[str, asyncio.Task[Task]] = {}
        self._unwanted: set[str] = set()
        self.dismissed = False
        self.progress: dict[str, float] = {}
        self.estimates: dict[str, float] = {}
        self.tally = Tally()

    @property
    def running(self) -> bool:
        """Is it taking predictions?"""
        return self._loop is not None and not self._loop.done()

    async def start(self) -> None:
        """Begin, with what an earlier process left. Raises `errors.EngineError` when the upscaler cannot work."""
        if self._loop is None:
            await self._upscaler.start()
            self._loop = asyncio.create_task(self._run(), name="engine queue")

    async def stop(self) -> None:
        """Stop soon; what is unfinished stays so, and is taken up by the next start."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
            self._loop = None
            await self._upscaler.close()

    def ring(self) -> None:
        """There is something new in the store."""
        self._wake.set()

    async def wait(self, task_id: str, seconds: float) -> None:
        """Return when a prediction is finished or deleted, after so many seconds, or when nobody may wait any more."""
        task = self._store.find(task_id, self._clock())
        if task is None or task.finished or self.dismissed:
            return
        event = self._done.setdefault(task_id, asyncio.Event())
        await _within(event, seconds)

    def dismiss(self) -> None:
        """Let nobody wait from now on: the server stops, and what they wait for is made after its next start."""
        self.dismissed = True
        for event in self._done.values():
            event.set()

    async def delete(self, task_id: str) -> bool:
        """Delete a prediction, stopping the work on it; tell whether there was one."""
        if making := self._making.get(task_id):
            self._unwanted.add(task_id)
            making.cancel()
        self._finished(task_id)
        return await asyncio.to_thread(self._store.delete, task_id)

    async def _run(self) -> None:
        cleaned = float("-inf")
        try:
            while True:
                self._wake.clear()
                if self._clock() - cleaned >= _CLEANING:
                    cleaned = self._clock()
                    await asyncio.to_thread(self._expire)
                self._fill()
                await _within(self._wake, _CLEANING)
        finally:
            await _stopped(self._at_work.values())

    def _fill(self) -> None:
        """Take up as many as may be at work."""
        waiting = (task for task in self._store.unfinished() if task.id not in self._at_work)
        for task in itertools.islice(waiting, self._in_flight - len(self._at_work)):
            self._at_work[task.id] = asyncio.create_task(self._finish(task))

    def _expire(self) -> None:
        now = self._clock()
        try:
            self._store.expire(now)
            self._uploads.expire(now, {task.upload for task in self._store.unfinished() if task.upload})
        except Exception:  # noqa: BLE001 -- whatever lies there must not stop the queue; the log has the trace
            _log.exception("what was kept long enough could not be deleted; it is tried again in an hour")

    async def _finish(self, task: Task) -> None:
        self._store.note(replace(task, status=PROCESSING))
        making = self._making[task.id] = asyncio.create_task(self._made(task))
        try:
            await asyncio.wait([making])
            if not making.cancelled():
                await self._keep(making.result())
            if task.id in self._unwanted:
                await asyncio.to_thread(self._store.delete, task.id)
        except OSError:
            _log.exception("prediction %s could not be deleted", task.id)
        finally:
            await _stopped([making])
            self._forget(task.id)
            self._wake.set()
        self._finished(task.id)

    def _forget(self, task_id: str) -> None:
        self._unwanted.discard(task_id)
        for kept in (self._at_work, self._making, self.progress, self.estimates):
            kept.pop(task_id, None)

    async def _keep(self, task: Task) -> None:
        try:
            await asyncio.to_thread(self._store.write, task)
        except OSError:
            # Clients may have the result all the same; after a restart the picture is made again.
            _log.exception("prediction %s is finished but could not be written", task.id)
        self._store.note(task)
        self.tally.count(task.status, task.inference_ms / 1000)
        if task.webhook and task.id not in self._unwanted:
            self._tell_finished(task)

    def _finished(self, task_id: str) -> None:
        if event := self._done.pop(task_id, None):
            event.set()

    async def _made(self, task: Task) -> Task:
        began = time.monotonic()
        try:
            finished = await self._make(task)
        except PictureRefused as refused:
            finished = _failed(task, refused.code, str(refused))
        except errors.EngineError as error:
            _log.warning("prediction %s failed: %s", task.id, errors.sentence(error))
            finished = _failed(task, wire.CODE_INTERNAL, errors.sentence(error))
        except OSError as error:
            _log.exception("prediction %s failed", task.id)
            finished = _failed(task, wire.CODE_INTERNAL, f"The server's disk refuses: {error.strerror}")
        except Exception:  # noqa: BLE001 -- one picture must not stop the queue; the log has the trace
            _log.exception("prediction %s failed", task.id)
            finished = _failed(task, wire.CODE_INTERNAL, "The picture could not be made; the server's log says why.")
        seconds = time.monotonic() - began
        return replace(
            finished,
            finished_at=self._clock(),
            inference_ms=max(1, round(seconds * 1000)),
            estimate_s=self.estimates.get(task.id, task.estimate_s),
        )

    async def _make(self, task: Task) -> Task:
        order = MODELS[task.model].order(task.inputs)
        name = f"{task.id}-u1.{order.format}"
        fetched, part = self._uploads.part(), self._store.part()
        try:
            source = await self._source(task, fetched)
            report = await self._upscaler.upscale(
                *(source, part, order),
                progress=lambda share: self._tell(task.id, share),
                estimated=lambda seconds: self._estimated(task.id, seconds),
            )
            await asyncio.to_thread(self._store.keep_output, part, name)
        finally:
            fetched.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
        return _completed(task, name, report)

    async def _source(self, task: Task, fetched: Path) -> Path:
        """Return where the picture lies: an upload of ours, or ``fetched`` after it was fetched from elsewhere."""
        if task.upload is not None:
            return await asyncio.to_thread(self._uploaded, task.upload, task.created_at)
        if self._outside.reach is Reach.NONE:
            raise PictureRefused(_FOREIGN)
        try:
            await self._outside.fetch(task.inputs["image"], fetched)
        except OutsideError as error:
            raise PictureRefused(_NOT_FETCHED.rstrip("."), why=str(error)) from error
        return fetched

    def _uploaded(self, token: str, submitted: float) -> Path:
        """Return where an upload lies that was there when it was asked for; while it waits, it does not expire."""
        upload = self._uploads.find(token, submitted)
        path = None if upload is None else self._uploads.content(upload)
        if path is None:
            raise PictureRefused(_GONE)
        return path

    def _tell(self, task_id: str, share: float) -> None:
        if task_id in self._making:
            self.progress[task_id] = share

    def _estimated(self, task_id: str, seconds: float) -> None:
        if task_id in self._making:
            self.estimates[task_id] = seconds
            _log.info("prediction %s is begun and will take about %.0f s", task_id, seconds)


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long. Not by ``wait_for``, which in Python 3.11 can swallow a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _stopped(work: Iterable[asyncio.Task[Any]]) -> None:
    if unfinished := [task for task in work if not task.done()]:
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished)


def _completed(task: Task, output: str, report: Report) -> Task:
    return replace(
        task, status=wire.COMPLETED, output=output, code=0, networks=tuple(report.networks), note=report.note
    )


def _failed(task: Task, code: int, error: str) -> Task:
    return replace(task, status=wire.FAILED, code=code, error=error)
