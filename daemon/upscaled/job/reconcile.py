"""Which prediction, if any, came of a submit whose answer was lost (invariant I3), from what the service lists.

Separate from the submit step because it decides about money and must be testable as a table. The service has no
idempotency key; what identifies a submit is the unique URL of its upload, where the listing shows inputs, and else
being the only one it can be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from upscaled.job import pacing

FIRST_LOOK: Final = 1.0
"""How soon after an answer was lost the history is asked for the first time, in seconds."""


OTHERS: Final = 120.0
"""How long other submits may be under way, whose predictions could be taken for this one's. Seconds."""


class Listed(Protocol):
    """What is read of a listed prediction; `upscaled.api.wire.Prediction` is one."""

    @property
    def id(self) -> str:
        """The prediction's id."""

    @property
    def image(self) -> str | None:
        """The URL it was submitted with; None where the listing does not show inputs."""

    @property
    def created_at(self) -> datetime | None:
        """When it was created, by the service's clock."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """This prediction is the one that was paid for."""

    id: str


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The listing may lag behind: look again after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The service has no prediction of this submit; nothing was paid."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Several predictions could be it, and nothing tells them apart."""

    candidates: int


Finding = Adopt | LookAgain | NotCreated | Unknown


def identify(
    upload_url: str,
    listed: Sequence[Listed],
    *,
    ours: Collection[str],
    age: float,
    sole: bool,
    under_way: bool = False,
    over: datetime | None = None,
    lag: float = pacing.LISTING_LAG,
) -> Finding:
    """Decide from one look at the history what became of a submit.

    ``listed`` holds the predictions of the same model created since shortly before the intent; ``ours`` the ids that
    other attempts already have; ``age`` is the time since the first look, in seconds: the request was over by then,
    while its intent may be a long time-out older. ``sole`` says that no other submit is unresolved, ``under_way``
    that one is which was not lost but is just being sent: that is waited out before anything is called unknown.
    ``over`` is when the request was over at the latest, by the service's clock: what was created later cannot have
    come of it.
    """
    for item in listed:
        # One that failed earlier may have been made of the same upload; its attempt is settled.
        if item.image == upload_url and item.id not in ours:
            return Adopt(item.id)
    if age < lag:
        return LookAgain(min(pacing.LOOK_EVERY, lag - age))
    candidates = [item.id for item in listed if item.id not in ours and _could_be(item, upload_url, over)]
    if not candidates:
        return NotCreated()
    if len(candidates) == 1 and sole:
        return Adopt(candidates[0])
    if under_way and age < lag + OTHERS:
        return LookAgain(pacing.LOOK_EVERY)
    return Unknown(len(candidates))


def _could_be(item: Listed, upload_url: str, over: datetime | None) -> bool:
    """Could this prediction, which does not name our upload, have come of it all the same?

    One that names another upload at the same place could not. One whose image is told in another form could: whether
    the service rewrites addresses is not documented, and doubt is cheaper than a second payment.
    """
    if over is not None and item.created_at is not None and item.created_at > over:
        return False
    return item.image is None or urlsplit(item.image)[:2] != urlsplit(upload_url)[:2]
