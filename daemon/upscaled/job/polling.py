"""When to ask for a prediction: what earlier ones took, and what follows from it for the next question.

Separate from `pacing`, because here something is learned. Times are in seconds; an *age* is the time since the submit.

The theory (Barlow, Hunter and Proschan's inspection schedules): where a prediction that is not over yet ends within
the next moment with the rate h (the hazard), and a question is worth as much as ``price`` seconds of a finished
picture's waiting, the best gap between two questions is sqrt(2 price / h). Latencies are taken for log-normal, which
they are near enough that a law of another shape costs little. A back-off that grows is the worst there is: it waits
longest where completion is likeliest.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

WAITING: Final = 0.44
"""How long a picture that is finished waits for the next question, in seconds on average, unless the floor asks for
more: a little less than where one asks every second, at fewer questions than that."""

QUICK: Final = 14.0
"""Where half of the predictions are over sooner than so many such waits, it is that part of their median."""

PRESSED: Final = 4.0
"""So many times as dense are the questions while the places that predictions hold are waited for: a question that comes
late costs more than the waiting of one picture then, as the place stands idle."""

TOGETHER: Final = 0.1
"""Questions are asked at multiples of so many seconds, those for many predictions together: to wake for each costs more
CPU than to ask."""

FEW_AT_ONCE: Final = 5
"""But about so many of them at most: what else is due waits for them."""

BUDGET: Final = 100.0
"""Questions a second, over all predictions, at most: each costs about 0.3 ms of CPU."""

CEILING: Final = 10.0
"""The longest gap between two questions, whatever was learned."""

TOLD: Final = 30.0
"""The shortest gap where the service is expected to tell by itself: asking is a safety net then."""

MEMORY: Final = 64.0
"""How many predictions back the law remembers."""

FIRST_MEDIAN: Final = 7.0
FIRST_SIGMA: Final = 0.6
FIRST_WEIGHT: Final = 2.0
"""What is believed before anything was seen, and for how many predictions that counts."""

LEAST_SIGMA: Final = 0.03
FEW: Final = 3.0
"""With fewer predictions seen, nothing is known: each question waits half as long as the prediction has lasted."""

_FAR: Final = 3.0
_SLOWING: Final = 0.25
"""Beyond so many standard deviations the law says little, and the gap grows by a part of what has passed since then.

It grows from the densest gap: with one that leaps, the few predictions out there wait for nearly as long as all others
together.
"""


@dataclass(frozen=True)
class Law:
    """The distribution of the latencies of one model with one set of parameters, as far as it is known."""

    mean: float = math.log(FIRST_MEDIAN)
    """Of the logarithm of the latency, and its variance."""
    variance: float = FIRST_SIGMA**2
    weight: float = FIRST_WEIGHT

    def learned(self, latency: float) -> Law:
        """Return the law after one more prediction took so long."""
        weight = min(self.weight + 1.0, MEMORY)
        share = 1.0 / weight
        off = math.log(max(latency, 1e-3)) - self.mean
        mean = self.mean + share * off
        variance = (1.0 - share) * (self.variance + share * off * off)
        return Law(mean, max(variance, LEAST_SIGMA**2), weight)

    @property
    def known(self) -> bool:
        """Was enough seen to go by it?"""
        return self.weight >= FIRST_WEIGHT + FEW

    @cached_property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.sqrt(self.variance)

    @cached_property
    def median(self) -> float:
        """Half of the predictions take longer, in seconds."""
        return math.exp(self.mean)

    def hazard(self, age: float) -> float:
        """Return how many of those that are not over at ``age`` end in the next second, were it to go on like that."""
        z = (math.log(age) - self.mean) / self.sigma
        surviving = 0.5 * math.erfc(z / _ROOT2)
        return math.exp(-0.5 * z * z) / (_ROOT2PI * self.sigma * age * surviving)

    @cached_property
    def peak(self) -> float:
        """The largest hazard there is before the law's far end."""
        return max(self.hazard(self.median * math.exp(self.sigma * k / 4)) for k in range(-8, 9))

    @cached_property
    def spread(self) -> float:
        """How much longer than at the largest hazard the gaps are on average, seen by those that end in them."""
        ages = [self.median * math.exp(self.sigma * k / 8) for k in range(-20, 21)]
        weights = [math.exp(-((k / 8) ** 2) / 2) for k in range(-20, 21)]
        gaps = [math.sqrt(self.peak / self.hazard(age)) for age in ages]
        return math.fsum(map(operator.mul, weights, gaps)) / math.fsum(weights)

    @cached_property
    def start(self) -> float:
        """The age before which next to nothing ends."""
        return self.median * math.exp(-3.0 * self.sigma)

    @cached_property
    def far(self) -> float:
        """The age beyond which next to nothing is left."""
        return self.median * math.exp(_FAR * self.sigma)


_ROOT2: Final = math.sqrt(2.0)
_ROOT2PI: Final = math.sqrt(2.0 * math.pi)


def law_of(latencies: Iterable[float]) -> Law:
    """Return the law after so many predictions, the oldest first."""
    law = Law()
    for latency in latencies:
        law = law.learned(latency)
    return law


def gap(law: Law, age: float, floor: float, *, pressed: bool = False) -> float:
    """Return how long to wait before asking for a prediction that was not over at ``age`` seconds; ``floor`` at least.

    The price of a question follows from how long a finished picture may wait on average. ``pressed`` says that the
    prediction's place is waited for.
    """
    if not law.known:
        return max(floor, min(CEILING, age / 2))
    waiting = min(WAITING, law.median / QUICK) / (PRESSED if pressed else 1.0)
    densest = max(floor, 2.0 * waiting / law.spread)
    if age > law.far:
        return max(floor, min(CEILING, densest + _SLOWING * (age - law.far)))
    longest = max(floor, min(CEILING, law.median))
    begin = max(age, law.start)
    return max(floor, begin - age + _until_due(law, begin, 1.0 / (densest * densest * law.peak), longest))


def together(now: float, gap: float, floor: float, count: int = 1) -> float:
    """Return the moment nearest to ``now + gap`` at which others are asked for, too; it keeps the floor.

    ``count`` predictions are asked for in all.
    """
    if gap <= 0:
        return now
    step = min(TOGETHER, gap / 4, FEW_AT_ONCE * gap / count)
    due = round((now + gap) / step) * step
    return due if due >= now + floor else due + step


def _until_due(law: Law, age: float, scale: float, longest: float) -> float:
    """Return the time from ``age`` in which the integral of sqrt(scale h) comes to one."""
    step = longest / 48
    passed, total = 0.0, 0.0
    while passed < longest:
        rate = math.sqrt(scale * law.hazard(age + passed + step / 2))
        if total + rate * step >= 1.0:
            return passed + (1.0 - total) / rate
        total += rate * step
        passed += step
    return longest


def between(asked: float, found: float, told: float | None) -> float:
    """Return how long a prediction took that was not over at the age ``asked`` and was at ``found``.

    The service's own figure (``told``, seconds) is taken where it is possible: it may leave out the time in a queue.
    """
    return told if told is not None and asked < told <= found else (asked + found) / 2
