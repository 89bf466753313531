"""The contract of the API as types and pure functions: what is sent, what comes back, what each error means.

This is the only module that knows the wire. The client reads with it and the built-in engine writes with it, so the two
cannot disagree; it does no I/O, and so both can be tested against recorded answers.

What is read here is read leniently, as the service's own documents disagree with each other: any field but ``id`` may
be missing, null, or of an older shape. What is written is the fullest documented shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from upscaled import errors
from upscaled.api.lenient import excerpt, integer, json_of, mapping, number, sequence, text, without_queries

PREFIX: Final = "/api/v3"

IMAGE_UPSCALER: Final = "wavespeed-ai/image-upscaler"

TARGETS: Final[Mapping[str, int]] = {"2k": 2048, "4k": 3840, "8k": 7680}
"""``target_resolution`` and the long side we take it to mean, in pixels; the service does not document its own."""

FORMATS: Final = ("jpeg", "png", "webp")

CREATIVITY: Final = (-2.0, 2.0)

UPLOAD_LIMIT: Final = 200 * 1000 * 1000
"""Largest upload the official SDKs allow, in bytes ("200 MB")."""

RETENTION: Final = 7 * 24 * 3600.0
"""How long uploads, predictions and outputs are kept by the service, in seconds."""

SYNC_LIMIT: Final = 90.0
"""After this many seconds a ``enable_sync_mode`` request is answered although the task goes on."""

CONTENT_TYPES: Final[Mapping[str, str]] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}

COMPLETED: Final = "completed"
FAILED: Final = "failed"
TERMINAL: Final = frozenset({COMPLETED, FAILED, "cancelled", "timeout", "deleted"})
"""Statuses after which nothing changes any more. Every other one, known or not, means: ask again."""

CODE_MODERATED: Final = 1200
CODE_MEDIA: Final = 1402
CODE_INTERNAL: Final = 5000
"""The service's own fault and not the request's: the same picture may be submitted again."""

CODE_SYNC_TIMEOUT: Final = 5004


@dataclass(frozen=True, slots=True)
class Prediction:
    """The service's task as one of its answers describes it.

    ``outputs`` are URLs or bare base64. ``nsfw`` has one flag an output, or is empty where the service says nothing.
    ``inference_ms`` is in milliseconds. ``inputs`` is what was submitted, where the history shows it. ``created_at`` is
    by the service's clock. ``note`` is what the built-in engine did other than one may expect; the service has none.
    """

    id: str
    status: str
    model: str = ""
    outputs: tuple[str, ...] = ()
    get_url: str = ""
    nsfw: tuple[bool, ...] = ()
    created_at: datetime | None = None
    error: str = ""
    code: int | None = None
    inference_ms: int | None = None
    inputs: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def terminal(self) -> bool:
        """Will this never change again?"""
        return self.status in TERMINAL

    @property
    def image(self) -> str | None:
        """The ``image`` it was submitted with, where the service tells."""
        image = None if self.inputs is None else self.inputs.get("image")
        return image if isinstance(image, str) else None


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to upload one file: where to PUT it, with exactly which headers, and the URL it will be read from."""

    download_url: str
    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Price:
    """What one prediction costs, in dollars, after discount."""

    dollars: float
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Bill:
    """One movement on the account: what a prediction cost, or what was given back for it; dollars."""

    prediction: str
    dollars: float
    refund: bool


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_prediction(data: object) -> Prediction:
    """Read one prediction from an answer's ``data`` (or a history item).

    Raises `errors.Trouble` when there is no id, the one field without which nothing can be done.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("id"), str) or not data["id"]:
        raise errors.Trouble("The service's answer names no prediction", why=f"it was {excerpt(data)}")
    return Prediction(
        id=data["id"],
        status=text(data.get("status")).lower() or "created",
        model=text(data.get("model")),
        outputs=tuple(filter(None, map(_output, sequence(data.get("outputs"))))),
        get_url=text(mapping(data.get("urls")).get("get")),
        nsfw=tuple(flag for flag in sequence(data.get("has_nsfw_contents")) if isinstance(flag, bool)),
        created_at=parse_time(data.get("created_at")),
        error=without_queries(text(data.get("error"))),
        code=integer(data.get("code")),
        inference_ms=integer(mapping(data.get("timings")).get("inference")),
        inputs=_inputs(data),
        note=text(mapping(data.get("engine")).get("note")),
    )


def read_prediction(status: int, body: bytes, *, retry_after: float | None = None) -> Prediction:
    """Read the prediction an answer is about, or raise the `errors.ServiceError` that it amounts to.

    An answer that names a prediction is believed whatever else it says: a failed task arrives under HTTP 200 and under
    4xx, a sync request that ran out of time carries code 5004, and the one thing that must not be lost is the id of
    something that has been paid for. Only "not found" needs more than an id to be read as something found.
    """
    envelope = mapping(json_of(body))
    for candidate, believed in ((mapping(envelope.get("data")), status not in (404, 410)), (envelope, False)):
        if text(candidate.get("id")) and (believed or text(candidate.get("status"))):
            return parse_prediction(candidate)
    return parse_prediction(unwrap(status, body, retry_after=retry_after))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the history, newest first. ``more`` tells whether another one may follow."""

    items: tuple[Prediction, ...]
    more: bool


