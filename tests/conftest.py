"""Fixtures shared by every test."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The program runs on asyncio, so its tests do."""
    return "asyncio"
