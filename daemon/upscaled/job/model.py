"""The words of the program as values: Job, Stage, Standing, Attempt, Outcome.

Everything else decides about these or does something to them; they know nothing themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(StrEnum):
    """The last durable *fact* about a job. A stage never names an activity: what is done now is derived from it."""

    ADMITTED = "admitted"
    """The ledger has a row for the source. Nothing else is known to exist."""
    UPLOADED = "uploaded"
    """The service holds the source's bytes under ``upload_url``, free of charge."""
    SUBMITTED = "submitted"
    """The service has a prediction, and its id is known. From here on money is spent."""
    RENDERED = "rendered"
    """The prediction is completed; its output waits at the service."""
    DOWNLOADED = "downloaded"
    """The output is whole in ``part``, beside its destination."""
    PUBLISHED = "published"
    """The result is durable in the outbox under ``output``."""
    ARCHIVED = "archived"
    """The original has left the inbox for ``archived`` (or was no longer there to be moved)."""


class Step(StrEnum):
    """What is done to get from one fact to the next. Which comes next is `machine.next_step`'s to say."""

    PREPARE = "prepare"
    UPLOAD = "upload"
    SUBMIT = "submit"
    AWAIT = "await"
    DOWNLOAD = "download"
    VERIFY = "verify"
    PUBLISH = "publish"
    ARCHIVE = "archive"
    REUSE = "reuse"
    """Off the way: a result that is there already is delivered again instead of being paid for."""
    REJECT = "reject"
    """Off the way: the original of a job that cannot succeed goes to the failed folder."""


class Standing(StrEnum):
    """What may happen to a job now."""

    READY = "ready"
    """The worker may take it."""
    RUNNING = "running"
    """A worker has it. After a crash such rows become ready again at the next start."""
    WAITING = "waiting"
    """Not before ``not_before``, for ``reason``. Nothing is wrong that time will not mend."""
    HELD = "held"
    """A person must look: going on could cost money twice or lose something."""
    FAILED = "failed"
    """It cannot succeed; the original is in the failed folder."""
    CANCELLED = "cancelled"
    """The source vanished, changed or was called off before anything was paid."""
    DONE = "done"
    """The result is in the outbox and the original in the archive."""


TERMINAL = frozenset({Standing.FAILED, Standing.CANCELLED, Standing.DONE})


class Review(StrEnum):
    """What a person makes of a result before it is delivered."""

    WAITING = "waiting"
    """It lies in the outbox's review folder."""
    KEPT = "kept"
    """It was delivered, or taken out of the review folder by hand."""
    REJECTED = "rejected"
    """It was put away; nothing is deleted."""


class Cause(StrEnum):
    """What stands in the way. Those of the whole service or a whole folder are reported once, not once a job."""

    JOB = "job"
    """This job alone."""
    NETWORK = "network"
    SERVICE = "service"
    RATE = "rate"
    KEY = "key"
    CREDIT = "credit"
    FOLDER = "folder"
    """A directory of the folder is missing, full, read-only or not answering."""
    BUDGET = "budget"
    """The budget of the day or the month is used up, or the picture is too dear."""
    FLOOR = "floor"
    """The account's balance has come down to the floor that was set."""
    HOURS = "hours"
    """It is not the hour to submit."""
    TWIN = "twin"
    """The same picture is on its way already."""
    PAUSE = "pause"
    """A person paused the folder."""
    MASS = "mass"
    """Too many files came at once; a person must release them."""


class AttemptState(StrEnum):
    """What is known of one paid POST (invariant I3)."""

    INTENDED = "intended"
    """It may be sent now, or may have been: without a later fact it must not be repeated, only looked up."""
    ACCEPTED = "accepted"
    """The service has a prediction for it."""
    REJECTED = "rejected"
    """The service certainly has none: refused, or never sent, or looked up and not there. Nothing was paid."""
    COMPLETED = "completed"
    """The prediction is completed, and paid."""
    FAILED = "failed"
    """The prediction failed; the service refunds those."""
    ABANDONED = "abandoned"
    """Given up with its fate unknown or its prediction under way. It counts as paid, because it may have been."""


