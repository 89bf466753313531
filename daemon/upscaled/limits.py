"""What stands around the scarce things: predictions in flight, submits a minute, transfers, and a service that refuses.

Separate from the worker so that its main path stays readable; nothing here decides about a single job. All of it
lives in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from upscaled.job import pacing
from upscaled.job.model import Cause, Job, Stage, Step

Sleep = Callable[[float], Awaitable[None]]

_NOTHING: Final[AbstractAsyncContextManager[Any]] = nullcontext()


AFTER: Final = 16
"""How many jobs may be active whose prediction is over, at least; downloads and verification hold no slot."""


UPLOADS: Final = 10
"""How many jobs may be at their upload. The client sends eight at a time; the others are looked at meanwhile: whether
their result is there, whether there is money and room, and whether they must be converted."""


class Slots:
    """The predictions that may be unfinished at once. A slot belongs to a job from before its POST until it is over.

    What is not in memory is read from the ledger at the start, so a restart does not exceed the cap.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._held: set[str] = set()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def wanted(self) -> set[str]:
        """The jobs that wait for a slot: nothing happens to them until one is free."""
        return {job_id for job_id, future in self._waiting if not future.done()}

    def keep(self, jobs: Iterable[str]) -> None:
        """Count jobs that an earlier process submitted, even beyond the cap: they are there."""
        self._held.update(jobs)

    async def acquire(self, job_id: str) -> None:
        """Wait for a free slot, first come first served; at once for a job that holds one."""
        if job_id in self._held:
            return
        if len(self._held) < self.cap and not self._waiting:
            self._held.add(job_id)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job_id, future))
        try:
            await future
        except asyncio.CancelledError:
            # Cancelled at the moment it was given: the slot must go to the next, not get lost.
            if future.done() and not future.cancelled():
                self.release(job_id)
            raise

    def release(self, job_id: str) -> bool:
        """Give a slot back, and say whether there was one to give; a job that holds none is no error."""
        held = job_id in self._held
        self._held.discard(job_id)
        while self._waiting and len(self._held) < self.cap:
            following, future = self._waiting.popleft()
            if not future.done():
                self._held.add(following)
                future.set_result(None)
        return held


@dataclass(slots=True)
class Turn:
    """One submit's place in the pace."""

    sent: bool = False
    """Did the paid request leave?"""


class Pace:
    """How many submits a minute. Fed with the ledger's recent submits at the start, so a restart does not exceed it.

    A submit counts from when it was answered: the service may have counted it as late as that, and a minute reckoned
    from our sending could hold one too many for it.
    """

    def __init__(self, per_minute: float | None, *, now: Callable[[], float], sleep: Sleep) -> None:
        self._pace = pacing.Pace(per_minute)
        self._now = now
        self._sleep = sleep
        self._counted: deque[float] = deque()
        self._under_way = 0
        self._not_before = 0.0
        self._lock = asyncio.Lock()

    def keep(self, recent: Iterable[float]) -> None:
        """Count submits of an earlier process; times since the epoch, oldest first."""
        self._counted.extend(recent)

    def slow_down(self, seconds: float) -> None:
        """Let no submit go for so long, and fewer a minute after that: the service said that it was too fast."""
        self._not_before = max(self._not_before, self._now() + seconds)
        self._pace = self._pace.refused(len(self._recent()))

    def taken(self) -> None:
        """The service took a submit: what a 429 took from the pace comes back bit by bit."""
        self._pace = self._pace.accepted()

    async def wait(self) -> Turn:
        """Return a turn when the next submit may go; give it to `over` after the answer."""
        async with self._lock:
            while (wait := self._wait()) > 0:
                await self._sleep(wait)
            self._under_way += 1
            return Turn()

    def over(self, turn: Turn) -> None:
        """The submit of this turn was answered, or was not sent after all, and then it does not count."""
        self._under_way -= 1
        if turn.sent:
            self._counted.append(self._present())

    def _wait(self) -> float:
        now = self._now()
        return max(self._not_before - now, pacing.submit_after(self._recent(), self._pace.rate, now))

    def _recent(self) -> list[float]:
        now = self._present()
        while self._counted and self._counted[0] <= now - pacing.RATE_WINDOW:
            self._counted.popleft()
        # One that is under way may be counted at any moment from now on.
        return [*self._counted, *[now] * self._under_way]

    def _present(self) -> float:
        """Return the time. Where the clock was set back, what was counted by it before counts as now, from here on."""
        now = self._now()
        if self._counted and self._counted[-1] > now:
            self._counted = deque(min(at, now) for at in self._counted)
        return now


