"""What goes over real connections: against sockets that do exactly what a test says, and count."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import struct
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest

from tests.api.conftest import KEY
from upscaled import __version__, errors
from upscaled.api import transfer
from upscaled.api.client import Service, may_have_acted
from upscaled.api.connections import OPENING
from upscaled.job.model import Parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

PARAMS = Parameters("wavespeed-ai/image-upscaler", {"target_resolution": "2k"})
PREDICTION = b'{"code":200,"message":"success","data":{"id":"a1","status":"created"}}'


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Content-Type: application/json", *headers]
    return b"\r\n".join([*lines, b"", body])


def fields(lines: list[str]) -> dict[str, str]:
    """Return the header lines of a request, every name once."""
    pairs = [line.split(": ", 1) for line in lines]
    assert len(pairs) == len({name.lower() for name, _ in pairs})
    return {name.lower(): value for name, value in pairs}


class Socket:
    """A server that records every request it is sent, on which connection, and leaves answering to a test."""

    def __init__(self, act: Callable[[Socket, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.act = act
        self.requests: list[tuple[int, bytes]] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests off one connection until it ends."""
        self.connections += 1
        number = self.connections
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append((number, head + body))
                await self.act(self, writer)
        writer.close()


@contextlib.asynccontextmanager
async def listening(act: Callable[[Socket, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Socket]:
    """Run a `Socket` on the loopback interface."""
    made = Socket(act)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


@contextlib.asynccontextmanager
async def client(url: str, silence: float = 5.0) -> AsyncIterator[Service]:
    """Make a client with the transport that is used in earnest."""
    async with Service(url, api_key=KEY, timeout=silence) as made:
        yield made


def closing(*, reset: bool) -> Callable[[Socket, asyncio.StreamWriter], Awaitable[None]]:
    """Answer the first request, and break the connection under every further one."""

    async def act(server: Socket, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.write(answer(PREDICTION))
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    return act


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_submit_on_a_connection_that_just_died_is_not_sent_again(*, reset: bool) -> None:
    """HTTP libraries repeat requests on stale connections, which for this one could pay twice.

    The connection dies after the request was read: from here that looks like any stale connection.
    """
    async with listening(closing(reset=reset)) as server, client(server.url) as service:
        await service.submit(PARAMS, "http://files/one")
        with pytest.raises(errors.Unreachable) as caught:
            await service.submit(PARAMS, "http://files/two")
        # A repetition would be on its way already; another request shows that nothing else came before it.
        with contextlib.suppress(errors.Unreachable):
            await service.submit(PARAMS, "http://files/three")

    assert may_have_acted(caught.value)
    assert [1, 1, 2] == [number for number, _ in server.requests]
    assert [b"one", b"two", b"three"] == [request.split(b"files/")[1].split(b'"')[0] for _, request in server.requests]


async def test_a_submit_that_breaks_off_before_any_answer_was_sent_once() -> None:
    """On a new connection, too; the library reports this one as a failure to connect."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(act) as server, client(server.url) as service:
        with pytest.raises(errors.Unreachable, match="closed before the answer") as caught:
            await service.submit(PARAMS, "http://files/one")

    assert caught.value.sent
    assert 1 == len(server.requests)


@pytest.mark.parametrize("part", [1, 20, 60, len(answer(PREDICTION)) - 1])
async def test_a_submit_whose_answer_breaks_off_may_have_been_acted_upon(part: int) -> None:
    """Anywhere in it."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(PREDICTION)[:part])
        await writer.drain()
        writer.close()

    async with listening(act) as server, client(server.url) as service:
        with pytest.raises(errors.Unreachable) as caught:
            await service.submit(PARAMS, "http://files/one")

    assert may_have_acted(caught.value)
    assert 1 == len(server.requests)


async def test_a_submit_that_is_not_answered_in_time_may_have_been_acted_upon() -> None:
    """The service may be at it still."""

    async def act(_: Socket, __: asyncio.StreamWriter) -> None:
        return

    async with listening(act) as server, client(server.url, 0.2) as service:
        with pytest.raises(errors.Unreachable, match="nothing came in time") as caught:
            await service.submit(PARAMS, "http://files/one")

    assert may_have_acted(caught.value)
    assert 1 == len(server.requests)


async def test_an_answer_that_is_not_http_may_follow_an_act() -> None:
    """Whoever answers so, the request is there."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with listening(act) as server, client(server.url) as service:
        with pytest.raises(errors.Unreachable, match="not HTTP") as caught:
            await service.submit(PARAMS, "http://files/one")

    assert may_have_acted(caught.value)


async def test_a_refused_connection_certainly_did_nothing() -> None:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with client(f"http://127.0.0.1:{port}") as service:
        with pytest.raises(errors.Unreachable, match=f"Cannot reach 127.0.0.1:{port}: connection refused") as caught:
            await service.submit(PARAMS, "http://files/one")

    assert not may_have_acted(caught.value)


async def test_a_server_without_tls_certainly_got_no_request() -> None:
    """What it got was the beginning of a handshake."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(act) as server, client(server.url.replace("http://", "https://"), 0.5) as service:
        with pytest.raises(errors.Unreachable) as caught:
            await service.submit(PARAMS, "http://files/one")

    assert not may_have_acted(caught.value)
    assert [] == server.requests


async def test_the_bytes_of_a_submit_are_these_and_no_others() -> None:
    """The library under the client adds headers of its own where it is let."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(PREDICTION))

    async with listening(act) as server, client(server.url) as service:
        await service.submit(PARAMS, "http://files/one")

    head, _, body = server.requests[0][1].partition(b"\r\n\r\n")
    assert b'{"image":"http://files/one","target_resolution":"2k"}' == body
    lines = head.decode().split("\r\n")
    assert "POST /api/v3/wavespeed-ai/image-upscaler HTTP/1.1" == lines[0]
    assert {
        "host": server.url.removeprefix("http://"),
        "authorization": f"Bearer {KEY}",
        "user-agent": f"upscaled/{__version__}",
        "x-client-name": "upscaled",
        "x-client-version": __version__,
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-type": "application/json",
        "content-length": str(len(body)),
    } == fields(lines[1:])


async def test_an_upload_has_its_length_and_only_its_tickets_headers(picture: Path, content: bytes) -> None:
    """A storage refuses chunked bodies, and a type that it did not sign."""

    async def act(server: Socket, writer: asyncio.StreamWriter) -> None:
        ticket = (
            f'{{"download_url":"http://f/x","upload":{{"url":"{server.url}/put","headers":{{"If-None-Match":"*"}}}}}}'
        )
        writer.write(answer(f'{{"code":200,"data":{ticket}}}'.encode()))

    async with listening(act) as server, client(server.url) as service:
        await service.upload(picture, name="x", content_type="image/jpeg")

    head, _, body = server.requests[1][1].partition(b"\r\n\r\n")
    assert content == body
    lines = head.decode().split("\r\n")
    assert "PUT /put HTTP/1.1" == lines[0]
    assert {
        "host": server.url.removeprefix("http://"),
        "if-none-match": "*",
        "user-agent": f"upscaled/{__version__}",
        "content-length": str(len(content)),
    } == fields(lines[1:])


async def test_no_cookie_is_kept() -> None:
    """Nobody asked for a session. By a host's name, as neither library keeps cookies of bare addresses."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data":{"balance":1}}', b"Set-Cookie: session=1; Path=/"))

    async with listening(act) as server, client(server.url.replace("127.0.0.1", "localhost")) as service:
        await service.balance()
        await service.balance()

    assert 2 == len(server.requests)
    assert b"session" not in server.requests[1][1].lower()


async def test_small_requests_share_a_connection() -> None:
    """A handshake for every poll would cost more than the poll."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data":{"balance":1}}'))

    async with listening(act) as server, client(server.url) as service:
        for _ in range(3):
            await service.balance()

    assert 1 == server.connections


async def test_requests_do_not_wait_for_each_other() -> None:
    """The server answers none before all three are there."""
    together = asyncio.Event()

    async def act(server: Socket, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 3:
            together.set()
        await together.wait()
        writer.write(answer(b'{"data":{"balance":1}}'))

    async with listening(act) as server, client(server.url, 2) as service:
        assert [1.0] * 3 == await asyncio.gather(*(service.balance() for _ in range(3)))


async def test_few_connections_are_opened_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each handshake takes its time of the event loop; a burst of requests must not take them all at once."""
    opening, most, original = 0, 0, aiohttp.TCPConnector._create_connection

    async def counted(*args: Any, **given: Any) -> Any:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        await asyncio.sleep(0.01)
        try:
            return await original(*args, **given)
        finally:
            opening -= 1

    async def act(_server: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data":{"balance":1}}'))

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", counted)
    async with listening(act) as server, client(server.url) as service:
        await asyncio.gather(*(service.balance() for _ in range(20)))

    assert OPENING == most


async def test_transfers_that_hang_do_not_keep_a_submit_waiting() -> None:
    """They have connections of their own."""
    over = asyncio.Event()

    async def act(server: Socket, writer: asyncio.StreamWriter) -> None:
        if b"/output/" in server.requests[-1][1]:
            await over.wait()
        writer.write(answer(PREDICTION))

    async with listening(act) as server, Service(server.url, api_key=KEY, timeout=2, transfers=1) as service:
        hanging = [asyncio.create_task(service.download(f"{server.url}/output/x", io.BytesIO())) for _ in range(2)]
        assert "a1" == (await service.submit(PARAMS, "http://files/one")).id
        over.set()
        await asyncio.gather(*hanging)


async def test_a_storage_that_takes_no_bytes_is_given_up(tmp_path: Path) -> None:
    """The library has no time limit for writing, so the client has."""
    large = tmp_path / "large"
    large.write_bytes(bytes(16 * 1024 * 1024))
    over = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    stuck = await asyncio.start_server(hold, "127.0.0.1", 0, limit=1024)
    port = stuck.sockets[0].getsockname()[1]

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data":{"download_url":"http://f/x","upload":{"url":"http://127.0.0.1:%d/"}}}' % port))

    async with stuck, listening(act) as server, client(server.url, 0.3) as service:
        with pytest.raises(errors.Unreachable, match="nothing came in time"):
            await service.upload(large, name="x", content_type="image/jpeg")
        over.set()


async def test_an_upload_may_take_as_long_as_it_goes_on(tmp_path: Path) -> None:
    """Only silence is bounded: here each block takes nearly all of it, by a loop's clock that is set forward."""
    large = tmp_path / "large"
    large.write_bytes(bytes(20 * transfer.BLOCK))
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0
    loop.time = lambda: real() + ahead  # type: ignore[method-assign]

    async def take(request: httpx.Request) -> httpx.Response:
        nonlocal ahead
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for _ in request.stream:
            ahead += 50
        return httpx.Response(200, json={"data": {"download_url": "http://f/x"}})

    class Taking(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await take(request)

    async with Service("http://service.invalid", api_key=KEY, timeout=60, transport=Taking()) as service:
        found = await service.upload(large, name="x", content_type="image/jpeg", method="binary")

    assert (20 * transfer.BLOCK, True) == (found.size, ahead >= 20 * 50)


async def test_an_output_that_breaks_off_says_how_much_came() -> None:
    """The connection closed before its promised length."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x" * 1000)[:-400])
        await writer.drain()
        writer.close()

    file = io.BytesIO()
    async with listening(act) as server, client(server.url) as service:
        with pytest.raises(errors.Trouble, match="600 of 1000 bytes came"):
            await service.download(f"{server.url}/x", file)


@pytest.mark.parametrize("url", ["https://", "http://a b/", "http://127.0.0.1:99999/"])
async def test_an_address_that_cannot_be_used_is_an_error_for_people(url: str) -> None:
    """Whatever the library thinks of it."""
    async with client("http://127.0.0.1:1", 1) as service:
        with pytest.raises(errors.ServiceError) as caught:
            await service.download(url, io.BytesIO())

    assert "\n  -> " in str(caught.value)


# --- proxies ---------------------------------------------------------------------------------------------------------


async def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by every other program."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b'{"data":{"balance":1}}'))

    async with listening(act) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client("http://service.invalid") as service:
            assert 1.0 == await service.balance()

    assert proxy.requests[0][1].startswith(b"GET http://service.invalid/api/v3/balance HTTP/1.1\r\n")


async def test_a_proxy_that_refuses_passed_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request itself never left this machine."""

    async def act(_: Socket, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"no", status=b"403 Forbidden"))
        writer.close()

    async with listening(act) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with client("https://service.invalid") as service:
            with pytest.raises(errors.Unreachable, match=r"(?s)proxy.*HTTPS_PROXY") as caught:
                await service.submit(PARAMS, "http://files/one")

    assert not may_have_acted(caught.value)
    assert proxy.requests[0][1].startswith(b"CONNECT service.invalid:443 HTTP/1.1\r\n")
    assert KEY.encode() not in proxy.requests[0][1]


async def test_a_proxy_that_is_not_there_passed_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as the proxy's fault, for it looks like the service's."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with client("https://service.invalid") as service:
        with pytest.raises(errors.Unreachable, match="HTTPS_PROXY") as caught:
            await service.submit(PARAMS, "http://files/one")

    assert not may_have_acted(caught.value)


async def test_a_kind_of_proxy_that_is_not_supported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a traceback from deep within."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    async with client("https://service.invalid") as service:
        with pytest.raises(errors.Unreachable) as caught:
            await service.submit(PARAMS, "http://files/one")

    assert not may_have_acted(caught.value)


async def test_in_process_the_transport_is_the_application() -> None:
    """As for the embedded engine."""

    async def handle(request: httpx.Request) -> httpx.Response:
        assert "http://embedded/api/v3/balance" == str(request.url)
        return httpx.Response(200, json={"data": {"balance": 0}})

    async with Service("http://embedded", api_key=None, transport=httpx.MockTransport(handle)) as service:
        assert 0.0 == await service.balance()
