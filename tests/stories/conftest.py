"""A house and a service with faults on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.service import ApiServer, Settings, serve


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1)) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: ApiServer) -> House:
    """Give a house whose service is the test service."""
    return House(tmp_path, service={"url": server.url, "api_key": server.key})
