"""Endpoints about predictions: submit, result, history, delete."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.routing import Route

from upscaled.api import wire
from upscaled.engine.answers import Refusal, json_body, success
from upscaled.engine.models import MODELS, InvalidInput, Model, named
from upscaled.engine.outside import Reach
from upscaled.engine.store import STATUSES, Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from upscaled.engine.house import House
    from upscaled.engine.uploads import Upload

_DATA_URI: Final = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<base64>(?:;[\w=.+-]+)*?;base64)?,", re.ASCII | re.IGNORECASE
)

_Enclosed = tuple[str, bytes]
"""A picture in a data: URI: its type, and what it holds."""

_STILL_RUNNING: Final = "Sync mode timed out after {} seconds. The prediction is still processing asynchronously."
_STOPPING: Final = "Sync mode timed out as the server stops. The prediction is gone on with after its next start."
"""Begins as the other does, by which clients know it."""

NO_BASE64_WEBHOOK: Final = (
    "webhook callback does not support base64 output, please use the normal API to use base64 output"
)


def model_of(model_id: str) -> Model:
    """Return a model. Raises `Refusal` when it is not offered."""
    model = MODELS.get(model_id)
    if model is None:
        raise Refusal(404, f'Model "{model_id}" not found. Please check the model identifier.')
    return model


@dataclass(frozen=True, slots=True)
class Page:
    """What a history request asks for; times are inclusive."""

    number: int
    size: int
    model: str | None
    status: str | None
    after: datetime | None
    before: datetime | None
    inputs: bool

    def wants(self, task: Task) -> bool:
        """Does a prediction belong to the answer?"""
        return (
            self.model in (None, task.model)
            and self.status in (None, task.status)
            and (self.after is None or task.created_at >= self.after.timestamp())
            and (self.before is None or task.created_at <= self.before.timestamp())
        )


class Predictions:
    """The endpoints about predictions."""

    def __init__(self, house: House) -> None:
        self._house = house

    def early(self) -> list[Route]:
        """Routes with a fixed path."""
        prefix = f"{wire.PREFIX}/predictions"
        return [
            Route(prefix, self.history, methods=["POST"]),
            Route(f"{prefix}/delete", self.delete, methods=["POST"]),
            Route(f"{prefix}/{{id}}", self.result, methods=["GET"]),
            Route(f"{prefix}/{{id}}/result", self.result, methods=["GET"]),
        ]

    def late(self) -> list[Route]:
        """The route that any other path may be: a model's identifier contains slashes."""
        return [Route(f"{wire.PREFIX}/{{model:path}}", self.submit, methods=["POST"])]

    async def submit(self, request: Request) -> Response:
        """Take a request: once it is answered, the prediction survives anything but the disk."""
        model = model_of(request.path_params["model"])
        inputs = await json_body(request)
        try:
            model.check(inputs)
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error
        webhook = self._webhook(request, inputs)
        enclosed = await asyncio.to_thread(_enclosed, inputs["image"])
        self._refuse_haste()  # before anything is kept
        inputs, upload = await self._image(request, inputs, enclosed)
        task = Task(
            *(secrets.token_hex(16), model.id, inputs, self._house.clock(), upload),
            webhook=webhook,
            base=self._house.base(request),
        )
        await asyncio.to_thread(self._house.store.write, task)
        self._house.store.note(task)
        self._house.runner.ring()
        if inputs.get("enable_sync_mode"):
            return await self._finished(task, request)
        return success(await self._house.shown(task, request))

    async def result(self, request: Request) -> Response:
        """Show one prediction."""
        task = self._house.task(request.path_params["id"])
        return success(await self._house.shown(task, request))

    async def history(self, request: Request) -> Response:
        """Show a page of predictions, newest first."""
        page = _page(await json_body(request))
        wanted = [task for task in self._house.store.newest(self._house.clock()) if page.wants(task)]
        start = (page.number - 1) * page.size
        items = []
        for task in wanted[start : start + page.size]:
            item = await self._house.shown(task, request, inline=False)
            items.append({**item, "inputs": dict(task.inputs)} if page.inputs else item)
        return success({"page": page.number, "page_size": page.size, "total": len(wanted), "items": items})

    async def delete(self, request: Request) -> Response:
        """Delete predictions and their outputs; one that is being made is stopped."""
        ids = (await json_body(request)).get("ids")
        if not isinstance(ids, list) or not all(isinstance(task_id, str) for task_id in ids):
            raise Refusal(400, 'field "ids" must be a list of strings')
        deleted = [await self._house.runner.delete(task_id) for task_id in dict.fromkeys(ids)]
        return success({"deleted_count": sum(deleted)})

    def _webhook(self, request: Request, inputs: Mapping[str, Any]) -> str | None:
        webhook = request.query_params.get("webhook")
        if not webhook:
            return None
        if inputs.get("enable_base64_output"):
            raise Refusal(400, NO_BASE64_WEBHOOK, body={"error": NO_BASE64_WEBHOOK})
        if self._house.webhooks.reach is Reach.NONE:
            raise Refusal(400, "This server sends no webhooks; poll the prediction instead.")
        if _split(webhook).scheme not in {"http", "https"}:
            raise Refusal(400, f"webhook must be an http(s) URL, got {named(webhook)}")
        return webhook

    def _refuse_haste(self) -> None:
        wait = self._house.pace.take(self._house.clock())
        if wait > 0:
            seconds = math.ceil(wait)
            message = f"Too many requests. This server's limit for a minute is used up; try again in {seconds} s."
            raise Refusal(429, message, headers={"Retry-After": str(seconds)})

    async def _finished(self, task: Task, request: Request) -> Response:
        limit = self._house.sync_limit
        await self._house.runner.wait(task.id, limit)
        task = self._house.task(task.id)
        data = await self._house.shown(task, request)
        if not task.finished:
            error = _STOPPING if self._house.runner.dismissed else _STILL_RUNNING.format(f"{limit:g}")
            data |= {"code": wire.CODE_SYNC_TIMEOUT, "error": error}
        return success(data)

    async def _image(
        self, request: Request, inputs: Mapping[str, Any], enclosed: _Enclosed | None
    ) -> tuple[dict[str, Any], str | None]:
        """Return the inputs and the token of the upload that ``image`` means; what is enclosed is made an upload."""
        if enclosed is None:
            return dict(inputs), self._token(request, inputs["image"])
        upload = await asyncio.to_thread(self._keep, enclosed)
        return {**inputs, "image": self._house.media_url(request, upload)}, upload.token

    def _token(self, request: Request, image: str) -> str | None:
        for base in {self._house.base(request), str(request.base_url).rstrip("/")}:
            if found := re.fullmatch(re.escape(base) + r"/media/([0-9a-f]{32})/[^/?#]+", image):
                return found[1]
        return None

    def _keep(self, enclosed: _Enclosed) -> Upload:
        uploads, (kind, content) = self._house.uploads, enclosed
        name = f"image.{kind.rpartition('/')[2]}"
        part = uploads.part()
        try:
            part.write_bytes(content)
            upload = uploads.issue(name, self._house.clock(), size=len(content), content_type=kind)
            uploads.keep(upload, part)
        finally:
            part.unlink(missing_ok=True)
        return upload


