"""Webhooks of the service, over real HTTP: they ring, and are believed in nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.applications import Starlette

from tests.support.house import House, Threads, digest
from tests.support.jobs import NOW, job
from tests.support.quick import Quick
from tests.support.uvicorn_thread import served
from upscaled import app, building, errors
from upscaled.api import webhook
from upscaled.config import Settings
from upscaled.engine.app import create_app
from upscaled.engine.outside import Outside, Reach
from upscaled.engine.webhooks import signature
from upscaled.events import Event
from upscaled.job.model import Stage
from upscaled.job.polling import TOLD
from upscaled.polls import Polls
from upscaled.webhooks import PATH, TRUSTED, Webhooks, address_below

SECRET = "whsec_very-secret-indeed"
KEY = "engine-key"


def delivery(prediction: str, *, secret: str = SECRET, at: float | None = None) -> tuple[bytes, dict[str, str]]:
    """Return body and headers as our own engine sends them."""
    stamp = int(time.time() if at is None else at)
    body = json.dumps({"id": prediction, "status": "completed"}).encode()
    signed = {"webhook-signature": signature(secret, prediction, stamp, body)}
    return body, {"webhook-id": prediction, "webhook-timestamp": str(stamp), **signed}


@contextlib.contextmanager
def listening(webhooks: Webhooks) -> Iterator[str]:
    """Serve the route; gives the address that is posted to."""
    with served(Starlette(routes=webhooks.routes)) as url:
        yield address_below(url)


@pytest.fixture
def rung() -> list[str]:
    """Collect what was rung for."""
    return []


@pytest.fixture
def webhooks(rung: list[str]) -> Webhooks:
    """Give a receiver with a secret."""

    async def ask() -> str:
        raise AssertionError("the secret is known")

    def ring(prediction: str) -> bool:
        rung.append(prediction)
        return True

    made = Webhooks(SECRET, ask=ask)
    made.ring = ring
    return made


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Post a delivery; return the status of the answer."""
    return httpx.post(url, content=body, headers=headers).status_code


def test_a_delivery_rings_and_a_replay_rings_again(webhooks: Webhooks, rung: list[str]) -> None:
    """Which costs one question more, and harms nothing."""
    before = webhooks.heard
    with listening(webhooks) as url:
        sent = delivery("p1")
        statuses = [post(url, *sent), post(url, *sent)]

    assert ([204, 204], ["p1", "p1"], False, True) == (statuses, rung, before, webhooks.heard)


def test_what_is_forged_old_or_too_large_rings_for_nobody(webhooks: Webhooks, rung: list[str]) -> None:
    """Nor does it make polling slower."""
    with listening(webhooks) as url:
        statuses = [
            post(url, *delivery("p1", secret="whsec_wrong")),
            post(url, *delivery("p1", at=time.time() - webhook.WINDOW - 5)),
            post(url, b"{}", {}),
            post(url, b" " * (webhook.LARGEST + 1), {}),
            httpx.get(url).status_code,
        ]

    assert ([401, 401, 401, 413, 405], [], False) == (statuses, rung, webhooks.heard)
    assert {"taken": 0, "refused": 3} == webhooks.counts


