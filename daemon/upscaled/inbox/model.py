"""The intake's words as values: its settings, what it hands to the ledger, and what it says about itself.

Separate so that the ledger's side can implement `Admission` and read `FolderState` without importing threads and
watchers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from upscaled.job.readiness import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from upscaled.job.model import Failure, Identity

MOST_NOTES: Final = 20
"""How many sources `FolderState` names; the rest are counted."""


# --- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """What the intake must know of a folder. Durations are seconds, None meaning: by the kind of file system."""

    inbox: Path
    largest: int
    """The largest source that is taken, in bytes."""
    recursive: bool = True
    watch: Literal["auto", "events", "poll"] = "auto"
    settle: float | None = None
    sweep: float | None = None
    hold: float = 0.0
    ignore: tuple[str, ...] = ()
    incomplete: Literal["quarantine", "submit"] = "quarantine"
    develops: bool = False
    """Is there a program that makes pictures of raw files?"""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Kinds of pictures that cannot be decoded here, and what would have to be installed."""

    @property
    def folder(self) -> str:
        """The folder's name in the ledger."""
        return str(self.inbox)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait and how often to look, in seconds, for one kind of file system."""

    settle: float
    sweep: float
    look: float
    grace: float
    unknown: float = 30.0
    """The settle window of a file of no known format, where the format's own structure cannot be trusted instead."""


LOCAL: Final = Pace(settle=5.0, sweep=60.0, look=1.0, grace=600.0)
NETWORK: Final = Pace(settle=15.0, sweep=15.0, look=5.0, grace=1800.0)
"""Attributes are cached for seconds, so a short window would compare two cached values; and no event ever comes."""


def pace(settings: IntakeSettings, *, network: bool) -> Pace:
    """Return the numbers in force: the file system's, but for those that the settings name."""
    usual = NETWORK if network else LOCAL
    return Pace(
        settle=usual.settle if settings.settle is None else settings.settle,
        sweep=usual.sweep if settings.sweep is None else settings.sweep,
        look=usual.look,
        grace=usual.grace,
        # `settle: 0s` says that whatever lies there is finished.
        unknown=0.0 if settings.settle == 0.0 else max(usual.unknown, settings.settle or 0.0),
    )


def rules(settings: IntakeSettings, pace: Pace) -> Rules:
    """Return the numbers of the readiness gate."""
    return Rules(
        settle=pace.settle,
        hold=settings.hold,
        grace=pace.grace,
        largest=settings.largest,
        submit_incomplete=settings.incomplete == "submit",
        unknown=pace.unknown,
        develops=settings.develops,
        missing=settings.missing,
    )


# --- to the ledger ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source for the ledger. ``source`` is relative to the inbox, with ``/``, undecodable bytes as surrogate escapes.

    ``width`` and ``height`` are pixels as stored, ``orientation`` is EXIF's (1 to 8). With ``failure`` set it is a
    picture that cannot be upscaled: straight to the failed folder, and nothing is spent.
    """

    folder: str
    source: str
    identity: Identity
    format: str
    width: int | None
    height: int | None
    orientation: int | None = None
    failure: Failure | None = None


class Condition(StrEnum):
    """How a folder's intake is doing."""

    STARTING = "starting"
    """No sweep has ended yet."""
    ONLINE = "online"
    PARTIAL = "partial"
    """Some subfolders cannot be read; the others are looked after."""
    OFFLINE = "offline"
    """The inbox is missing, or not the one it was. Nothing is noticed and nothing is forgotten until it is back."""
    MISCONFIGURED = "misconfigured"
    """A directory of the folder is another one than it was, by its marker."""
    OWNED = "owned"
    """Another upscaled looks after the inbox."""
    TROUBLE = "trouble"
    """The intake itself cannot do its work (the ledger refuses, or a defect); it keeps trying."""


@dataclass(frozen=True, slots=True)
class Note:
    """One source and why it is not taken, both printable."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderState:
    """What `status` says about a folder's intake. ``last_sweep`` is how long the last sweep took, in seconds."""

    inbox: str
    state: Condition = Condition.STARTING
    reason: str = ""
    watch: str = ""
    """``events`` or ``poll``."""
    watch_reason: str = ""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Sources not yet taken, by `readiness.Waiting`; ``changed``: an earlier version of the source has a job."""
    left_alone: Mapping[str, int] = field(default_factory=dict)
    """Files that are not ours, by reason."""
    ignored: int = 0
    jobs: int = 0
    """Sources that the ledger knows already."""
    folders: int = 0
    """Directories walked."""
    last_sweep: float = field(default=0.0, compare=False)
    notes: tuple[Note, ...] = ()
    """At most `MOST_NOTES` of the sources that need more than a moment, and why."""


class Admission(Protocol):
    """The ledger as the intake sees it, called from its thread; it may block, and raise `errors.StateError`."""

    def known(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources that must not be taken again while their identity stays.

        These are the sources of unfinished jobs, and of those called off by a person whose file still lies there.
        Asked once a sweep.
        """

    def incoming(self, count: int) -> None:
        """So many sources that the ledger does not know lie in the inbox, ready or settling. Told before they come."""

    def stayed(self, folder: str) -> Mapping[str, Identity]:
        """Return the sources whose jobs are over and that were meant to stay, with the identity they had then.

        They are taken again when they change, and not because their share was mounted anew. Asked once a sweep.
        """

    def admit(self, candidates: Sequence[Candidate]) -> None:
        """Record the candidates, durably when this returns. One that is already recorded is a no-op."""

    def publish(self, state: FolderState) -> None:
        """Show this to whoever asks for the folder's state. Losing one does not matter."""
