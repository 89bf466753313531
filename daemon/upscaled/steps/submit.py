"""Submit: the only step that costs money, and the only one that must not happen twice (invariant I3)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from upscaled import errors
from upscaled.api import wire
from upscaled.api.client import may_have_acted
from upscaled.errors import FileTrouble
from upscaled.job import hours, reconcile
from upscaled.job.budget import NotNow
from upscaled.job.model import (
    Ambiguous,
    AttemptState,
    Cause,
    Done,
    Failure,
    Held,
    Job,
    Outcome,
    Redo,
    Refused,
    Retry,
    Stage,
)
from upscaled.ledger.twins import Reusable
from upscaled.steps import trouble
from upscaled.steps.ports import Ports
from upscaled.steps.prepare import room, unchanged

UPLOAD_LIFE = wire.RETENTION - 24 * 3600.0
"""An upload older than this is made again: a prediction may wait a while before the service reads it. Seconds."""

SKEW = timedelta(minutes=2)
"""How far the window of a look-up is opened beyond what the clocks say."""


async def submit(job: Job, ports: Ports) -> Outcome:
    """Commit the intent, send the paid POST once, and return the prediction's id.

    Run again after a crash: with an intent and no fact, the service's history is asked what became of it. Death before
    the intent spends nothing; between intent and POST, the history shows nothing and a new intent follows; between
    POST and fact, the history shows the prediction and it is adopted.
    """
    if job.attempt is not None and job.attempt.unresolved:
        return await _reconcile(job, ports)
    try:
        return await _before(job, ports) or await _pay(job, ports)
    except FileTrouble as error:
        return trouble.of_file(error)
    except errors.ServiceError as error:
        # Only free questions raise here: what the paid request raises is judged where it is sent.
        return trouble.of_service(error)


async def _before(job: Job, ports: Ports) -> Outcome | None:
    """Return what forbids to spend money on this job now, or None."""
    assert job.uploaded_at is not None
    now = ports.now()
    if now - job.uploaded_at > UPLOAD_LIFE:
        return Redo(Stage.ADMITTED, "The upload is about to expire at the service; it is made again.")
    opening = hours.parse(ports.folder(job).hours).opening(now, ports.zone)
    if opening > now:
        return Retry(f"Pictures are submitted at {ports.folder(job).hours} only.", Cause.HOURS, opening - now)
    folder = ports.folder(job)
    return await asyncio.to_thread(lambda: unchanged(folder, job) or room(folder, job))


async def _pay(job: Job, ports: Ports) -> Outcome:
    """Set the price aside, commit the intent, and send the paid request; or return what forbids it."""
    price = await ports.price(job.params)
    if (low := await ports.purse.take(price or 0.0)) is not None:
        return Retry(low, Cause.FLOOR)
    sent = False
    try:
        refusal = await _intend(job, price, ports)
        sent = refusal is None
        return refusal or await _post(job, ports)
    finally:
        ports.purse.settle(price or 0.0, sent=sent)


async def _intend(job: Job, price: float | None, ports: Ports) -> Outcome | None:
    """Reserve the price and commit the intent, or return what forbids it."""
    found = await ports.ledger.intend(job, price=price, now=ports.now(), limits=ports.limits)
    if isinstance(found, Reusable):
        return Redo(Stage.ADMITTED, f"The same picture was upscaled meanwhile as job {found.job}.")
    return trouble.not_now(found, ports.now()) if isinstance(found, NotNow) else None


async def _post(job: Job, ports: Ports) -> Outcome:
    assert job.upload_url is not None
    try:
        prediction = await ports.service.submit(job.params, job.upload_url)
    except errors.ServiceError as error:
        return _not_accepted(error)
    return _accepted(prediction, ports.now())


def _accepted(prediction: wire.Prediction, now: float) -> Outcome:
    facts = {"prediction_id": prediction.id, "submitted_at": now}
    output = prediction.outputs[0] if prediction.outputs else ""
    if prediction.status == wire.COMPLETED and wire.is_url(output):
        facts |= {"output_url": output, "nsfw": any(prediction.nsfw), "inference_ms": prediction.inference_ms}
        return Done(Stage.RENDERED, facts, attempt=AttemptState.COMPLETED)
    return Done(Stage.SUBMITTED, facts, attempt=AttemptState.ACCEPTED)


def _not_accepted(error: errors.ServiceError) -> Outcome:
    if may_have_acted(error):
        return Ambiguous(
            f"{errors.sentence(error)}. Whether it was submitted is being looked up.", reconcile.FIRST_LOOK
        )
    if isinstance(error, errors.Missing):
        # The model, not the picture, is wrong: no original leaves its inbox for a typing error in a profile.
        return Retry(
            f"{errors.sentence(error)} Check the profile's model.", Cause.SERVICE, attempt=AttemptState.REJECTED
        )
    if isinstance(error, errors.BadRequest):
        failure = Failure(
            f"The service rejects the request: {error.why or error.what}",
            "Check the profile's parameters against the message, then drop the file into the inbox again.",
        )
        return Refused(failure, attempt=AttemptState.REJECTED)
    return trouble.of_service(error, attempt=AttemptState.REJECTED)


async def _reconcile(job: Job, ports: Ports) -> Outcome:
    """Find out from the service's history what became of a submit whose answer was lost. Free, and changes nothing."""
    assert job.attempt is not None
    # By the service's clock as it was known then: ours may have been set since.
    intended = job.attempt.intended_at + job.attempt.skew
    asked = ports.now()
    looked_at = await ports.ledger.looked(job, now=asked)
    try:
        await ports.service.balance()  # its Date header tells the service's clock, by which the history is kept
        start = datetime.fromtimestamp(intended, UTC) - SKEW
        end = datetime.fromtimestamp(ports.now() + ports.service.skew, UTC) + SKEW
        listed = await ports.service.history(model=job.params.model, created_after=start, created_before=end)
    except errors.ServiceError as error:
        return trouble.of_service(error)
    # The look began when the balance was asked for, so that is the moment up to which the listing speaks.
    age = asked - looked_at
    others = await ports.ledger.others([item.id for item in listed])
    finding = reconcile.identify(
        job.attempt.upload_url,
        listed,
        ours=others.owned,
        age=age,
        sole=others.unresolved == 1,
        under_way=others.under_way,
        over=datetime.fromtimestamp(looked_at + ports.service.skew, UTC) + SKEW,
        lag=ports.listing_lag,
    )
    return _found(finding, ports)


def _found(finding: reconcile.Finding, ports: Ports) -> Outcome:
    match finding:
        case reconcile.Adopt(prediction_id):
            facts = {"prediction_id": prediction_id, "submitted_at": ports.now()}
            note = "Its answer was lost; the prediction was found in the service's history."
            return Done(Stage.SUBMITTED, facts, note=note, attempt=AttemptState.ACCEPTED)
        case reconcile.LookAgain(after):
            return Ambiguous("Whether it was submitted is being looked up in the service's history.", after)
        case reconcile.NotCreated():
            reason = "The submit did not reach the service; nothing was spent, and it is sent again."
            return Retry(reason, Cause.NETWORK, 0.0, attempt=AttemptState.REJECTED)
        case reconcile.Unknown(candidates):
            if ports.on_ambiguous == "resubmit":
                reason = "Whether it was submitted cannot be told; it is sent again, as on_ambiguous says."
                return Retry(reason, Cause.NETWORK, 0.0, attempt=AttemptState.ABANDONED)
            return Held(
                f"Whether it was submitted cannot be told: {candidates} predictions at the service could be it. "
                "Sending it again could cost a second time."
            )
