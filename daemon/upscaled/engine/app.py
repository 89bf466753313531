"""The API's server side: puts store, queue and endpoints together as one ASGI application.

Under a server such as uvicorn the application's lifespan starts and stops the queue. In one process with its client
(`httpx.ASGITransport` runs no lifespan) `running` does the same::

    app = create_app(directory=directory, upscaler=Engine())
    async with running(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://embedded")
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from upscaled.api import wire
from upscaled.engine.account import Account
from upscaled.engine.answers import Refusal, cut_off, disk_refuses, http_error, internal_error, refused
from upscaled.engine.house import House
from upscaled.engine.keys import Guard
from upscaled.engine.limits import PerMinute
from upscaled.engine.media import Media
from upscaled.engine.outside import Outside, Reach
from upscaled.engine.predictions import Predictions
from upscaled.engine.runner import Runner
from upscaled.engine.store import Store
from upscaled.engine.uploads import Uploads
from upscaled.engine.webhooks import Webhooks, kept_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from pathlib import Path

    from upscaled.engine.order import Upscaler


def create_app(
    *,
    directory: Path,
    upscaler: Upscaler,
    keys: Collection[str] | None = None,
    public_url: str | None = None,
    retain: float = wire.RETENTION,
    sync_limit: float = wire.SYNC_LIMIT,
    per_minute: int | None = None,
    in_flight: int = 1,
    images: Outside | None = None,
    webhooks: Outside | None = None,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Return the application. It owns ``directory``, which must belong to one process at a time.

    ``keys`` are the Bearer keys that are accepted; None asks for none, which is right only within one process.
    ``public_url`` is put before the paths in answers, where clients reach us by another address than requests name.
    ``retain`` and ``sync_limit`` are in seconds, ``clock`` gives seconds since 1970. ``per_minute`` is how many submits
    are taken in a minute, ``in_flight`` how many predictions are at work at once. ``images`` says which addresses
    pictures are fetched from (none by default), ``webhooks`` which are told of results (public ones by default).
    """
    store, uploads = Store(directory, retain=retain), Uploads(directory, retain=retain)
    hooks = Webhooks(kept_secret(directory), webhooks or Outside(Reach.PUBLIC), store, clock)
    outside = images or Outside(Reach.NONE)
    runner = Runner(store, uploads, upscaler, clock, outside=outside, finished=hooks.tell, in_flight=in_flight)
    house = House(store, uploads, runner, clock, public_url, sync_limit, hooks, PerMinute(per_minute))
    predictions = Predictions(house)
    app = Starlette(
        routes=[*predictions.early(), *Media(house).routes(), *Account(house).routes(), *predictions.late()],
        middleware=[] if keys is None else [Middleware(Guard, keys=keys)],
        exception_handlers={
            Refusal: refused,
            HTTPException: http_error,
            ClientDisconnect: cut_off,
            OSError: disk_refuses,
            Exception: internal_error,
        },
        lifespan=running,
    )
    app.state.runner, app.state.webhooks = runner, hooks
    return app


def dismiss(app: Starlette) -> None:
    """Answer at once whoever waits for a result: the server is about to stop, and would cut their requests off."""
    runner: Runner = app.state.runner
    runner.dismiss()


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Have the application make pictures. Raises `errors.EngineError` when its upscaler cannot work."""
    runner: Runner = app.state.runner
    hooks: Webhooks = app.state.webhooks
    await runner.start()
    hooks.start()
    try:
        yield
    finally:
        await runner.stop()
        await hooks.stop()
