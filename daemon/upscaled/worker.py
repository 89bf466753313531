"""The main path: take the next job, drive it from its stage to the end, commit what each step found out.

One coroutine an active job; as many as the allowance needs and a few uploaded ahead, never the whole backlog, which
is rows in the ledger. The intake never calls the worker, nor the other way round: a row lies between them, and a bell
(`Worker.ring`) that only saves a look.

    take ─▶ drive: next_step ─▶ limits ─▶ step ─▶ outcome ─▶ transition ─▶ commit ─▶ announce ─▶ next_step ...

Killed at any instruction, the rows say where to go on; see `upscaled.job.machine` for the argument.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from upscaled import errors
from upscaled.job import machine, pacing
from upscaled.job.machine import Change
from upscaled.job.model import (
    AttemptState,
    Cancelled,
    Cause,
    Done,
    Effort,
    Held,
    Job,
    NotYet,
    Outcome,
    Redo,
    Refused,
    Retry,
    Standing,
    Step,
)
from upscaled.limits import Limits
from upscaled.steps import STEPS, Ports

log = structlog.get_logger()

T = TypeVar("T")

LOOK_EVERY: Final = 30.0
"""Longest time between two looks at the ledger, in seconds: a lost ring costs no more than this."""

LEDGER_RETRY: Final = 5.0
"""How long to wait before writing to a ledger again whose disk refused, in seconds."""

DEFECTS_ALLOWED: Final = 5
"""How often a job may meet a defect of the program before a person must look at it."""

GIVE_UP: Final = 4
"""`once` leaves a job to the next run after so many troubles in a row."""

COMMANDS_EVERY: Final = 0.5
"""How often the ledger is asked whether somebody gave a command, in seconds: one small read."""

GATED: Final = frozenset({Cause.KEY, Cause.CREDIT, Cause.FLOOR})
"""What stands in the way of every submit alike."""

_SETTLED: Final = frozenset(
    {AttemptState.REJECTED, AttemptState.COMPLETED, AttemptState.FAILED, AttemptState.ABANDONED}
)

Announce = Callable[[Job, Step, Change, Effort], None]


class Worker:
    """Drives jobs. ``run`` it once; ``ring`` when there may be something to do; ``stop`` it to let go."""

    def __init__(
        self,
        ports: Ports,
        limits: Limits,
        *,
        announce: Announce,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ports = ports
        self._limits = limits
        self._announce = announce
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._looked = clock()
        self._active: dict[str, Job] = {}
        self._parked: set[asyncio.Task[Any]] = set()
        self._bell = asyncio.Event()
        self._stopping = asyncio.Event()
        self._quiet = asyncio.Event()
        self._naps: dict[str, asyncio.Future[None]] = {}
        self._wished: frozenset[str] = frozenset()

    @property
    def active(self) -> list[Job]:
        """The jobs being driven now, as they stood at their last fact."""
        return list(self._active.values())

    @property
    def quiet(self) -> bool:
        """Was there nothing to begin at the last look, nothing rung for since, and is nothing being done?"""
        idle = self._limits.slots.wanted.issuperset(self._active)
        return self._quiet.is_set() and not self._bell.is_set() and idle

    def silent_for(self) -> float:
        """Return for how many seconds the worker has neither looked at the ledger nor tried to."""
        return self._clock() - self._looked

    def ring(self) -> None:
        """Say that the ledger may hold something to do."""
        self._bell.set()

    def ring_for(self, prediction_id: str) -> bool:
        """Say that there is news of a prediction: its job asks at once. False if no job waits for it here."""
        job = next((job for job in self._active.values() if job.prediction_id == prediction_id), None)
        if job is None:
            return False
        self._ports.polls.news(job)
        if (nap := self._naps.get(job.id)) is not None:
            nap.cancel()
        return True

    def stop(self) -> None:
        """Take nothing new, and let each active job go at its next fact."""
        self._stopping.set()
        self._nudge()
        self._bell.set()
        for task in self._parked:
            task.cancel()

    async def run(self) -> None:
        """Drive jobs until stopped, and until those that are active have reached a fact."""
        await self._resume()
        async with asyncio.TaskGroup() as jobs, asyncio.TaskGroup() as helpers:
            watchers = [
                helpers.create_task(self._watch_gate(), name="gate"),
                helpers.create_task(self._watch_commands(), name="commands"),
            ]
            while not self._stopping.is_set():
                self._looked = self._clock()
                self._bell.clear()
                for job in await self._take():
                    self._active[job.id] = job
                    jobs.create_task(self._drive(job), name=f"job {job.id}")
                await self._rest()
            for watcher in watchers:
                watcher.cancel()

    async def _resume(self) -> None:
        """Count what an earlier process left at the service, before anything new is sent."""
        ledger, now = self._ports.ledger, self._ports.now()
        folders = list(self._ports.folders)
        self._limits.slots.keep(await self._persist(lambda: ledger.in_flight(folders)))
        self._limits.pace.keep(await self._persist(lambda: ledger.recent_submits(now, pacing.RATE_WINDOW)))
        self._ports.polls.keep(await self._persist(ledger.latencies))
        # The config may be another one since these began to wait.
        await self._persist(lambda: ledger.wake((Cause.BUDGET, Cause.FLOOR, Cause.HOURS)))

    async def _take(self) -> list[Job]:
        room, ahead = self._limits.room(self._active.values())
        if room <= 0:
            return []
        # Before the rows are marked, not after: whoever looks in between must not take this for quiet.
        self._quiet.clear()
        taken = await self._persist(
            lambda: self._ports.ledger.take(
                room,
                folders=list(self._ports.folders),
                now=self._ports.now(),
                submitting=self._limits.gate.open,
                ahead=max(0, ahead),
            )
        )
        if not taken:
            self._quiet.set()
        return taken

    async def _rest(self) -> None:
        """Wait for the bell, which a job that ends rings too, or until the first waiting job may go on."""
        room, _ = self._limits.room(self._active.values())
        folders = list(self._ports.folders)
        due = await self._persist(lambda: self._ports.ledger.next_due(folders)) if room > 0 else None
        wait = LOOK_EVERY if due is None else min(LOOK_EVERY, max(0.0, due - self._ports.now()))
        await self._sleep_until(self._bell, wait)

    async def _sleep_until(self, event: asyncio.Event, seconds: float) -> None:
        """Sleep, but no longer than until ``event``."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        ringing = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({sleeping, ringing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            ringing.cancel()

    async def _nap(self, job: Job, seconds: float) -> None:
        """Sleep, but no longer than until the next `_nudge`, or until there is news of the job."""
        if self._stopping.is_set():
            return
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        self._naps[job.id] = sleeping
        try:
            await asyncio.wait({sleeping})
        finally:
            del self._naps[job.id]
            sleeping.cancel()

    def _nudge(self) -> None:
        for nap in self._naps.values():
            nap.cancel()

    # --- one job ---

    async def _drive(self, job: Job) -> None:
        effort = Effort()
        try:
            while job.standing is Standing.RUNNING and not self._stopping.is_set():
                if job.id in self._wished:
                    job = await self._heed(job)
                    continue
                job, effort = await self._advance(job, effort)
                self._active[job.id] = job
        finally:
            del self._active[job.id]
            self._ports.polls.forget(job)
            self._bell.set()

    async def _heed(self, job: Job) -> Job:
        """Do what a person wished of this job, which is at a fact now."""
        self._wished -= {job.id}
        heeded = await self._persist(lambda: self._ports.ledger.commit(job, Change(), now=self._ports.now()))
        if heeded.standing is not Standing.RUNNING:
            self._limits.slots.release(job.id)
            change = Change({}, None, str(heeded.standing), heeded.reason)
            self._announce(heeded, machine.next_step(job), change, Effort())
        return heeded

    async def _advance(self, job: Job, before: Effort) -> tuple[Job, Effort]:
        """Do one step and commit what came of it. ``before`` is what it took so far, where it said not yet."""
        step = machine.next_step(job)
        async with self._parking() as parking, self._limits.around(step, job) as turn:
            parking.leave()
            if step is Step.SUBMIT and not self._limits.gate.open:
                return await self._let_go(job), Effort()
            began = self._clock() - before.seconds
            # Counted as sent unless it is certain that it was not: also when it is cut off.
            turn.sent = True
            outcome = self._excused(step, await self._do(step, job))
            turn.sent = _was_sent(outcome)
        if isinstance(outcome, NotYet):
            await self._nap(job, outcome.after)
            return job, Effort(self._clock() - began, before.runs + outcome.asked)
        effort = Effort(self._clock() - began, before.runs + 1)
        job, outcome, change = await self._commit(job, step, outcome)
        await self._after(job, step, outcome)
        self._announce(job, step, change, effort)
        return job, Effort()

    def _excused(self, step: Step, outcome: Outcome) -> Outcome:
        """A submit that is refused because too many are in flight is not too fast: it waits for the next free slot."""
        if not (step is Step.SUBMIT and isinstance(outcome, Retry) and outcome.cause is Cause.RATE):
            return outcome
        return replace(outcome, cause=Cause.SERVICE, after=0.0) if self._limits.crowded() else outcome

    async def _commit(self, job: Job, step: Step, outcome: Outcome) -> tuple[Job, Outcome, Change]:
        """Make durable what came of a step. What cannot be written holds its own job, and no other."""
        now = self._ports.now()
        try:
            change = machine.transition(job, step, outcome, now=now, jitter=self._jitter())
            return await self._persist(lambda: self._ports.ledger.commit(job, change, now=now)), outcome, change
        except Exception as error:
            log.exception("commit.defect", job=job.id, step=str(step), source=job.source)
            held = Held(f"A defect of upscaled after its {step} step: {error!r}. Please report it.")
            change = machine.transition(job, step, held, now=now, jitter=0.0)
            return await self._persist(lambda: self._ports.ledger.commit(job, change, now=now)), held, change

    async def _do(self, step: Step, job: Job) -> Outcome:
        """Run a step. A defect of the program costs one job a wait, never the daemon its life."""
        try:
            return await STEPS[step](job, self._ports)
        except errors.LedgerUnavailable as error:
            return Retry(str(error.what), Cause.FOLDER, LEDGER_RETRY)
        except Exception as error:
            log.exception("step.defect", job=job.id, step=str(step), source=job.source)
            reason = f"A defect of upscaled in its {step} step: {error!r}. Please report it."
            return Retry(reason) if job.tries < DEFECTS_ALLOWED else Held(reason)

    @asynccontextmanager
    async def _parking(self) -> AsyncIterator[_Parking]:
        """Mark this task as one that only waits its turn: `stop` may cancel it, as it has no effect under way."""
        task = asyncio.current_task()
        assert task is not None
        self._parked.add(task)
        try:
            yield _Parking(self._parked, task)
        finally:
            self._parked.discard(task)

    async def _let_go(self, job: Job) -> Job:
        """Put a job back as it was; its facts stand."""
        self._limits.slots.release(job.id)
        back = Change({"standing": Standing.READY})
        return await self._persist(lambda: self._ports.ledger.commit(job, back, now=self._ports.now()))

    async def _after(self, job: Job, step: Step, outcome: Outcome) -> None:
        """What follows from a committed change for everybody else."""
        if _over(job) and self._limits.slots.release(job.id):
            # What is uploaded ahead goes in its place; something else is to be uploaded ahead now.
            self._bell.set()
        if isinstance(outcome, Retry):
            await self._trouble(outcome, job)
        elif step is Step.SUBMIT and isinstance(outcome, Done):
            self._limits.gate.tries = 0
            self._limits.pace.taken()

    async def _trouble(self, outcome: Retry, job: Job) -> None:
        assert job.not_before is not None
        if outcome.cause is Cause.RATE:
            self._limits.pace.slow_down(job.not_before - self._ports.now())
        if outcome.cause in GATED and self._limits.gate.close(outcome.cause, outcome.reason):
            log.error("service.refuses", cause=str(outcome.cause), reason=outcome.reason)
            await self._persist(lambda: self._ports.ledger.notice("service", outcome.reason, now=self._ports.now()))

    # --- the service as a whole ---

    async def _watch_gate(self) -> None:
        """While the service refuses the key or the account is empty, ask now and then, free, whether that is over."""
        gate = self._limits.gate
        while True:
            await gate.changed.wait()
            gate.changed.clear()
            while not gate.open:
                assert gate.cause is not None
                await self._sleep(pacing.backoff(gate.tries, gate.cause, 0.5))
                gate.tries += 1
                if await self._mended(gate.cause):
                    await self._reopen()

    async def _mended(self, cause: Cause) -> bool:
        try:
            if cause is Cause.FLOOR:
                return await self._ports.purse.mended()
            balance = await self._ports.service.balance()
        except errors.BadRequest:
            # Not every server of this API tells a balance: the next submit will find out, at no cost.
            return True
        except errors.ServiceError:
            return False
        return cause is Cause.KEY or balance > 0

    async def _reopen(self) -> None:
        causes = tuple(GATED)
        await self._persist(lambda: self._ports.ledger.notice("service", None, now=self._ports.now()))
        await self._persist(lambda: self._ports.ledger.wake(causes))
        log.info("service.accepts_again")
        self._limits.gate.reopen()
        self._bell.set()

    async def _watch_commands(self) -> None:
        """Notice within a second what other processes wrote into the ledger."""
        seen, _ = self._ports.ledger.commands()
        while True:
            await self._sleep(COMMANDS_EVERY)
            try:
                count, wished = await asyncio.to_thread(self._ports.ledger.commands)
            except sqlite3.Error:
                continue  # the disk's trouble is told by the next write
            if count != seen:
                seen = count
                self._wished = wished & self._active.keys()
                # Those that are waiting for a prediction look up, and see whether they are meant.
                self._nudge()
                self._bell.set()

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write to the ledger, for as long as its disk refuses: what was found out must not be forgotten."""
        said = False
        while True:
            try:
                return await write()
            except errors.LedgerUnavailable as error:
                # A disk that refuses is no defect of ours, and what was found out would be lost with the process.
                self._looked = self._clock()
                if not said:
                    log.error("ledger.unavailable", reason=errors.sentence(error))  # noqa: TRY400 - the disk's fault, not a defect
                    said = True
                await self._sleep(LEDGER_RETRY)


class _Parking:
    """A task's place among those that wait their turn."""

    def __init__(self, parked: set[asyncio.Task[Any]], task: asyncio.Task[Any]) -> None:
        self._parked = parked
        self._task = task

    def leave(self) -> None:
        """It is this task's turn: from here on it must not be cancelled lightly."""
        self._parked.discard(self._task)


def _was_sent(outcome: Outcome) -> bool:
    """Did the submit step send its paid request, as far as can be told?"""
    match outcome:
        case Retry(cause=Cause.JOB):
            return True  # a defect, wherever it struck
        case Retry() | Redo() | Refused():
            return outcome.attempt is not None
        case Cancelled():
            return False
        case _:
            return True


def _over(job: Job) -> bool:
    """Is no prediction of this job unfinished at the service, as far as is known?"""
    return job.attempt is None or job.attempt.state in _SETTLED or job.standing is Standing.HELD
