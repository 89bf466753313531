"""How the test service's misbehaviour looks on the wire: cut connections, gateway pages, refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tests.support.service_faults import Fault
    from tests.support.service_world import World

Make = Callable[[], Awaitable[Response]]

CUT = "tests.cut"
"""Key in an ASGI scope of the function that closes the connection under a request."""

REFUSALS: Mapping[str, tuple[int, str]] = {
    "400": (400, 'field "target_resolution" must be one of [2k 4k 8k], got string "9k"; use one of the allowed values'),
    "400-credit": (400, "Insufficient credits. Please top up."),
    "401": (401, "Invalid API key. Verify the key on your dashboard's API Keys page, or contact support@wavespeed.ai."),
    "402": (402, "Insufficient credits. Please top up"),
    "403": (403, "The role of this API key lacks the permission to run models."),
    "404": (404, "Prediction not found."),
    "500": (500, "Internal server error"),
    "503": (503, "Service unavailable"),
}


def success(data: object) -> Response:
    """Return the envelope of a success."""
    return JSONResponse({"code": 200, "message": "success", "data": data})


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the envelope of a refusal, which has no data."""
    return JSONResponse({"code": status, "message": message}, status, dict(headers or {}))


def page(status: int) -> Response:
    """Return a gateway's page, as HTML."""
    text = f"<html><head><title>{status}</title></head><body><center><h1>{status} gateway</h1></center></body></html>"
    return Response(text, status, media_type="text/html", headers={"Server": "stgw"})


class Cut(Response):
    """Sends an answer ``until`` its start, its headers or the middle of its body, and closes the connection."""

    def __init__(self, whole: Response | None, until: str) -> None:
        super().__init__()
        self.whole = whole
        self.until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send that much."""
        if self.whole is not None and self.until != "start":
            body = bytes(self.whole.body)
            headers = [(k, v) for k, v in self.whole.raw_headers if k != b"content-length"]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": self.whole.status_code, "headers": headers})
            part = body[: len(body) // 2] if self.until == "body" else b""
            await send({"type": "http.response.body", "body": part, "more_body": True})
        scope[CUT]()


async def misbehave(world: World, fault: Fault, make: Make) -> Response:
    """Answer as ``fault`` says. ``make`` does what was asked and returns the proper answer.

    ``create-`` and ``store-`` before a fault mean that what was asked is done all the same.
    """
    do, args = fault.do, fault.args
    made: Response | None = None
    if do.startswith(("create-", "store-")):
        made, do = await make(), do.partition("-")[2]
    if do == "slow":
        await world.sleep(args["seconds"])
        return made or await make()
    if do.startswith("drop"):
        return Cut(made, do.partition("-")[2] or "start")
    return _plain(world, do, args)


def _plain(world: World, do: str, args: Mapping[str, Any]) -> Response:
    if do in ("502", "504"):
        return page(int(do))
    if do == "html":
        return page(200)
    if do == "429":
        return _too_many(world, args.get("retry_after"))
    if do == "200-code":
        return JSONResponse({"code": args.get("code", 500), "message": args.get("error", "Something went wrong.")})
    if do == "200-no-id":
        return success({"status": "created", "outputs": []})
    if do == "error-shape":
        return JSONResponse({"error": args.get("error", "Something went wrong.")}, args.get("status", 400))
    if do in REFUSALS:
        return refusal(*REFUSALS[do])
    raise ValueError(f"the test service knows no fault {do!r} here")


def _too_many(world: World, retry_after: object) -> Response:
    if retry_after is None:
        return Response("Too Many Requests", 429, media_type="text/plain")
    value = world.http_date(30) if retry_after == "date" else str(retry_after)
    return refusal(429, "Rate limit exceeded.", {"Retry-After": value})
