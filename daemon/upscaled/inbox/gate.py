"""Every source of one inbox through the readiness gate: sweeps and looks in, candidates for the ledger out.

Separate from the thread that drives it, so that a story of files and moments can be told to it in a test, one call at a
time. It keeps nothing that the next sweeps would not find again.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import structlog

from upscaled.files.durable import identity_of
from upscaled.files.names import printable
from upscaled.inbox.ignore import Ignore
from upscaled.inbox.model import MOST_NOTES, Candidate, Note
from upscaled.inbox.opening import Changed, Opener, Unreadable, Vanished
from upscaled.inbox.sweep import Glance, Names, Sweep
from upscaled.inbox.tracks import Tracks
from upscaled.job.readiness import LeaveAlone, Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from upscaled.inbox.model import IntakeSettings
    from upscaled.inbox.sweep import Observation, Trouble
    from upscaled.job.model import Identity
    from upscaled.job.readiness import Refuse, Rules

log = structlog.get_logger()


@dataclass(slots=True)
class Swept:
    """What one sweep found beside the sources that are tracked."""

    jobs: int = 0
    """Sources that the ledger knows in this version."""
    changed: int = 0
    """Sources that the ledger knows in another version: the worker finds that out, and then they are new."""
    odd: list[Note] = field(default_factory=list)
    """Names that are no regular files."""
    ignored: int = 0
    folders: int = 0
    troubles: Sequence[Trouble] = ()


MANY: Final = 10_000
"""Beyond so many sources with a job, a sweep tells their versions by name and inode alone. One that is written over in
place is then noticed by the worker, which looks at it before it uploads and again before it pays."""

GLANCED: Final = range(500, 20_001)
"""With fewer names a sweep is as quick; more would take memory, and a new file has many before it anyway."""

NOTHING: Final[Mapping[str, Identity]] = {}


class Gate:
    """The sources of one inbox on their way into the ledger. ``beat`` is called before each file and tells the time."""

    def __init__(
        self,
        settings: IntakeSettings,
        rules: Rules,
        *,
        beat: Callable[[], float],
        ignore: Ignore | None = None,
        opener: Opener | None = None,
    ) -> None:
        self.settings = settings
        self.rules = rules
        self.tracks = Tracks()
        self._beat = beat
        self._ignore = ignore or Ignore(settings.ignore)
        self._opener = opener or Opener()
        self._names: dict[str, Names] = {}

    def sweep(self, known: Mapping[str, Identity], stayed: Mapping[str, Identity] = NOTHING) -> Swept:
        """Walk the inbox and observe every source that the ledger does not know. Raises `sweep.Offline`.

        ``known`` are the sources of unfinished jobs, ``stayed`` those whose jobs are over and that were meant to stay.
        """
        swept = Swept()
        self.tracks.sweeping()
        trusted = known if len(known) > MANY else NOTHING
        self._names = {}
        recursive, most = self.settings.recursive, GLANCED.stop - 1
        walk = Sweep(self.settings.inbox, self._ignore, recursive=recursive, trusted=trusted, most=most)
        for observation in walk:
            now = self._beat()
            self._take(observation, known, stayed, swept, now)
        swept.ignored, swept.folders, swept.troubles = walk.ignored, walk.folders, walk.troubles
        self._names = walk.names if walk.count in GLANCED else {}
        return swept

    @property
    def glances(self) -> bool:
        """Is a glance possible?"""
        return bool(self._names)

    def glance(self) -> list[Observation]:
        """Observe what has come since the last sweep or glance: for `take_in`."""
        found = []
        for observation in Glance(self.settings.inbox, self._ignore, self._names, self.settings.recursive):
            self._beat()
            found.append(observation)
        return found

    def take_in(
        self, found: Sequence[Observation], known: Mapping[str, Identity], stayed: Mapping[str, Identity]
    ) -> None:
        """Track what a glance found and the ledger does not know, as `sweep` does."""
        for observation in found:
            self._take(observation, known, stayed, Swept(), self._beat())

    def forget_absent(self, swept: Swept) -> None:
        """Drop the sources that a sweep did not find where it could look."""
        blind = tuple(f"{trouble.path}/" for trouble in swept.troubles)
        self.tracks.forget_absent(lambda path: f"{path}/".startswith(blind))

    def look(self, paths: Sequence[str]) -> None:
        """Observe these sources once more, without walking the inbox."""
        inbox = str(self.settings.inbox)
        for path in paths:
            now = self._beat()
            try:
                found = os.lstat(os.path.join(inbox, path))  # noqa: PTH118 - a fifth of pathlib's time, for each file
            except (FileNotFoundError, NotADirectoryError):
                self.tracks.forget(path)
            except OSError as error:
                self.tracks.unreadable(path, f"it cannot be looked at: {error.strerror or error}", now)
            else:
                self.tracks.see(path, identity_of(found), self._beat())

    def candidates(self) -> Iterator[Candidate]:
        """Open every source whose time has come, and yield those for the ledger. They stay tracked until `admitted`."""
        for path in self.tracks.ripe(self.rules, self._beat()):
            verdict = self._examine(path)
            if verdict is not None:
                yield self._candidate(path, verdict)

    def incoming(self) -> int:
        """Count the sources that are on their way into the ledger: ready, or settling."""
        return self.tracks.count_settling()

    def admitted(self, candidates: Sequence[Candidate]) -> None:
        """The ledger has them: the next sweep passes them over."""
        for candidate in candidates:
            self.tracks.forget(candidate.source)

    def notes(self, swept: Swept) -> tuple[Note, ...]:
        """Name the first sources that are left alone or wait for more than a moment."""
        first = self.tracks.worth_a_note(MOST_NOTES)
        tracked = [Note(printable(path), printable(self.tracks.reason(path))) for path in first]
        return tuple(nsmallest(MOST_NOTES, [*tracked, *swept.odd], key=lambda note: note.source))

    def left_alone(self, swept: Swept) -> Mapping[str, int]:
        """Count what is left alone, by reason."""
        return Counter(self.tracks.left_alone()) + Counter(note.reason for note in swept.odd)

    def _take(
        self,
        observation: Observation,
        known: Mapping[str, Identity],
        stayed: Mapping[str, Identity],
        swept: Swept,
        now: float,
    ) -> None:
        path, identity = observation.path, observation.identity
        if identity is None:
            swept.odd.append(Note(printable(path), observation.reason))
            return
        job = known.get(path)
        if job is None and _unchanged(stayed.get(path), identity):
            swept.jobs += 1
        elif job is None:
            self.tracks.see(path, identity, now)
        elif job == identity:
            swept.jobs += 1
        else:
            swept.changed += 1

    def _examine(self, path: str) -> Ready | Refuse | None:
        self._beat()
        entry = self.tracks[path]
        verdict = self._opener.examine(self.settings.inbox / path, entry.track, self.rules)
        match verdict:
            case Vanished():
                self.tracks.forget(path)
            case Changed(identity):
                self.tracks.see(path, identity, self._beat())
            case Unreadable(why):
                self.tracks.unreadable(path, why, self._beat())
            case LeaveAlone(reason):
                log.debug("source.left_alone", source=printable(path), reason=reason)
                self.tracks.leave_alone(path, verdict)
            case Wait():
                entry.verdict = verdict
            case _:
                return verdict
        return None

    def _candidate(self, path: str, verdict: Ready | Refuse) -> Candidate:
        return Candidate(
            folder=self.settings.folder,
            source=path,
            identity=self.tracks[path].track.identity,
            format=verdict.shape.format,
            width=verdict.shape.width,
            height=verdict.shape.height,
            orientation=verdict.shape.orientation,
            failure=None if isinstance(verdict, Ready) else verdict.failure,
        )


def _unchanged(then: Identity | None, now: Identity) -> bool:
    """Is it the same version of a file, wherever its share is mounted now? Device and inode may change with that."""
    return then is not None and (then.size, then.mtime_ns, then.ctime_ns) == (now.size, now.mtime_ns, now.ctime_ns)
