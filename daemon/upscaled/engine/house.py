"""What all endpoints share: the store, the uploads, the queue, the clock, and the server's own address."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upscaled.engine.answers import Refusal, prediction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from starlette.requests import Request

    from upscaled.engine.limits import PerMinute
    from upscaled.engine.runner import Runner
    from upscaled.engine.store import Store, Task
    from upscaled.engine.uploads import Upload, Uploads
    from upscaled.engine.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class House:
    """``public_url`` is the address that answers name, where it differs from the one that a request came to.

    ``sync_limit`` is how long a request with ``enable_sync_mode`` is held open, in seconds.
    """

    store: Store
    uploads: Uploads
    runner: Runner
    clock: Callable[[], float]
    public_url: str | None
    sync_limit: float
    webhooks: Webhooks
    pace: PerMinute

    def base(self, request: Request) -> str:
        """Return the address to put before our paths, without a slash at its end."""
        return (self.public_url or str(request.base_url)).rstrip("/")

    def media_url(self, request: Request, upload: Upload) -> str:
        """Return where an upload can be read."""
        return f"{self.base(request)}/media/{upload.token}/{upload.filename}"

    def task(self, task_id: str) -> Task:
        """Return a prediction. Raises `Refusal` when there is none."""
        task = self.store.find(task_id, self.clock())
        if task is None:
            raise Refusal(404, "Prediction not found.")
        return task

    async def shown(self, task: Task, request: Request, *, inline: bool = True) -> dict[str, Any]:
        """Return a prediction as the API shows it; ``inline`` tells whether base64 outputs are wanted as such."""
        outputs: tuple[str, ...] = ()
        path = self.store.output(task.output) if task.output else None
        if path is not None and inline and task.inputs.get("enable_base64_output"):
            outputs = (await asyncio.to_thread(_encoded, path),)
        elif task.output:
            outputs = (f"{self.base(request)}/outputs/{task.output}",)
        return prediction(
            *(task, self.base(request), outputs),
            progress=self.runner.progress.get(task.id),
            estimate=self.runner.estimates.get(task.id, task.estimate_s),
        )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
