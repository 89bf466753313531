"""Which step comes next, and what each outcome does to a job: the only place where that is decided.

Invariants. *must* = else a picture or money is lost; *durable* = fsynced and committed.

I1  An original must not leave its inbox until its result is durable in the outbox and the ledger says ``published``.
I2  A name in an outbox or archive must always be a complete, verified file; nothing is overwritten unless the folder
    says so.
I3  A paid POST must not be sent before its intent is durable, and an intent without a fact must never be repeated
    blindly.
I4  The ledger must not claim an effect that is not durable.
I5  Facts lag effects by at most one step, so every step tolerates being run again from the last fact.
I6  Nothing in memory is authoritative. Nothing absent from a disk is evidence that it was deleted.
I7  What is reserved and spent in a period never exceeds its budget, at any concurrency.

The argument. A stage is written only after the effect it names is durable (I4): the worker commits what `transition`
returns after the step has returned, never before. A process that dies between effect and fact finds the older stage at
its next start and runs the same step again (I5); what each step then meets is said where the step is. Only the submit
step has an effect that must not happen twice. It is bracketed by an attempt: ``intended`` is committed before the POST,
and while an attempt is ``intended`` no other can be opened (the ledger has a unique index for it), and `next_step`
leads back to the submit step, which looks the attempt up instead of repeating it. ARCHIVE is reached only from
``published`` (I1), and REJECT only for a job with a failure, whose prediction, if there was one, is over:
`transition` refuses to go back before ``submitted`` while a paid attempt is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from upscaled.job import pacing
from upscaled.job.model import (
    Ambiguous,
    AttemptState,
    Cancelled,
    Cause,
    Done,
    Failure,
    Held,
    Job,
    NotYet,
    Outcome,
    Redo,
    Refused,
    Retry,
    Stage,
    Standing,
    Step,
)

NEXT: Final[Mapping[Stage, Step]] = {
    Stage.ADMITTED: Step.PREPARE,
    Stage.UPLOADED: Step.SUBMIT,
    Stage.SUBMITTED: Step.AWAIT,
    Stage.RENDERED: Step.DOWNLOAD,
    Stage.DOWNLOADED: Step.VERIFY,
    Stage.PUBLISHED: Step.ARCHIVE,
}
"""The first step after each fact. UPLOAD follows a step that establishes facts but no stage, PUBLISH one that found the
result right: ordinarily DOWNLOAD, and VERIFY where that could not."""

REACHES: Final[Mapping[Step, frozenset[Stage]]] = {
    Step.PREPARE: frozenset({Stage.ADMITTED, Stage.PUBLISHED}),
    Step.REUSE: frozenset({Stage.ADMITTED, Stage.DOWNLOADED}),
    Step.UPLOAD: frozenset({Stage.ADMITTED, Stage.UPLOADED}),
    Step.SUBMIT: frozenset({Stage.SUBMITTED, Stage.RENDERED}),
    Step.AWAIT: frozenset({Stage.RENDERED}),
    Step.DOWNLOAD: frozenset({Stage.DOWNLOADED}),
    Step.VERIFY: frozenset({Stage.DOWNLOADED}),
    Step.PUBLISH: frozenset({Stage.PUBLISHED}),
    Step.ARCHIVE: frozenset({Stage.ARCHIVED}),
}
"""Where each step may lead. PREPARE may find the result in the outbox already; SUBMIT may get it at once (sync mode);
UPLOAD may find that another job has the result, and REUSE that it has it no longer.
"""

ORDER: Final = tuple(Stage)

FACTS: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.UPLOADED: ("upload_url", "uploaded_at"),
    Stage.SUBMITTED: ("prediction_id", "submitted_at"),
    Stage.RENDERED: ("output_url", "inference_ms"),
    Stage.DOWNLOADED: ("part", "result_hash", "result_size", "result_width", "result_height"),
    Stage.PUBLISHED: ("output", "review"),
    Stage.ARCHIVED: ("archived",),
}
"""The facts that come with each stage, and go when a job goes back before it. ADMITTED has none to lose."""


class IllegalTransition(RuntimeError):
    """A step returned what the tables do not allow: a defect of the program, never of a picture or the service."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one outcome does to a job: the fields to commit, what is known of its attempt, the event to record."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    attempt: AttemptState | None = None
    event: str = ""
    text: str = ""


def next_step(job: Job) -> Step:
    """Return the step that a job's facts lead to."""
    if job.failure is not None:
        return Step.REJECT
    if job.stage is Stage.ADMITTED and job.fingerprint is not None:
        return Step.UPLOAD if job.reuse is None else Step.REUSE
    if job.stage is Stage.DOWNLOADED and job.result_width is not None:
        return Step.PUBLISH
    return NEXT[job.stage]


