"""Await: ask for a prediction until it is over, and judge how it ended."""

from __future__ import annotations

from typing import Final

from upscaled import errors
from upscaled.api import wire
from upscaled.job.model import (
    AttemptState,
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
)
from upscaled.steps import trouble
from upscaled.steps.ports import Ports

REFUND: Final = "The prediction failed, and the service refunds failed predictions by itself within 3 hours."

_AGAIN: Final = frozenset({5000, 5003, 5004})
"""Task codes of the service's own failures: a new prediction may succeed, and the failed one is refunded."""

_NEW_PREDICTIONS: Final = 3
"""How many predictions a picture gets in place of failed ones."""

_PATIENCE: Final = 300.0
"""How long the service may not know a prediction that it has just made, in seconds."""

_FORGOTTEN: Final = 6 * 3600.0
"""After so many seconds a prediction that the service does not know is given up: a person must look."""


async def await_(job: Job, ports: Ports) -> Outcome:
    """Ask once for the prediction, when it is time to. Asking has no effect, so running it again asks again."""
    assert job.prediction_id is not None
    assert job.submitted_at is not None
    if (wait := ports.polls.wait(job)) > 0:
        return NotYet(wait, asked=False)
    age = ports.now() - job.submitted_at
    try:
        prediction = await ports.service.result(job.prediction_id)
    except errors.Missing:
        return _unknown(job, age, ports)
    except errors.ServiceError as error:
        return trouble.of_service(error)
    if not prediction.terminal:
        return NotYet(ports.polls.not_yet(job))
    if prediction.status == wire.COMPLETED:
        return _completed(job, prediction, age, ports)
    return _over(job, prediction)


def _unknown(job: Job, age: float, ports: Ports) -> Outcome:
    if age < _PATIENCE:
        return NotYet(ports.polls.not_yet(job))
    reason = f"The service does not know prediction {job.prediction_id}, which it accepted and may have charged."
    if age < _FORGOTTEN:
        return Retry(f"{reason} It is asked again.", Cause.SERVICE)
    return Held(f"{reason} Ask its support; `upscaled retry {job.id}` submits the picture anew and may pay again.")


def _completed(job: Job, prediction: wire.Prediction, age: float, ports: Ports) -> Outcome:
    if not prediction.outputs:
        if age < _PATIENCE:
            return NotYet(ports.polls.not_yet(job))
        return Held(f"Prediction {job.prediction_id} is completed and has no output; ask the service's support.")
    ports.polls.over(job, prediction.inference_ms and prediction.inference_ms / 1000)
    output = prediction.outputs[0]
    facts = {
        # Base64 is megabytes: it is asked for again, free, when there is a file to write it to.
        "output_url": output if wire.is_url(output) else None,
        "nsfw": any(prediction.nsfw),
        "inference_ms": prediction.inference_ms,
    }
    return Done(Stage.RENDERED, facts, prediction.note, AttemptState.COMPLETED)


def _over(job: Job, prediction: wire.Prediction) -> Outcome:
    message = prediction.error or f"the prediction's status is {prediction.status}"
    may_succeed = prediction.code in _AGAIN or prediction.status == "timeout"
    if may_succeed and job.redos < _NEW_PREDICTIONS:
        return Redo(Stage.UPLOADED, f"The service failed ({message}); a new prediction follows.", AttemptState.FAILED)
    if prediction.code == wire.CODE_MEDIA and job.redos < 1:
        return Redo(Stage.ADMITTED, f"The service could not read the upload ({message}).", AttemptState.FAILED)
    return Refused(_failure(prediction, message), attempt=AttemptState.FAILED)


def _failure(prediction: wire.Prediction, message: str) -> Failure:
    if prediction.code == wire.CODE_MODERATED:
        do = "The service's content check refuses this picture and would do so again; use another service for it."
    elif prediction.status in {"cancelled", "deleted"}:
        do = "Somebody ended it at the service. Drop the file into the inbox to try again."
    else:
        do = "Drop the file into the inbox to try again; if it fails again, ask the service's support."
    return Failure(f"The service could not upscale it: {message}", do, f"{REFUND} (Prediction {prediction.id}.)")
