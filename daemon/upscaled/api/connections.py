"""The HTTP clients under `upscaled.api.client`, one per role, and what must be true of them whatever they carry.

It is separate because everything here is about connections and nothing about the service: pools, keep-alive, proxies,
TLS. The roles do not share a pool, so that a hundred slow transfers never keep a submit waiting.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

if TYPE_CHECKING:
    import ssl

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

KEEP_PAID = 5.0
"""The same for paid requests. Short, because a request that meets a connection the server is just closing leaves it
open whether it was acted upon, and a new connection costs far less than finding that out."""


class Transport(AiohttpTransport):
    """aiohttp under httpx's interface, as several times cheaper, and without the habits that suit a browser."""

    def get_client(self) -> aiohttp.ClientSession:
        """Return a session that keeps no cookies, and sends no header that was not asked for."""
        if isinstance(self.client, aiohttp.ClientSession):
            return self.client
        connector = aiohttp.TCPConnector(
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
            ssl=self.ssl_context,
        )
        return aiohttp.ClientSession(
            connector=connector,
            read_bufsize=CHUNK,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its answer's body comes in larger pieces than the library's 16 KB."""
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, AiohttpResponseStream)
        response.stream.CHUNK_SIZE = CHUNK
        return response


class Client(httpx.AsyncClient):
    """httpx over `Transport`, for direct connections and through the proxies that the environment names alike."""

    def _init_transport(self, *_: Any, **given: Any) -> httpx.AsyncBaseTransport:
        transport: httpx.AsyncBaseTransport | None = given.pop("transport")
        return Transport(**given) if transport is None else transport

    def _init_proxy_transport(self, *args: Any, **given: Any) -> httpx.AsyncBaseTransport:
        return Transport(proxy=args[0], **given)


@dataclass(frozen=True, slots=True)
class Connections:
    """One client a role: ``control`` for small requests, ``paid`` for submits, ``up`` and ``down`` for transfers."""

    control: httpx.AsyncClient
    paid: httpx.AsyncClient
    up: httpx.AsyncClient
    down: httpx.AsyncClient

    @classmethod
    def open(cls, *, timeout: float, transfers: int, transport: httpx.AsyncBaseTransport | None) -> Self:
        """Make the clients; nothing is connected yet. ``timeout`` is seconds of silence, ``transfers`` connections.

        With a ``transport`` (the embedded engine's, or a test's) all roles share it.
        """
        context = _tls() if transport is None else True

        def client(connections: int, keep: float) -> httpx.AsyncClient:
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
