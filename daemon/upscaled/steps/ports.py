"""What the steps may use of the world outside, handed to each of them as one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path, PurePosixPath
from typing import Literal, ParamSpec, Protocol, TypeVar

from upscaled.api.client import Service
from upscaled.hooks import Hooks
from upscaled.job.budget import Limits
from upscaled.job.model import Job, Parameters
from upscaled.ledger import Ledger
from upscaled.polls import Polls
from upscaled.steps.written import Written

P = ParamSpec("P")
T = TypeVar("T")


class Folder(Protocol):
    """What the steps read of a configured folder."""

    @property
    def inbox(self) -> Path:
        """Where sources lie."""

    @property
    def outbox(self) -> Path:
        """Where results go."""

    @property
    def archive(self) -> Path:
        """Where originals go."""

    @property
    def failed(self) -> Path:
        """Where originals of jobs that cannot succeed go."""

    @property
    def name(self) -> str:
        """The pattern of result names."""

    @property
    def on_collision(self) -> str:
        """``version``, ``skip``, ``overwrite`` or ``fail``."""

    @property
    def large_enough(self) -> str:
        """``copy``, ``skip`` or ``submit``: a source already at the target."""

    @property
    def min_free(self) -> int | None:
        """How many bytes must be free at the outbox before a picture is paid for; None for no demand."""

    @property
    def hours(self) -> str:
        """When to submit, as `upscaled.job.hours` reads it."""

    @property
    def review(self) -> str:
        """``off`` or ``required``: does a person look at a result before it is delivered?"""

    @property
    def originals(self) -> str:
        """``archive`` or ``keep``: what becomes of a source when its job is over."""

    @property
    def metadata(self) -> Literal["keep", "strip-gps", "none"]:
        """What of the source's metadata its result gets."""

    @property
    def provenance(self) -> bool:
        """Does the result say how it was made?"""

    @property
    def nsfw(self) -> str:
        """``deliver`` or ``quarantine``: what becomes of a result that the service flags."""

    @property
    def mode(self) -> int | None:
        """The permissions of results, where they are not to be the usual ones."""

    @property
    def group(self) -> int | None:
        """The group of results, by its number."""


class Guarding(Protocol):
    """Whether directories are there, and are those that they were. Raises `FileTrouble`."""

    def require(self, directory: Path) -> object:
        """Look at one directory."""

    def check(self, folder: Folder) -> None:
        """Look at all four, and at whether the inbox is ours."""


class Unguarded:
    """No guard: whatever is there is right."""

    def require(self, _directory: Path) -> None:
        """Look at nothing."""

    def check(self, _folder: Folder) -> None:
        """Look at nothing."""


class InProcess(Protocol):
    """Runs a picklable function in a worker process, so that decoding a picture never stalls the loop."""

    def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Return what ``function`` returns, or raise what it raises."""


class Purse(Protocol):
    """What is left on the account, as far as it matters."""

    async def take(self, price: float) -> str | None:
        """Set ``price`` dollars aside, or return why they must not be spent."""

    def settle(self, price: float, *, sent: bool) -> None:
        """The paid request for which this was set aside was answered, or was not ``sent`` after all."""

    async def mended(self) -> bool:
        """May what was refused last be spent now?"""


class Bottomless:
    """The purse where no floor is set."""

    async def take(self, _price: float) -> str | None:
        """Always possible."""
        return None

    def settle(self, price: float, *, sent: bool) -> None:
        """Nothing to note."""

    async def mended(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Ports:
    """The world outside. Times in seconds; ``now`` is the time since the epoch, ``price`` gives dollars."""

    ledger: Ledger
    service: Service
    folders: Mapping[str, Folder]
    price: Callable[[Parameters], Awaitable[float | None]]
    in_process: InProcess
    now: Callable[[], float]
    polls: Polls
    upload: Literal["ticket", "binary"] = "ticket"
    on_ambiguous: Literal["hold", "resubmit"] = "hold"
    listing_lag: float = 30.0
    limits: Limits = field(default_factory=Limits)
    purse: Purse = field(default_factory=Bottomless)
    guard: Guarding = field(default_factory=Unguarded)
    zone: tzinfo | None = None
    """Whose calendar hours are in; None is this machine's."""
    spool: Path | None = None
    """Where paid results are kept while their outbox is away or full."""
    renditions: Path | None = None
    """Where renditions lie until they are uploaded."""
    hooks: Hooks = field(default_factory=Hooks)
    said: set[str] = field(default_factory=set)
    """What has been said once and is not said again."""
    written: Written = field(default_factory=Written)
    """Parts that need not be read again before they are published."""

    def folder(self, job: Job) -> Folder:
        """Return the folder that a job belongs to; the worker takes jobs of configured folders only."""
        return self.folders[job.folder]

    def source(self, job: Job) -> Path:
        """Return where a job's original lies as long as it is in the inbox."""
        return self.folder(job).inbox / job.source


def mirrored(job: Job) -> PurePosixPath:
    """Return the subfolder of the inbox that a source lies in, to be mirrored in outbox, archive and failed."""
    return PurePosixPath(job.source).parent


def file_name(job: Job) -> str:
    """Return the name of a source without its subfolder."""
    return PurePosixPath(job.source).name
