"""The intake as it runs: in its thread, with the real watcher. Every wait is for an event, with a generous limit."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.inbox_world import LARGEST, Books, picture
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import Condition, FolderState, IntakeSettings
from upscaled.inbox.root import Root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from upscaled.inbox.model import Candidate

PATIENCE = 30.0


class Turns:
    """A running intake, and a way to wait for what it brings about."""

    def __init__(self, inbox: Path, *, root: Root | None = None, books: Books | None = None) -> None:
        self.books = books or Books()
        self._turned = threading.Condition()
        settings = IntakeSettings(inbox=inbox, largest=LARGEST, watch="events", settle=0.0, sweep=600.0)
        self.intake = Intake(settings, self.books, on_turn=self._turn, root=root)

    def _turn(self) -> None:
        with self._turned:
            self._turned.notify_all()

    def until(self, condition: Callable[[], bool]) -> bool:
        """Wait until this holds after some turn."""
        with self._turned:
            return self._turned.wait_for(condition, PATIENCE)


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[Turns]:
    """A running intake of an empty inbox, after its first sweep; the timer is far away."""
    turns = Turns(tmp_path)
    turns.intake.start()
    assert turns.until(lambda: turns.intake.idle)
    yield turns
    assert turns.intake.stop(PATIENCE)


def test_a_dropped_picture_rings_its_own_way_in(turns: Turns, tmp_path: Path) -> None:
    """From the kernel's event to the ledger, ten minutes before the timer."""
    assert "events" == turns.intake.state.watch
    (tmp_path / "a.jpg").write_bytes(picture())

    assert turns.until(lambda: "a.jpg" in turns.books.jobs)


