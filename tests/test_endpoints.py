"""Health and numbers over HTTP: what whom is told, and with which status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.configs import GOOD, load_text
from tests.support.jobs import NOW, new_job
from upscaled.config import Address
from upscaled.dashboard.access import Access
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.site import create_app
from upscaled.endpoints import Endpoints
from upscaled.ledger import Ledger
from upscaled.metrics import Metrics

TOKEN = "a-token-nobody-knows"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def page(
    directory: Path, *, token: str | None = None, stuck: str = "", **keys: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the endpoints of a daemon whose share is away, beside the dashboard, with a token or on loopback."""
    settings = load_text(GOOD + "".join(f"{key}: {value}\n" for key, value in keys.items()), directory)
    ledger = Ledger.open(directory / "state")
    inbox = str(settings.folders[0].inbox)
    ledger.record_folder(inbox, state="offline", reason=f"{inbox} is not mounted", seen={}, swept_at=NOW)
    listen = Address("0.0.0.0" if token else "127.0.0.1", 80)
    desk = Desk(ledger, lambda: settings, None, None, Access(token), None, str)  # type: ignore[arg-type]
    endpoints = Endpoints(ledger, lambda: settings, Metrics(), stuck=lambda: stuck, now=lambda: NOW)
    app = create_app(desk, listen, endpoints.extras())
    base = "http://192.0.2.7" if token else "http://127.0.0.1"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
        yield client
    ledger.close()


async def block(directory: Path) -> None:
    """Have the ledger say that the key is refused."""
    ledger = Ledger.join(directory / "state")
    ledger.admit([new_job()])
    ledger.change(
        lambda c: (
            c.execute(
                "UPDATE jobs SET standing = 'waiting', cause = 'key', reason = 'The key is refused.', not_before = 1"
            ).rowcount
        )
    )
    ledger.close()


async def test_health_on_this_computer_names_the_folder_and_why(tmp_path: Path) -> None:
    """Degraded is no reason to take the daemon down: 200."""
    async with page(tmp_path) as client:
        answer = await client.get("/healthz")

    inbox = str(tmp_path / "in")
    reason = {"cause": "offline", "folder": inbox, "text": f"{inbox} is not mounted"}
    assert (200, {"status": "degraded", "reasons": [reason]}) == (answer.status_code, answer.json())
    assert "no-store" == answer.headers["cache-control"]


async def test_what_blocks_all_work_is_503(tmp_path: Path) -> None:
    """An uptime monitor goes by the status."""
    async with page(tmp_path) as client:
        await block(tmp_path)
        answer = await client.get("/healthz")

    assert (503, "blocked") == (answer.status_code, answer.json()["status"])
    assert {"cause": "key", "folder": "", "text": "The key is refused."} == answer.json()["reasons"][0]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Host": "evil.example"}])
async def test_a_stranger_gets_the_bare_word(tmp_path: Path, headers: dict[str, str]) -> None:
    """Beyond this computer, no path and no reason without the token."""
    async with page(tmp_path, token=TOKEN) as client:
        answer = await client.get("/healthz", headers=headers)

    assert (200, {"status": "degraded"}) == (answer.status_code, answer.json())


async def test_a_page_of_a_foreign_name_learns_nothing_of_this_computer(tmp_path: Path) -> None:
    """DNS rebinding gets the bare word too."""
    async with page(tmp_path) as client:
        answer = await client.get("/healthz", headers={"Host": "evil.example"})

    assert {"status": "degraded"} == answer.json()


async def test_the_token_gives_the_reasons(tmp_path: Path) -> None:
    """As a bearer, for programs."""
    async with page(tmp_path, token=TOKEN) as client:
        answer = await client.get("/healthz", headers=BEARER)

    assert "offline" == answer.json()["reasons"][0]["cause"]


async def test_numbers_need_the_token(tmp_path: Path) -> None:
    """They name folders."""
    async with page(tmp_path, token=TOKEN) as client:
        refused = await client.get("/metrics")
        given = await client.get("/metrics", headers=BEARER)

    assert (401, 200) == (refused.status_code, given.status_code)
    assert given.headers["content-type"].startswith("text/plain; version=")
    assert "upscaled_info{" in given.text


async def test_numbers_can_be_switched_off(tmp_path: Path) -> None:
    """`metrics: false`."""
    async with page(tmp_path, metrics="false") as client:
        assert 404 == (await client.get("/metrics")).status_code


async def test_a_container_is_alive_whatever_is_blocked(tmp_path: Path) -> None:
    """A restart would mend no key and no share."""
    async with page(tmp_path, token=TOKEN) as client:
        await block(tmp_path)
        answer = await client.get("/livez")

    assert (200, {"status": "alive"}) == (answer.status_code, answer.json())


async def test_a_container_whose_program_is_stuck_is_not_alive(tmp_path: Path) -> None:
    """That is what a restart mends; why is nobody's business who has no token."""
    async with page(tmp_path, token=TOKEN, stuck="The worker has not looked at the ledger for 95 s.") as client:
        answer = await client.get("/livez")

    assert (503, {"status": "stuck"}) == (answer.status_code, answer.json())


async def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """And is no defect of the page."""
    async with page(tmp_path) as client:
        writer = Ledger.join(tmp_path / "state")
        writer.change(lambda c: c.execute("DROP TABLE folders").rowcount)
        writer.close()
        answer = await client.get("/healthz")

    assert (503, "ledger") == (answer.status_code, answer.json()["reasons"][0]["cause"])
