"""The desk between the intake and the ledger: what the sweep found ready becomes rows, with its folder's parameters.

Separate from both, so that the intake knows nothing of profiles or rows and the ledger nothing of folders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol

import structlog

from upscaled.inbox.model import Candidate, Condition, FolderState
from upscaled.job import budget, plan
from upscaled.job.model import Identity, Parameters
from upscaled.ledger import Ledger
from upscaled.ledger.rows import NewJob

log = structlog.get_logger()

BURST: Final = 60.0
"""What is admitted within so many seconds counts as dropped at once."""


class Plan(Protocol):
    """What the desk reads of a configured folder."""

    @property
    def profile(self) -> str:
        """The profile's name."""

    @property
    def params(self) -> Parameters:
        """What the service is asked for."""

    @property
    def priority(self) -> int:
        """Higher goes first."""

    @property
    def inbox(self) -> Path:
        """Where its sources lie."""

    @property
    def max_new(self) -> int | None:
        """More new sources than this at once wait for a person."""


class Desk:
    """Admits what a folder's intake hands in; called from the intake's thread."""

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan,
        *,
        ring: Callable[[], None],
        now: Callable[[], float],
        new_id: Callable[[], str],
        price: Callable[[Parameters], float | None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._plan = plan
        self._ring = ring
        self._now = now
        self._new_id = new_id
        self._looked_after = False
        self._price = price
        self._held = ""

    def known(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources that have an unfinished job, with the identity they were admitted with."""
        return self._ledger.known(folder)

    def stayed(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources that were left in the inbox on purpose when their jobs ended."""
        return self._ledger.stayed(folder)

    def incoming(self, count: int) -> None:
        """Hold what comes next, if it is more at once than the folder takes without leave.

        Files arrive over some seconds: those that were admitted in the last minute belong to the same drop.
        """
        most = self._plan.max_new
        if count == 0 or most is None:
            self._held = ""
            return
        folder = str(self._plan.inbox)
        total = count + self._ledger.admitted_since(folder, self._now() - BURST)
        self._held = self._mass(folder, count, total) if plan.too_many(total, most) else ""

    def _mass(self, folder: str, count: int, total: int) -> str:
        price = self._price(self._plan.params)
        cost = "at a price not known yet" if price is None else f"about {budget.dollars(price * count)}"
        if not self._held:
            log.warning("folder.too_many_at_once", folder=folder, files=total, most=self._plan.max_new, cost=cost)
        return (
            f"{total} new files at once, more than max_new ({self._plan.max_new}); {cost} in all. "
            f"`upscaled release {folder}` lets them go on, `upscaled cancel {folder}` calls them off."
        )

    def admit(self, candidates: Sequence[Candidate]) -> None:
        """Make a row of each candidate, durable when this returns, and ring for the worker."""
        now = self._now()
        ordered = sorted(candidates, key=lambda candidate: candidate.source)
        # A microsecond apart, so that a drop goes through in the order of its names, as `plan` tells it.
        if self._ledger.admit([self._job(candidate, now + n / 1e6) for n, candidate in enumerate(ordered)]):
            self._ring()

    def publish(self, state: FolderState) -> None:
        """Record what the last sweep saw, for `status`; a folder that is back wakes the jobs that waited for it."""
        looked_after = state.state in {Condition.ONLINE, Condition.PARTIAL}
        if looked_after and not self._looked_after and self._ledger.wake_folder(state.inbox):
            self._ring()
        self._looked_after = looked_after
        seen = {
            "waiting": dict(state.waiting),
            "left_alone": dict(state.left_alone),
            "notes": [asdict(note) for note in state.notes],
            "watch": state.watch,
        }
        self._ledger.record_folder(
            state.inbox, state=str(state.state), reason=state.reason, seen=seen, swept_at=self._now()
        )

    def _job(self, candidate: Candidate, now: float) -> NewJob:
        return NewJob(
            id=self._new_id(),
            folder=candidate.folder,
            source=candidate.source,
            profile=self._plan.profile,
            params=self._plan.params,
            identity=candidate.identity,
            admitted_at=now,
            priority=self._plan.priority,
            format=candidate.format,
            width=candidate.width,
            height=candidate.height,
            orientation=candidate.orientation,
            failure=candidate.failure,
            held=self._held,
        )