async def test_the_secret_is_asked_for_and_again_when_it_was_exchanged() -> None:
    """Not more often than every five minutes, whoever posts what; until it is known, the sender is asked to wait."""
    answers: list[str | errors.ServiceError] = [errors.Unreachable("no"), "whsec_old", "whsec_new"]
    slept = asyncio.Semaphore(0)

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, str):
            return answer
        raise answer

    async def sleep(_: float) -> None:
        await slept.acquire()

    webhooks = Webhooks(None, ask=ask, sleep=sleep)
    transport = httpx.ASGITransport(Starlette(routes=webhooks.routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:

        async def posted(secret: str) -> int:
            body, headers = delivery("p1", secret=secret)
            return (await client.post(PATH, content=body, headers=headers)).status_code

        running = asyncio.create_task(webhooks.run())
        await settled()
        statuses = [await posted("whsec_old")]
        slept.release()
        await settled()
        statuses += [await posted("whsec_old"), await posted("whsec_new")]
        left = len(answers)
        slept.release()
        await settled()
        statuses += [await posted("whsec_new")]
        running.cancel()

    assert ([503, 204, 401, 204], 1) == (statuses, left)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_deliveries_are_expected_for_a_while(webhooks: Webhooks) -> None:
    """When they stop coming, polling is as quick as ever."""
    now = [1000.0]
    quiet = Webhooks(SECRET, ask=webhooks.take, now=lambda: now[0])  # type: ignore[arg-type]
    transport = httpx.ASGITransport(Starlette(routes=quiet.routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        body, headers = delivery("p1", at=now[0])
        await client.post(PATH, content=body, headers=headers)
    heard = [quiet.heard]
    now[0] += TRUSTED
    heard.append(quiet.heard)

    assert [True, False] == heard


def test_polling_is_a_safety_net_where_webhooks_come_and_news_are_asked_about_at_once() -> None:
    """Half a minute between questions; news of a prediction come first, also while it is being asked about."""
    now = [NOW]
    polls = Polls(floor=0.1, now=lambda: now[0], told=lambda _: True)
    one = job(stage=Stage.SUBMITTED, submitted_at=NOW)
    waits = [polls.wait(one)]
    polls.news(one)
    waits.append(polls.wait(one))
    waits.append(polls.not_yet(one))
    polls.news(one)
    waits.append(polls.not_yet(one))
    waits.append(polls.not_yet(one))

    assert [TOLD, 0.0, TOLD, 0.0, TOLD] == waits
    assert TOLD > Polls(floor=0.1, now=lambda: now[0]).wait(one) > 0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_our_own_engine_tells_the_daemon_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its secret is asked for, its signed webhooks ring, and with polls an hour apart the pictures are done at once."""
    monkeypatch.setattr(building, "Processes", Threads)
    upscaler = Quick()
    engine = create_app(directory=tmp_path / "engine", upscaler=upscaler, keys=[KEY], webhooks=Outside(Reach.ANY))
    with served(engine) as url:
        port = free_port()
        house = House(tmp_path, service={"url": url, "api_key": KEY, "poll_min": "1h"})
        house.document["service"]["webhook"] = {"public_url": f"http://127.0.0.1:{port}"}
        house.document["dashboard"] = {"listen": f"127.0.0.1:{port}"}
        house.write()
        originals = {f"{n}.jpg": digest(house.drop(f"{n}.jpg", seed=n)) for n in range(3)}
        ended = asyncio.run(until_done(house.settings(), 3))

    house.assert_whole(originals)
    assert 3 == len(ended)
    polls = [event.effort.runs for event in ended]
    assert all(count <= 3 for count in polls), "each is asked for once at first and once when it rings"


async def until_done(settings: Settings, count: int) -> list[Event]:
    """Run the daemon until so many jobs are done; return the events at which their predictions were over."""
    over: list[Event] = []
    done = asyncio.Semaphore(0)
    main = threading.get_ident()

    def note(event: Event) -> None:
        assert threading.get_ident() == main
        if event.step == "await":
            over.append(event)
        if event.kind == "done":
            done.release()

    running = asyncio.create_task(app.run(settings, subscribers=[note], load=lambda: settings))
    async with asyncio.timeout(60):
        for _ in range(count):
            waiting = asyncio.create_task(done.acquire())
            await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), running.result()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    return over


def test_a_webhook_needs_a_page_to_be_posted_to(tmp_path: Path) -> None:
    """And a service that is somewhere else."""
    house = House(tmp_path, service={"url": "embedded", "webhook": {"public_url": "https://x.example"}})
    with pytest.raises(errors.ConfigError) as caught:
        house.settings()

    found = [problem.message for problem in caught.value.problems]
    assert ["built-in engine" in found[0], "dashboard.listen" in found[1]] == [True, True]
    assert yaml.safe_load(house.config.read_text())["service"]["webhook"]
