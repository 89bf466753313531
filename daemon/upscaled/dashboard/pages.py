"""The pages: each reads what it shows in a thread, and fills a template with it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from upscaled.dashboard import history as jobs
from upscaled.dashboard import protection, view
from upscaled.dashboard.access import SESSION
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.forms import form_of, not_from_us, own_path
from upscaled.dashboard.history import Wanted
from upscaled.dashboard.images import exact
from upscaled.dashboard.templating import render
from upscaled.files.names import printable
from upscaled.job.model import Standing

log = structlog.get_logger()

ON_REVIEW = 24
"""Pictures on the review page."""


def page(desk: Desk, request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Return a filled template; with ``?live`` only the part of it that changes by itself."""
    session = protection.session_of(request.headers)
    query = [(key, value) for key, value in request.query_params.multi_items() if key not in {"said", "live"}]
    text = render(
        template,
        form_token=desk.access.form(session),
        locked=not desk.access.open,
        live_only="live" in request.query_params,
        said=desk.sayings.find(request.query_params.get("said", "")),
        here=request.url.path + (f"?{urlencode(query)}" if query else ""),
        path=request.url.path,
        now=desk.now(),
        **values,
    )
    return HTMLResponse(text, status_code)


def missing(desk: Desk, request: Request, what: str) -> Response:
    """Return the page for what is not there."""
    return page(desk, request, "missing.html", 404, what=what)


async def overview(desk: Desk, request: Request) -> Response:
    """Show what needs a person, the folders, what runs and waits, and what was spent."""
    found = await asyncio.to_thread(view.overview, desk.ledger, desk.settings(), desk.plots, desk.now())
    found.pop("now")
    return page(desk, request, "overview.html", **found)


async def picture(desk: Desk, request: Request) -> Response:
    """Show one picture: before and after, and its whole story."""
    job = await asyncio.to_thread(exact, desk, request.path_params["job"])
    if job is None:
        return missing(desk, request, "There is no such job.")
    found = await asyncio.to_thread(view.picture, desk.ledger, job, desk.settings(), desk.folders())
    return page(desk, request, "picture.html", **found)


async def history(desk: Desk, request: Request) -> Response:
    """Show jobs as a grid of thumbnails, newest first."""
    asked = request.query_params
    inboxes = list(desk.folders())
    wanted = Wanted(
        name=asked.get("name", "").strip()[:200],
        folder=_numbered(inboxes, asked.get("folder", "")),
        standing=asked.get("standing"),
        review=asked.get("review"),
        day=asked.get("day"),
    )
    found = await asyncio.to_thread(jobs.page, desk.ledger, wanted, asked.get("after"))
    keep = {key: asked[key] for key in ("name", "folder", "standing", "review", "day") if asked.get(key)}
    return page(
        desk,
        request,
        "history.html",
        jobs=found.jobs,
        wanted=wanted,
        folder=asked.get("folder", ""),
        folders=[printable(inbox) for inbox in inboxes],
        standings=[str(standing) for standing in Standing],
        first=f"/history?{urlencode(keep)}" if asked.get("after") else None,
        following=f"/history?{urlencode({**keep, 'after': found.after})}" if found.after else None,
    )


def _numbered(inboxes: list[str], number: str) -> str | None:
    return inboxes[int(number)] if number.isdecimal() and int(number) < len(inboxes) else None


async def review(desk: Desk, request: Request) -> Response:
    """Show the results that wait for a person, the oldest first."""
    await asyncio.to_thread(desk.court.settle, now=desk.now())
    waiting = await asyncio.to_thread(desk.ledger.in_review, ON_REVIEW)
    profiles = list(desk.settings().profiles)
    return page(desk, request, "review.html", jobs=waiting, profiles=profiles, full=len(waiting) == ON_REVIEW)


async def events(desk: Desk, _request: Request) -> Response:
    """Tell what happens, for as long as somebody looks."""
    if desk.feed.full:
        return protection.refused(503, "Too many are looking already.")
    return StreamingResponse(desk.feed.read(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def login(desk: Desk, request: Request) -> Response:
    """Ask for the token, and give a cookie for it."""
    target = own_path(request.query_params.get("next", "/"))
    if request.method != "POST":
        return page(desk, request, "login.html", target=target, wrong="")
    fields = await form_of(desk, request)
    if fields is None:
        return not_from_us()
    address, now = protection.client_of(request), desk.now()
    if wait := desk.tries.wait(address, now):
        return protection.too_often(wait)
    if not desk.access.right(fields.get("token", "")):
        desk.tries.failed(address, now)
        log.warning("dashboard.wrong_token", address=address)
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
