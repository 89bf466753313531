"""The test service's other origin: the storage that uploads are PUT to, and the host of the outputs.

Both refuse a request that carries a key, which has no business there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.support.service_faulty import Cut, misbehave, page
from tests.support.service_pictures import FORMATS, Result, render

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.support.service_faults import Fault
    from tests.support.service_world import Blob, World


class Files:
    """The handlers."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/storage/{token}", self.put, methods=["PUT"]),
            Route("/inputs/{token}/{name}", self.input, methods=["GET"]),
            Route("/output/{name}", self.output, methods=["GET"]),
            Route("/moved/output/{name}", self.output, methods=["GET"]),
        ]

    async def put(self, request: Request) -> Response:
        """``PUT`` of an upload, with exactly the headers that its ticket named; once."""
        request.scope["tests.note"]["kind"] = "put"
        data = await request.body()
        blob = self.world.blobs.get(request.path_params["token"])
        fault = self.world.faults.choose("put", blob.name if blob else "")

        async def make() -> Response:
            refused = self._refuse(request, blob, len(data))
            if refused is None and blob is not None:
                self.world.store(blob, data)
            return refused or Response(status_code=200, headers={"ETag": '"0"'})

        if fault is None:
            return await make()
        request.scope["tests.note"]["fault"] = fault.do
        if fault.do in STORAGE:
            return storage_error(int(fault.do))
        return await misbehave(self.world, fault, make)

    def _refuse(self, request: Request, blob: Blob | None, size: int) -> Response | None:
        headers = request.headers
        if "authorization" in headers:
            return storage_error(400)
        if blob is None or request.query_params.get("X-Signature") != blob.signature or blob.expires < self.world.now():
            return storage_error(403)
        if headers.get("if-none-match") != "*" or headers.get("content-type", "") != blob.content_type:
            return storage_error(403)
        if blob.sha256:
            return storage_error(412)
        return None if size == blob.size else storage_error(400)

    async def input(self, request: Request) -> Response:
        """``GET`` of an upload."""
        request.scope["tests.note"]["kind"] = "input"
        found = self.world.read(request.url.path)
        if found is None or "authorization" in request.headers:
            return storage_error(404 if found is None else 400)
        return Response(found[1], media_type=found[0].content_type)

    async def output(self, request: Request) -> Response:
        """``GET`` of a result."""
        request.scope["tests.note"]["kind"] = "output"
        if "authorization" in request.headers:
            return storage_error(400)
        task = self.world.find(request.path_params["name"].partition("-")[0])
        finished = await asyncio.to_thread(self.world.finish, task) if task is not None else None
        if task is None or finished is None:
            return storage_error(404)

        async def make() -> Response:
            return Response(finished.data, media_type=finished.content_type)

        moved = request.url.path.startswith("/moved/")
        fault = None if moved else self.world.faults.choose("output", task.id + " " + task.image)
        if fault is None:
            return await make()
        request.scope["tests.note"]["fault"] = fault.do
        special = await asyncio.to_thread(self._special, fault, finished, request)
        return special or await misbehave(self.world, fault, make)

    def _special(self, fault: Fault, finished: Result, request: Request) -> Response | None:
        source = Response(finished.data, media_type=finished.content_type)
        if fault.do == "short":
            return Cut(source, "body")
        if fault.do == "corrupt":
            middle = len(finished.data) // 2
            data = finished.data[:middle] + bytes(len(finished.data) - middle)
            return Response(data, media_type=finished.content_type)
        if fault.do == "html":
            return page(200)
        if fault.do == "redirect":
            return RedirectResponse("/moved" + request.url.path, 302)
        if fault.do in ("wrong-type", "wrong-aspect"):
            return self._wrong(fault.do, finished, request)
        return storage_error(int(fault.do)) if fault.do in STORAGE else None

    def _wrong(self, how: str, finished: Result, request: Request) -> Response:
        task = self.world.tasks[request.path_params["name"].partition("-")[0]]
        aspect = 0.5 if how == "wrong-aspect" else 1.0
        other = "png" if finished.format != "png" else "jpeg"
        found = self.world.read(task.image)
        assert found is not None
        kind = other if how == "wrong-type" else finished.format
        made = render(found[1], task.inputs, self.world.settings.targets, aspect=aspect, kind=kind)
        return Response(made.data, media_type=FORMATS[finished.format])


STORAGE = {
    "400": "InvalidRequest",
    "403": "AccessDenied",
    "404": "NoSuchKey",
    "410": "Gone",
    "412": "PreconditionFailed",
    "413": "EntityTooLarge",
    "429": "SlowDown",
    "500": "InternalError",
    "503": "SlowDown",
}


def storage_error(status: int) -> Response:
    """Return a storage's error, as XML with the parts of the signature that such errors repeat."""
    code = STORAGE[str(status)]
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><StringToSign>secret-signature</StringToSign></Error>"
    return Response(text, status, media_type="application/xml")