def transition(job: Job, step: Step, outcome: Outcome, *, now: float, jitter: float) -> Change:
    """Return what ``outcome`` of ``step`` does to ``job``.

    ``now`` is in seconds since the epoch; ``jitter`` is a random number in [0, 1) that spreads the retries.
    Raises `IllegalTransition` when the outcome would break an invariant.
    """
    match outcome:
        case Done():
            return _done(job, step, outcome, now)
        case Retry():
            wait = outcome.after if outcome.after is not None else pacing.backoff(job.tries, outcome.cause, jitter)
            return _wait(job, outcome.reason, now + wait, cause=outcome.cause, attempt=outcome.attempt)
        case Ambiguous():
            return _wait(job, outcome.reason, now + outcome.after, cause=Cause.SERVICE, event="ambiguous")
        case Redo():
            return _redo(job, outcome, now + pacing.backoff(job.redos, Cause.JOB, jitter))
        case Refused():
            return _refused(outcome)
        case Cancelled():
            ended = _end(Standing.CANCELLED, outcome.reason, now)
            return replace(ended, fields={**ended.fields, "stays": int(outcome.stays)})
        case Held():
            return Change({**_CLEAR, "standing": Standing.HELD, "reason": outcome.reason}, None, "held", outcome.reason)
        case NotYet():
            raise IllegalTransition(f"{step} said not yet, which changes nothing")
        case _:
            assert_never(outcome)


_CLEAR: Final[Mapping[str, Any]] = {"not_before": None, "cause": None, "reason": ""}


def _done(job: Job, step: Step, outcome: Done, now: float) -> Change:
    if step is Step.REJECT:
        assert job.failure is not None
        reason = job.failure.what
        return Change({**_end(Standing.FAILED, reason, now).fields, **outcome.facts}, None, "failed", reason)
    if outcome.stage not in REACHES[step] or ORDER.index(outcome.stage) < ORDER.index(job.stage):
        raise IllegalTransition(f"{step} cannot lead from {job.stage} to {outcome.stage}")
    fields = {**_CLEAR, "tries": 0, "stage": outcome.stage, **outcome.facts}
    if outcome.stage is Stage.ARCHIVED:
        fields |= _end(Standing.DONE, outcome.note, now).fields
    event = "done" if outcome.stage is Stage.ARCHIVED else str(step)
    return Change(fields, outcome.attempt, event, outcome.note)


def _wait(
    job: Job, reason: str, until: float, *, cause: Cause, attempt: AttemptState | None = None, event: str = "waiting"
) -> Change:
    fields = {
        "standing": Standing.WAITING,
        "not_before": until,
        "cause": cause,
        "reason": reason,
        "tries": job.tries + 1,
    }
    return Change(fields, attempt, event, reason)


def _redo(job: Job, outcome: Redo, until: float) -> Change:
    if ORDER.index(outcome.stage) >= ORDER.index(job.stage):
        raise IllegalTransition(f"redo leads back, not from {job.stage} to {outcome.stage}")
    open_attempt = job.attempt is not None and job.attempt.state in {AttemptState.INTENDED, AttemptState.ACCEPTED}
    if ORDER.index(outcome.stage) < ORDER.index(Stage.SUBMITTED) and open_attempt and outcome.attempt is None:
        raise IllegalTransition("a paid attempt is open; going back before it could pay twice (I3)")
    gone: dict[str, Any] = {name: None for stage in ORDER[ORDER.index(outcome.stage) + 1 :] for name in FACTS[stage]}
    if outcome.stage is Stage.ADMITTED:
        gone |= {"fingerprint": None, "reuse": None, "rendition": None, "rendition_hash": None, "vetted": 0}
    waiting = _wait(job, outcome.reason, until, cause=Cause.JOB).fields
    counts = {"redos": job.redos + 1, "wrong": job.wrong + outcome.wrong}
    fields = {**waiting, **gone, "stage": outcome.stage, **counts}
    return Change(fields, outcome.attempt, "redo", outcome.reason)


def _refused(outcome: Refused) -> Change:
    failure: Failure = outcome.failure
    return Change({**_CLEAR, "tries": 0, "failure": failure}, outcome.attempt, "refused", failure.what)


def _end(standing: Standing, reason: str, now: float) -> Change:
    fields = {**_CLEAR, "standing": standing, "reason": reason, "finished_at": now}
    return Change(fields, None, str(standing), reason)
