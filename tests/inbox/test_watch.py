"""The doorbell on real directories. Every wait is for an event, with a limit that only a failure reaches."""

from __future__ import annotations

import errno
import importlib.util
import io
import logging
import os
import threading
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import pytest
from watchdog.observers import Observer

from upscaled.inbox.ignore import Ignore
from upscaled.inbox.root import Place, Root
from upscaled.inbox.watch import _GROUPERS, GROUPING, Doorbell, Silence, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watchdog.observers.api import BaseObserver

PATIENCE = 20.0
"""Seconds to wait for what must happen."""


class Listener:
    """A doorbell on an inbox, and how often it rang."""

    def __init__(self, inbox: Path) -> None:
        self.inbox = inbox
        self.root = Root(inbox)
        self.bell = Doorbell(inbox, self._ring, ignored=self._ignored)
        self._ignore = Ignore()
        self._rang = threading.Event()
        self._fences = 0
        self._passed = threading.Event()

    def tend(self, now: float = 0.0) -> str:
        """See to the bell, as a sweep does."""
        return self.bell.tend(self.root.check(), now)

    def heard(self, act: Callable[[], object]) -> bool:
        """Does the bell ring for this?"""
        self._rang.clear()
        act()
        return self._rang.wait(PATIENCE)

    def silent(self, act: Callable[[], object]) -> bool:
        """Does the bell not ring for this? Events keep their order, so what lies between two fences is all there is."""
        self._fence()
        self._rang.clear()
        act()
        self._fence()
        return not self._rang.is_set()

    def touch(self) -> None:
        """Let a new file appear."""
        (self.inbox / "new.jpg").touch()

    def _fence(self) -> None:
        """Let an ignored file appear, and wait until the doorbell was asked about it."""
        self._fences += 1
        self._passed.clear()
        (self.inbox / f".fence{self._fences}").touch()
        assert self._passed.wait(PATIENCE)

    def _ignored(self, name: str) -> bool:
        if name == f".fence{self._fences}":
            self._passed.set()
        return self._ignore.matches(name)

    def _ring(self) -> None:
        self._rang.set()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """A doorbell that listens."""
    (tmp_path / "inbox" / "sub").mkdir(parents=True)
    listener = Listener(tmp_path / "inbox")
    assert "" == listener.tend()
    yield listener
    listener.bell.stop()


def test_the_bell_rings_for_every_way_in(listener: Listener, tmp_path: Path) -> None:
    """Written, moved, hard-linked, and in a subfolder."""
    inbox = listener.inbox
    for name in ("moved", "linked"):
        (tmp_path / name).write_bytes(b"x")

    assert listener.heard(lambda: (inbox / "written.jpg").write_bytes(b"x"))
    assert listener.heard(lambda: (tmp_path / "moved").rename(inbox / "moved.jpg"))
    assert listener.heard(lambda: (inbox / "linked.jpg").hardlink_to(tmp_path / "linked"))
    assert listener.heard(lambda: (inbox / "sub" / "deep.jpg").write_bytes(b"x"))
    assert listener.heard(lambda: os.truncate(inbox / "written.jpg", 0))


def test_the_bell_rings_for_a_folder_that_is_moved_in(listener: Listener, tmp_path: Path) -> None:
    """What is in it needs no event of its own."""
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.jpg").touch()

    assert listener.heard(lambda: (tmp_path / "trip").rename(listener.inbox / "trip"))


def test_the_bell_rings_when_a_download_gets_its_name(listener: Listener) -> None:
    """The old name is ignored, the new one is not."""
    part = listener.inbox / "a.jpg.part"
    assert listener.silent(lambda: part.write_bytes(b"x"))

    assert listener.heard(lambda: part.rename(listener.inbox / "a.jpg"))


def test_our_own_reading_does_not_ring(listener: Listener) -> None:
    """Or a sweep would ring for the next one, for ever."""
    (listener.inbox / "a.jpg").write_bytes(b"x")

    def read() -> None:
        for _ in range(10):
            (listener.inbox / "a.jpg").read_bytes()
        os.listdir(listener.inbox)  # noqa: PTH208 - reads the directory, as a sweep does

    assert listener.silent(read)


def test_originals_that_leave_do_not_ring(listener: Listener, tmp_path: Path) -> None:
    """There is nothing to discover when a file goes."""
    for name in ("a.jpg", "b.jpg"):
        (listener.inbox / name).touch()

    def leave() -> None:
        (listener.inbox / "a.jpg").unlink()
        (listener.inbox / "b.jpg").rename(tmp_path / "b.jpg")

    assert listener.silent(leave)


def test_ignored_names_do_not_ring(listener: Listener) -> None:
    """Our own temporary files, the marker, and other programs' downloads."""

    def write() -> None:
        for name in (".a.jpg.0123456789abcdef.part", ".upscaled", "b.crdownload"):
            (listener.inbox / name).write_bytes(b"x")

    assert listener.silent(write)


def test_a_root_that_was_removed_and_made_again_is_watched_again(listener: Listener) -> None:
    """The observer seems alive, but its watch is of a directory that is no more."""
    (listener.inbox / "sub").rmdir()
    assert listener.heard(listener.inbox.rmdir)
    listener.inbox.mkdir()

    assert "" == listener.tend()

    assert listener.heard(listener.touch)