class Identity(NamedTuple):
    """Which file this is and which version of it; equal identities mean nobody touched it. Times in nanoseconds.

    A tuple, because every sweep makes and compares one for each file that lies there.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the service is asked for: the model, and its inputs but for ``image``."""

    model: str
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target_resolution(self) -> str | None:
        """``2k``, ``4k`` or ``8k``, where the model has such a parameter."""
        return self._text("target_resolution")

    @property
    def output_format(self) -> str | None:
        """``jpeg``, ``png`` or ``webp``, where the model has such a parameter."""
        return self._text("output_format")

    @property
    def sync(self) -> bool:
        """Will the POST stay open until the picture is made?"""
        return self.inputs.get("enable_sync_mode") is True

    def _text(self, key: str) -> str | None:
        value = self.inputs.get(key)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One paid POST and what came of it.

    ``intended_at`` is by our clock, ``skew`` what the service's was ahead of it then, in seconds; ``price`` in
    dollars, None where the service names none.
    """

    id: int
    job_id: str
    state: AttemptState
    upload_url: str
    price: float | None
    intended_at: float
    skew: float = 0.0
    prediction_id: str | None = None
    looked_at: float | None = None
    """When the service's history was first asked about it: nothing of it can have been sent later."""

    @property
    def unresolved(self) -> bool:
        """It may have been sent, and nothing is known of it."""
        return self.state is AttemptState.INTENDED


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job cannot succeed, for the ``.error.txt`` beside its original."""

    what: str
    do: str
    cost: str = "Nothing was spent."


@dataclass(frozen=True, slots=True)
class Job:
    """One source to be upscaled with one set of parameters, as the ledger has it.

    Times are seconds since the epoch by our clock, sizes bytes or pixels, money dollars. ``source`` is relative to the
    inbox (``folder``), ``output`` and ``archived`` are absolute; all may hold undecodable bytes as surrogate escapes.
    """

    id: str
    folder: str
    source: str
    profile: str
    params: Parameters
    stage: Stage
    standing: Standing
    identity: Identity
    admitted_at: float
    priority: int = 0
    not_before: float | None = None
    cause: Cause | None = None
    reason: str = ""
    failure: Failure | None = None
    tries: int = 0
    """Consecutive troubles since the last fact; it sets the back-off and nothing else."""
    redos: int = 0
    """How often a fact turned out to hold no longer; the steps give up on it, not the machine."""
    fingerprint: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    """EXIF orientation of the source, 1 to 8; ``width`` and ``height`` are those of the pixels as stored. Once there is
    a rendition, they are the rendition's, which is upright."""
    rendition: str | None = None
    """The file that is uploaded in the source's place; it is removed once the service has it."""
    rendition_hash: str | None = None
    vetted: bool = False
    """The hook that may object to a submit has been asked."""
    wrong: int = 0
    """How often the result was downloaded and was not right."""
    upload_url: str | None = None
    uploaded_at: float | None = None
    attempt: Attempt | None = None
    """The attempt that is open, or the last one."""
    attempts: int = 0
    """How many paid POSTs were intended in all."""
    prediction_id: str | None = None
    price: float | None = None
    """Dollars of the last attempt."""
    submitted_at: float | None = None
    output_url: str | None = None
    """None on a rendered job means that the output came as base64 and is asked for again."""
    nsfw: bool = False
    inference_ms: int | None = None
    part: str | None = None
    result_hash: str | None = None
    """SHA-256; '' from download to finishing, where that makes another file of it."""
    result_size: int | None = None
    result_width: int | None = None
    """Known once the result is verified."""
    result_height: int | None = None
    output: str | None = None
    archived: str | None = None
    finished_at: float | None = None
    reuse: str | None = None
    """The job whose result is delivered again, or ``source`` where the source itself is large enough. Nothing is paid.
    """
    forced: bool = False
    """A person wants it upscaled again, whatever there is already."""
    review: Review | None = None
    """What a person makes of the result, where the folder asks for that."""
    wish: str | None = None
    """What a person asked for while a worker had it; done at the next fact."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a step took to get to its outcome: seconds, and how often it was run (for AWAIT, that is once a poll)."""

    seconds: float = 0.0
    runs: int = 0


# --- outcomes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """The step's effect is durable. ``facts`` are the fields it established, ``stage`` the fact they amount to."""

    stage: Stage
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    attempt: AttemptState | None = None
    """Here and below: what is now known of the paid POST, where that changed."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing happened and nothing is wrong: ask again after so many seconds. Writes nothing, consumes nothing."""

    after: float
    asked: bool = True
    """False: it was not even time to ask."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Trouble that time or a person will mend; nothing was lost. ``after``: the wait that was asked for, in seconds."""

    reason: str
    cause: Cause = Cause.JOB
    after: float | None = None
    attempt: AttemptState | None = None


@dataclass(frozen=True, slots=True)
class Redo:
    """A fact turned out to hold no longer (a part is gone, an upload expired): go back to the last one that does."""

    stage: Stage
    reason: str
    attempt: AttemptState | None = None
    wrong: bool = False
    """The result was there, and was not right."""


@dataclass(frozen=True, slots=True)
class Refused:
    """This job cannot succeed; its original goes to the failed folder."""

    failure: Failure
    attempt: AttemptState | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The source is gone or is another picture now, or is to stay; nothing was paid and nobody needs to act.

    ``stays``: the file is left in the inbox and must not be taken again while it is the same.
    """

    reason: str
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Going on could cost money twice or lose something; a person must look."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A paid request was sent and its fate is not known: look it up after so many seconds, never repeat it blindly."""

    reason: str
    after: float


Outcome = Done | NotYet | Retry | Redo | Refused | Cancelled | Held | Ambiguous