def test_a_folder_moved_in_and_written_into_rings_too(turns: Turns, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The later file lies in a directory that was not there when the watcher started."""
    inbox = turns.intake.settings.inbox
    trip = tmp_path_factory.mktemp("outside") / "trip"
    trip.mkdir()
    (trip / "a.jpg").write_bytes(picture())
    trip.rename(inbox / "trip")
    assert turns.until(lambda: "trip/a.jpg" in turns.books.jobs)

    (inbox / "trip" / "b.jpg").write_bytes(picture())

    # watchdog 6 is deaf there, and the timer would find the file; version 7 hears it.
    turns.intake.ring()
    assert turns.until(lambda: "trip/b.jpg" in turns.books.jobs)


def test_a_ring_from_another_thread_is_a_sweep(turns: Turns) -> None:
    """SIGHUP and `scan` come this way."""
    before = len(turns.books.published)
    turns.intake.ring()
    assert not turns.intake.idle

    assert turns.until(lambda: turns.intake.idle)
    assert before == len(turns.books.published)


def test_an_inbox_removed_and_made_again_is_watched_again(tmp_path: Path) -> None:
    """Offline within a moment of its removal, as that rings; back within seconds; and its events ring again."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    turns = Turns(inbox)
    turns.intake.start()
    assert turns.until(lambda: turns.intake.idle)
    inbox.rmdir()
    assert turns.until(lambda: turns.intake.state.state is Condition.OFFLINE)
    inbox.mkdir()
    assert turns.until(lambda: turns.intake.idle)

    (inbox / "a.jpg").write_bytes(picture())

    assert turns.until(lambda: "a.jpg" in turns.books.jobs)
    assert turns.intake.stop(PATIENCE)


def test_a_hanging_share_is_reported_and_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """A call that does not return cannot be interrupted; the thread is left behind."""
    hanging, release = threading.Event(), threading.Event()

    def look(path: Path) -> os.stat_result:
        hanging.set()
        release.wait(PATIENCE)
        return path.stat()

    intake = Turns(tmp_path, root=Root(tmp_path, look=look)).intake
    intake.start()
    assert hanging.wait(PATIENCE)

    assert intake.not_answering(time.monotonic() + 100) >= 100
    assert not intake.stop(timeout=0.01)

    release.set()
    assert intake.stop(PATIENCE)


def test_an_intake_that_answers_is_not_reported(turns: Turns) -> None:
    """Waiting for the next turn is no hanging."""
    assert turns.until(lambda: turns.intake.idle)

    assert 0.0 == turns.intake.not_answering(time.monotonic() + 100)


def test_stopping_in_the_middle_of_a_batch_admits_nothing_half(tmp_path: Path) -> None:
    """What was not handed over is found again by the next start."""

    class Stopping(Books):
        def admit(self, candidates: Sequence[Candidate]) -> None:
            super().admit(candidates)
            before.intake.stop(timeout=0)

    for number in range(450):
        (tmp_path / f"{number:03}.jpg").write_bytes(picture())
    before = Turns(tmp_path, books=Stopping())
    before.intake.start()
    before.intake._thread.join(PATIENCE)
    assert 200 == len(before.books.jobs)

    after = Turns(tmp_path, books=Books())
    after.books.jobs = dict(before.books.jobs)
    after.intake.start()
    assert after.until(lambda: after.intake.idle)
    assert after.intake.stop(PATIENCE)

    assert (450, 250) == (len(after.books.jobs), sum(map(len, after.books.batches)))


def test_a_defect_is_shown_and_tried_again(tmp_path: Path) -> None:
    """The folder must not die in silence."""

    class Broken(Books):
        broken = True

        def publish(self, state: FolderState) -> None:
            super().publish(state)
            if self.broken and state.state is Condition.ONLINE:
                self.broken = False
                raise ZeroDivisionError

    turns = Turns(tmp_path, books=Broken())
    turns.intake.start()
    assert turns.until(lambda: turns.intake.state.state is Condition.TROUBLE)
    assert "internal error: ZeroDivisionError()" == turns.intake.state.reason

    assert turns.until(lambda: turns.intake.idle)
    assert turns.intake.stop(PATIENCE)


SWEEP = 60.0
"""The usual interval on local disks, in seconds."""


def taken_within_two_sweeps(inbox: Path, write: Callable[[], None], count: int) -> Books:
    """Start an intake with the real watcher, write, and wait at most two intervals for so many sources."""
    turns = Turns(inbox)
    turns.intake = Intake(
        IntakeSettings(inbox=inbox, largest=LARGEST, settle=0.0, sweep=SWEEP), turns.books, on_turn=turns._turn
    )
    turns.intake.start()
    write()
    end = time.monotonic() + 2 * SWEEP
    while len(turns.books.jobs) < count and time.monotonic() < end:
        with turns._turned:
            turns._turned.wait(1.0)
    assert turns.intake.stop(PATIENCE)
    return turns.books


@pytest.mark.stress
def test_a_burst_of_forty_thousand_files_by_eight_writers_is_taken_within_two_sweeps(tmp_path: Path) -> None:
    """The watcher loses most of these events; the sweeps lose none, and take none twice. Nobody else rings."""
    data = picture()

    def write(writer: int) -> None:
        for number in range(5000):
            (tmp_path / f"{writer}-{number}.jpg").write_bytes(data)

    def burst() -> None:
        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()

    books = taken_within_two_sweeps(tmp_path, burst, 40_000)

    assert (40_000, 40_000) == (len(books.jobs), sum(map(len, books.batches)))


@pytest.mark.stress
def test_two_thousand_quickly_made_nested_folders_are_taken_within_two_sweeps(tmp_path: Path) -> None:
    """Where watchers are told of the folder after the file in it was written."""

    def make() -> None:
        for number in range(2000):
            folder = tmp_path / str(number) / "b" / "c"
            folder.mkdir(parents=True)
            (folder / "f.jpg").write_bytes(picture())

    books = taken_within_two_sweeps(tmp_path, make, 2000)

    assert (2000, 2000) == (len(books.jobs), sum(map(len, books.batches)))
