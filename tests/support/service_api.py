"""The API of the test service as an ASGI application: submit, results, history, tickets, money, and its controls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.service_faults import Fault
from tests.support.service_faulty import Make, misbehave, refusal, success
from tests.support.service_world import Refusal, Task, World

if TYPE_CHECKING:
    from starlette.requests import Request

Special = Callable[[Fault], Awaitable[Response | None]]

ENDINGS = {
    "failed": (1405, "Task failed."),
    "cancelled": (0, "The task was cancelled."),
    "timeout": (5004, "The task timed out."),
    "deleted": (0, ""),
}
ALLOWED = {"target_resolution": ("2k", "4k", "8k"), "output_format": ("jpeg", "png", "webp")}


class Api:
    """The handlers. Each first asks the script whether it is to misbehave."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes, the catch-all for models last."""

        def route(
            path: str, kind: str, handler: Callable[[Request], Awaitable[Response]], method: str = "POST"
        ) -> Route:
            return Route("/api/v3" + path, self._guarded(kind, handler), methods=[method])

        return [
            Route("/_control", self.control, methods=["GET", "POST"]),
            route("/predictions/{id}/result", "result", self.result, "GET"),
            route("/predictions/{id}", "result", self.result, "GET"),
            route("/predictions", "history", self.history),
            route("/predictions/delete", "delete", self.delete),
            route("/media/uploads", "ticket", self.ticket),
            route("/media/upload/binary", "binary", self.binary),
            route("/balance", "balance", self.balance, "GET"),
            route("/model/price", "price", self.price),
            route("/model/pricing", "pricing", self.pricing),
            route("/billings/search", "billings", self.billings),
            route("/{model:path}", "submit", self.submit),
        ]

    def _guarded(
        self, kind: str, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            request.scope["tests.note"]["kind"] = kind
            if request.headers.get("Authorization") != f"Bearer {self.world.settings.key}":
                return refusal(401, "Invalid API key. Verify the key on your dashboard's API Keys page.")
            try:
                return await handler(request)
            except Refusal as refused:
                return refusal(refused.status, refused.message, refused.headers)

        return guarded

    async def _answer(
        self, request: Request, on: str, subject: str, make: Make, special: Special | None = None
    ) -> Response:
        """Answer properly, or as the script says; ``special`` handles the faults that belong to one kind only."""
        fault = self.world.faults.choose(on, subject)
        if fault is None:
            return await make()
        request.scope["tests.note"]["fault"] = fault.do
        answer = await special(fault) if special is not None else None
        return answer if answer is not None else await misbehave(self.world, fault, make)

    # --- predictions -------------------------------------------------------------------------------------------------

    async def submit(self, request: Request) -> Response:
        """``POST /{model}``: check, charge, create."""
        inputs = await _json(request)
        model = request.path_params["model"]

        async def make() -> Response:
            self._check_model(model)
            _check(inputs)
            task = self.world.submit(model, inputs)
            if inputs.get("enable_sync_mode"):
                return await self._synchronous(task)
            if task.finishes > task.created:
                # However late this answer comes: it was made when nothing had begun.
                return success(self._outline(task) | {"status": "created"})
            return success(await self.describe(task))

        return await self._answer(request, "submit", str(inputs.get("image", "")), make)

    async def _synchronous(self, task: Task) -> Response:
        limit = self.world.settings.sync_limit
        await self.world.sleep(max(0.0, min(limit, task.finishes - self.world.now())))
        body = await self.describe(task)
        if body["status"] in ("created", "processing"):
            words = f"Sync mode timed out after {limit:.0f} seconds. The prediction is still processing asynchronously."
            body |= {"status": "processing", "code": 5004, "error": words}
        return success(body)

    async def result(self, request: Request) -> Response:
        """``GET /predictions/{id}/result``."""
        task = self._task(request.path_params["id"])

        async def make() -> Response:
            return success(await self.describe(task))

        async def special(fault: Fault) -> Response | None:
            if fault.do in ENDINGS:
                code, words = ENDINGS[fault.do]
                self.world.end(task, fault.do, fault.args.get("code", code), fault.args.get("error", words))
                return await make()
            distort = DISTORTIONS.get(fault.do)
            return success(distort(await self.describe(task))) if distort else None

        return await self._answer(request, "result", task.id, make, special)

    async def history(self, request: Request) -> Response:
        """``POST /predictions``."""
        wanted = await _json(request)
        if not isinstance(wanted.get("page"), int) or not 1 <= int(wanted.get("page_size") or 0) <= 100:
            raise Refusal(400, 'field "page_size" must be between 1 and 100')

        async def make() -> Response:
            first = (wanted["page"] - 1) * wanted["page_size"]
            tasks = self.world.history(wanted)[first : first + wanted["page_size"]]
            items = [self._listed(task, inputs=bool(wanted.get("include_inputs"))) for task in tasks]
            return success({"page": wanted["page"], "items": items})

        async def special(fault: Fault) -> Response | None:
            return success({"page": wanted["page"], "items": None}) if fault.do == "no-items" else None

        return await self._answer(request, "history", str(wanted.get("model", "")), make, special)

    async def delete(self, request: Request) -> Response:
        """``POST /predictions/delete``."""
        ids = (await _json(request)).get("ids") or []

        async def make() -> Response:
            return success({"deleted_count": self.world.delete(ids)})

        return await self._answer(request, "delete", " ".join(map(str, ids)), make)

    def _check_model(self, model: str) -> None:
        if model not in self.world.settings.models:
            raise Refusal(404, f'Model "{model}" not found. Please check the model identifier.')

    def _task(self, prediction_id: str) -> Task:
        task = self.world.find(prediction_id)
        if task is None:
            raise Refusal(404, "Prediction not found.")
        return task

    def _listed(self, task: Task, *, inputs: bool) -> dict[str, Any]:
        item = self._outline(task)
        item["outputs"] = self._outputs(task) if item["status"] == "completed" else []
        if inputs and self.world.settings.listing_inputs:
            item[self.world.settings.listing_inputs] = task.inputs
        return item

    async def describe(self, task: Task) -> dict[str, Any]:
        """Return a task as its result shows it; one that is due is made here."""
        finished = await asyncio.to_thread(self.world.finish, task)
        body = self._outline(task)
        if finished is not None:
            asked = task.inputs.get("enable_base64_output")
            body["outputs"] = [finished.base64] if asked else self._outputs(task)
            body["timings"] = {"inference": round((task.finishes - task.starts) * 1000)}
            if self.world.settings.nsfw != "absent":
                body["has_nsfw_contents"] = self.world.settings.nsfw
        return body

    def _outputs(self, task: Task) -> list[str]:
        return [
            f"{self.world.files_url}/output/{task.id}-u1_{task.id[::-1]}.{task.inputs.get('output_format', 'jpeg')}"
        ]

    def _outline(self, task: Task) -> dict[str, Any]:
        return {
            "id": task.id,
            "model": task.model,
            "outputs": [],
            "urls": {"get": f"{self.world.url}/api/v3/predictions/{task.id}/result"},
            "status": self.world.status(task),
            "created_at": datetime.fromtimestamp(task.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "code": task.code,
            "error": task.error,
            "timings": {"inference": 0},
        }

    # --- uploads -----------------------------------------------------------------------------------------------------

    async def ticket(self, request: Request) -> Response:
        """``POST /media/uploads``."""
        wanted = await _json(request)
        name = str(wanted.get("filename", ""))

        async def make(*, expired: bool = False) -> Response:
            if not name or not isinstance(wanted.get("size"), int):
                raise Refusal(400, 'field "filename" and field "size" are required')
            blob = self.world.ticket(name, wanted["size"], str(wanted.get("content_type", "")), expired=expired)
            signed = f"{self.world.files_url}/storage/{blob.token}?X-Signature={blob.signature}"
            headers = {"If-None-Match": "*"} | ({"Content-Type": blob.content_type} if blob.content_type else {})
            upload = {"method": "PUT", "url": signed, "headers": headers, "expires_at": self.world.http_date(3600)}
            return success(
                {
                    "type": "image",
                    "download_url": self.world.url_of(blob),
                    "filename": name,
                    "size": wanted["size"],
                    "upload": upload,
                }
            )

        async def special(fault: Fault) -> Response | None:
            if fault.do == "no-address":
                return success({"type": "image", "filename": name})
            return await make(expired=True) if fault.do == "expired" else None

        return await self._answer(request, "ticket", name, make, special)

    async def binary(self, request: Request) -> Response:
        """``POST /media/upload/binary``, a form with one field, ``file``."""
        async with request.form() as form:
            file = form.get("file")
            if file is None or isinstance(file, str):
                raise Refusal(400, 'field "file" is required')
            name, type_, data = file.filename or "", file.content_type or "", await file.read()

        async def make() -> Response:
            blob = self.world.ticket(name, len(data), type_)
            self.world.store(blob, data)
            body = {"type": "image", "download_url": self.world.url_of(blob), "filename": name, "size": len(data)}
            return success(body)

        return await self._answer(request, "binary", name, make)

    # --- money and controls ------------------------------------------------------------------------------------------

    async def balance(self, request: Request) -> Response:
        """``GET /balance``."""

        async def make() -> Response:
            return success({"balance": self.world.balance})

        return await self._answer(request, "balance", "", make)

    async def billings(self, request: Request) -> Response:
        """``POST /billings/search``: one line for each charge, one for each refund, in pages."""
        wanted = await _json(request)
        first = (wanted["page"] - 1) * wanted["page_size"]

        async def make() -> Response:
            lines = self.world.bills(wanted)
            page = lines[first : first + wanted["page_size"]]
            more = len(lines) > first + len(page)
            return success({"page": wanted["page"], "has_more": more, "items": page})

        return await self._answer(request, "billings", "", make)

    async def price(self, request: Request) -> Response:
        """``POST /model/price``, which also validates."""
        return await self._price(request, "price", ("price", "discounted_price"))

    async def pricing(self, request: Request) -> Response:
        """``POST /model/pricing``, its predecessor."""
        return await self._price(request, "pricing", ("unit_price",))

    async def _price(self, request: Request, kind: str, fields: tuple[str, ...]) -> Response:
        wanted = await _json(request)
        model = str(wanted.get("model_id", ""))

        async def make() -> Response:
            self._check_model(model)
            _check_values(wanted.get("inputs") or {})
            prices = dict.fromkeys(fields, self.world.settings.price)
            return success({"model_id": model, "currency": "USD", "discount_rate": 100, **prices})

        return await self._answer(request, kind, model, make)

    async def control(self, request: Request) -> Response:
        """``GET /_control`` tells everything; ``POST`` changes ``settings`` and replaces ``faults``."""
        request.scope["tests.note"]["kind"] = "control"
        if request.method == "POST":
            wanted = await _json(request)
            self.world.set(**wanted.get("settings", {}))
            if "faults" in wanted:
                self.world.script(*map(Fault.read, wanted["faults"]), seed=wanted.get("seed", 0))
        return JSONResponse(self.world.stats())


def _nulls(body: dict[str, Any]) -> dict[str, Any]:
    kept = {"id", "status", "outputs"} if body["status"] == "completed" else {"id", "status"}
    return {key: value if key in kept else None for key, value in body.items()} | {"has_nsfw_contents": None}


DISTORTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "unknown-status": lambda body: body | {"status": "warming-up", "outputs": []},
    "nulls": _nulls,
    "missing-fields": lambda body: {key: body[key] for key in ("id", "status", "outputs")},
    "nanoseconds": lambda body: body | {"created_at": body["created_at"][:-1] + "344148Z"},
    "objects": lambda body: body | {"outputs": [{"url": url} for url in body["outputs"]]},
    "bad-base64": lambda body: body | {"outputs": ["%%%not base64%%%" for _ in body["outputs"]]},
    "no-outputs": lambda body: body | {"outputs": []},
    "another-id": lambda body: body | {"id": "0" * 32},
}


def _check(inputs: dict[str, Any]) -> None:
    if not isinstance(inputs.get("image"), str) or not inputs["image"]:
        raise Refusal(400, 'field "image" is required')
    _check_values(inputs)


def _check_values(inputs: dict[str, Any]) -> None:
    for key, allowed in ALLOWED.items():
        if key in inputs and inputs[key] not in allowed:
            words = f'field "{key}" must be one of [{" ".join(allowed)}], got string "{inputs[key]}"'
            raise Refusal(400, f"{words}; please use one of the allowed values")


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body
