"""Where the service tells that a prediction is over, so that it need not be asked again and again.

A delivery only rings: the job that waits for the prediction asks for it at once, and believes that answer alone.
Polling goes on beneath it, slower while deliveries come: a proxy that swallows them costs time, never a picture. A
delivery that comes twice rings twice. Nothing is kept over a restart, as a restarted job asks first.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from upscaled import errors
from upscaled.api import webhook
from upscaled.api.webhook import NotGenuine

log = structlog.get_logger()

PATH: Final = "/webhooks/service"

TRUSTED: Final = 600.0
"""For so many seconds after a delivery others are expected to come, and polling is slower."""

ASK_AGAIN: Final = 300.0
"""Between two questions for the secret, in seconds."""


def address_below(public_url: str) -> str:
    """Return where the service is to post to."""
    return public_url.rstrip("/") + PATH


class Webhooks:
    """Takes deliveries. ``secret`` None: ``ask`` gets it from the service."""

    def __init__(
        self,
        secret: str | None,
        *,
        ask: Callable[[], Awaitable[str]],
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._secret = secret
        self._ask = None if secret is not None else ask
        self._now = now
        self._sleep = sleep
        self._wanted = asyncio.Event()
        self._heard_at = float("-inf")
        self.ring: Callable[[str], bool] = lambda _: False
        """Wakes the job of a prediction; False where none waits for it."""
        self.counts: Counter[str] = Counter(taken=0, refused=0)

    @property
    def heard(self) -> bool:
        """Do deliveries come?"""
        return self._now() - self._heard_at < TRUSTED

    @property
    def routes(self) -> list[Route]:
        """The one route; who may post there is told by the signature alone."""
        return [Route(PATH, self.take, methods=["POST"])]

    async def run(self) -> None:
        """Get the secret, and again when signatures are not right any more, for ever."""
        if self._ask is None:
            return
        said = ""
        while True:
            self._wanted.clear()
            try:
                self._secret = await self._ask()
                said = ""
            except errors.ServiceError as error:
                if error.what != said:
                    log.warning("webhooks.no_secret", reason=errors.sentence(error), meanwhile="predictions are polled")
                said = error.what
            await self._sleep(ASK_AGAIN)
            if self._secret is not None:
                await self._wanted.wait()

    async def take(self, request: Request) -> Response:
        """Answer a delivery: 204 when it is genuine, whether anybody waits for it or not."""
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response("Too large.\n", 413)
        if self._secret is None:
            return Response("The secret is not known yet.\n", 503, headers={"Retry-After": "60"})
        try:
            prediction = webhook.prediction_of(self._secret, request.headers, body, self._now())
        except NotGenuine as error:
            return self._refused(error)
        self.counts["taken"] += 1
        self._heard_at = self._now()
        log.debug("webhook.taken", prediction=prediction, awaited=self.ring(prediction))
        return Response(status_code=204)

    def _refused(self, error: NotGenuine) -> Response:
        self.counts["refused"] += 1
        count = self.counts["refused"]
        # Anybody can post here: a flood of it must not flood the log.
        if count & (count - 1) == 0:
            log.warning("webhook.refused", reason=error.what, count=count)
        self._wanted.set()
        return Response(f"{error.what}.\n", 401)


async def _body(request: Request) -> bytes | None:
    """Return a body, or None if it is larger than any delivery."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > webhook.LARGEST:
            return None
    return bytes(body)
