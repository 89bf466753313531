"""Measure: how often the daemon asks for a prediction, and how long a finished picture waits for the next question.

    python -m tests.benchmarks.polling

In virtual time: so many predictions are always in flight, each with a log-normal latency, and each is asked for when
the daemon's own scheduler says; it begins without knowing anything. The SDK asks at once and then every second.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.simulator import Law
from upscaled.job.polling import Law as Learned
from upscaled.job.polling import between, gap

COUNT: Final = 1000
IN_FLIGHT: Final = 30
FLOOR: Final = 0.5
"""`service.poll_min`, in seconds."""


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


def main(out: Callable[[str], object] = sys.stdout.write) -> None:
    """Print both for some laws."""
    for median, p95 in ((8.0, 20.0), (8.0, 12.0), (4.0, 8.0), (30.0, 60.0)):
        law = Law(median, p95)
        for name, cost in (("upscaled", simulate(law)), ("at 2 s", simulate(law, 2.0)), ("SDK", steady(law))):
            out(f"{median:g}/{p95:g} s  {name:<9} {cost.polls:5.1f} polls x {cost.added:.2f} s = {cost.product:5.2f}\n")


if __name__ == "__main__":
    main()
