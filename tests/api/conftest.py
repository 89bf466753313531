"""Fixtures of the client's tests: no proxy of this machine's, and a service behind a mocked transport."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import httpx
import pytest
import respx
from PIL import Image

from upscaled.api.client import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URL = "https://api.wavespeed.ai"
KEY = "sk-0123456789abcdef"
NOW = 1_790_000_000.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment's proxies out; a test that wants one sets it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def router() -> respx.Router:
    """What answers `service`."""
    return respx.Router(assert_all_called=False)


@pytest.fixture
async def service(router: respx.Router) -> AsyncIterator[Service]:
    """A client whose every request goes to `router`."""
    transport = httpx.MockTransport(router.async_handler)
    async with Service(URL, api_key=KEY, now=lambda: NOW, transport=transport) as made:
        yield made


@pytest.fixture(scope="session")
def content() -> bytes:
    """A small JPEG."""
    made = io.BytesIO()
    Image.effect_noise((60, 40), 60).convert("RGB").save(made, "jpeg")
    return made.getvalue()


@pytest.fixture
def picture(tmp_path: Path, content: bytes) -> Path:
    """It, on disk."""
    path = tmp_path / "in.jpg"
    path.write_bytes(content)
    return path
