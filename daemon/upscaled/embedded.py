"""The built-in engine as the daemon's service, in this process: the same client and the same API, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from upscaled import config
from upscaled.api.client import Service
from upscaled.api.exchange import Observe, unobserved
from upscaled.engine.app import create_app, running
from upscaled.engine.gpu import Gpu
from upscaled.engine.order import Tier
from upscaled.engine.upscale import Engine

ADDRESS: Final = "http://embedded"


def upscaler(settings: config.Engine) -> Engine:
    """Return the engine that is configured."""
    return Engine(
        tier=Tier(settings.tier),
        memory_limit=settings.memory,
        patience=settings.patience,
        gpu=Gpu(settings.gpu),
    )


@asynccontextmanager
async def embedded_service(
    directory: Path, engine: config.Engine, *, silence: float, observe: Observe = unobserved
) -> AsyncIterator[Service]:
    """Give a client of an engine that keeps its predictions in ``directory``, and so goes on with them after a restart.

    ``silence`` is how long an answer may take, in seconds.
    Raises `errors.EngineError` when the engine cannot work here.
    """
    app = create_app(directory=directory, upscaler=upscaler(engine))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = Service(ADDRESS, api_key=None, timeout=silence, transport=transport, observe=observe)
    async with running(app), client as service:
        yield service
