"""uvicorn in the daemon's loop, as one task that nothing else depends on.

A port that is taken, or a defect of the page, is said once in the log and in `status`; then it is tried again, and the
daemon goes on meanwhile: pictures are worth more than a page about them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from upscaled.config.listening import Address
from upscaled.dashboard.feed import Feed

log = structlog.get_logger()

AGAIN: Final = 30.0
"""How long to wait before a port that was taken is tried again, in seconds."""

LARGEST_HEAD: Final = 16 * 1024
"""The largest request line and headers together, in bytes."""

CONNECTIONS: Final = 200
"""How many connections there may be; beyond it the server answers 503."""

Notice = Callable[[str | None], Awaitable[None]]


class Server(uvicorn.Server):
    """A server that wakes for requests alone, and leaves the signals to the daemon."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._over = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait to be ended. uvicorn's own loop wakes ten times a second, for a date that we do not send."""
        await self._over.wait()

    def end(self) -> None:
        """Ask it to stop."""
        self.should_exit = True
        self._over.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Catch none."""
        yield


class Dashboard:
    """Serves an application at an address until its task is cancelled. ``notice`` tells `status`, or takes it back."""

    def __init__(
        self,
        app: ASGIApp,
        listen: Address,
        feed: Feed,
        *,
        notice: Notice,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._listen = listen
        self._feed = feed
        self._notice = notice
        self._sleep = sleep
        self.address: Address | None = None
        """Where it really listens, once it does: port 0 is whichever is free."""

    async def run(self) -> None:
        """Serve; whatever goes wrong, say so and try again."""
        said = ""
        while True:
            try:
                listener = listening(self._listen)
                if said:
                    await self._notice(None)
                said = ""
                await self._serve(listener)
            except OSError as error:
                why = taken(self._listen, error)
                if why != said:
                    log.error("dashboard.unavailable", listen=str(self._listen), reason=why)  # noqa: TRY400
                    await self._notice(why)
                said = why
            except Exception:
                log.exception("dashboard.failed", listen=str(self._listen))
            await self._sleep(AGAIN)

    async def _serve(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.address = Address(host, port)
        server = Server(_config(self._app))
        serving = asyncio.create_task(server.serve([listener]), name="dashboard server")
        log.info("dashboard.ready", url=f"http://{self.address}/")
        try:
            await asyncio.shield(serving)
        finally:
            began = time.monotonic()
            self._feed.close()
            server.end()
            await serving
            log.debug("dashboard.ended", seconds=round(time.monotonic() - began, 2))


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )


def listening(address: Address) -> socket.socket:
    """Return a socket that listens at an address. Raises `OSError`."""
    family, kind, number, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, number)
    try:
        # A daemon that is started again must not wait for the connections of the one before it to be forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003
    return listener


def taken(address: Address, error: OSError) -> str:
    """Return what keeps the page from being shown, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"The dashboard cannot be shown at {address}: another program listens there."
            " Set dashboard.listen to another port, or to off; pictures are upscaled all the same."
        )
    why = error.strerror or str(error)
    return f"The dashboard cannot be shown at {address}: {why}. Correct dashboard.listen; all else goes on."
