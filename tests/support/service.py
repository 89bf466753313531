"""A service to test against: the API as the real one serves it, with an account, real results, and faults on demand.

It shares no code with the program: neither its reading and writing of the wire nor its engine, so that the two can
disagree. Outputs and uploads live on an origin of their own. Three ways to use it:

* `serve` runs it in a thread of the test, whose `World` can be looked into;
* `serve_process` (or ``python -m tests.support.service``) runs it in a process of its own, which survives whatever is
  killed, and with ``--state`` even itself; it is steered through ``/_control``;
* `application` is the bare ASGI application, for `httpx.ASGITransport`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

from tests.support.service_api import Api
from tests.support.service_faults import Fault
from tests.support.service_faulty import CUT
from tests.support.service_files import Files
from tests.support.service_world import Settings, World

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ApiProcess", "ApiServer", "Fault", "Settings", "World", "application", "serve", "serve_process"]

ROOT = Path(__file__).parents[2]


# --- the application -------------------------------------------------------------------------------------------------


def application(world: World, *, api: bool = True, files: bool = True) -> ASGIApp:
    """Return the ASGI application of one origin, or of both in one."""
    routes = [*(Files(world).routes() if files else ()), *(Api(world).routes() if api else ())]
    inner = Starlette(routes=routes)

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        note = _note(world, scope)
        scope["tests.note"] = note
        scope[CUT] = lambda: _cut(send)

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                note["status"] = message["status"]
                message["headers"] = [*message["headers"], (b"date", world.http_date(-1).encode())]
            await send(message)

        await inner(scope, receive, dated)

    return noted


def _note(world: World, scope: Scope) -> dict[str, Any]:
    headers = dict(scope["headers"])
    note = {
        "kind": "",
        "method": scope["method"],
        "path": scope["path"],
        "at": world.now(),
        "status": None,
        "fault": "",
        "authorization": b"authorization" in headers,
    }
    if scope["path"] != "/_control":
        world.requests.append(note)
    return note


def _cut(send: Send) -> None:
    """Close the connection under a request. Without a connection, in process, the request ends with an error."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the connection was cut")
    transport.close()


# --- running it ------------------------------------------------------------------------------------------------------


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to its owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class ApiServer:
    """Both origins on free ports of the loopback interface, served by one event loop."""

    def __init__(self, world: World, *, port: int = 0, files_port: int = 0) -> None:
        self.world = world
        self._sockets = _listen(port), _listen(files_port)
        world.url, world.files_url = (f"http://127.0.0.1:{s.getsockname()[1]}" for s in self._sockets)
        self._servers = [
            _Uvicorn(_config(application(world, files=False))),
            _Uvicorn(_config(application(world, api=False))),
        ]

    @property
    def url(self) -> str:
        """Origin of the API."""
        return self.world.url

    @property
    def files_url(self) -> str:
        """Origin of the storage and the outputs."""
        return self.world.files_url

    @property
    def key(self) -> str:
        """The key that is accepted."""
        return self.world.settings.key

    def script(self, *faults: Fault, seed: int = 0) -> None:
        """Replace the faults in force."""
        self.world.script(*faults, seed=seed)

    def stats(self) -> dict[str, Any]:
        """Return everything a test may ask."""
        return self.world.stats()

    async def run(self) -> None:
        """Serve until `stop`."""
        pairs = zip(self._servers, self._sockets, strict=True)
        await asyncio.gather(*(server.serve(sockets=[listening]) for server, listening in pairs))

    def stop(self) -> None:
        """Let `run` end; connections still open are closed."""
        for server in self._servers:
            server.should_exit = server.force_exit = True


@contextlib.contextmanager
def serve(
    settings: Settings | None = None,
    faults: Iterable[Fault] = (),
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.time,
    state: Path | None = None,
) -> Iterator[ApiServer]:
    """Run the service in a thread."""
    server = ApiServer(World(settings, faults, seed=seed, clock=clock, state=state))
    thread = threading.Thread(target=lambda: asyncio.run(server.run()), name="test service", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


class ApiProcess:
    """The service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], announced: dict[str, str]) -> None:
        self.process = process
        self.url = announced["url"]
        self.files_url = announced["files_url"]
        self.key = announced["key"]

    def stats(self) -> dict[str, Any]:
        """Return everything a test may ask."""
        return self._control(None)

    def script(self, *faults: Fault, seed: int = 0) -> None:
        """Replace the faults in force."""
        self._control({"faults": [fault.write() for fault in faults], "seed": seed})

    def set(self, **settings: Any) -> None:
        """Change some settings."""
        self._control({"settings": settings})

    def _control(self, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.url}/_control", data, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def serve_process(
    state: Path, settings: Settings | None = None, faults: Iterable[Fault] = (), *, seed: int = 0
) -> Iterator[ApiProcess]:
    """Run the service in a process of its own; ``state`` is the file that it can be started from again."""
    chosen = {"settings": asdict(settings or Settings()), "faults": [fault.write() for fault in faults], "seed": seed}
    command = [sys.executable, "-m", "tests.support.service", "--state", str(state), "--with", json.dumps(chosen)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield ApiProcess(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    # From here on connections wait in the kernel, so that nobody needs to wait for the server to be up.
    listening.listen(128)
    return listening


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        date_header=False,
        lifespan="off",
        http="h11",
    )


async def _serve_here(server: ApiServer) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    sys.stdout.write(json.dumps({"url": server.url, "files_url": server.files_url, "key": server.key}) + "\n")
    sys.stdout.flush()
    await server.run()


def main() -> None:
    """Serve until SIGTERM, after one line on standard output that says where."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--files-port", type=int, default=0)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--with", dest="chosen", type=json.loads, default={}, help="JSON: settings, faults, seed")
    given = parser.parse_args()
    settings = Settings(**given.chosen.get("settings", {}))
    faults = [Fault.read(fault) for fault in given.chosen.get("faults", ())]
    world = World(settings, faults, seed=given.chosen.get("seed", 0), state=given.state)
    asyncio.run(_serve_here(ApiServer(world, port=given.port, files_port=given.files_port)))


if __name__ == "__main__":
    main()
