"""Fixtures shared by every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# A deadline would time the machine the tests happen to run on.
settings.register_profile("upscaled", deadline=None, max_examples=50)
settings.load_profile("upscaled")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let long runs be as long as wanted: ``pytest -m stress tests/soak --soak 1800``."""
    parser.addoption("--torture", type=int, default=12, metavar="JOBS", help="how many jobs the torture run has")
    parser.addoption("--soak", type=float, default=300.0, metavar="SECONDS", help="how long the soak run lasts")


@pytest.fixture
def anyio_backend() -> str:
    """The program runs on asyncio, so its tests do."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Logs that a test configured end with it: its captured stream is closed for the next one."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for bridge in [handler for handler in root.handlers if type(handler).__module__ == "upscaled.logs"]:
        root.removeHandler(bridge)
