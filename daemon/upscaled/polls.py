"""The one scheduler of questions: which prediction may be asked for when, and what the answers taught.

Separate from the step that asks, which keeps nothing, and from `upscaled.job.polling`, which decides and knows no
clock. Nothing here is authoritative: what was learned before a restart is read from the ledger's finished predictions,
and a prediction that is not known here is asked for when its age says so. Lives in the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from upscaled.job import polling
from upscaled.job.model import Job, Parameters
from upscaled.job.polling import Law
from upscaled.ledger.latencies import Latency
from upscaled.ledger.rows import canonical


@dataclass(slots=True)
class _Asked:
    """When a prediction may be asked for next, in seconds since the epoch, and at which age it was asked for last."""

    due: float
    age: float | None
    """None where nobody can say: it was submitted by an earlier process, and not asked for since."""
    news: bool = False
    """Was it told, since it was last asked for, that it is over?"""


class Polls:
    """``floor`` is the shortest gap between two questions for the same prediction, in seconds.

    ``told`` says whether the service is expected to tell by itself when a prediction with such parameters is over,
    ``pressed`` whether jobs wait for the places that the predictions hold.
    """

    def __init__(
        self,
        *,
        floor: float,
        now: Callable[[], float],
        told: Callable[[Parameters], bool] = lambda _: False,
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._floor = floor
        self._now = now
        self._told = told
        self._pressed = pressed
        self._laws: dict[tuple[str, str], Law] = {}
        self._asked: dict[str, _Asked] = {}

    def keep(self, seen: Iterable[Latency]) -> None:
        """Learn from the predictions of earlier processes, the oldest first."""
        for latency in seen:
            self._learn((latency.model, latency.inputs), latency.seconds)

    def wait(self, job: Job) -> float:
        """Return for how many seconds a submitted job's prediction must not be asked for yet; 0 if it may be now."""
        now = self._now()
        if job.id not in self._asked:
            age = _age(job, now)
            first = self._gap_at(job, 0.0)
            # Of an earlier process there may be thousands, all of them due: one after the other then.
            due = self._due(now, first - age) if age < first else now + len(self._asked) / polling.BUDGET
            self._asked[job.id] = _Asked(due, 0.0 if age < first else None)
        asked = self._asked[job.id]
        if asked.news:
            asked.due, asked.news = now, False
        return max(0.0, asked.due - now)

    def news(self, job: Job) -> None:
        """Somebody says that the prediction is over: it may be asked for at once."""
        self._asked.setdefault(job.id, _Asked(0.0, None)).news = True

    def not_yet(self, job: Job) -> float:
        """The prediction was asked for and is not over: return how long to wait before the next question."""
        now = self._now()
        age = _age(job, now)
        before = self._asked.get(job.id)
        # What was told while it was being asked for may be newer than the answer.
        news = before is not None and before.news
        due = now if news else self._due(now, self._gap_at(job, age))
        self._asked[job.id] = _Asked(due, age)
        return due - now

    def over(self, job: Job, told: float | None) -> None:
        """The prediction is completed; ``told`` is how long the service says that it took, in seconds."""
        age, asked = _age(job, self._now()), self._asked.get(job.id)
        if asked is not None and asked.age is not None and age > asked.age:
            self._learn(_key(job), polling.between(asked.age, age, told))

    def forget(self, job: Job) -> None:
        """The job is no longer driven."""
        self._asked.pop(job.id, None)

    def _gap_at(self, job: Job, age: float) -> float:
        gap = polling.gap(self._law(job), age, self._gap(), pressed=self._pressed())
        return max(gap, polling.TOLD) if self._told(job.params) else gap

    def _due(self, now: float, gap: float) -> float:
        return polling.together(now, gap, min(gap, self._floor), max(1, len(self._asked)))

    def _gap(self) -> float:
        """The shortest gap that keeps the questions of all predictions together within their budget."""
        return max(self._floor, len(self._asked) / polling.BUDGET)

    def _law(self, job: Job) -> Law:
        return self._laws.get(_key(job), Law())

    def _learn(self, key: tuple[str, str], seconds: float) -> None:
        self._laws[key] = self._laws.get(key, Law()).learned(seconds)


def _key(job: Job) -> tuple[str, str]:
    return job.params.model, canonical(job.params.inputs)


def _age(job: Job, now: float) -> float:
    return max(0.0, now - (job.submitted_at or now))
