"""How much one server takes on: predictions a minute, as the service's account levels have it.

A window, not an average: the service counts whole minutes, and starts anew with each.
"""

from __future__ import annotations


class PerMinute:
    """Counts submits in windows of 60 seconds; ``limit`` None counts nothing."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._began = float("-inf")
        self._count = 0

    def take(self, now: float) -> float:
        """Take one submit and return 0, or return the seconds until the next window when this one is full."""
        if self._limit is None:
            return 0.0
        if not 0 <= now - self._began < 60:
            self._began, self._count = now, 0
        if self._count >= self._limit:
            return 60 - (now - self._began)
        self._count += 1
        return 0.0
