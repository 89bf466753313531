"""The engine's server side keeps the contract, in process and behind a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.suite import Contract, Service
from tests.support.quick import Quick
from tests.support.uvicorn_thread import served
from upscaled.engine.app import create_app, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = {"Authorization": "Bearer a-good-key"}


class TestInProcess(Contract):
    """Over httpx's ASGI transport, as `service.url: embedded` uses it."""

    @pytest.fixture
    async def service(self, tmp_path: Path) -> AsyncIterator[Service]:
        """An application with a quick upscaler."""
        app = create_app(directory=tmp_path, upscaler=Quick(), keys=["another", "a-good-key"])
        transport, base = httpx.ASGITransport(app), "http://embedded"
        async with (
            running(app),
            httpx.AsyncClient(transport=transport, base_url=base, headers=KEY) as client,
            httpx.AsyncClient(transport=transport, base_url=base) as anyone,
        ):
            yield Service(client, anyone)


class TestUnderUvicorn(Contract):
    """Over TCP, as `upscaled serve` runs it."""

    @pytest.fixture
    async def service(self, tmp_path: Path) -> AsyncIterator[Service]:
        """The same application behind a socket."""
        app = create_app(directory=tmp_path, upscaler=Quick(), keys=["a-good-key"])
        with served(app) as base:
            async with (
                httpx.AsyncClient(base_url=base, headers=KEY) as client,
                httpx.AsyncClient(base_url=base) as anyone,
            ):
                yield Service(client, anyone)
