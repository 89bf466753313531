"""When to poll, when to try again, when the next submit may go: arithmetic on times that are passed in.

Separate because every number of patience in the program stands here, with its reason. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from upscaled.job.model import Cause

BACKOFF: Final[Mapping[Cause, tuple[float, float]]] = {
    Cause.JOB: (2.0, 300.0),
    Cause.NETWORK: (2.0, 300.0),
    Cause.SERVICE: (5.0, 300.0),
    Cause.RATE: (10.0, 120.0),
    Cause.KEY: (30.0, 300.0),
    Cause.CREDIT: (30.0, 300.0),
    Cause.FOLDER: (5.0, 300.0),
    Cause.BUDGET: (60.0, 3600.0),
    Cause.FLOOR: (30.0, 300.0),
    Cause.HOURS: (60.0, 3600.0),
    Cause.TWIN: (5.0, 300.0),
    Cause.PAUSE: (3600.0, 3600.0),
    Cause.MASS: (3600.0, 3600.0),
}
"""First wait and longest wait for each cause; in between they double. There is no last try: trouble waits and says so.
"""

RATE_WINDOW: Final = 60.0
"""The service counts requests by the minute (its troubleshooting guide)."""

LISTING_LAG: Final = 30.0
"""How long after a submit the service's history may still lack it. Undocumented; 30-60 s is the common advice."""

LOOK_EVERY: Final = 5.0
"""How often to look an ambiguous submit up while the history may still lack it."""


def backoff(tries: int, cause: Cause, jitter: float) -> float:
    """Return how long to wait after ``tries`` troubles in a row; ``jitter`` in [0, 1) spreads it by a quarter."""
    first, longest = BACKOFF[cause]
    base = min(longest, first * 2.0 ** min(tries, 16))
    return base * (0.875 + 0.25 * jitter)


STEP_DOWN: Final = 0.5
STEP_UP: Final = 0.1
LEAST: Final = 1.0
"""The slowest pace, in submits a minute: at that the service's own limit is learned again soon."""

HANDFUL: Final = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """How many submits a minute are sent: the allowed number, less for a while after the service found it too many.

    ``allowed`` is None where no limit is known; ``now`` is None while nothing holds the pace down.
    """

    allowed: float | None
    now: float | None = None

    @property
    def rate(self) -> float | None:
        """Submits a minute, None for as many as come."""
        return self.allowed if self.now is None else self.now

    def refused(self, sent: int) -> Pace:
        """Return the pace after a 429, when ``sent`` submits went in the last minute: half of what was too much."""
        # A 429 after a handful of submits says little about how many a minute are too many.
        much = float(max(sent, HANDFUL))
        return replace(self, now=max(LEAST, STEP_DOWN * (much if self.rate is None else min(self.rate, much))))

    def accepted(self) -> Pace:
        """Return the pace after a submit that was taken: a tenth of what is allowed back, until it is all back."""
        if self.now is None:
            return self
        faster = self.now + STEP_UP * (self.now if self.allowed is None else max(1.0, self.allowed))
        over = self.now > 1000.0 if self.allowed is None else faster >= self.allowed
        return replace(self, now=None if over else faster)


def submit_after(recent: Sequence[float], per_minute: float | None, now: float) -> float:
    """Return how long the next submit must wait so that no window of a minute holds more than ``per_minute``.

    ``recent`` are the times of the submits before, oldest first. A window that slides is stricter than one that resets.
    """
    if per_minute is None:
        return 0.0
    allowed = max(1, int(per_minute))
    if len(recent) < allowed:
        return 0.0
    return min(RATE_WINDOW, max(0.0, recent[-allowed] + RATE_WINDOW - now))
