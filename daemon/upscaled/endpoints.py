"""What other programs ask the daemon over HTTP: is it well, and its numbers. Served beside the dashboard's pages.

`/livez` and `/healthz` can be asked by anybody, as a container's check and an uptime monitor have no token. Whoever
would not be let through to the pages gets the bare word: no folder, no reason, no path.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from upscaled import health, status, webhooks
from upscaled.config import Settings
from upscaled.dashboard.protection import Extras
from upscaled.health import Health, Reason, Verdict
from upscaled.ledger import Ledger
from upscaled.metrics import CONTENT_TYPE, Metrics
from upscaled.webhooks import Webhooks

LIVE: Final = "/livez"
HEALTH: Final = "/healthz"
METRICS: Final = "/metrics"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The routes and what they read; ``settings`` gives the configuration in force."""

    ledger: Ledger
    settings: Callable[[], Settings]
    metrics: Metrics
    webhooks: Webhooks | None = None
    stuck: Callable[[], str] = str
    """What is stuck in the program itself; '' if nothing is."""
    now: Callable[[], float] = time.time

    def extras(self) -> Extras:
        """Return the routes for `upscaled.dashboard`."""
        routes = [Route(LIVE, self.live), Route(HEALTH, self.health)]
        if self.settings().metrics:
            routes.append(Route(METRICS, self.numbers))
        routes += self.webhooks.routes if self.webhooks is not None else []
        return Extras(routes, open=frozenset({LIVE, HEALTH, webhooks.PATH}))

    async def live(self, _: Request) -> Response:
        """Tell whether the program itself is at work, which is all that a restart could mend: 200, or 503 if stuck."""
        stuck = bool(self.stuck())
        return JSONResponse({"status": "stuck" if stuck else "alive"}, 503 if stuck else 200, headers=_FRESH)

    async def health(self, request: Request) -> Response:
        """Tell how well it is: 200 for alive and degraded, 503 for blocked; the reasons to those who may see them."""
        verdict = await asyncio.to_thread(self._verdict)
        known: bool = request.state.known()
        body = verdict.record() if known else {"status": str(verdict.health)}
        return JSONResponse(body, verdict.code, headers=_FRESH)

    async def numbers(self, _: Request) -> Response:
        """Return the numbers for Prometheus."""
        return Response(await asyncio.to_thread(self.metrics.text), headers={"Content-Type": CONTENT_TYPE, **_FRESH})

    def _verdict(self) -> Verdict:
        inboxes = [str(folder.inbox) for folder in self.settings().folders]
        try:
            return health.judge(status.summary(self.ledger, inboxes=inboxes, now=self.now(), running=True))
        except sqlite3.Error as error:
            return Verdict(Health.BLOCKED, (Reason("ledger", f"The ledger cannot be read: {error}."),))


_FRESH: Final = {"Cache-Control": "no-store"}
