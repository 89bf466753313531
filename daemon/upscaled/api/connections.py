"""The HTTP clients under `upscaled.api.client`, one per role, and what must be true of them whatever they carry.

It is separate because everything here is about connections and nothing about the service: pools, keep-alive, proxies,
TLS. The roles do not share a pool, so that a hundred slow transfers never keep a submit waiting.
"""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

CONNECT = 10.0
"""Longest wait for a connection, in seconds, as in the official clients."""

CONTROL = 32
"""Connections for small requests; more bring nothing, as each is held for one round trip."""

REDIRECTS = 5
"""How often the host of an output may send us on."""

KEEP = 75.0
"""How long an idle connection is kept, in seconds: longer than the gap between two polls."""

CHUNK = 256 * 1024
"""Bytes handed on at a time, where so many have come: each step through the layers costs the same for few and many."""

OPENING = 4
"""Connections to a host that a role opens at a time: a handshake of TLS takes milliseconds of the event loop, and a
burst of requests would have dozens of them at once."""

KEEP_PAID = 5.0
"""The same for paid requests. Short, because a request that meets a connection the server is just closing leaves it
open whether it was acted upon, and a new connection costs far less than finding that out."""


class Transport(AiohttpTransport):
    """aiohttp under httpx's interface, as several times cheaper, and without the habits that suit a browser."""

    def get_client(self) -> aiohttp.ClientSession:
        """Return a session that keeps no cookies, and sends no header that was not asked for."""
        if isinstance(self.client, aiohttp.ClientSession):
            return self.client
        connector = _Connector(
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
            ssl=self.ssl_context,
        )
        self.client = aiohttp.ClientSession(
            connector=connector,
            read_bufsize=CHUNK,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        return self.client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request once. What breaks is raised as aiohttp's own errors, which tell more than httpx's.

        The library's version does the same at twice the cost, with pieces of 16 KB.
        """
        answer = await self.get_client().request(
            request.method,
            str(request.url),
            headers=_headers(request),
            data=_content(request),
            allow_redirects=False,
            timeout=_patience(*map(request.extensions.get("timeout", {}).get, ("connect", "read", "pool"))),
            **self._by_proxy,
        )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    @functools.cached_property
    def _by_proxy(self) -> dict[str, Any]:
        if self.proxy is None:
            return {}
        auth = aiohttp.BasicAuth(*self.proxy.auth) if self.proxy.auth else None
        return {"proxy": str(self.proxy.url), "proxy_auth": auth, "proxy_headers": self.proxy.headers}


class _Connector(aiohttp.TCPConnector):
    """Connections as aiohttp makes them, a few at a time."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # Each host has its own: one that does not answer keeps no other waiting.
        self._opening: dict[str | None, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(OPENING))

    async def _create_connection(self, req: aiohttp.ClientRequest, *args: Any, **given: Any) -> Any:
        async with self._opening[req.url.host]:
            return await super()._create_connection(req, *args, **given)


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes, in pieces of what there is."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.content.iter_chunked(CHUNK):
            yield piece

    async def aclose(self) -> None:
        """Give the connection back, or close it where something is left to be read."""
        await self._answer.__aexit__(None, None, None)


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    # How a body of unknown length is sent is aiohttp's business.
    return [pair for pair in pairs if pair[0].lower() != "transfer-encoding"]


def _content(request: httpx.Request) -> bytes | httpx.AsyncByteStream | None:
    try:
        return request.content or None
    except httpx.RequestNotRead:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return request.stream


@functools.lru_cache
def _patience(connect: float | None, read: float | None, pool: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=pool, sock_connect=connect, sock_read=read)


class Client(httpx.AsyncClient):
    """httpx over `Transport`, for direct connections and through the proxies that the environment names alike."""

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer, unread: nothing is followed, kept, or sent again.

        `send` does the same by way of what is for browsers (authentication, redirects, cookies), which costs more than
        all the rest of a small request.
        """
        response = await self._transport_for_url(request.url).handle_async_request(request)
        response.request = request
        return response

    def _init_transport(self, *_: Any, **given: Any) -> httpx.AsyncBaseTransport:
        transport: httpx.AsyncBaseTransport | None = given.pop("transport")
        return Transport(**given) if transport is None else transport

    def _init_proxy_transport(self, *args: Any, **given: Any) -> httpx.AsyncBaseTransport:
        return Transport(proxy=args[0], **given)


@dataclass(frozen=True, slots=True)
class Connections:
    """One client a role: ``control`` for small requests, ``paid`` for submits, ``up`` and ``down`` for transfers."""

    control: Client
    paid: Client
    up: Client
    down: Client

    @classmethod
    def open(cls, *, timeout: float, transfers: int, transport: httpx.AsyncBaseTransport | None) -> Self:
        """Make the clients; nothing is connected yet. ``timeout`` is seconds of silence, ``transfers`` connections.

        With a ``transport`` (the embedded engine's, or a test's) all roles share it.
        """
        context = _tls() if transport is None else True

        def client(connections: int, keep: float) -> Client:
            limits = httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=keep
            )
            # The wait for a free connection includes connecting, so it is not shorter than the request's own.
            patience = httpx.Timeout(timeout, connect=min(CONNECT, timeout), pool=max(CONNECT, timeout))
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
            made = Client(timeout=patience, limits=limits, verify=context, transport=transport, cookies=no_cookies)
            made.headers.clear()
            made.max_redirects = REDIRECTS
            return made

        return cls(
            control=client(CONTROL, KEEP),
            paid=client(CONTROL, KEEP_PAID),
            up=client(transfers, KEEP),
            down=client(transfers, KEEP),
        )

    async def close(self) -> None:
        """Close every connection. What is under way on them breaks off."""
        for client in (self.control, self.paid, self.up, self.down):
            await client.aclose()


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's certificates, read once: that takes longer than all else at the start."""
    return httpx.create_ssl_context()
