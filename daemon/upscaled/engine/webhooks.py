"""Webhooks: tell an address that a prediction is finished, signed as the service signs.

The signature is HMAC-SHA256 in hex over ``{webhook-id}.{webhook-timestamp}.{body}``; its key is the secret's text
without ``whsec_`` (https://wavespeed.ai/docs/docs-api/verifying_webhook). A delivery is tried four times. What a
killed server had not delivered it delivers after its next start, so a receiver may be told twice and goes by the id.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from upscaled.engine import disk
from upscaled.engine.answers import prediction
from upscaled.engine.outside import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from upscaled.engine.outside import Outside
    from upscaled.engine.store import Store, Task

_log = logging.getLogger(__name__)

PREFIX: Final = "whsec_"

PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before each further try."""


def signature(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v3," + hmac.new(secret.removeprefix(PREFIX).encode(), signed, hashlib.sha256).hexdigest()


def kept_secret(directory: Path) -> str:
    """Return the secret of this server, made when first asked for and readable by its owner alone."""
    path = directory / "webhook-secret"
    if not path.exists():
        part = disk.part(directory)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        part.write_text(PREFIX + secrets.token_hex(32))
        disk.keep_first(part, path)
    return path.read_text()


class Webhooks:
    """Delivers, beside everything else; ``pause`` waits between tries."""

    def __init__(
        self,
        secret: str,
        outside: Outside,
        store: Store,
        clock: Callable[[], float],
        *,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.secret = secret
        self.reach = outside.reach
        self._outside = outside
        self._store = store
        self._deliveries: set[asyncio.Task[None]] = set()
        self._clock = clock
        self._pause = pause

    def start(self) -> None:
        """Deliver what an earlier process had not."""
        for task in self._store.untold():
            self.tell(task)

    def tell(self, task: Task) -> None:
        """Begin to deliver a finished prediction."""
        delivery = asyncio.create_task(self._tell(task))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        for delivery in self._deliveries:
            delivery.cancel()
        if self._deliveries:
            await asyncio.wait(self._deliveries)

    async def _tell(self, task: Task) -> None:
        outputs = (f"{task.base}/outputs/{task.output}",) if task.output else ()
        await self._deliver(str(task.webhook), prediction(task, task.base, outputs))
        told = replace(task, webhook=None)
        if self._store.find(task.id, self._clock()) is not None:
            await asyncio.to_thread(self._store.write, told)
            self._store.note(told)

    async def _deliver(self, url: str, shown: Mapping[str, Any]) -> None:
        """Post a prediction until it is taken or the tries are used up."""
        body = json.dumps(shown).encode()
        for pause in (*PAUSES, None):
            timestamp = int(self._clock())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": str(shown["id"]),
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(self.secret, str(shown["id"]), timestamp, body),
            }
            try:
                await self._outside.post(url, body, headers)
            except OutsideError as error:
                _log.warning("webhook of prediction %s was not delivered: %s", shown["id"], error)
            else:
                return
            if pause is not None:
                await self._pause(pause)
