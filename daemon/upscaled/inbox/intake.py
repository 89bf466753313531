"""From bell and timer to the ledger: one folder's sweeps, looks and verdicts, in a thread of its own.

One thread per folder, because asking a dead network share for anything can hang for ever: then this folder stops, and
says so (`Intake.not_answering`), and the others go on. The thread is a daemon, so a hung one does not hold up the exit.

    bell, timer ─▶ root ─▶ sweep ─▶ tracks ─▶ readiness ─▶ opening ─▶ candidates ─▶ Admission (the ledger)

If the process dies: before `Admission.admit` returns, nothing has happened, and the next start's first sweep finds the
file again; after it, the ledger knows the source and the sweep passes it over. There is no third state.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from upscaled.errors import FileTrouble, OwnedElsewhere, StateError, WrongFolder
from upscaled.files.names import printable
from upscaled.inbox.gate import Gate, Swept
from upscaled.inbox.ignore import Ignore
from upscaled.inbox.model import Condition, pace, rules
from upscaled.inbox.mounts import is_network, rings
from upscaled.inbox.pulse import Pulse, Stopped
from upscaled.inbox.reporting import Reporter, one_line
from upscaled.inbox.root import Root
from upscaled.inbox.schedule import Schedule
from upscaled.inbox.sweep import Offline
from upscaled.inbox.watch import Doorbell, Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from upscaled.inbox.model import Admission, Candidate, FolderState, IntakeSettings
    from upscaled.inbox.opening import Opener
    from upscaled.inbox.root import Place
    from upscaled.inbox.watch import Bell

log = structlog.get_logger()

BATCH: Final = 200
"""Candidates handed over at once, at most."""

BATCH_SECONDS: Final = 1.0
"""And so long does the first of them wait for the others, at most."""

KEEP_ALIVE: Final = 120.0
"""Between two looks at whether the folder is still there and ours, at most, in seconds."""

SHORTEST: Final = 0.05
"""Between two turns, in seconds."""


class Intake:
    """Looks after one inbox: `start` and `stop` it, or call `turn` yourself.

    Its properties, `ring` and `stop` may be used from any thread. ``on_turn`` is called in the intake's own thread
    after each turn and must not raise.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        admission: Admission,
        *,
        on_turn: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        root: Root | None = None,
        opener: Opener | None = None,
        bell: Bell | None = None,
    ) -> None:
        self.settings = settings
        self._admission = admission
        self._on_turn = on_turn
        self._clock = clock
        self._rung = threading.Event()
        self._pulse = Pulse(clock)
        self._root = root or Root(settings.inbox)
        self._bell = bell
        self._ignore = Ignore(settings.ignore)
        usual = pace(settings, network=False)
        self._schedule = Schedule(sweep=usual.sweep, look=usual.look, now=clock())
        self._gate = Gate(settings, rules(settings, usual), beat=self._pulse.beat, ignore=self._ignore, opener=opener)
        self._reporter = Reporter(settings, admission)
        self._place: Place | None = None
        self._swept = Swept()
        self._took = 0.0
        self._deaf = ""
        self._swept_at: float | None = None
        self._checked = clock()
        self._due = clock()
        self._idle = False
        self._thread = threading.Thread(target=self._run, name=f"intake {settings.folder}", daemon=True)

    # --- from any thread -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; its first turn sweeps."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """Ask the thread to end and wait so many seconds for it. False if it hangs; it ends with the process then."""
        self._pulse.stop()
        self._rung.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def ring(self) -> None:
        """Ask for a sweep."""
        self._rung.set()

    @property
    def idle(self) -> bool:
        """Has everything that lies here been swept and judged, with nothing settling and no bell unanswered?"""
        return self._idle and not self._rung.is_set()

    @property
    def state(self) -> FolderState:
        """What was last published, or is about to be."""
        return self._reporter.state

    def not_answering(self, now: float | None = None) -> float:
        """Return for how many seconds the file system has kept the intake waiting; 0 while it answers."""
        return self._pulse.silent_for(self._clock() if now is None else now)

    def unswept(self) -> float | None:
        """Return how long ago the last sweep that succeeded ended, in seconds; None before the first."""
        return None if self._swept_at is None else self._clock() - self._swept_at

    def overdue(self, now: float | None = None) -> float:
        """Return for how many seconds the next sweep or look should have been done; 0 while all is in time.

        A file system that does not answer is no fault of the intake: see `not_answering`.
        """
        return self._pulse.late_by(self._clock() if now is None else now, min(self._due, self._schedule.next_sweep))

    # --- in the thread ---------------------------------------------------------------------------------------------

    def turn(self) -> float:
        """Do what is due, and return how many seconds from now something is due again, if nobody rings."""
        now = self._clock()
        if self._rung.is_set():
            self._rung.clear()
            self._schedule.rang(now)
        try:
            self._work(now)
        except Offline as error:
            self._block(Condition.OFFLINE, one_line(error))
        except FileTrouble as error:
            self._block(_condition(error), one_line(error))
        except StateError as error:
            self._block(Condition.TROUBLE, one_line(error))
        self._idle = self._reporter.working and not self._schedule.pending and not self._gate.tracks.any_settling()
        return max(SHORTEST, self._next() - self._clock())

    def _run(self) -> None:
        try:
            while True:
                self._rung.wait(self._guarded_turn())
        except Stopped:
            pass
        finally:
            if self._bell is not None:
                self._bell.stop()

    def _guarded_turn(self) -> float:
        """Take a turn; a defect in it must not end the folder in silence, so it is logged, shown and tried again."""
        self._pulse.beat()
        with self._pulse.awake():
            pause = self._safe_turn()
            self._due = self._clock() + pause
        return pause

    def _safe_turn(self) -> float:
        try:
            pause = self.turn()
        except Stopped:
            raise
        except Exception as error:
            log.exception("intake.failed", inbox=self.settings.folder)
            self._block(Condition.TROUBLE, f"internal error: {error!r}")
            pause = self._next() - self._clock()
        if self._on_turn is not None:
            self._on_turn()
        return pause

    def _work(self, now: float) -> None:
        if now >= self._schedule.next_sweep:
            self._sweep()
        else:
            self._keep_alive(now)
            glanced = self._reporter.working and self._glance(now)
            if not (self._reporter.working and self._look(now)) and not glanced:
                return
        self._hand_over()
        self._reporter.report(self._gate, self._swept, self._took, self._clock())

    def _sweep(self) -> None:
        began = self._clock()
        self._schedule.sweeping()
        with self._pulse.busy():
            place = self._root.check()
            self._checked = began
            self._tend(place, began)
        folder = self.settings.folder
        known, stayed = self._admission.known(folder), self._admission.stayed(folder)
        with self._pulse.busy():
            swept = self._gate.sweep(known, stayed)
            # A share that went away during the walk: what was seen may be what lay under it.
            self._root.check()
        self._gate.forget_absent(swept)
        ended = self._clock()
        self._swept, self._took, self._swept_at = swept, ended - began, ended
        # An interval that was asked for is kept.
        rings = not self._deaf and self.settings.sweep is None
        self._schedule.swept(began, ended, rings=rings, glances=not self._deaf and self._gate.glances)

    def _glance(self, now: float) -> bool:
        """Take in what has come since the last sweep, if somebody rang. False if nothing has."""
        due = self._schedule.next_glance
        if due is None or now < due or not self._gate.glances:
            return False
        self._schedule.glancing()
        with self._pulse.busy():
            self._root.check()
            found = self._gate.glance()
        if found:
            folder = self.settings.folder
            known, stayed = self._admission.known(folder), self._admission.stayed(folder)
            with self._pulse.busy():
                self._root.check()
                self._gate.take_in(found, known, stayed)
        self._schedule.glanced(now, self._clock())
        return bool(found)

    def _keep_alive(self, now: float) -> None:
        """Between sweeps that are far apart, have the guard look: it may have a lease to renew."""
        if now - self._checked >= KEEP_ALIVE and self._reporter.working:
            with self._pulse.busy():
                self._root.check()
            self._checked = now

    def _look(self, now: float) -> bool:
        """Look at what is settling, if that is due. False if there is nothing to look at."""
        all_restless = now >= self._schedule.next_look
        paths = self._gate.tracks.to_look_at(now, all_restless=all_restless)
        if not paths:
            return False
        with self._pulse.busy():
            self._gate.look(paths)
        if all_restless:
            self._schedule.looked(now, self._clock())
        return True

    def _hand_over(self) -> None:
        """Give the ledger what is ready, in batches: each is durable before the next one is opened."""
        batch: list[Candidate] = []
        first = self._clock()
        self._admission.incoming(self._gate.incoming())
        candidates = self._gate.candidates()
        while True:
            with self._pulse.busy():
                candidate = next(candidates, None)
            if candidate is None:
                break
            batch.append(candidate)
            if len(batch) >= BATCH or self._clock() - first > BATCH_SECONDS:
                self._admit(batch)
                batch, first = [], self._clock()
        self._admit(batch)

    def _admit(self, batch: list[Candidate]) -> None:
        if batch:
            self._admission.admit(batch)
            self._gate.admitted(batch)

    def _block(self, condition: Condition, reason: str) -> None:
        now = self._clock()
        self._schedule.postpone(now)
        self._reporter.blocked(condition, printable(reason), now)

    def _next(self) -> float:
        """When something is due again."""
        due = self._schedule.next_sweep
        if not self._reporter.working:
            return due
        due = min(due, self._checked + KEEP_ALIVE)
        glance = self._schedule.next_glance
        if glance is not None and self._gate.glances:
            due = min(due, glance)
        tracks = self._gate.tracks
        if tracks.any_restless(self._clock()):
            due = min(due, self._schedule.next_look)
        until = tracks.next_until()
        return due if until is None else min(due, until)

    def _tend(self, place: Place, now: float) -> None:
        """Make the bell listen here; the first time, find out what kind of place this is."""
        first = self._place is None
        self._place = place
        if first:
            self._move_in(place)
        if self._bell is None:
            self._bell = self._make_bell(place)
        self._deaf = deaf = self._bell.tend(place, now)
        self._reporter.watching("poll" if deaf else "events", deaf)
        if first:
            self._reporter.started(
                place.kind, self.state.watch, deaf, pace(self.settings, network=is_network(place.kind))
            )

    def _move_in(self, place: Place) -> None:
        """Take the numbers for this kind of file system."""
        numbers = pace(self.settings, network=is_network(place.kind))
        self._schedule.sweep, self._schedule.look = numbers.sweep, numbers.look
        self._gate.rules = rules(self.settings, numbers)

    def _make_bell(self, place: Place) -> Bell:
        settings = self.settings
        if settings.watch == "poll":
            return Silence("the folder says `watch: poll`")
        if settings.watch == "auto" and not rings(place.kind):
            return Silence(f"{place.kind} does not tell what other machines write")
        return Doorbell(settings.inbox, self.ring, recursive=settings.recursive, ignored=self._ignore.matches)


def _condition(error: FileTrouble) -> Condition:
    match error:
        case OwnedElsewhere():
            return Condition.OWNED
        case WrongFolder():
            return Condition.MISCONFIGURED
        case _:
            return Condition.OFFLINE
