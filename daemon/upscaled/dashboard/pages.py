"""The pages: each reads what it shows in a thread, and fills a template with it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from upscaled import status
from upscaled.dashboard import protection
from upscaled.dashboard.access import SESSION
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.templating import render

FIELDS = 500
"""The most fields of a form."""


def page(desk: Desk, request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Return a filled template; with ``?live`` only the part of it that changes by itself."""
    session = protection.session_of(request.headers)
    text = render(
        template,
        form_token=desk.access.form(session),
        locked=not desk.access.open,
        live_only="live" in request.query_params,
        path=request.url.path,
        **values,
    )
    return HTMLResponse(text, status_code)


async def form_of(desk: Desk, request: Request) -> dict[str, str] | None:
    """Return a form's fields, or None when it does not come from a page of ours."""
    body = (await request.body()).decode("utf-8", "surrogateescape")
    fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS, errors="surrogateescape"))
    session = protection.session_of(request.headers)
    return fields if desk.access.from_us(fields.pop("form_token", ""), session) else None


def not_from_us() -> Response:
    """Return what is said to a form that is not ours, or was on a page from before the daemon was started again."""
    return protection.refused(
        403, "This form is not from a page of this run of upscaled. Reload the page and try again."
    )


async def overview(desk: Desk, request: Request) -> Response:
    """Show what needs a person, the folders, what runs and waits, and what was spent."""
    folders = [str(folder.inbox) for folder in desk.settings().folders]
    found = await asyncio.to_thread(status.summary, desk.ledger, inboxes=folders, now=desk.now(), running=True)
    return page(desk, request, "overview.html", status=found)


async def events(desk: Desk, _request: Request) -> Response:
    """Tell what happens, for as long as somebody looks."""
    if desk.feed.full:
        return protection.refused(503, "Too many are looking already.")
    return StreamingResponse(desk.feed.read(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def login(desk: Desk, request: Request) -> Response:
    """Ask for the token, and give a cookie for it."""
    target = _own_path(request.query_params.get("next", "/"))
    if request.method == "GET":
        return page(desk, request, "login.html", target=target, wrong="")
    fields = await form_of(desk, request)
    if fields is None:
        return not_from_us()
    address, now = protection.client_of(request), desk.now()
    if wait := desk.tries.wait(address, now):
        return protection.too_often(wait)
    if not desk.access.right(fields.get("token", "")):
        desk.tries.failed(address, now)
        return page(desk, request, "login.html", 403, target=target, wrong="That is not the token.")
    response = RedirectResponse(target, 303)
    response.set_cookie(
        protection.COOKIE,
        desk.access.session(now),
        max_age=int(SESSION),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def logout(desk: Desk, request: Request) -> Response:
    """Take the cookie back."""
    if await form_of(desk, request) is None:
        return not_from_us()
    response = RedirectResponse(protection.LOGIN, 303)
    response.delete_cookie(protection.COOKIE, httponly=True, samesite="strict")
    return response


def _own_path(target: str) -> str:
    """Return where to go after login: a path of ours, never another site."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() else "/"
