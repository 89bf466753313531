"""A real uvicorn on a free port of 127.0.0.1, in a thread, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette


@contextlib.contextmanager
def served(app: Starlette, *, config: uvicorn.Config | None = None) -> Iterator[str]:
    """Serve an application; gives its address. ``config`` in place of the usual one."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config or uvicorn.Config(app, log_level="warning", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