def _split(address: str) -> Any:
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _enclosed(image: str) -> _Enclosed | None:
    """Return what a data: URI holds, None for an address. Raises `Refusal` when it is neither."""
    if image[:5].lower() == "data:":
        return _decoded(image)
    parts = _split(image)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise Refusal(400, f'field "image" must be an http(s) URL or a data: URI, got {named(image)}')
    return None


def _decoded(uri: str) -> _Enclosed:
    head = _DATA_URI.match(uri)
    if head is None:
        raise Refusal(400, 'field "image" is not a valid data: URI')
    try:
        body = unquote_to_bytes(uri[head.end() :])
        content = base64.b64decode(body, validate=True) if head["base64"] else body
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, f'field "image" is not valid base64: {error}') from error
    return (head["type"] or "application/octet-stream").lower(), content


def _page(body: Mapping[str, Any]) -> Page:
    status = _optional(body, "status")
    if status is not None and status not in STATUSES:
        raise Refusal(400, f'field "status" must be one of [{", ".join(STATUSES)}], got {named(status)}')
    return Page(
        number=_whole(body, "page", 1_000_000),
        size=_whole(body, "page_size", 100),
        model=_optional(body, "model"),
        status=status,
        after=_time(body, "created_after"),
        before=_time(body, "created_before"),
        inputs=body.get("include_inputs") is True,
    )


def _whole(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Refusal(400, f'field "{name}" must be a whole number from 1 to {most}')
    return value


def _optional(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal(400, f'field "{name}" must be a string')
    return value or None


def _time(body: Mapping[str, Any], name: str) -> datetime | None:
    value = _optional(body, name)
    parsed = wire.parse_time(value)
    if value is not None and parsed is None:
        raise Refusal(400, f'field "{name}" must be an ISO 8601 time, got {named(value)}')
    return parsed
