"""Fixtures shared by every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A deadline would time the machine the tests happen to run on.
settings.register_profile("upscaled", deadline=None)
settings.load_profile("upscaled")


@pytest.fixture
def anyio_backend() -> str:
    """The program runs on asyncio, so its tests do."""
    return "asyncio"
