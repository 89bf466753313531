"""What happens, told to whoever is looking: server-sent events, fed by the bus.

Separate from the pages because it must cost nothing while nobody looks, and must never wait for somebody who looks
slowly: each reader has a short queue, and what does not fit is dropped, as any later word makes the page look again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from upscaled.events import Event
from upscaled.files.names import printable

QUEUE: Final = 64
"""How many words wait for a slow reader."""

READERS: Final = 50
"""How many may look at once."""

BEAT: Final = 5.0
"""After so many seconds without news a reader is told to look anyway: folders and other processes are not on the bus.
"""


class Feed:
    """Hands what happened to its readers; a subscriber of the bus, in the event loop's thread."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[str | None]] = set()
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Tell every reader of an event, if there is one."""
        if self._readers:
            self._put(word("job", told(event)))

    @property
    def full(self) -> bool:
        """Are there as many readers as there may be?"""
        return self._closed or len(self._readers) >= READERS

    async def read(self, *, beat: float = BEAT) -> AsyncIterator[str]:
        """Yield what happens from now on, as the protocol has it, until `close`."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)
        self._readers.add(queue)
        try:
            yield "retry: 2000\n" + word("look", {})
            while not self._closed:
                try:
                    text = await asyncio.wait_for(queue.get(), beat)
                except TimeoutError:
                    text = word("look", {})
                if text is None:
                    return
                yield text
        finally:
            self._readers.discard(queue)

    def close(self) -> None:
        """Let every reader go."""
        self._closed = True
        for queue in self._readers:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _put(self, text: str) -> None:
        for queue in self._readers:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(text)


def told(event: Event) -> dict[str, Any]:
    """Return what a page is told of an event. Its script writes it as text, never as markup."""
    job = event.job
    return {
        "id": job.id,
        "source": printable(job.source),
        "stage": str(job.stage),
        "standing": str(job.standing),
        "kind": event.kind,
    }


def word(kind: str, data: dict[str, Any]) -> str:
    """Return one event of the stream; its data is one line, whatever is in it."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
