"""Requests that the server makes because a client named an address: pictures to fetch, webhooks to tell.

Whoever may name an address must not reach through us what only we can reach: the router, a cloud's metadata, other
services of this machine. So a host is resolved here, every address it has is checked, and the request goes to exactly
the address that was checked (a name that resolves differently a moment later changes nothing). Redirects are followed
only after the same check.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import httpx

from upscaled.api import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_TIMEOUT: Final = httpx.Timeout(30.0)
_REDIRECTS: Final = 3

PATIENCE: Final = 120.0
"""How long a request may take in all, in seconds: a byte now and then would else stop the queue for ever."""

_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""What of IPv6 is given out on the internet; the rest is for a site, a router's translation, or nobody."""


class Reach(StrEnum):
    """Which addresses a client may have us request."""

    NONE = "none"
    PUBLIC = "public"
    """Addresses of the public internet alone."""
    ANY = "any"
    """Also private networks and this machine: only where every client is trusted with what the server can reach."""


class OutsideError(Exception):
    """The address may not be requested, or did not give what was asked for; the text may be shown to the client."""


class Outside:
    """Makes such requests, each within ``patience`` seconds; ``transport`` replaces the network in tests."""

    def __init__(
        self, reach: Reach, *, patience: float = PATIENCE, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.reach = reach
        self._patience = patience
        self._transport = transport

    async def fetch(self, url: str, path: Path) -> None:
        """Write what an address holds to a file. Raises `OutsideError`; the file may then exist in part."""
        async with self._in_time():
            for _ in range(_REDIRECTS + 1):
                async with self._requested("GET", url) as answer:
                    if answer.is_redirect:
                        url = _redirected(url, answer.headers.get("location", ""))
                        continue
                    if answer.status_code != 200:
                        raise OutsideError(f"it answered with HTTP {answer.status_code}")
                    await _written(answer, path)
                    return
            raise OutsideError(f"it redirected more than {_REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body. Raises `OutsideError` unless the answer is one of success."""
        async with self._in_time(), self._requested("POST", url, body, headers) as answer:
            if not answer.is_success:
                raise OutsideError(f"it answered with HTTP {answer.status_code}")

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError as error:
            raise OutsideError(f"it took longer than {self._patience:g} s") from error

    @contextlib.asynccontextmanager
    async def _requested(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        host, target = await self._checked(url)
        name = httpx.URL(url).host
        # The environment's proxies would resolve the name again, by rules of their own.
        client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, transport=self._transport)
        try:
            async with (
                client,
                client.stream(
                    method,
                    target,
                    content=body,
                    headers={**(headers or {}), "Host": host},
                    extensions={"sni_hostname": name},  # its certificate is for the name, not for the address
                ) as answer,
            ):
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OutsideError(f"{type(error).__name__}: {error}") from error

    async def _checked(self, url: str) -> tuple[str, httpx.URL]:
        """Return the ``Host`` to send, and the URL with the checked address in the host's place."""
        if self.reach is Reach.NONE:
            raise OutsideError("this server requests no other addresses")
        try:
            parts, target = urlsplit(url), httpx.URL(url)
            port = parts.port
        except (ValueError, httpx.InvalidURL) as error:
            raise OutsideError("it is not a valid address") from error
        if parts.scheme not in {"http", "https"} or not target.host or parts.username is not None:
            raise OutsideError("only plain http and https addresses are requested")
        host = target.netloc.decode()
        if self.reach is Reach.ANY:
            return host, target
        return host, target.copy_with(host=await _public(target.raw_host.decode(), port or 443))


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise OutsideError("it redirected to what is not a valid address") from error


async def _public(host: str, port: int) -> str:
    """Return an address of the host. Raises `OutsideError` unless every address it has is public."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutsideError("its host cannot be found") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(_is_public(address) for address in addresses):
        raise OutsideError("its host is not on the public internet")
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address can be written inside an IPv6 one in several ways, and would be reached all the same.
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return _is_public(str(inner))
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast


async def _written(answer: httpx.Response, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            if size > wire.UPLOAD_LIMIT:
                raise OutsideError(f"it is larger than {wire.UPLOAD_LIMIT // 1_000_000} MB")
            await asyncio.to_thread(file.write, chunk)
