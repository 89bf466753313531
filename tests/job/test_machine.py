from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.jobs import NOW, attempt, job
from upscaled.job import machine
from upscaled.job.machine import IllegalTransition, next_step, transition
from upscaled.job.model import (
    TERMINAL,
    Ambiguous,
    AttemptState,
    Cancelled,
    Cause,
    Done,
    Failure,
    Held,
    NotYet,
    Outcome,
    Redo,
    Refused,
    Retry,
    Stage,
    Standing,
    Step,
)

FAILURE = Failure("It is a poem.", "Send a picture.")


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"stage": Stage.ADMITTED}, Step.PREPARE),
        ({"stage": Stage.ADMITTED, "fingerprint": "f"}, Step.UPLOAD),
        ({"stage": Stage.UPLOADED}, Step.SUBMIT),
        ({"stage": Stage.SUBMITTED}, Step.AWAIT),
        ({"stage": Stage.RENDERED}, Step.DOWNLOAD),
        ({"stage": Stage.DOWNLOADED}, Step.VERIFY),
        ({"stage": Stage.DOWNLOADED, "result_width": 10}, Step.PUBLISH),
        ({"stage": Stage.PUBLISHED}, Step.ARCHIVE),
        ({"stage": Stage.UPLOADED, "failure": FAILURE}, Step.REJECT),
    ],
)
def test_the_facts_of_a_job_lead_to_its_next_step(fields: dict[str, object], step: Step) -> None:
    """Work is derived from facts; nothing else is stored."""
    assert step is next_step(job(**fields))


def change(step: Step, outcome: Outcome, **fields: object) -> machine.Change:
    """Return the change of an outcome, without jitter."""
    return transition(job(**fields), step, outcome, now=NOW, jitter=0.5)


def test_a_done_step_establishes_its_facts_and_ends_earlier_trouble() -> None:
    """Success resets what trouble left behind."""
    found = change(Step.UPLOAD, Done(Stage.UPLOADED, {"upload_url": "u"}), tries=3, reason="no network")

    assert found.fields["stage"] is Stage.UPLOADED
    assert found.fields["upload_url"] == "u"
    assert (0, "", None) == (found.fields["tries"], found.fields["reason"], found.fields["cause"])


def test_only_the_archive_step_ends_a_job_well() -> None:
    """I1: a job is done when its original is in the archive, which needs a published result."""
    found = change(Step.ARCHIVE, Done(Stage.ARCHIVED, {"archived": "/a"}), stage=Stage.PUBLISHED)

    assert found.fields["standing"] is Standing.DONE
    assert NOW == found.fields["finished_at"]


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.REJECT])
@given(stage=st.sampled_from(Stage), reached=st.sampled_from(Stage))
def test_no_step_reaches_a_stage_that_is_not_its_own(step: Step, stage: Stage, reached: Stage) -> None:
    """A defect in a step must not become a fact in the ledger."""
    legal = reached in machine.REACHES[step] and machine.ORDER.index(reached) >= machine.ORDER.index(stage)
    if legal:
        assert change(step, Done(reached), stage=stage).fields["stage"] is reached
    else:
        with pytest.raises(IllegalTransition):
            change(step, Done(reached), stage=stage)


def test_trouble_waits_longer_each_time_and_counts_nothing_as_final() -> None:
    """Transient trouble waits for ever if need be."""
    waits = [
        change(Step.UPLOAD, Retry("no network", Cause.NETWORK), tries=tries).fields["not_before"] - NOW
        for tries in range(30)
    ]

    assert waits == sorted(waits)
    assert 2.0 == waits[0]
    assert 300.0 == waits[-1]


def test_a_wait_that_was_asked_for_is_kept() -> None:
    """Retry-After outranks our own back-off."""
    assert NOW + 77 == change(Step.SUBMIT, Retry("slow down", Cause.RATE, 77.0)).fields["not_before"]


def test_an_ambiguous_submit_leaves_its_attempt_open() -> None:
    """I3: what is unknown stays unknown until it is looked up."""
    found = change(Step.SUBMIT, Ambiguous("the line broke", 5.0), stage=Stage.UPLOADED, attempt=attempt())

    assert found.attempt is None
    assert found.fields["standing"] is Standing.WAITING
    assert "stage" not in found.fields


@pytest.mark.parametrize("state", [AttemptState.INTENDED, AttemptState.ACCEPTED])
def test_a_job_never_goes_back_before_an_open_paid_request(state: AttemptState) -> None:
    """I3: going back would submit again while the first may still be paid."""
    with pytest.raises(IllegalTransition):
        change(Step.AWAIT, Redo(Stage.UPLOADED, "again"), stage=Stage.SUBMITTED, attempt=attempt(state))


def test_a_failed_prediction_may_be_replaced_by_a_new_one() -> None:
    """A failed prediction is refunded, so its attempt is settled and the job may go back."""
    outcome = Redo(Stage.UPLOADED, "the service failed", AttemptState.FAILED)

    found = change(Step.AWAIT, outcome, stage=Stage.SUBMITTED, attempt=attempt(AttemptState.ACCEPTED))

    assert found.attempt is AttemptState.FAILED
    assert found.fields["stage"] is Stage.UPLOADED
    assert found.fields["prediction_id"] is None
    assert "upload_url" not in found.fields


def test_going_back_forgets_the_facts_that_no_longer_hold() -> None:
    """A part that is gone must not be published by a later step."""
    found = change(Step.PUBLISH, Redo(Stage.RENDERED, "the part is gone"), stage=Stage.DOWNLOADED)

    assert [None] * 3 == [found.fields[name] for name in ("part", "result_hash", "result_width")]
    assert "output_url" not in found.fields
    assert 1 == found.fields["redos"]


def test_going_back_to_the_beginning_takes_the_fingerprint_again() -> None:
    """An upload that expired may be of a file that changed since."""
    found = change(Step.SUBMIT, Redo(Stage.ADMITTED, "expired"), stage=Stage.UPLOADED)

    assert found.fields["fingerprint"] is None


def test_redo_cannot_lead_forward() -> None:
    """Only a done step establishes facts."""
    with pytest.raises(IllegalTransition):
        change(Step.UPLOAD, Redo(Stage.RENDERED, "?"), stage=Stage.ADMITTED)


def test_a_refused_job_stays_running_until_its_original_is_set_aside() -> None:
    """The failed folder is reached by a step of its own, which a crash repeats."""
    refused = change(Step.PREPARE, Refused(FAILURE))
    rejected = change(Step.REJECT, Done(Stage.ADMITTED, {"archived": "/failed/b.jpg"}), failure=FAILURE)

    assert "standing" not in refused.fields
    assert rejected.fields["standing"] is Standing.FAILED
    assert "/failed/b.jpg" == rejected.fields["archived"]
    assert FAILURE.what == rejected.fields["reason"]


@pytest.mark.parametrize(
    ("outcome", "standing"),
    [(Cancelled("gone"), Standing.CANCELLED), (Held("who knows"), Standing.HELD), (Retry("wait"), Standing.WAITING)],
)
def test_every_end_has_a_reason(outcome: Outcome, standing: Standing) -> None:
    """Goal 3: every file has a state and a reason that a person can read."""
    found = change(Step.UPLOAD, outcome)

    assert found.fields["standing"] is standing
    assert found.fields["reason"]
    assert found.text
    assert (standing in TERMINAL) == ("finished_at" in found.fields)


def test_not_yet_is_no_transition() -> None:
    """A poll that says not yet writes nothing."""
    with pytest.raises(IllegalTransition):
        change(Step.AWAIT, NotYet(2.0), stage=Stage.SUBMITTED)