@dataclass(slots=True)
class Gate:
    """Whether the service takes anything at all. Closed by a refused key or missing credit, for everybody at once."""

    cause: Cause | None = None
    reason: str = ""
    tries: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def open(self) -> bool:
        """May requests that need a key in good standing be sent?"""
        return self.cause is None

    def close(self, cause: Cause, reason: str) -> bool:
        """Close the gate; True when it was open or closed for another cause, so that each is said once."""
        first = self.cause is not cause
        self.cause, self.reason = cause, reason
        self.changed.set()
        return first

    def reopen(self) -> None:
        """Let everybody through again."""
        self.cause, self.reason = None, ""
        self.changed.set()


class Limits:
    """Everything scarce, and which step needs which of it."""

    def __init__(
        self,
        *,
        in_flight: int,
        per_minute: float | None,
        now: Callable[[], float],
        sleep: Sleep,
        surplus: int = 0,
    ) -> None:
        """``surplus`` is how many of ``in_flight`` the service is expected to queue, or to refuse."""
        self.slots = Slots(in_flight)
        self._at_once = in_flight - surplus
        self._queued = surplus > 0
        self.pace = Pace(per_minute, now=now, sleep=sleep)
        self.gate = Gate()
        self._scarce = {
            Step.PREPARE: asyncio.Semaphore(4),
            Step.REUSE: asyncio.Semaphore(4),
            Step.UPLOAD: asyncio.Semaphore(UPLOADS),
            Step.DOWNLOAD: asyncio.Semaphore(8),
            Step.ARCHIVE: asyncio.Semaphore(4),
        }
        self.ahead = max(4, in_flight // 10)
        """How many jobs are uploaded ahead, waiting for a slot."""

    @asynccontextmanager
    async def around(self, step: Step, job: Job) -> AsyncIterator[Turn]:
        """Hold what ``step`` needs while it runs. A slot outlives the step: the prediction goes on at the service."""
        if step is Step.SUBMIT and not _lost(job):
            await self.slots.acquire(job.id)
            turn = await self.pace.wait()
            try:
                yield turn
            finally:
                self.pace.over(turn)
            return
        async with self._scarce.get(step, _NOTHING):
            yield Turn()

    def crowded(self) -> bool:
        """Was a submit refused because too many are in flight? Then no more than there are now are sent from here on.

        So it is where the service runs as many as it is known to run at once: it does not queue the surplus.
        """
        others = len(self.slots) - 1
        if others < self._at_once or self.slots.cap <= self._at_once:
            return False
        self.slots.cap = max(self._at_once, min(self.slots.cap - 1, others))
        self._queued = False
        return True

    def pressed(self) -> bool:
        """Does a job wait for a place, with nothing queued at the service that keeps the place from standing idle?"""
        return not self._queued and bool(self.slots.wanted)

    def room(self, active: Iterable[Job]) -> tuple[int, int]:
        """Return how many more jobs may be active in all, and how many of those before their submit."""
        jobs = list(active)
        before = sum(job.stage in {Stage.ADMITTED, Stage.UPLOADED} and not _lost(job) for job in jobs)
        free = max(0, self.slots.cap - len(self.slots))
        most = self.slots.cap + self.ahead + max(AFTER, self.slots.cap // 4)
        return most - len(jobs), free + self.ahead - before


def _lost(job: Job) -> bool:
    """Was its paid request sent, perhaps, and never answered? It is looked up then, not sent."""
    return job.attempt is not None and job.attempt.unresolved
