"""A small world around one inbox: real files, an honest ledger in memory, and a clock that moves when it is told to."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image

from upscaled.files.durable import identity_of
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import IntakeSettings
from upscaled.inbox.watch import Silence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from upscaled.errors import StateError
    from upscaled.inbox.model import Candidate, Condition, FolderState
    from upscaled.inbox.opening import Opener
    from upscaled.inbox.root import Root
    from upscaled.inbox.watch import Bell
    from upscaled.job.model import Failure, Identity

LARGEST = 200_000_000


@cache
def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a whole picture file."""
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, kind)
    return file.getvalue()


class Clock:
    """A monotonic clock that stands still between two moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Books:
    """`Admission` as the ledger does it: a source has one unfinished job per identity, and known ones are no-ops."""

    def __init__(self) -> None:
        self.jobs: dict[str, Candidate] = {}
        self.staying: dict[str, Identity] = {}
        self.batches: list[list[str]] = []
        self.published: list[FolderState] = []
        self.trouble: StateError | None = None

    def known(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources with a job."""
        self._refuse()
        return {source: job.identity for source, job in self.jobs.items() if job.folder == folder}

    def incoming(self, count: int) -> None:
        """Nothing is too many here."""

    def stayed(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources that were meant to stay."""
        return self.staying

    def admit(self, candidates: Sequence[Candidate]) -> None:
        """Give every new source a job."""
        self._refuse()
        self.batches.append([candidate.source for candidate in candidates])
        for candidate in candidates:
            self.jobs.setdefault(candidate.source, candidate)

    def publish(self, state: FolderState) -> None:
        """Keep what was published."""
        self._refuse()
        self.published.append(state)

    def failure(self, source: str) -> Failure:
        """Return why this source goes to the failed folder."""
        found = self.jobs[source].failure
        assert found is not None
        return found

    def _refuse(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class World:
    """One inbox and its intake, without a thread."""

    def __init__(
        self,
        inbox: Path,
        *,
        bell: Bell | None = None,
        root: Root | None = None,
        opener: Opener | None = None,
        **settings: object,
    ) -> None:
        self.inbox = inbox
        self.clock = Clock()
        self.books = Books()
        self.settings = replace(IntakeSettings(inbox=inbox, largest=LARGEST), **settings)  # type: ignore[arg-type]
        self.intake = Intake(
            self.settings,
            self.books,
            clock=self.clock,
            bell=bell or Silence("the test rings"),
            root=root,
            opener=opener,
        )

    def drop(self, name: str, data: bytes | None = None) -> Path:
        """Write a file into the inbox, a whole picture unless told otherwise, and let the bell ring."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture() if data is None else data)
        self.intake.ring()
        return path

    def wait(self, seconds: float) -> None:
        """Let time pass, with every turn of the intake at the moment it asked for."""
        end = self.clock.now + seconds
        while True:
            due = self.clock.now + self.intake.turn()
            if due > end:
                break
            self.clock.now = due
        self.clock.now = end

    @property
    def taken(self) -> list[str]:
        """The sources the ledger has, in the order of their admission."""
        return list(self.books.jobs)

    def condition(self) -> Condition:
        """Return how the folder is doing."""
        return self.intake.state.state

    def identity(self, name: str) -> Identity:
        """Return which file lies there now."""
        return identity_of((self.inbox / name).lstat())
