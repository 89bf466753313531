"""The watcher, used as a doorbell only: whatever happens below an inbox, it asks for a sweep and says nothing else.

watchdog loses events in bursts, hears nothing of other machines or of what is mounted over a watched directory, and its
threads can die behind a living observer. None of that may matter, so an event's type and path are not used (but to keep
names that are ignored from ringing), and whatever goes wrong here costs at most one sweep interval.

Works with watchdog 6 and 7, of which it uses `Observer`, `schedule`, `emitters` and `on_any_event`.
"""

from __future__ import annotations

import errno
import logging
import os
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

    from upscaled.inbox.root import Place

log = structlog.get_logger()

EVENTS: Final[list[type[FileSystemEvent]]] = [
    *(FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
"""Opening and reading are left out, or our own sweeps would ring for the next one. So is the deletion of files: there
is nothing to discover in it, and each original that leaves for the archive would cost a sweep."""

GROUPING: Final = 0.05
"""How long watchdog holds back all events behind a file that was moved away, in seconds; by itself it takes 0.5."""

FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 3600.0
"""Back-off between attempts to start the watcher again, in seconds; the sweeps go on meanwhile."""

_GROUPERS = (
    ("watchdog.observers.inotify_move_event_grouper", "InotifyMoveEventGrouper"),
    ("watchdog.observers.inotify_buffer", "InotifyBuffer"),
)
"""Where versions 7 and 6 hold events back."""

_SYSCTLS = Path("/proc/sys/fs/inotify")


class Bell(Protocol):
    """What the intake needs of a doorbell."""

    def tend(self, place: Place, now: float) -> str:
        """See to it that events of this place ring, and return why they do not, or ''."""

    def stop(self) -> None:
        """Stop listening."""


class Silence:
    """The doorbell of a folder that is polled."""

    def __init__(self, reason: str = "") -> None:
        self._reason = reason

    def tend(self, place: Place, now: float) -> str:  # noqa: ARG002 - the protocol's signature
        """Do nothing."""
        return self._reason

    def stop(self) -> None:
        """Do nothing."""


class Doorbell:
    """Rings for everything that happens below ``root``. Not thread-safe but for the ringing; it never raises."""

    def __init__(
        self,
        root: Path,
        ring: Callable[[], None],
        *,
        recursive: bool = True,
        ignored: Callable[[str], bool] = lambda _name: False,
        observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        self._root = root
        self._handler = _Ringer(ring, ignored)
        self._complaints = _Complaints(ring)
        self._recursive = recursive
        self._make = observer
        self._observer: BaseObserver | None = None
        self._place: Place | None = None
        self._failures = 0
        self._not_before = float("-inf")
        self._deaf = ""

    def tend(self, place: Place, now: float) -> str:
        """Start, or start again if the watcher died or the root is another directory than the one that is watched.

        Return why events do not ring at the moment, or '' if they do.
        """
        if self.healthy() and self._place == place:
            return ""
        if now < self._not_before and self._place == place:
            return self._deaf
        self.stop()
        self._place = place
        self._deaf = self._start()
        self._after_start(now)
        return self._deaf

    def healthy(self) -> bool:
        """Are all of the watcher's threads alive? An observer alone seems alive for ever."""
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        emitters = list(observer.emitters)
        return bool(emitters) and all(emitter.is_alive() for emitter in emitters)

    def stop(self) -> None:
        """Stop listening; a watcher that does not stop properly is left to the end of the process."""
        observer, self._observer = self._observer, None
        logging.getLogger("watchdog").removeHandler(self._complaints)
        if observer is not None:
            _stop(observer)

    def _start(self) -> str:
        _quieten()
        observer: BaseObserver | None = None
        try:
            observer = self._make()
            observer.schedule(
                self._handler, os.path.realpath(self._root), recursive=self._recursive, event_filter=EVENTS
            )
            observer.start()
        except Exception as error:  # noqa: BLE001 - whatever a watcher fails of, polling does without it
            if observer is not None:
                _stop(observer)
            return explain(error, self._root)
        self._observer = observer
        logging.getLogger("watchdog").addHandler(self._complaints)
        return ""

    def _after_start(self, now: float) -> None:
        if not self._deaf:
            if self._failures:
                log.info("watcher.back", inbox=str(self._root))
            self._failures = 0
            self._not_before = float("-inf")
            return
        if not self._failures:
            log.warning("watcher.deaf", inbox=str(self._root), reason=self._deaf, instead="polling")
        self._not_before = now + min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures, 16))
        self._failures += 1


def explain(error: Exception, root: Path, *, sysctls: Path = _SYSCTLS) -> str:
    """Return in one line why the watcher cannot start, for the kernel's limits with the command that raises them."""
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOSPC:
        name, limit = "max_user_watches", _limit(sysctls / "max_user_watches")
        return f"inotify watches are used up ({limit:,}): sysctl fs.inotify.{name}={max(524_288, 2 * limit)}"
    if code == errno.EMFILE:
        name, limit = "max_user_instances", _limit(sysctls / "max_user_instances")
        return f"inotify instances are used up ({limit:,}): sysctl fs.inotify.{name}={max(1024, 2 * limit)}"
    return f"the watcher cannot start on {root}: {error}"


def _limit(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


class _Ringer(FileSystemEventHandler):
    """Rings for every event, but for files whose every name in it is ignored."""

    def __init__(self, ring: Callable[[], None], ignored: Callable[[str], bool]) -> None:
        self._ring = ring
        self._ignored = ignored

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if event.is_directory or not all(self._ignored(path.rpartition("/")[2]) for path in paths):
            self._ring()


class _Complaints(logging.Handler):
    """watchdog tells of an overflow of the kernel's queue in its log and nowhere else; any complaint of it rings."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - what it says makes no difference
        self._ring()


def _quieten() -> None:
    """Keep watchdog's own words out of our log: with 2,000 new directories its warnings come to 77 MB.

    Done at every start, as warning filters are global and others may have replaced them.
    """
    warnings.filterwarnings("ignore", module=r"watchdog(\.|$)")
    logger = logging.getLogger("watchdog")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    _shorten_grouping()


def _shorten_grouping() -> None:
    """Shorten the hold-back where this version of watchdog has it; it pairs renames, which nobody here asks about."""
    for module, name in _GROUPERS:
        with suppress(ImportError):
            getattr(import_module(module), name).delay = GROUPING


def _stop(observer: BaseObserver) -> None:
    try:
        observer.stop()
        if observer.is_alive():
            observer.join(1.0)
    except Exception as error:  # noqa: BLE001 - its threads are daemons, and a new watcher is made anyway
        log.debug("watcher.stop_failed", error=str(error))
