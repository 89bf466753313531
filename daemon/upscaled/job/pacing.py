"""When to poll, when to try again, when the next submit may go: arithmetic on times that are passed in.

Separate because every number of patience in the program stands here, with its reason. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
}
"""First wait and longest wait for each cause; in between they double. There is no last try: trouble waits and says so.
"""

RATE_WINDOW: Final = 60.0
"""The service counts requests by the minute (its troubleshooting guide)."""

LISTING_LAG: Final = 30.0
"""How long after a submit the service's history may still lack it. Undocumented; 30-60 s is the common advice."""

LOOK_EVERY: Final = 5.0
"""How often to look an ambiguous submit up while the history may still lack it."""

POLL_CEILING: Final = 10.0


def backoff(tries: int, cause: Cause, jitter: float) -> float:
    """Return how long to wait after ``tries`` troubles in a row; ``jitter`` in [0, 1) spreads it by a quarter."""
    first, longest = BACKOFF[cause]
    base = min(longest, first * 2.0 ** min(tries, 16))
    return base * (0.875 + 0.25 * jitter)


def poll_after(age: float, floor: float) -> float:
    """Return how long to wait before asking again for a prediction of ``age`` seconds.

    Constant at first, as an exponential back-off would wait longest where completion is likeliest; a twentieth of the
    age later, so that a prediction that takes minutes costs few requests.
    """
    return max(floor, min(POLL_CEILING, age / 20))


def submit_after(recent: Sequence[float], per_minute: float | None, now: float) -> float:
    """Return how long the next submit must wait so that no window of a minute holds more than ``per_minute``.

    ``recent`` are the times of the submits before, oldest first. A window that slides is stricter than one that resets.
    """
    if per_minute is None:
        return 0.0
    allowed = max(1, int(per_minute))
    if len(recent) < allowed:
        return 0.0
    return max(0.0, recent[-allowed] + RATE_WINDOW - now)
