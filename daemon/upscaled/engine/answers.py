"""Answers: a prediction as the API shows it, and refusals in the service's own words.

Separate because every endpoint gives them; the shapes themselves are in `upscaled.api.wire`.
"""

from __future__ import annotations

import errno
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from upscaled.api import wire
from upscaled.engine.store import PROCESSING

if TYPE_CHECKING:
    from starlette.requests import Request

    from upscaled.engine.store import Task

JSON_LIMIT: Final = 32 * 1024 * 1024
"""Largest JSON body, in bytes; it is in memory at once, as a data: URI may be in it. Larger pictures are uploaded."""

BAD_KEY: Final = "Invalid API key. Verify the key on your dashboard's API Keys page, or contact support@wavespeed.ai."
"""The service's own text, which clients match; a person reads the key's place in our documentation."""


_log = logging.getLogger(__name__)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Answer(JSONResponse):
    """JSON in ASCII: a text may hold half of a pair of surrogates, which JSON can escape and UTF-8 cannot encode."""

    def render(self, content: object) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Refusal(Exception):
    """A request that is answered with an error. ``body`` replaces the usual envelope where the service has another."""

    def __init__(
        self, status: int, message: str, *, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = wire.failure(status, message) if body is None else body
        self.headers = headers

    def response(self) -> Response:
        """Return it as an HTTP answer."""
        return Answer(self.body, self.status, self.headers)


def success(data: object) -> Response:
    """Return data in the envelope of success."""
    return Answer(wire.success(data))


def prediction(
    task: Task,
    base: str,
    outputs: tuple[str, ...],
    *,
    progress: float | None = None,
    estimate: float | None = None,
) -> dict[str, Any]:
    """Return a prediction as the API shows it, with ``engine`` beside it: what was done to make it.

    ``progress`` is 0 to 1; ``estimate``, in seconds, stands in the timings beside what it really took.

    ``has_nsfw_contents`` stays empty: one flag an output would claim that somebody looked.
    """
    data = wire.write_prediction(
        wire.Prediction(
            id=task.id,
            status=task.status,
            model=task.model,
            outputs=outputs,
            get_url=f"{base}{wire.PREFIX}/predictions/{task.id}/result",
            created_at=datetime.fromtimestamp(task.created_at, UTC),
            error=task.error,
            code=task.code,
            inference_ms=task.inference_ms,
        )
    )
    if estimate is not None:
        data["timings"]["estimate"] = round(estimate * 1000)
    data["engine"] = {"networks": list(task.networks), "note": task.note}
    if task.status == PROCESSING:
        data["engine"]["progress"] = round(progress or 0.0, 3)
    return data


async def json_body(request: Request) -> dict[str, Any]:
    """Return a request's JSON object. Raises `Refusal` when it is none or too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_LIMIT:
            raise Refusal(413, f"The request is larger than {JSON_LIMIT >> 20} MB; upload the picture instead.")
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return value


def refused(_: Request, error: Exception) -> Response:
    """Answer a `Refusal`."""
    assert isinstance(error, Refusal)
    return error.response()


def http_error(_: Request, error: Exception) -> Response:
    """Answer what Starlette refuses by itself (no such path, wrong method) in the API's shape."""
    assert isinstance(error, HTTPException)
    return Answer(wire.failure(error.status_code, f"{error.detail}."), error.status_code, error.headers)


def internal_error(_request: Request, _error: Exception) -> Response:
    """Answer a failure of our own without showing the inside; the log has it."""
    return Answer(wire.failure(500, "The server failed; its log says why."), 500)


def cut_off(_: Request, error: Exception) -> Response:
    """Answer a client that is gone in the middle of its own request; that is nothing for the log."""
    assert isinstance(error, ClientDisconnect)
    return Response(status_code=499)


def disk_refuses(_: Request, error: Exception) -> Response:
    """Answer when the disk does not take what came, most often as it is full."""
    assert isinstance(error, OSError)
    _log.error("a request was not answered, as the disk refuses: %s", error)
    status = 507 if error.errno in _FULL else 500
    return Answer(wire.failure(status, f"The server's disk refuses: {error.strerror}."), status)
