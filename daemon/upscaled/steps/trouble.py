"""What an error amounts to, as an outcome: the one place where the service's and the disk's troubles are judged.

Everything here is trouble that time or a person will mend, so all of it waits (`Retry`), and says for what.
"""

from __future__ import annotations

from typing import Final

from upscaled import errors
from upscaled.errors import FileTrouble
from upscaled.job.budget import NotNow
from upscaled.job.model import AttemptState, Cause, Retry

_CAUSES: Final[tuple[tuple[type[errors.ServiceError], Cause], ...]] = (
    (errors.KeyRefused, Cause.KEY),
    (errors.NoCredit, Cause.CREDIT),
    (errors.RateLimited, Cause.RATE),
    (errors.Unreachable, Cause.NETWORK),
)

LONGEST: Final = 3600.0
"""The longest wait that a service may ask for, in seconds; then it is asked again."""


def of_service(error: errors.ServiceError, *, attempt: AttemptState | None = None) -> Retry:
    """Return the wait that a service's error calls for."""
    cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.SERVICE)
    after = None if error.retry_after is None else min(error.retry_after, LONGEST)
    return Retry(errors.sentence(error), cause, after, attempt)


def not_now(refusal: NotNow, now: float) -> Retry:
    """Return the wait for the day, the folder or the twin that stands in the way of paying."""
    return Retry(refusal.reason, refusal.cause, max(0.0, refusal.until - now))


def of_file(error: FileTrouble) -> Retry:
    """Return the wait that a disk's error calls for."""
    return Retry(errors.sentence(error), Cause.FOLDER)
