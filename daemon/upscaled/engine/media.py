"""Endpoints that carry files: tickets, uploads, and reading uploads and outputs back.

Files go straight to disk as they come; none is ever whole in memory.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from upscaled.api import wire
from upscaled.engine.answers import Refusal, json_body, success
from upscaled.engine.uploads import TICKET_LIFE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from starlette.requests import Request

    from upscaled.engine.house import House
    from upscaled.engine.uploads import Upload

_TOO_LARGE: Final = f"File size exceeds the {wire.UPLOAD_LIMIT // 1_000_000} MB limit."

_FORM_EXTRA: Final = 64 * 1024
"""Bytes of a multipart body that are not the file: boundaries, headers, other fields."""

_FLUSH: Final = 1024 * 1024

_SHOWABLE: Final = frozenset({*wire.CONTENT_TYPES.values(), "image/gif", "image/bmp", "image/tiff"})
"""What a browser may be told a file is. Anything else could be a page with a script, on our own origin."""


class Media:
    """The endpoints that carry files."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(f"{wire.PREFIX}/media/uploads", self.ticket, methods=["POST"]),
            Route(f"{wire.PREFIX}/media/upload/binary", self.binary, methods=["POST"]),
            Route("/storage/{token}/{secret}", self.store, methods=["PUT"]),
            Route("/media/{token}/{filename}", self.upload, methods=["GET"]),
            Route("/outputs/{name}", self.output, methods=["GET"]),
        ]

    async def ticket(self, request: Request) -> Response:
        """Give leave to upload one file."""
        body = await json_body(request)
        filename, size, kind = body.get("filename"), body.get("size"), body.get("content_type")
        if not isinstance(filename, str) or not filename:
            raise Refusal(400, 'field "filename" is required and must be a string')
        if isinstance(size, bool) or not isinstance(size, int | None) or (size is not None and size < 0):
            raise Refusal(400, 'field "size" must be a number of bytes')
        if size is not None and size > wire.UPLOAD_LIMIT:
            raise Refusal(413, _TOO_LARGE)
        upload = await self._issue(filename, size, kind if isinstance(kind, str) else "")
        return success(self._described(request, upload) | {"upload": self._leave(request, upload)})

    async def store(self, request: Request) -> Response:
        """Take a ticket's file; no key is needed, as its address is the leave. A second time is refused."""
        upload = self._house.uploads.find(request.path_params["token"], self._house.clock())
        if upload is None or not upload.may_write(request.path_params["secret"], self._house.clock()):
            raise Refusal(403, "This upload address is wrong or has expired.")
        if self._house.uploads.content(upload) is not None:
            raise Refusal(412, "This address was written before; ask for another.")
        part = self._house.uploads.part()
        try:
            size = await _received(request, part)
            if upload.size is not None and size != upload.size:
                raise Refusal(400, f"The ticket was for {upload.size} bytes, but {size} came.")
            if not await asyncio.to_thread(self._house.uploads.keep, upload, part):
                raise Refusal(412, "This address was written before; ask for another.")
        finally:
            part.unlink(missing_ok=True)
        return Response(status_code=200)

    async def binary(self, request: Request) -> Response:
        """Take a file from a form's field ``file``."""
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise Refusal(400, 'The body must be multipart/form-data with a field "file".')
        parser = MultiPartParser(request.headers, _limited(request, wire.UPLOAD_LIMIT + _FORM_EXTRA), max_files=1)
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise Refusal(400, f"The form cannot be read: {error.message}") from error
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refusal(400, 'field "file" is required')
            if (file.size or 0) > wire.UPLOAD_LIMIT:
                raise Refusal(413, _TOO_LARGE)
            upload = await self._issue(file.filename or "file", file.size, file.content_type or "")
            await asyncio.to_thread(self._copy, upload, file.file)
        finally:
            await form.close()
        return success(self._described(request, upload))

    async def upload(self, request: Request) -> Response:
        """Show an upload to whoever knows its address."""
        upload = self._house.uploads.find(request.path_params["token"], self._house.clock())
        path = None if upload is None else self._house.uploads.content(upload)
        if upload is None or path is None or upload.filename != request.path_params["filename"]:
            raise Refusal(404, "No such file, or not any more.")
        return _file(path, upload.content_type)

    async def output(self, request: Request) -> Response:
        """Show an output to whoever knows its address."""
        name = request.path_params["name"]
        task = self._house.store.find(name.partition("-")[0], self._house.clock())
        # What is known first: a name that a client made up may be none that the disk can be asked for.
        path = self._house.store.output(name) if task is not None and task.output == name else None
        if path is None:
            raise Refusal(404, "No such file, or not any more.")
        return _file(path, wire.CONTENT_TYPES.get(name.rpartition(".")[2], ""))

    async def _issue(self, filename: str, size: int | None, kind: str) -> Upload:
        uploads, now = self._house.uploads, self._house.clock()
        return await asyncio.to_thread(lambda: uploads.issue(filename, now, size=size, content_type=kind))

    def _copy(self, upload: Upload, source: IO[bytes]) -> None:
        part = self._house.uploads.part()
        try:
            with part.open("wb") as target:
                shutil.copyfileobj(source, target, _FLUSH)
            self._house.uploads.keep(upload, part)
        finally:
            part.unlink(missing_ok=True)

    def _described(self, request: Request, upload: Upload) -> dict[str, Any]:
        return {
            "type": upload.content_type.partition("/")[0],
            "download_url": self._house.media_url(request, upload),
            "filename": upload.filename,
            "size": upload.size,
        }

    def _leave(self, request: Request, upload: Upload) -> dict[str, Any]:
        return {
            "method": "PUT",
            "url": f"{self._house.base(request)}/storage/{upload.token}/{upload.secret}",
            "headers": {"Content-Type": upload.content_type, "If-None-Match": "*"},
            "expires_at": wire.write_time(datetime.fromtimestamp(upload.created_at + TICKET_LIFE, UTC)),
        }


async def _received(request: Request, path: Path) -> int:
    """Write a body to a file, and return its size in bytes."""
    size, waiting = 0, bytearray()
    with path.open("wb") as file:
        async for chunk in _limited(request, wire.UPLOAD_LIMIT):
            size += len(chunk)
            waiting += chunk
            if len(waiting) >= _FLUSH:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
    return size


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Give a body's chunks. Raises `Refusal` before reading what says that it is too large, else as soon as it is."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise Refusal(413, _TOO_LARGE)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Refusal(413, _TOO_LARGE)
        yield chunk


def _file(path: Path, content_type: str) -> Response:
    kind = content_type if content_type in _SHOWABLE else "application/octet-stream"
    return FileResponse(path, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})
