"""The desk between the intake and the ledger: what the sweep found ready becomes rows, with its folder's parameters.

Separate from both, so that the intake knows nothing of profiles or rows and the ledger nothing of folders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from upscaled.inbox.model import Candidate, FolderState
from upscaled.job.model import Identity, Parameters
from upscaled.ledger import Ledger
from upscaled.ledger.rows import NewJob


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
    ) -> None:
        self._ledger = ledger
        self._plan = plan
        self._ring = ring
        self._now = now
        self._new_id = new_id

    def known(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources that have an unfinished job, with the identity they were admitted with."""
        return self._ledger.known(folder)

    def admit(self, candidates: Sequence[Candidate]) -> None:
        """Make a row of each candidate, durable when this returns, and ring for the worker."""
        now = self._now()
        if self._ledger.admit([self._job(candidate, now) for candidate in candidates]):
            self._ring()

    def publish(self, state: FolderState) -> None:
        """Record what the last sweep saw, for `status`."""
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
        )