def parse_page(data: object, *, asked: int, seen: int) -> Page:
    """Read one page of ``POST /predictions``, of which ``asked`` items were wanted after ``seen`` earlier ones.

    An empty page may come without ``items`` or with null. Anything else that cannot be read raises `errors.Trouble`: a
    lost prediction is looked for here, and "not there" must not be concluded from an answer nobody understood. For the
    same reason a page that is short is the last one only if the service does not itself speak of more.
    """
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = {"items": data}
    if not isinstance(data, Mapping) or not isinstance(data.get("items"), list | tuple | None):
        raise errors.Trouble("The service's history cannot be read", why=f"it was {excerpt(data)}")
    items = tuple(map(parse_prediction, sequence(data.get("items"))))
    total, size = integer(data.get("total")) or 0, integer(data.get("page_size")) or asked
    full = len(items) >= min(asked, size)
    more = full or data.get("has_more") is True or total > seen + len(items)
    return Page(items, more=bool(items) and more)


def parse_bills(data: object) -> tuple[tuple[Bill, ...], bool]:
    """Read one page of ``POST /billings/search``, and whether another one follows. Raises `errors.Trouble`."""
    outer = mapping(data)
    if not isinstance(outer.get("items"), list | tuple | None):
        raise errors.Trouble("The service's bills cannot be read", why=f"they were {excerpt(data)}")
    bills = []
    for item in map(mapping, sequence(outer.get("items"))):
        prediction, price = text(mapping(item.get("prediction")).get("uuid")), number(item.get("price"))
        if prediction and price is not None:
            bills.append(Bill(prediction, price, refund=text(item.get("billing_type")).lower() == "refund"))
    return tuple(bills), outer.get("has_more") is True


def is_url(output: str) -> bool:
    """Is this output to be downloaded? Else it is the picture itself, as base64 or a ``data:`` URI."""
    return output[:8].lower().startswith(("http://", "https://"))


def parse_ticket(data: object) -> Ticket:
    """Read the answer to ``POST /media/uploads``. Raises `errors.Trouble` when a part of it is missing."""
    outer = mapping(data)
    upload = mapping(outer.get("upload"))
    ticket = Ticket(
        download_url=text(outer.get("download_url")),
        method=text(upload.get("method")) or "PUT",
        url=text(upload.get("url")),
        headers={str(name): str(value) for name, value in mapping(upload.get("headers")).items()},
    )
    if not ticket.download_url or not ticket.url:
        raise errors.Trouble("The service gave an upload ticket without an address", why=f"it was {excerpt(data)}")
    return ticket


def parse_download_url(data: object) -> str:
    """Read the answer to ``POST /media/upload/binary``. Raises `errors.Trouble` when it names no address."""
    url = text(mapping(data).get("download_url")) or text(mapping(data).get("url"))
    if not url:
        raise errors.Trouble("The service took an upload but named no address for it", why=f"it was {excerpt(data)}")
    return url


def parse_price(data: object) -> Price:
    """Read the answer to ``POST /model/price`` or its predecessor ``/model/pricing``."""
    outer = mapping(data)
    for key in ("discounted_price", "price", "unit_price"):
        value = number(outer.get(key))
        if value is not None and value >= 0:
            return Price(value, text(outer.get("currency")) or "USD")
    raise errors.Trouble("The service named no price", why=f"its answer was {excerpt(data)}")


def parse_webhook_secret(data: object) -> str:
    """Return the secret that webhooks are signed with. Raises `errors.Trouble` when there is none."""
    secret = text(data) or text(mapping(data).get("secret"))
    if not secret:
        raise errors.Trouble("The service's answer names no webhook secret")
    return secret


def parse_balance(data: object) -> float:
    """Read the answer to ``GET /balance``, in dollars."""
    value = number(mapping(data).get("balance"))
    if value is not None:
        return value
    raise errors.Trouble("The service named no balance", why=f"its answer was {excerpt(data)}")


