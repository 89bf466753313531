"""The guard around the steps: none touches a directory that is not there, or not the one it was.

Separate from the steps so that each of them can be read without it, and the table in `upscaled.steps` says which
directories each one relies on. DOWNLOAD and PUBLISH ask for their outbox themselves, as they have somewhere else to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from upscaled.errors import FileTrouble
from upscaled.job.model import Cancelled, Done, Job, Outcome
from upscaled.steps import trouble
from upscaled.steps.ports import Ports

Run = Callable[[Job, Ports], Awaitable[Outcome]]


def whole(step: Run) -> Run:
    """Return ``step`` for a folder of which everything is there and ours: the steps up to the one that costs money.

    An attempt whose fate is unknown is looked up in any case: that is free, and touches no directory.
    """

    def look(job: Job, ports: Ports) -> None:
        if job.attempt is None or not job.attempt.unresolved:
            ports.guard.check(ports.folder(job))

    return _around(step, look)


def leaving(step: Run, role: str) -> Run:
    """Return ``step`` for an original that leaves its inbox for the directory of that role."""

    def look(job: Job, ports: Ports) -> None:
        folder = ports.folder(job)
        for directory in (folder.inbox, getattr(folder, role)):
            ports.guard.require(directory)

    return _around(step, look)


def _around(step: Run, look: Callable[[Job, Ports], None]) -> Run:
    async def run(job: Job, ports: Ports) -> Outcome:
        try:
            await asyncio.to_thread(look, job, ports)
            outcome = await step(job, ports)
            if _missed(outcome):
                # The share may have gone away in between, and then a file that is not there proves nothing (I6).
                await asyncio.to_thread(look, job, ports)
        except FileTrouble as error:
            return trouble.of_file(error)
        return outcome

    run.__name__, run.__doc__ = getattr(step, "__name__", "run"), step.__doc__
    return run


def _missed(outcome: Outcome) -> bool:
    """Does the outcome rest on a file that was not found?"""
    missing_original = isinstance(outcome, Done) and outcome.facts.get("archived", "") is None
    return isinstance(outcome, Cancelled) or missing_original
