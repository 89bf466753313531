"""When the next sweep and the next look are due. Times are seconds of a monotonic clock that is passed in.

A *sweep* walks the inbox. A *look* only asks for the state of those files that are settling, so it costs by their
number and not by that of the backlog. A *glance* only reads names, and takes in those that the last sweep did not find:
it answers a ring when no sweep is due yet. None takes more than about a tenth of the time, however slow the disk is and
however often the bell rings: with 100,000 files behind it, a new one waits its turn anyway.
"""

from __future__ import annotations

COALESCE = 0.1
"""From the first ring to its sweep, so that a burst of events costs one sweep."""

SHARE = 10.0
"""After a sweep (or look), this many times its duration pass before the next one starts."""

GLANCED = 100.0
"""And so many times where glances answer the bell: a sweep keeps everything else waiting for its duration ..."""

GLANCED_MOST = 60.0
"""... but no more than so many seconds, as it alone sees what was changed in place."""

LEISURE = 1000.0
"""Where events ring, so many times its duration pass before a sweep that nobody rang for: it only makes sure."""

LEISURELY = 300.0
"""But no more than so many seconds."""

RETRY = 5.0
"""Between attempts while the inbox is offline or the ledger refuses."""


class Schedule:
    """One folder's timetable."""

    def __init__(self, *, sweep: float, look: float, now: float) -> None:
        self.sweep = sweep
        self.look = look
        self._timer = now
        self._rung: float | None = None
        self._unglanced: float | None = None
        self._glance_rest = now
        self._sweep_rest = now
        self._next_look = now

    def rang(self, now: float) -> None:
        """A sweep was asked for. Only the first ring before a sweep counts."""
        if self._rung is None:
            self._rung = now
        if self._unglanced is None:
            self._unglanced = now

    @property
    def pending(self) -> bool:
        """Has the bell rung since the last sweep began?"""
        return self._rung is not None

    @property
    def next_sweep(self) -> float:
        """When the next sweep is due."""
        due = self._timer if self._rung is None else min(self._timer, self._rung + COALESCE)
        return max(due, self._sweep_rest)

    @property
    def next_glance(self) -> float | None:
        """When the next glance is due; None while nobody rang. The sweep that the ring asks for follows in any case."""
        return None if self._unglanced is None else max(self._unglanced + COALESCE, self._glance_rest)

    @property
    def next_look(self) -> float:
        """When the next look is due, if anything is settling."""
        return self._next_look

    def sweeping(self) -> None:
        """A sweep begins now; it answers every ring so far, and none that comes while it runs."""
        self._rung = self._unglanced = None

    def glancing(self) -> None:
        """A glance begins now."""
        self._unglanced = None

    def glanced(self, began: float, ended: float) -> None:
        """A glance has ended; what it found settles from now on."""
        self._glance_rest = ended + SHARE * (ended - began)

    def swept(self, began: float, ended: float, *, rings: bool = False, glances: bool = False) -> None:
        """A sweep has ended. It looked at everything, so it counts as a look too.

        ``rings``: events tell of changes; ``glances``: a glance may answer them.
        """
        took = ended - began
        self._sweep_rest = ended + max(SHARE * took, min(GLANCED * took, GLANCED_MOST) if glances else 0.0)
        leisure = min(LEISURE * took, LEISURELY) if rings else 0.0
        self._timer = max(ended + self.sweep, ended + leisure, self._sweep_rest)
        self._next_look = ended + self.look

    def looked(self, began: float, ended: float) -> None:
        """A look has ended."""
        self._next_look = ended + max(self.look, SHARE * (ended - began))

    def postpone(self, now: float) -> None:
        """The sweep could not be done: try again soon, whatever the interval and the bell."""
        self._timer = self._sweep_rest = now + min(RETRY, self.sweep)
        self._rung = self._unglanced = None
