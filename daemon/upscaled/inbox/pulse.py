"""The intake thread's sign of life, read from other threads: what may hang must not be what reports it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Stopped(Exception):
    """The intake was asked to stop in the middle of its work; nothing it has not handed over is needed again."""


class Pulse:
    """Beaten between two file-system calls; silence while `busy` means that one of them does not return."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._busy = False
        self._last = clock()
        self._awake = False
        self._stopping = False

    def beat(self) -> float:
        """Return the time. Raises `Stopped` when it is time to go."""
        if self._stopping:
            raise Stopped
        self._last = now = self._clock()
        return now

    def stop(self) -> None:
        """Make the next beat the last."""
        self._stopping = True

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Between here and the end the thread does its work, and does not wait for the next."""
        self._awake = True
        try:
            yield
        finally:
            self._awake = False

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Between here and the end the file system is asked things."""
        self._last = self._clock()
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def silent_for(self, now: float) -> float:
        """Return for how many seconds one call to the file system has not returned; 0 if none is under way."""
        return max(0.0, now - self._last) if self._busy else 0.0

    def late_by(self, now: float, due: float) -> float:
        """Return for how many seconds the thread has done nothing though it should; ``due``: its next work.

        While it waits for the file system that is the file system's fault, which `silent_for` tells.
        """
        if self._busy:
            return 0.0
        return max(0.0, now - (self._last if self._awake else due))
