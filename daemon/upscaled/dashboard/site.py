"""The routes, and everything they need, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from upscaled.config.listening import Address
from upscaled.dashboard import images, orders, pages, protection
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.protection import Extras, Hosts, Protection

STATIC = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "icon.png": "image/png",
    "none.png": "image/png",
}
"""The files of our own that a page may ask for. There is no way to any other."""

Page = Callable[[Desk, Request], Awaitable[Response]]


def create_app(desk: Desk, listen: Address, extras: Extras | None = None) -> Starlette:
    """Return the application: every page of ours, and the routes of others, behind one protection."""
    extras = extras or Extras()

    def route(path: str, page: Page, *methods: str) -> Route:
        return Route(path, partial(_answer, desk, page), methods=methods or ("GET",))

    routes = [
        route("/", pages.overview),
        route("/jobs/{job}", pages.picture),
        route("/history", pages.history),
        route("/review", pages.review),
        route("/events", pages.events),
        route("/jobs/{job}/thumb", images.thumb),
        route("/jobs/{job}/preview/{side}", images.preview),
        route("/jobs/{job}/{side}", images.full),
        route("/orders/{order}", orders.for_jobs, "POST"),
        route("/folders/{folder}/{order}", orders.for_folder, "POST"),
        route(protection.LOGIN, pages.login, "GET", "POST"),
        route("/logout", pages.logout, "POST"),
        Route("/static/{name}", static),
        *extras.routes,
    ]
    hosts = Hosts(listen, desk.settings().dashboard.hosts)
    front = Middleware(
        Protection, access=desk.access, hosts=hosts, tries=desk.tries, open_paths=extras.open, now=desk.now
    )
    return Starlette(routes=routes, middleware=[front])


async def _answer(desk: Desk, page: Page, request: Request) -> Response:
    return await page(desk, request)


async def static(request: Request) -> Response:
    """Return one of our own files."""
    name = request.path_params["name"]
    if name not in STATIC:
        return protection.refused(404, "There is no such file.")
    content = resources.files("upscaled.dashboard").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})
