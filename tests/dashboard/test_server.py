"""The server beside the daemon: it never harms it, mends itself, ends in time, and costs nothing while nobody looks."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.desks import Desks, desks
from tests.support.house import House
from upscaled.config import Address
from upscaled.dashboard.server import Dashboard, listening
from upscaled.dashboard.site import create_app

ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """Give a desk on loopback."""
    with desks(tmp_path) as made:
        yield made


def dashboard(desk: Desks, listen: Address, said: list[str | None], pause: asyncio.Event) -> Dashboard:
    """Return a server that waits for ``pause`` instead of its half minute, and notes what it says."""

    async def notice(text: str | None) -> None:
        said.append(text)

    async def sleep(_seconds: float) -> None:
        await pause.wait()

    return Dashboard(create_app(desk.desk, listen), listen, desk.desk.feed, notice=notice, sleep=sleep)


async def until_it_listens(page: Dashboard) -> str:
    """Return the address of its pages, once there is one."""
    while page.address is None:  # noqa: ASYNC110 - nothing rings when it listens
        await asyncio.sleep(0.01)
    return f"http://{page.address}/"


async def test_a_port_that_is_taken_is_said_once_and_tried_again(desk: Desks) -> None:
    """The daemon goes on meanwhile; when the port is free, the page is there and the notice is taken back."""
    said: list[str | None] = []
    pause = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address("127.0.0.1", other.getsockname()[1])
        page = dashboard(desk, address, said, pause)
        running = asyncio.create_task(page.run())
        while not said:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not running.done()
        assert "another program listens there" in (said[0] or "")
    pause.set()
    url = await until_it_listens(page)
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert 200 == answer.status_code
    assert 1 == len([text for text in said if text])
    assert None is said[-1]


async def test_it_ends_at_once_although_somebody_looks(desk: Desks) -> None:
    """A stream that never ends by itself must not hold up the daemon's end."""
    page = dashboard(desk, ANYWHERE, [], asyncio.Event())
    running = asyncio.create_task(page.run())
    url = await until_it_listens(page)
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}events") as stream:
        lines = stream.aiter_lines()
        assert "retry: 2000" == await anext(lines)
        began = time.monotonic()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert 5.0 > time.monotonic() - began


async def test_a_page_with_a_defect_is_an_error_and_the_next_one_is_there(
    desk: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it reaches the reader but that it failed."""
    page = dashboard(desk, ANYWHERE, [], asyncio.Event())
    running = asyncio.create_task(page.run())
    url = await until_it_listens(page)
    async with httpx.AsyncClient() as client:
        with monkeypatch.context() as broken:
            broken.setattr("upscaled.dashboard.history.page", None)
            failed = await client.get(f"{url}history")
        right = await client.get(f"{url}history")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert (500, "Internal Server Error") == (failed.status_code, failed.text)
    assert 200 == right.status_code


async def test_while_nobody_looks_nothing_wakes(desk: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has no timer of ours, and the ledger is not read."""
    page = dashboard(desk, ANYWHERE, [], asyncio.Event())
    running = asyncio.create_task(page.run())
    await until_it_listens(page)
    await asyncio.sleep(0.3)
    reads: list[str] = []
    monkeypatch.setattr(desk.ledger, "query", lambda statement, *_: reads.append(statement))
    woken = 0
    loop = asyncio.get_running_loop()
    usual = loop.call_soon

    def counted(*arguments: object, **options: object) -> object:
        nonlocal woken
        woken += 1
        return usual(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon", counted)
    await asyncio.sleep(1.0)
    monkeypatch.undo()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [] == reads
    assert 3 >= woken


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("localhost", None), ("0.0.0.0", None)])
def test_it_listens_where_it_is_told(host: str, family: int | None) -> None:
    """By name or address."""
    with listening(Address(host, 0)) as listener:
        assert family in {None, listener.family}
        assert listener.getsockname()[1] > 0


def test_the_daemon_goes_on_without_its_page_and_says_so(tmp_path: Path) -> None:
    """A person finds it in the log and in `status`; pictures are upscaled; a signal ends it in time."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        house = House(tmp_path, service={"url": "http://127.0.0.1:9", "api_key": "k"})
        house.document["dashboard"] = {"listen": f"127.0.0.1:{other.getsockname()[1]}"}
        house.write()
        log = tmp_path / "log"
        with started("run", "-c", str(house.config), log=log) as daemon:
            wait_for(lambda: "dashboard.unavailable" in log.read_text("utf-8"))
            house.drop()
            wait_for(lambda: len(house.ledger().jobs()) == 1)
            notices = json.loads(house.command("status", "--json"))["notices"]
            daemon.send_signal(signal.SIGTERM)
            assert 143 == daemon.wait(20)

    assert ["The dashboard cannot be shown"] == [
        notice["text"][:29] for notice in notices if "ashboard" in notice["text"]
    ]
    assert "Traceback" not in log.read_text("utf-8")
