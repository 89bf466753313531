"""Numbers for Prometheus, in a registry of their own: what happened since the start, and how things stand.

What happened is counted as it happens, from events and requests. How things stand is read when somebody asks
(`Standings`), from the ledger and the intakes, so that nothing is spent on it while nobody does. Names follow
https://prometheus.io/docs/practices/naming/. Nothing here names a picture, a key or an address of the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from upscaled import __version__, status
from upscaled.api.exchange import Asked
from upscaled.events import Event
from upscaled.files.names import printable
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import Condition
from upscaled.intakes import SILENCE
from upscaled.job.budget import Limits
from upscaled.job.model import TERMINAL, Cause, Standing, Step
from upscaled.ledger import Ledger, spending
from upscaled.limits import Gate

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_POLLS: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)

_LOOKED_AFTER: Final = frozenset({Condition.ONLINE, Condition.PARTIAL})


class Metrics:
    """Counts events and requests; ``text`` gives everything in the text format. Counting never raises."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("upscaled", "The running program.", registry=self.registry).info({"version": __version__})
        self._steps = self._histogram("step_duration_seconds", "Time from a step's begin to its outcome.", "step")
        self._requests = self._counter("requests", "Requests to the service and its storage.", "kind", "status")
        self._answers = self._histogram("request_duration_seconds", "Time until a request was answered whole.", "kind")
        self._ended = self._counter("jobs_ended", "Jobs that ended or were held since the start.", "standing")
        self._troubles = self._counter("troubles", "Times that a job had to wait, by what stood in the way.", "cause")
        self._polls = Histogram(
            "upscaled_polls_per_prediction",
            "How often the service was asked before a prediction was over.",
            buckets=_POLLS,
            registry=self.registry,
        )
        self._begin()

    def _begin(self) -> None:
        """Have every series there from the start, so that a first failure is seen as an increase."""
        for standing in (*TERMINAL, Standing.HELD):
            self._ended.labels(str(standing))
        for cause in Cause:
            self._troubles.labels(str(cause))
        for step in Step:
            self._steps.labels(str(step))

    def _histogram(self, name: str, text: str, label: str) -> Histogram:
        return Histogram(f"upscaled_{name}", text, [label], buckets=_SECONDS, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"upscaled_{name}", text, labels, registry=self.registry)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        job, step = event.job, event.step
        if event.effort.runs:
            self._steps.labels(str(step)).observe(event.effort.seconds)
        if step is Step.AWAIT and event.effort.runs and job.standing is not Standing.WAITING:
            self._polls.observe(event.effort.runs)
        if job.standing is Standing.WAITING and job.cause is not None:
            self._troubles.labels(str(job.cause)).inc()
        if job.standing in TERMINAL or job.standing is Standing.HELD:
            self._ended.labels(str(job.standing)).inc()

    def asked(self, asked: Asked) -> None:
        """Count a request."""
        self._requests.labels(asked.kind, "none" if asked.status is None else str(asked.status)).inc()
        self._answers.labels(asked.kind).observe(asked.seconds)

    def read(self, standings: Collector) -> None:
        """Have what stands read whenever somebody asks."""
        self.registry.register(standings)

    def text(self) -> bytes:
        """Return everything in the text format; it reads the ledger, so call it in a thread."""
        return generate_latest(self.registry)


class Standings(Collector):
    """How things stand at the moment of asking."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        intakes: Callable[[], Iterable[Intake]],
        limits: Limits,
        gate: Gate,
        webhooks: Mapping[str, int] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._intakes = intakes
        self._limits = limits
        self._gate = gate
        self._webhooks = webhooks or {}
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: that would read the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        now = self._now()
        yield from self._work(now)
        yield from self._money(now)
        yield from self._folders(now)

    def _work(self, now: float) -> Iterator[Metric]:
        jobs = _gauge("jobs", "Jobs in the ledger.", "standing")
        for standing, count in status.counts(self._ledger).items():
            jobs.add_metric([standing], count)
        yield jobs
        yield _plain("predictions_in_flight", "Predictions that are, or may be, unfinished.", in_flight(self._ledger))
        yield _plain("queue_age_seconds", "How long the oldest job has waited to begin.", queue_age(self._ledger, now))
        blocked = _gauge("service_blocked", "Whether the service takes nothing until a person acts.", "cause")
        for cause in (Cause.KEY, Cause.CREDIT, Cause.FLOOR):
            blocked.add_metric([str(cause)], self._gate.cause is cause)
        yield blocked
        webhooks = CounterMetricFamily("upscaled_webhooks", "Deliveries of the service's webhooks.", labels=["result"])
        for result, count in self._webhooks.items():
            webhooks.add_metric([result], count)
        yield webhooks

    def _money(self, now: float) -> Iterator[Metric]:
        spend = status.spending(self._ledger, now)
        spent = self._ledger.total(spending.SPENT)
        yield CounterMetricFamily("upscaled_spent_dollars", "Dollars spent since the ledger began.", value=spent)
        yield _plain("reserved_dollars", "Dollars set aside for predictions under way.", spend["reserved"])
        period = _gauge("period_spent_dollars", "Dollars spent in the current day and month (local time).", "period")
        budget = _gauge("budget_dollars", "What may be spent in a period; there only where it is limited.", "period")
        for name, key, limit in (("day", "today", self._limits.per_day), ("month", "month", self._limits.per_month)):
            period.add_metric([name], spend[key])
            if limit is not None:
                budget.add_metric([name], limit)
        yield from (period, budget)

    def _folders(self, now: float) -> Iterator[Metric]:
        up = _gauge("folder_up", "Whether the folder is looked after.", "folder")
        took = _gauge("sweep_duration_seconds", "How long the last good sweep took.", "folder")
        age = _gauge("sweep_age_seconds", "How long ago the last good sweep ended.", "folder")
        at = _gauge("last_sweep_timestamp_seconds", "When the last good sweep ended.", "folder")
        waiting = _gauge("folder_waiting_files", "Files in the inbox that are not taken yet.", "folder", "reason")
        for intake in self._intakes():
            state, seconds = intake.state, intake.unswept()
            folder = printable(state.inbox)
            up.add_metric([folder], state.state in _LOOKED_AFTER and intake.not_answering() < SILENCE)
            if seconds is not None:
                took.add_metric([folder], state.last_sweep)
                age.add_metric([folder], seconds)
                at.add_metric([folder], now - seconds)
            for reason, count in state.waiting.items():
                waiting.add_metric([folder, str(reason)], count)
        yield from (up, took, age, at, waiting)


def in_flight(ledger: Ledger) -> int:
    """Return how many predictions are, or may be, unfinished at the service."""
    return int(ledger.query("SELECT count(*) AS n FROM attempts WHERE settled_at IS NULL")[0]["n"])


def queue_age(ledger: Ledger, now: float) -> float:
    """Return for how many seconds the oldest job that may begin has waited; 0 where none does."""
    found = ledger.query(
        "SELECT min(admitted_at) AS oldest FROM jobs"
        " WHERE standing = 'ready' AND stage IN ('admitted', 'uploaded') AND failure IS NULL"
    )[0]["oldest"]
    return 0.0 if found is None else max(0.0, now - found)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"upscaled_{name}", text, labels=labels)


def _plain(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"upscaled_{name}", text, value=value)
