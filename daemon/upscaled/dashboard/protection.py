"""What stands in front of every page: each request passes here first, and each answer last.

One ASGI middleware with a rule a method, so that no page can forget one:

    sizes       a body is small, as only forms are sent (header sizes are the server's limit)
    host        a page is asked for by a name that is ours: a foreign name for our address is DNS rebinding
    token       where one is configured: as a cookie after login, or as ``Authorization: Bearer`` for programs
    origin      a change is a POST from our own pages; the form's own proof is looked at where forms are read
    headers     nothing from elsewhere is loaded, run, framed, guessed or told where it was linked from

`Extras` are the routes of others (metrics, health, webhooks); the ``open`` ones among them look after themselves.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upscaled.config.listening import Address
from upscaled.dashboard.access import Access, Tries

log = structlog.get_logger()

COOKIE: Final = "upscaled_session"

LARGEST_BODY: Final = 16 * 1024
"""The largest body of a request, in bytes: a form with a few hundred job ids."""

LOGIN: Final = "/login"

_PUBLIC: Final = (LOGIN, "/static/")
"""What somebody without a token may ask for: the login form and what it looks like."""

_SAFE: Final = frozenset({"GET", "HEAD"})

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Extras:
    """Routes of others that are served here too. The paths in ``open`` (whole paths) look after themselves: neither
    Host, token, origin nor size is looked at for them. ``request.state.known()`` tells them whether whoever asks could
    see the pages.
    """

    routes: Sequence[BaseRoute] = ()
    open: frozenset[str] = frozenset()


class Hosts:
    """The names that a page may be asked for by.

    Beyond this computer an IP address is always one of them: rebinding needs a name that a stranger chose.
    """

    def __init__(self, listen: Address, further: Iterable[str], *, machine: str = "") -> None:
        machine = (machine or socket.gethostname()).lower()
        self._beyond = not listen.loopback
        names = {"localhost", listen.host.lower(), *(_bare(name) for name in further)}
        self._names = names | ({machine, machine.partition(".")[0], f"{machine.partition('.')[0]}.local"})

    def ours(self, host: str) -> bool:
        """Is this value of a Host header one of them? Its port does not matter: it is the name that a stranger has."""
        if "@" in host or "/" in host:
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._beyond or address.is_loopback


def _bare(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]")


class Protection:
    """The middleware. ``now`` gives seconds since the epoch."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        hosts: Hosts,
        tries: Tries,
        open_paths: frozenset[str] = frozenset(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts
        self._tries = tries
        self._open = open_paths
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if scope["path"] in self._open:
            request.state.known = lambda: not (self._host(request) or self._token(request))
            await self._app(scope, receive, send)
            return
        refusal = self._host(request) or self._token(request) or self._origin(request) or self._length(request)
        await (refusal or self._app)(scope, receive, _dressed(send))

    def _host(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self._hosts.ours(host):
            return None
        why = (
            "This page is not known by that name. If the name is right, add it to dashboard.hosts in the configuration."
        )
        return refused(421, why)

    def _token(self, request: Request) -> Response | None:
        path = request.url.path
        if self._access.open or path == LOGIN or path.startswith(_PUBLIC[1]):
            return None
        bearer = request.headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            return self._bearer(request, bearer[7:].strip())
        if self._access.admits(session_of(request.headers), self._now()):
            return None
        if request.method in _SAFE and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"{LOGIN}?next={quote(path)}", 303)
        response = refused(401, "Show the token: log in, or send it as `Authorization: Bearer TOKEN`.")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _bearer(self, request: Request, token: str) -> Response | None:
        address, now = client_of(request), self._now()
        if wait := self._tries.wait(address, now):
            return too_often(wait)
        if self._access.right(token):
            return None
        self._tries.failed(address, now)
        log.warning("dashboard.wrong_token", address=address)
        return refused(401, "That is not the token.")

    def _origin(self, request: Request) -> Response | None:
        """Refuse what another site's page sends. Old browsers say nothing of it; the form's proof stops those."""
        if request.method in _SAFE:
            return None
        if request.method != "POST":
            return refused(405, "Only GET and POST are known here.")
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return refused(403, "This came from another site's page.")
        origin = request.headers.get("origin", "null")
        # `null` is what a browser sends that was told to say nothing of where it comes from, as we tell it.
        if origin != "null" and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return refused(403, "This came from another site's page.")
        return None

    def _length(self, request: Request) -> Response | None:
        # The server takes no byte more than was announced.
        if "transfer-encoding" in request.headers:
            return refused(411, "Say how long the request is.")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) <= LARGEST_BODY:
            return None
        return refused(413, "The request is too large.")


def _dressed(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return dressed


def refused(status: int, why: str) -> Response:
    """Return a refusal in plain words."""
    return PlainTextResponse(f"{why}\n", status)


def too_often(wait: float) -> Response:
    """Return what somebody is told who has shown too many wrong tokens."""
    seconds = str(int(wait) + 1)
    response = refused(429, f"Too many wrong tokens. Wait {seconds} seconds.")
    response.headers["Retry-After"] = seconds
    return response


def session_of(headers: Headers) -> str:
    """Return the session's cookie, empty where there is none."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def client_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else ""
