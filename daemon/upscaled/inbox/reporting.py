"""What the intake says about itself: to the ledger for `status`, and to the log once and not once a sweep."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from upscaled.errors import StateError, UpscaledError
from upscaled.files.names import printable
from upscaled.inbox.model import Condition, FolderState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.inbox.gate import Gate, Swept
    from upscaled.inbox.model import Admission, IntakeSettings, Pace

log = structlog.get_logger()

REPEAT: Final = 30.0
"""An unchanged state is published again after so many seconds."""

_WORKING = (Condition.ONLINE, Condition.PARTIAL)


class Reporter:
    """One folder's last word."""

    def __init__(self, settings: IntakeSettings, admission: Admission) -> None:
        self.state = FolderState(inbox=settings.folder)
        self._admission = admission
        self._published: FolderState | None = None
        self._published_at = float("-inf")

    @property
    def working(self) -> bool:
        """Was the last sweep a success?"""
        return self.state.state in _WORKING

    def started(self, kind: str, watch: str, reason: str, pace: Pace) -> None:
        """Say once how the folder is looked after."""
        log.info(
            "folder.watched",
            inbox=self.state.inbox,
            file_system=kind,
            watch=watch,
            why=reason or None,
            settle=pace.settle,
            sweep=pace.sweep,
        )

    def watching(self, watch: str, reason: str) -> None:
        """Note how changes are noticed at the moment."""
        self.state = replace(self.state, watch=watch, watch_reason=reason)

    def blocked(self, condition: Condition, reason: str, now: float) -> None:
        """The folder cannot be looked after; what was known of it stands."""
        if (condition, reason) != (self.state.state, self.state.reason):
            log.warning("folder.state", state=str(condition), inbox=self.state.inbox, reason=reason)
        self.state = replace(self.state, state=condition, reason=reason)
        self._publish(now)

    def report(self, gate: Gate, swept: Swept, took: float, now: float) -> None:
        """Publish what the last sweep and the looks since then found."""
        before = self.state
        condition, reason = _condition(swept)
        self.state = replace(
            before,
            state=condition,
            reason=reason,
            waiting=_waiting(gate.tracks.waiting(), swept.changed),
            left_alone=dict(gate.left_alone(swept)),
            ignored=swept.ignored,
            jobs=swept.jobs,
            folders=swept.folders,
            last_sweep=took,
            notes=gate.notes(swept),
        )
        self._tell(before)
        self._publish(now)

    def _tell(self, before: FolderState) -> None:
        after = self.state
        if (after.state, after.reason) != (before.state, before.reason):
            say = log.info if after.state is Condition.ONLINE else log.warning
            say("folder.state", state=str(after.state), inbox=after.inbox, reason=after.reason or None)
        if after.left_alone and after.left_alone != before.left_alone:
            log.info("folder.left_alone", inbox=after.inbox, reasons=dict(after.left_alone))

    def _publish(self, now: float) -> None:
        if self.state == self._published and now - self._published_at < REPEAT:
            return
        # A ledger that refuses is reported by whatever needs it next; this is only a picture of the moment.
        with suppress(StateError):
            self._admission.publish(self.state)
            self._published, self._published_at = self.state, now


def one_line(error: UpscaledError) -> str:
    """Return what happened, why, and what to do, without a line break."""
    head = error.said
    return printable(f"{head}. {error.do}" if error.do else head)


def _condition(swept: Swept) -> tuple[Condition, str]:
    if not swept.troubles:
        return Condition.ONLINE, ""
    first, more = swept.troubles[0], len(swept.troubles) - 1
    reason = f"{printable(first.path)} cannot be read: {first.why}" + (f" (and {more} more)" if more else "")
    return Condition.PARTIAL, reason


def _waiting(waiting: Mapping[str, int], changed: int) -> dict[str, int]:
    return {**waiting, "changed": changed} if changed else dict(waiting)
