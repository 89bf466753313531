"""What happened, told to whom it may concern, after the commit: logs, progress, and whoever subscribes later.

One feed for all of them, so that they cannot disagree; and none of them can hold up or harm the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from upscaled.job.machine import Change
from upscaled.job.model import Effort, Job, Step

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """A committed change: the job as it now is, the step that led there, and what was recorded."""

    job: Job
    step: Step
    kind: str
    text: str
    effort: Effort = field(default_factory=Effort)


Subscriber = Callable[[Event], None]


class Bus:
    """Hands every event to every subscriber, in order. A subscriber that fails loses its event, nobody else's."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Hand ``subscriber`` every event from now on."""
        self._subscribers.append(subscriber)

    def announce(self, job: Job, step: Step, change: Change, effort: Effort) -> None:
        """Tell everybody about a change that has been committed."""
        event = Event(job, step, change.event, change.text, effort)
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("subscriber.failed", subscriber=repr(subscriber))
