"""A place that messages are posted to: it remembers them, and answers as it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.uvicorn_thread import served


@dataclass
class Inbox:
    """What was posted: path and body; ``status`` is what the next posts are answered with."""

    url: str = ""
    status: int = 200
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def at(self, path: str) -> list[dict[str, Any]]:
        """Return the bodies that were posted to a path."""
        return [body for where, body in self.got if where == path]


@contextlib.contextmanager
def receiving() -> Iterator[Inbox]:
    """Run a receiver on a free port."""
    inbox = Inbox()

    async def take(request: Request) -> Response:
        inbox.got.append((request.url.path, await request.json()))
        return Response(status_code=inbox.status)

    with served(Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])) as url:
        inbox.url = url
        yield inbox