def parse_time(value: object) -> datetime | None:
    """Read an ISO 8601 time with 0 to 9 digits of fraction, as the service writes them; None for anything else."""
    if not isinstance(value, str):
        return None
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", value.strip())
    try:
        parsed = datetime.fromisoformat(trimmed)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read ``Retry-After`` in either form (RFC 9110 §10.2.3), in seconds from ``now``; None where it says nothing."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def unwrap(status: int, body: bytes, *, retry_after: float | None = None) -> Any:
    """Return the ``data`` of an answer, or raise the `errors.ServiceError` that it amounts to.

    The order of the checks follows what clients of the service have learned: an answer may be HTTP 200 and carry an
    error code inside, be a gateway's HTML page, or carry ``{"error": ...}`` instead of the envelope.
    """
    envelope = json_of(body)
    code = integer(mapping(envelope).get("code"))
    if status < 400 and isinstance(envelope, Mapping) and code in (None, 0, 200):
        if "data" in envelope:
            return envelope["data"]
        why = message_of(envelope) or f"it was {excerpt(envelope)}"
        raise errors.Trouble("The service answered without data", why=why, status=status)
    if status < 400 and not isinstance(envelope, Mapping):
        raise errors.Trouble("The service's answer is not JSON", why=f"it began {excerpt(body)}", status=status)
    if status in (404, 410) and not isinstance(envelope, Mapping):
        # The API says itself what it does not find. This is somebody else's page, and proves nothing.
        what, why = "The service's address answers, but not as the service", f"HTTP {status} with {excerpt(body)}"
        raise errors.Trouble(what, why=why, do="Check service.url.", status=status)
    effective = code if status < 400 and code is not None else status
    raise rejection(effective, message_of(envelope) or excerpt(body), retry_after=retry_after)


def rejection(status: int, message: str, *, retry_after: float | None = None) -> errors.ServiceError:
    """Return the error that an HTTP status (or the envelope's ``code``) and its message amount to."""
    if _NO_CREDIT.search(message) or status == 402:
        return errors.NoCredit(
            "The account has no credit left",
            why=message,
            do="Top up the account; upscaled goes on by itself.",
            status=status,
            retry_after=retry_after,
        )
    if status in (401, 403):
        return errors.KeyRefused(
            "The service refuses the key",
            why=message,
            do="Check service.api_key against the service's key page; upscaled goes on by itself once it is accepted.",
            status=status,
            retry_after=retry_after,
        )
    if status == 429:
        return errors.RateLimited(
            "The service asks for a slower pace", why=message, status=status, retry_after=retry_after
        )
    if status in _DEFINITE or (400 <= status < 500 and status not in _UNSURE):
        kind = errors.Missing if status in (404, 410) else errors.BadRequest
        return kind("The service rejects the request", why=message, status=status, retry_after=retry_after)
    return errors.Trouble(
        f"The service is in trouble (HTTP {status})", why=message, status=status, retry_after=retry_after
    )


def message_of(envelope: object) -> str:
    """Return the sentence in an error body of either shape, or ''."""
    outer = mapping(envelope)
    nested = mapping(outer.get("data"))
    inner = mapping(outer.get("error"))
    said = (nested.get("error"), outer.get("message"), outer.get("error"), inner.get("message"), outer.get("detail"))
    for value in said:
        if isinstance(value, str) and value and value != "success":
            return without_queries(value)
    return ""


# --- writing ---------------------------------------------------------------------------------------------------------


def success(data: object) -> dict[str, Any]:
    """Return the envelope of a successful answer."""
    return {"code": 200, "message": "success", "data": data}


def failure(code: int, message: str) -> dict[str, Any]:
    """Return the envelope of a refused request; as at the service, it has no ``data``."""
    return {"code": code, "message": message}


def write_prediction(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as the document describes it, for the server's side."""
    body: dict[str, Any] = {
        "id": prediction.id,
        "model": prediction.model,
        "outputs": list(prediction.outputs),
        "urls": {"get": prediction.get_url},
        "has_nsfw_contents": list(prediction.nsfw),
        "status": prediction.status,
        "created_at": write_time(prediction.created_at) if prediction.created_at else "",
        "error": prediction.error,
        "timings": {"inference": prediction.inference_ms or 0},
    }
    if prediction.code is not None:
        body["code"] = prediction.code
    if prediction.inputs is not None:
        body["inputs"] = dict(prediction.inputs)
    return body


def write_time(value: datetime) -> str:
    """Return a time as the service writes it: UTC, milliseconds, ``Z``."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


# --- small readers ---------------------------------------------------------------------------------------------------

_NO_CREDIT = re.compile(r"\binsufficient (credit|balance)|\btop[ -]?up\b", re.IGNORECASE)
_DEFINITE = frozenset({400, 404, 410, 413, 415, 422, 1400, 1401})
"""Beside HTTP's own, the service's codes for a missing and an invalid parameter."""
_UNSURE = frozenset({408, 425, 499})
"""4xx in name only: the sender cannot know whether the request was acted upon."""


def _output(value: object) -> str:
    """Outputs are strings, or ``{"url": ...}`` as two official clients tolerate."""
    return text(value) or text(mapping(value).get("url"))


def _inputs(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for key in ("inputs", "input"):
        if isinstance(data.get(key), Mapping):
            return dict(data[key])
    return None
