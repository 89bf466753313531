"""A house and a service with faults on demand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House
from tests.support.service import ApiServer, Settings, serve
from upscaled.job.machine import Change
from upscaled.job.model import Job
from upscaled.ledger import orders, store


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1)) as running:
        yield running


@pytest.fixture(autouse=True)
def _commits_tell_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger returns after a commit is what its row says, column for column, in every story."""
    committed = store._commit

    def checked(connection: sqlite3.Connection, job: Job, change: Change, now: float) -> Job:
        done = committed(connection, job, change, now)
        assert orders.read(connection, job.id) == done
        return done

    monkeypatch.setattr(store, "_commit", checked)


@pytest.fixture
def house(tmp_path: Path, server: ApiServer) -> House:
    """Give a house whose service is the test service."""
    return House(tmp_path, service={"url": server.url, "api_key": server.key})