def test_a_root_that_was_replaced_is_watched_again(listener: Listener, tmp_path: Path) -> None:
    """Renaming it away ends no thread; only the directory's identity tells."""
    listener.inbox.rename(tmp_path / "away")
    listener.inbox.mkdir()
    assert listener.bell.healthy()

    assert "" == listener.tend()

    assert listener.heard(listener.touch)


def test_a_dead_emitter_is_replaced(listener: Listener) -> None:
    """The observer itself would seem alive for ever."""
    observer = listener.bell._observer
    assert observer is not None
    for emitter in observer.emitters:
        emitter.stop()
        emitter.join(PATIENCE)
    assert observer.is_alive()
    assert not listener.bell.healthy()

    assert "" == listener.tend()

    assert listener.bell.healthy()
    assert listener.heard(listener.touch)


def test_a_healthy_bell_is_left_as_it_is(listener: Listener) -> None:
    """Tending costs nothing while all is well."""
    observer = listener.bell._observer

    assert "" == listener.tend()
    assert observer is listener.bell._observer


def test_an_inbox_behind_a_symbolic_link_is_watched(tmp_path: Path) -> None:
    """The kernel would watch the link itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "inbox").symlink_to(tmp_path / "real")
    listener = Listener(tmp_path / "inbox")
    assert "" == listener.tend()

    assert listener.heard((tmp_path / "real" / "a.jpg").touch)
    listener.bell.stop()


def test_a_complaint_of_the_watcher_rings(listener: Listener) -> None:
    """An overflow of the kernel's queue is told in the watcher's log and nowhere else."""
    assert listener.heard(lambda: logging.getLogger("watchdog.observers.inotify_c").warning("overflow"))


@pytest.mark.usefixtures("listener")
def test_the_watcher_s_own_words_stay_out_of_our_log() -> None:
    """With many new directories they come to megabytes."""
    written = io.StringIO()
    ours = logging.StreamHandler(written)
    logging.getLogger().addHandler(ours)
    logging.getLogger("watchdog.observers.inotify_c").warning("overflow")
    logging.getLogger().removeHandler(ours)
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn_explicit("77 MB", RuntimeWarning, "inotify.py", 1, module="watchdog.observers.inotify")

    assert ("", []) == (written.getvalue(), caught)


@pytest.mark.usefixtures("listener")
def test_a_file_that_moves_out_does_not_hold_the_next_event_back_for_long() -> None:
    """Each original that leaves would otherwise delay the bell by half a second; either version has such a number."""
    found = [
        getattr(importlib.import_module(module), name).delay
        for module, name in _GROUPERS
        if importlib.util.find_spec(module)
    ]

    assert [GROUPING] == found


class Failing:
    """An observer factory that fails so many times."""

    def __init__(self, error: OSError, times: int) -> None:
        self.error = error
        self.times = times
        self.calls = 0

    def __call__(self) -> BaseObserver:
        """Fail, or make a real one."""
        self.calls += 1
        if self.calls <= self.times:
            self._fail()
        return Observer()

    def _fail(self) -> NoReturn:
        raise self.error


def test_a_watcher_that_cannot_start_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    """The reason is given meanwhile, and polling goes on."""
    failing = Failing(OSError(errno.EMFILE, "inotify instance limit reached"), times=2)
    bell = Doorbell(tmp_path, lambda: None, observer=failing)
    place = Place(1, 2, None)
    answers = [bell.tend(place, now) for now in (0.0, 0.9, 1.0, 2.9, 3.0)]
    bell.stop()

    assert [True, True, True, True, False] == [answer.startswith("inotify instances") for answer in answers]
    assert ("", 3) == (answers[-1], failing.calls)


@pytest.mark.skipif(version("watchdog") < "7", reason="watchdog 6 leaks three descriptors with each failed start")
def test_a_watcher_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel's instances are few, and an attempt must not cost one."""
    bell = Doorbell(tmp_path / "absent", lambda: None)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many
    for attempt in range(20):
        assert bell.tend(Place(1, attempt, None), 0.0).startswith("the watcher cannot start on")

    # Other tests' leftovers may close meanwhile, but twenty attempts must not add up.
    assert len(os.listdir("/proc/self/fd")) < before + 20  # noqa: PTH208


@pytest.mark.parametrize(
    ("code", "limits", "line"),
    [
        (
            errno.ENOSPC,
            {"max_user_watches": "8192\n"},
            "inotify watches are used up (8,192): sysctl fs.inotify.max_user_watches=524288",
        ),
        (
            errno.ENOSPC,
            {"max_user_watches": "900000\n"},
            "inotify watches are used up (900,000): sysctl fs.inotify.max_user_watches=1800000",
        ),
        (
            errno.EMFILE,
            {"max_user_instances": "128\n"},
            "inotify instances are used up (128): sysctl fs.inotify.max_user_instances=1024",
        ),
        (errno.EMFILE, {}, "inotify instances are used up (0): sysctl fs.inotify.max_user_instances=1024"),
    ],
)
def test_a_limit_of_the_kernel_is_explained_with_the_command_that_raises_it(
    tmp_path: Path, code: int, limits: dict[str, str], line: str
) -> None:
    """One line, one number."""
    for name, value in limits.items():
        (tmp_path / name).write_text(value)

    assert line == explain(OSError(code, "inotify limit"), tmp_path, sysctls=tmp_path)


def test_a_polled_folder_has_a_silent_bell() -> None:
    """It says why."""
    assert "cifs" == Silence("cifs").tend(Place(1, 2, None), 0.0)
