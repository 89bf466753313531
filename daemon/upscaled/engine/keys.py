"""Bearer keys: only their hashes are kept, and comparing takes the same time whatever is sent."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from upscaled.api import wire
from upscaled.engine.answers import BAD_KEY, Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """Lets only requests with one of the keys through to paths of the API.

    Storage, uploads and outputs need no key, as at the service: their addresses cannot be guessed.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str]) -> None:
        self._app = app
        self._hashes = [_hash(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass the request on."""
        if scope["type"] == "http" and scope["path"].startswith(f"{wire.PREFIX}/") and not self._allowed(scope):
            await Refusal(401, BAD_KEY).response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = _hash(key.strip())
        # Every hash is compared, so that time does not tell which key came near.
        return sum(hmac.compare_digest(given, known) for known in self._hashes) > 0 and scheme.lower() == "bearer"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
