"""Measure: how often the daemon asks for a prediction, and how long a finished picture waits for the next question.

    python -m tests.benchmarks.polling

In virtual time: so many predictions are always in flight, each with a log-normal latency, and each is asked for when
the daemon's own scheduler says; it begins without knowing anything. The SDK asks at once and then every second.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.simulator import Law
from tests.benchmarks.table import Row
from upscaled.config.settings import Service
from upscaled.job.polling import Law as Learned
from upscaled.job.polling import between, gap

COUNT: Final = 1000
IN_FLIGHT: Final = 30
FLOOR: Final = Service(url="").poll_min
"""`service.poll_min` as it is unless a configuration says otherwise, in seconds."""
CAREFUL: Final = 2.0
"""What the service's guide advises at least, in seconds; shown beside."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What asking cost: questions a job, and seconds that a finished picture waited, on average."""

    polls: float
    added: float

    @property
    def product(self) -> float:
        """What no policy can get below a certain value."""
        return self.polls * self.added


def simulate(law: Law, floor: float = FLOOR, *, count: int = COUNT, in_flight: int = IN_FLIGHT, seed: int = 1) -> Cost:
    """Run ``count`` predictions through the learner, so many at a time."""
    draws = law.draws(seed)
    learned, polls, added, begun = Learned(), 0, 0.0, 0
    due: list[tuple[float, int, float, float, float]] = []

    def begin(now: float) -> None:
        nonlocal begun
        begun += 1
        heapq.heappush(due, (now + gap(learned, 0.0, floor), begun, now, next(draws), 0.0))

    for _ in range(in_flight):
        begin(0.0)
    while due:
        now, number, since, latency, asked = heapq.heappop(due)
        age = now - since
        polls += 1
        if age < latency:
            heapq.heappush(due, (now + gap(learned, age, floor), number, since, latency, age))
            continue
        added += age - latency
        learned = learned.learned(between(asked, age, None))
        if begun < count:
            begin(now)
    return Cost(polls / begun, added / begun)


def steady(law: Law, every: float = 1.0, *, count: int = 20_000, seed: int = 1) -> Cost:
    """Return what asking at once and then every so many seconds costs, as the SDK does."""
    draws = law.draws(seed)
    latencies = [next(draws) for _ in range(count)]
    questions = [int(latency // every) + 2 for latency in latencies]
    waited = [(number - 1) * every - latency for number, latency in zip(questions, latencies, strict=True)]
    return Cost(sum(questions) / count, sum(waited) / count)


def measure(_root: Path) -> Iterator[Row]:
    """Yield the rows."""
    for median, p95, bound in ((8.0, 20.0, 4.1), (8.0, 12.0, 2.5), (4.0, 8.0, None), (30.0, 60.0, None)):
        law = Law(median, p95)
        ours, usual, theirs = simulate(law), simulate(law, CAREFUL), steady(law)
        at = f"median {median:g} s, 95 % within {p95:g} s"
        told = f"{_told(ours)}; SDK {_told(theirs)}; with `poll_min: 2s` {_told(usual)}"
        if bound is not None:
            yield Row(f"questions a job x seconds of waiting, {at}", ours.product, bound, "s", told)
        yield Row(f"questions, as a share of the SDK's, {at}", ours.polls / theirs.polls, 1.0, "", told)
        yield Row(f"waiting, as a share of the SDK's, {at}", ours.added / theirs.added, 1.0)


def _told(cost: Cost) -> str:
    return f"{cost.polls:.1f} x {cost.added:.2f} s = {cost.product:.1f}"


if __name__ == "__main__":
    for row in measure(Path()):
        sys.stdout.write(f"{row}\n")
