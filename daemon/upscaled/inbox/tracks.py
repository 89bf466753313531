"""What the intake remembers of the sources it has not handed over yet.

Nothing here is authoritative: all of it can be lost at any moment and is built again by the next sweeps, at the price
of one more settle window. A verdict stays until the file changes, so that a file that is not ours is opened once and
not once a sweep.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Final

from upscaled.job.readiness import LeaveAlone, Track, Wait, Waiting, observe, quiet, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from upscaled.job.model import Identity
    from upscaled.job.readiness import Rules

RESTLESS: Final = 60.0
"""For so many seconds after its last change an empty or incomplete file is looked at as often as a settling one."""


@dataclass(slots=True)
class Entry:
    """One source: its track, the last verdict on this identity, and how often it could not be read since it changed."""

    track: Track
    verdict: Wait | LeaveAlone | None = None
    tries: int = 0
    sweep: int = 0
    """By the number of which sweep, or after it, it was last seen."""

    @property
    def settling(self) -> bool:
        """Will a moment's patience settle it?"""
        return self.verdict is None or (isinstance(self.verdict, Wait) and self.verdict.on is Waiting.SETTLING)

    def restless(self, now: float) -> bool:
        """Is it worth a look at every turn?"""
        if self.settling:
            return True
        recent = now - self.track.since < RESTLESS
        return recent and isinstance(self.verdict, Wait) and self.verdict.on in (Waiting.EMPTY, Waiting.INCOMPLETE)

    def until(self) -> float | None:
        """When a look could change the verdict, if time alone can."""
        return self.verdict.until if isinstance(self.verdict, Wait) else None


class Tracks:
    """The sources of one inbox that are not in the ledger yet."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._alone: dict[str, Entry] = {}
        """Those that are left alone: apart, as there may be many and time alone changes nothing about them."""
        self._counted: Mapping[str, int] | None = None
        self._first: list[str] | None = None
        """What is told of them, as long as it holds."""
        self._sweep = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._alone)

    def __getitem__(self, path: str) -> Entry:
        return self._entries.get(path) or self._alone[path]

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Every source and its entry."""
        return chain(self._entries.items(), self._alone.items())

    def worth_a_note(self, most: int) -> list[str]:
        """Return the first names of those that are left alone or wait for more than a moment."""
        if self._first is None:
            self._first = nsmallest(most, self._alone)
        waiting = (path for path, entry in self._entries.items() if not entry.settling)
        return nsmallest(most, chain(self._first, waiting))

    def reason(self, path: str) -> str:
        """Return why a source waits or is left alone, or ''."""
        verdict = self[path].verdict
        return verdict.reason if verdict is not None else ""

    def count_settling(self) -> int:
        """Count the sources that a moment's patience will settle."""
        return sum(entry.settling for entry in self._entries.values())

    def leave_alone(self, path: str, verdict: LeaveAlone) -> None:
        """The file is not ours, until it changes."""
        self._alone[path] = entry = self._entries.pop(path)
        entry.verdict = verdict
        self._first = self._counted = None

    def see(self, path: str, identity: Identity, now: float) -> None:
        """Take in one look at a file; a change voids what was thought of it."""
        entry = self._entries.get(path) or self._alone.get(path)
        if entry is None:
            self._entries[path] = Entry(observe(None, identity, now), sweep=self._sweep)
            return
        entry.sweep = self._sweep
        before, entry.track = entry.track, observe(entry.track, identity, now)
        if entry.track.identity is not before.identity:
            entry.verdict = None
            entry.tries = 0
            self._take_up(path, entry)

    def unreadable(self, path: str, why: str, now: float) -> None:
        """Note that the file could not be looked at or opened."""
        entry = self[path]
        self._take_up(path, entry)
        entry.tries += 1
        entry.verdict = unreadable(why, entry.tries, now)

    def forget(self, path: str) -> None:
        """The source is gone, or in the ledger."""
        self._entries.pop(path, None)
        if self._alone.pop(path, None) is not None:
            self._first = self._counted = None

    def _take_up(self, path: str, entry: Entry) -> None:
        """Leave it alone no longer."""
        self.forget(path)
        self._entries[path] = entry

    def sweeping(self) -> None:
        """A sweep begins."""
        self._sweep += 1

    def forget_absent(self, hidden: Callable[[str], bool]) -> None:
        """Forget every source that the sweep did not find, but for those that are ``hidden`` from it."""
        gone = [path for path, entry in self.items() if entry.sweep != self._sweep and not hidden(path)]
        for path in gone:
            self.forget(path)

    def ripe(self, rules: Rules, now: float) -> list[str]:
        """Judge every source by what was observed, and return those to be opened now, in the order of their names."""
        return sorted(path for path, entry in self._entries.items() if _ripe(entry, rules, now))

    def to_look_at(self, now: float, *, all_restless: bool) -> list[str]:
        """Return the sources whose wait is over, and with ``all_restless`` those that may change any moment."""
        return [path for path, entry in self._entries.items() if _due(entry, now, all_restless=all_restless)]

    def next_until(self) -> float | None:
        """Return when the first wait is over."""
        return min((until for entry in self._entries.values() if (until := entry.until()) is not None), default=None)

    def any_settling(self) -> bool:
        """Will any source be settled by a moment's patience?"""
        return any(entry.settling for entry in self._entries.values())

    def any_restless(self, now: float) -> bool:
        """Is any source worth a look at every turn?"""
        return any(entry.restless(now) for entry in self._entries.values())

    def waiting(self) -> Mapping[str, int]:
        """Count what the sources wait for."""
        verdicts = (entry.verdict for entry in self._entries.values())
        return Counter(str(verdict.on if isinstance(verdict, Wait) else Waiting.SETTLING) for verdict in verdicts)

    def left_alone(self) -> Mapping[str, int]:
        """Count the files that are not ours, by reason."""
        if self._counted is None:
            self._counted = Counter(self.reason(path) for path in self._alone)
        return self._counted


def _ripe(entry: Entry, rules: Rules, now: float) -> bool:
    verdict = entry.verdict
    assert not isinstance(verdict, LeaveAlone)
    if verdict is not None and _backing_off(verdict, now, entry.track.seen):
        return False
    wait = quiet(entry.track, rules)
    if wait is not None:
        entry.verdict = wait
        return False
    return True


_LATER: Final = frozenset({Waiting.INCOMPLETE, Waiting.SETTLING, Waiting.PAIRED})
"""What was opened already is opened again when that may tell something new, not at every look."""


def _backing_off(verdict: Wait, now: float, seen: float) -> bool:
    if verdict.until is None:
        return False
    return seen < verdict.until if verdict.on in _LATER else verdict.on is Waiting.UNREADABLE and now < verdict.until


def _due(entry: Entry, now: float, *, all_restless: bool) -> bool:
    until = entry.until()
    return (until is not None and until <= now) or (all_restless and entry.restless(now))
