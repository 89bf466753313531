"""Pictures for the pages: originals and results as they are, and small ones of them.

A request names a job and never a path. What is served is a picture by its first bytes, whatever it is called, and is
told to the browser as nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from upscaled.dashboard.desk import Desk
from upscaled.dashboard.history import by_ids
from upscaled.dashboard.places import Place, Side, place_of
from upscaled.dashboard.protection import refused
from upscaled.errors import BadPicture, FileTrouble, sentence
from upscaled.files import thumbnails
from upscaled.files.inside import open_inside
from upscaled.files.names import printable
from upscaled.files.structure.kinds import HEAD
from upscaled.job.model import Job

log = structlog.get_logger()

THUMB: Final = 320
"""The longer side of a thumbnail, in pixels."""

PREVIEW: Final = 2048
"""The longer side of what is shown before somebody zooms in, in pixels."""

BLOCK: Final = 1 << 18

_SANDBOX: Final = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
_FOR_EVER: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_ASK_AGAIN: Final = {"Cache-Control": "private, no-cache"}


async def full(desk: Desk, request: Request) -> Response:
    """Return a job's original or result as it is."""
    side: Side = "after" if request.path_params["side"] == "after" else "before"
    place = await asyncio.to_thread(_place, desk, request.path_params["job"], (side,))
    if place is None:
        return _missing()
    tag = f'"{place.digest[:32]}"'
    try:
        file, kind = await asyncio.to_thread(_opened, place)
    except FileTrouble:
        return _missing()
    if kind is None:
        file.close()
        return refused(415, "Browsers do not show such a file.")
    headers = {**_SANDBOX, **_ASK_AGAIN, "ETag": tag, "Content-Disposition": _named(place.name)}
    if place.digest and request.headers.get("if-none-match") == tag:
        file.close()
        return Response(status_code=304, headers=headers)
    return StreamingResponse(_blocks(file), media_type=kind, headers=headers)


async def thumb(desk: Desk, request: Request) -> Response:
    """Return a small picture of a job: of its original, or of its result where the original cannot be shown."""
    return await _small(desk, request, ("before", "after"), THUMB)


async def preview(desk: Desk, request: Request) -> Response:
    """Return a middle-sized picture of a job's original or result."""
    side: Side = "after" if request.path_params["side"] == "after" else "before"
    return await _small(desk, request, (side,), PREVIEW)


async def _small(desk: Desk, request: Request, sides: tuple[Side, ...], edge: int) -> Response:
    for side in sides:
        place = await asyncio.to_thread(_place, desk, request.path_params["job"], (side,))
        content = None if place is None else await _made(desk, request.path_params["job"], place, side, edge)
        if content:
            keep = _FOR_EVER if "v" in request.query_params else _ASK_AGAIN
            return Response(content, media_type="image/webp", headers={**_SANDBOX, **keep})
    return _missing()


async def _made(desk: Desk, job: str, place: Place, side: Side, edge: int) -> bytes | None:
    """Return the small picture, made now unless it was before; empty or None where there is none."""
    name = f"{job}-{side}-{edge}-{place.digest[:16]}.webp"
    found = await asyncio.to_thread(_kept, desk, name)
    if found is not None:
        return found
    # One at a time: a page full of thumbnails must not keep the worker's own pictures waiting.
    async with desk.drawing:
        found = await asyncio.to_thread(_kept, desk, name)
        if found is not None:
            return found
        try:
            target = await asyncio.to_thread(desk.thumbnails.room, name)
            await desk.in_process(thumbnails.make, place.root, place.relative, target, edge)
        except BadPicture as error:
            log.debug("thumbnail.refused", job=job, side=side, reason=sentence(error))
            await asyncio.to_thread(desk.thumbnails.refuse, name)
        except (FileTrouble, OSError) as error:
            log.debug("thumbnail.failed", job=job, side=side, reason=sentence(error))
            return None
        return await asyncio.to_thread(_kept, desk, name)


def _kept(desk: Desk, name: str) -> bytes | None:
    path = desk.thumbnails.find(name)
    return None if path is None else path.read_bytes()


def _place(desk: Desk, prefix: str, sides: tuple[Side, ...]) -> Place | None:
    job = exact(desk, prefix)
    places = (place_of(job, side, desk.folders()) for side in sides) if job else ()
    return next((place for place in places if place is not None), None)


def exact(desk: Desk, job_id: str) -> Job | None:
    """Return the job of this very id."""
    return next(iter(by_ids(desk.ledger, [job_id])), None)


def _opened(place: Place) -> tuple[BinaryIO, str | None]:
    file = open_inside(place.root, place.relative)
    kind = thumbnails.media_type(file.read(HEAD))
    file.seek(0)
    return file, kind


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block
    finally:
        file.close()


def _named(name: str) -> str:
    return f"inline; filename*=UTF-8''{quote(printable(name), safe='')}"


def _missing() -> Response:
    return refused(404, "There is no such picture.")


def shows_itself(name: str) -> bool:
    """Do browsers show a file of this name, going by its ending?"""
    return Path(name).suffix.lower() in {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".avif"}
