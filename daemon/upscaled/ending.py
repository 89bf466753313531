"""When a run is over that ends by itself, what it leaves, and the exit code.

Apart from `app` because nothing here starts or stops anything: it only looks.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from upscaled.building import Daemon
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import Condition
from upscaled.intakes import SILENCE
from upscaled.job.model import Cause
from upscaled.ledger.database import bind
from upscaled.ledger.queue import within
from upscaled.worker import GIVE_UP

log = structlog.get_logger()

TICK: Final = 0.2
"""How often `once` looks whether anything is left to do, in seconds."""

TOO_LONG: Final = 600.0
"""`once` does not wait for a job that cannot go on within so many seconds."""

BLOCKED: Final = frozenset({Condition.OFFLINE, Condition.MISCONFIGURED, Condition.OWNED, Condition.TROUBLE})
"""States of a folder in which it is not looked after; `once` does not wait for them to pass."""


async def nothing_left(daemon: Daemon) -> None:
    """Return when every folder has been looked at and every job has gone as far as it can go now."""
    while True:
        await asyncio.sleep(TICK)
        if not (all(map(_looked_at, daemon.intakes)) and daemon.worker.quiet and daemon.strays.done):
            continue
        if not await asyncio.to_thread(_can_go_on, daemon) and daemon.worker.quiet:
            return


def _looked_at(intake: Intake) -> bool:
    return intake.idle or blocked(intake)


def blocked(intake: Intake) -> bool:
    """Is a folder not looked after, as long as nobody mends it?"""
    return intake.state.state in BLOCKED or intake.not_answering() >= SILENCE


def _can_go_on(daemon: Daemon) -> bool:
    """Is there a job that waits for something which this run may still see the end of?"""
    ours = list(map(_inbox, daemon.intakes))
    rows = daemon.ledger.query(
        "SELECT standing, stage, cause, tries FROM jobs INDEXED BY one_unfinished_job_per_source"  # noqa: S608
        " WHERE finished_at IS NULL"
        " AND standing NOT IN ('held', 'running')"  # those that run, while all is quiet, wait for others' slots
        f" AND {within(ours)} AND NOT (standing = 'waiting' AND (tries >= {GIVE_UP:d} OR not_before > ?))"
        f" AND NOT (standing = 'ready' AND {_PAUSED})",
        *map(bind, ours),
        time.time() + TOO_LONG,
    )
    # With the gate shut nothing gets to a submit; with every slot taken, nothing new does.
    stuck = {"ready", "waiting"} if not daemon.limits.gate.open else {"ready"} if daemon.limits.slots.wanted else set()
    return any(not (row["standing"] in stuck and row["stage"] in {"admitted", "uploaded"}) for row in rows)


_PAUSED: Final = (
    "stage IN ('admitted', 'uploaded') AND failure IS NULL"
    " AND EXISTS (SELECT 1 FROM paused WHERE paused.folder IN ('', jobs.folder))"
)


def _inbox(intake: Intake) -> str:
    return intake.state.inbox


def tell_what_is_left(daemon: Daemon) -> None:
    """Say which files of the inboxes this run did not take, and why: nothing is passed over in silence."""
    for state in (intake.state for intake in daemon.intakes):
        if state.waiting or state.state is not Condition.ONLINE:
            notes = [f"{note.source}: {note.reason}" for note in state.notes]
            log.warning(
                "folder.left", inbox=state.inbox, state=str(state.state), waiting=dict(state.waiting), files=notes
            )


def exit_code(daemon: Daemon) -> int:
    """Return 3 where key or credit keep everything waiting, 1 where a picture or a folder needs somebody, else 0."""
    if daemon.limits.gate.cause in {Cause.KEY, Cause.CREDIT}:
        return 3
    offline = any(map(blocked, daemon.intakes))
    waiting = daemon.ledger.query(
        "SELECT 1 FROM jobs INDEXED BY one_unfinished_job_per_source WHERE finished_at IS NULL LIMIT 1"
    )
    return 1 if daemon.tally.bad or offline or waiting else 0
