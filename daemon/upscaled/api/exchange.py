"""One request and its answer: sent once, read to its end, and every way it can break told as `upscaled.errors`.

It is separate from the client, which knows what can be asked, so that the rules about the key and about "was it
sent?" stand in one short place. The key goes to the service's own origin and nowhere else: not to the storage of an
upload, not to the hosts of the outputs, not along a redirect.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from upscaled import __version__, errors
from upscaled.api import failures, wire
from upscaled.api.lenient import excerpt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from upscaled.api.clock import ServiceClock
    from upscaled.api.connections import Client, Connections
    from upscaled.api.transfer import Outgoing

ANSWER_LIMIT = 16 * 1024 * 1024
"""Largest answer read where none should be large, in bytes."""

REDACT_LIMIT = 64 * 1024
"""Answers up to this many bytes are searched for our key; larger ones are pictures, and no error repeats them."""

_AGENT = {"User-Agent": f"upscaled/{__version__}"}
_CLIENT = _AGENT | {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "X-Client-Name": "upscaled",
    "X-Client-Version": __version__,
}


@dataclass(slots=True)
class Asked:
    """One request that was sent: what for, the status of its answer (None: none came), how long it took in seconds."""

    kind: str
    status: int | None = None
    seconds: float = 0.0


Observe = Callable[[Asked], None]


def unobserved(_: Asked) -> None:
    """Take note of nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end. ``retry_after`` in seconds."""

    status: int
    body: bytes
    retry_after: float | None

    def data(self) -> Any:
        """Return what it brings, or raise the `errors.ServiceError` that it amounts to."""
        return wire.unwrap(self.status, self.body, retry_after=self.retry_after)

    def prediction(self) -> wire.Prediction:
        """Return the prediction it is about, or raise the `errors.ServiceError` that it amounts to."""
        return wire.read_prediction(self.status, self.body, retry_after=self.retry_after)


class Exchange:
    """Requests to one service (``root``: its address with the API's prefix) and to the hosts it refers us to."""

    def __init__(
        self,
        root: str,
        key: str | None,
        *,
        silence: float,
        clock: ServiceClock,
        connections: Connections,
        observe: Observe = unobserved,
    ) -> None:
        self.root = root
        self.name = host_of(root)
        self._key = key
        self._silence = silence
        self._clock = clock
        self._connections = connections
        self._observe = observe
        self._headers = httpx.Headers(self.own_headers())

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        kind: str,
        paid: bool = False,
        silence: float | None = None,
        limit: int = ANSWER_LIMIT,
    ) -> Answer:
        """Send one small request to the service; return its answer, of whatever status. ``kind`` says what for."""
        client = self._connections.paid if paid else self._connections.control
        patience = client.timeout.as_dict() | {"read": silence or self._silence}
        sent_at = self._clock.now()
        try:
            request = httpx.Request(
                method, _parsed(self.root + path), json=body, headers=self._headers, extensions={"timeout": patience}
            )
            response, content = await self._exchanged(kind, client, request, limit)
        except failures.BREAKS as error:
            raise failures.unreachable(error, self.name) from None
        self._clock.observe(response.headers, sent_at)
        return self._answer(response, content)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        outgoing: Outgoing,
        *,
        frame: tuple[bytes, bytes] = (b"", b""),
    ) -> Answer:
        """Send a file, within a ``frame``. The receiver may not pause for longer than it may be silent.

        Raises OSError when the file cannot be read.
        """
        _check_url(url)
        client = self._connections.up
        loop = asyncio.get_running_loop()
        length = {"Content-Length": str(len(frame[0]) + outgoing.size + len(frame[1]))}
        try:
            # The HTTP library bounds reading but not writing, and a receiver that takes no more bytes is silent too.
            async with asyncio.timeout(self._silence) as deadline:
                blocks = outgoing.blocks(lambda: deadline.reschedule(loop.time() + self._silence), frame)
                request = httpx.Request(
                    method,
                    url,
                    headers={**_AGENT, **headers, **length},
                    content=blocks,
                    extensions={"timeout": client.timeout.as_dict()},
                )
                response, content = await self._exchanged("upload", client, request, ANSWER_LIMIT)
        except failures.BREAKS as error:
            if outgoing.problem is not None:
                raise outgoing.problem from None
            raise failures.unreachable(error, host_of(url)) from None
        return self._answer(response, content)

    @contextlib.asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[httpx.Response]:
        """Open an output of whatever status. Its host may redirect; nothing goes there but the program's name."""
        _check_url(url)
        client = self._connections.down
        try:
            request = client.build_request("GET", url, headers={**_AGENT, "Accept-Encoding": "identity"})
        except failures.BREAKS as error:
            raise failures.unreachable(error, host_of(url)) from None
        with self._observed("download") as asked:
            try:
                response = await client.send(request, stream=True, follow_redirects=True)
            except failures.BREAKS as error:
                raise failures.unreachable(error, host_of(url)) from None
            asked.status = response.status_code
            async with contextlib.aclosing(response):
                yield response

    def own_headers(self) -> dict[str, str]:
        """Return the headers for the service itself; the only ones with the key."""
        return _CLIENT if self._key is None else _CLIENT | {"Authorization": f"Bearer {self._key}"}

    async def _exchanged(
        self, kind: str, client: Client, request: httpx.Request, limit: int
    ) -> tuple[httpx.Response, bytes]:
        with self._observed(kind) as asked:
            response = await client.exchange(request)
            asked.status = response.status_code
            body = bytearray()
            async with contextlib.aclosing(response):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > limit:
                        raise errors.Trouble("The service's answer is too large", why=f"more than {limit} bytes came")
            return response, bytes(body)

    @contextlib.contextmanager
    def _observed(self, kind: str) -> Iterator[Asked]:
        asked, began = Asked(kind), time.perf_counter()
        try:
            yield asked
        finally:
            asked.seconds = time.perf_counter() - began
            self._observe(asked)

    def _answer(self, response: httpx.Response, body: bytes) -> Answer:
        if 300 <= response.status_code < 400:
            raise failures.redirected(response.status_code, response.headers.get("Location", ""))
        if self._key and len(body) <= REDACT_LIMIT:
            body = body.replace(self._key.encode(), b"[key]")
        return Answer(response.status_code, body, self._clock.retry_after(response.headers))


@functools.lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Parse an address of the service: nearly every one is asked more than once."""
    return httpx.URL(url)


def _check_url(url: str) -> None:
    """Refuse what a stranger named as an address and is none for us, such as a file of this machine."""
    if not wire.is_url(url):
        raise errors.Trouble("The service names an address that cannot be used", why=f"it begins {excerpt(url, 24)}")


async def body_of(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield an output's bytes as they come. Raises `errors.Trouble` when they do not come to their end."""
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except failures.BREAKS as error:
        raise failures.broke_off(error, response.num_bytes_downloaded, length_of(response)) from None
    expected = length_of(response)
    if expected is not None and response.num_bytes_downloaded != expected:
        raise failures.broke_off(None, response.num_bytes_downloaded, expected)


def length_of(response: httpx.Response) -> int | None:
    """Return the number of bytes that were promised, where they were."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def host_of(url: str) -> str:
    """Return the host (and port, where it is not the usual one) of an address, for messages."""
    try:
        return httpx.URL(url).netloc.decode("ascii")
    except httpx.InvalidURL:
        return "an address that is none"
