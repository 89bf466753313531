"""The service that other tests trust: it keeps the contract, counts its money, and misbehaves when told to."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from wavespeed.api.client import Client

from tests.contract.suite import Contract, Service
from tests.support.service import Fault, Settings, World, application, serve, serve_process
from tests.support.service_faults import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"
KEY = {"Authorization": "Bearer test-key"}
MODEL = "/api/v3/wavespeed-ai/image-upscaler"
SMALL: dict[str, Any] = {"targets": {"2k": 90, "4k": 180, "8k": 360}}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDK away from this machine's proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


class TestKeepsTheContract(Contract):
    """The same suite as for the engine."""

    @pytest.fixture
    async def service(self) -> AsyncIterator[Service]:
        """The service in process."""
        transport = httpx.ASGITransport(application(World()))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=KEY) as client,
            httpx.AsyncClient(transport=transport, base_url="http://service.test") as anyone,
        ):
            yield Service(client, anyone)


def test_the_services_own_client_can_use_it() -> None:
    """The official SDK, unmodified: upload, run, result."""
    with serve(Settings(**SMALL)) as server:
        client = Client(api_key=server.key, base_url=server.url)
        url = client.upload(str(PHOTO))
        inputs = {"image": url, "target_resolution": "2k"}
        found = client.run("wavespeed-ai/image-upscaler", inputs, poll_interval=0.01)["outputs"]

        assert found[0].startswith(server.files_url)
        assert 1 == server.world.paid


# --- time and limits, by a clock of the test's own -------------------------------------------------------------------


class Clock:
    """A clock that is set by hand; sleeping sets it forward."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    """The time of `world`."""
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    """A service's memory."""
    return World(Settings(**SMALL), clock=clock, sleep=clock.sleep)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Someone with the key."""
    transport = httpx.ASGITransport(application(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=KEY) as made:
        yield made


async def picture(world: World) -> str:
    """Have a picture stored and return its address."""
    made = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(made, "png")
    blob = world.ticket("in.png", len(made.getvalue()), "image/png")
    world.store(blob, made.getvalue())
    return world.url_of(blob)


async def submit(client: httpx.AsyncClient, image: str, **inputs: Any) -> httpx.Response:
    """Submit it."""
    return await client.post(MODEL, json={"image": image, "target_resolution": "2k", **inputs})


async def status(client: httpx.AsyncClient, submitted: httpx.Response) -> str:
    """Return what became of it."""
    answer = await client.get(f"/api/v3/predictions/{submitted.json()['data']['id']}/result")
    return str(answer.json()["data"]["status"])


async def test_tasks_beyond_the_concurrency_wait_in_a_queue(
    world: World, client: httpx.AsyncClient, clock: Clock
) -> None:
    """As at the real service: they stay created until one before them is finished."""
    world.set(concurrency=2, latency=10)
    image = await picture(world)
    tasks = [await submit(client, image) for _ in range(5)]

    seen = []
    for _ in range(4):
        seen.append([await status(client, task) for task in tasks])
        clock.at += 10

    waits, runs, done = "created", "processing", "completed"
    assert [
        [runs, runs, waits, waits, waits],
        [done, done, runs, runs, waits],
        [done, done, done, done, runs],
        [done, done, done, done, done],
    ] == seen


async def test_more_in_flight_than_allowed_is_429(world: World, client: httpx.AsyncClient, clock: Clock) -> None:
    """And nothing is charged; one that finishes makes room."""
    world.set(max_in_flight=2, latency=10)
    image = await picture(world)
    answers = [await submit(client, image) for _ in range(3)]
    clock.at += 10
    answers.append(await submit(client, image))

    assert [200, 200, 429, 200] == [answer.status_code for answer in answers]
    assert (3, 2, 1) == (world.paid, world.stats()["peak_in_flight"], world.stats()["refused_429"])


@pytest.mark.parametrize(
    ("how", "expected"), [(None, None), ("seconds", "20"), ("date", "Mon, 21 Sep 2026 14:14:00 GMT")]
)
async def test_more_in_a_minute_than_allowed_is_429_until_the_next(
    world: World, client: httpx.AsyncClient, clock: Clock, how: str | None, expected: str | None
) -> None:
    """The window is the clock's minute."""
    clock.at = 1_790_000_020.0
    world.set(max_per_minute=2, retry_after=how)
    image = await picture(world)
    answers = [await submit(client, image) for _ in range(3)]
    clock.at += 20
    answers.append(await submit(client, image))

    assert [200, 200, 429, 200] == [answer.status_code for answer in answers]
    assert expected == answers[2].headers.get("Retry-After")
    assert 2 == world.stats()["peak_per_window"]


async def test_an_empty_account_buys_nothing(world: World, client: httpx.AsyncClient) -> None:
    """To the cent."""
    world.set(balance=0.03, price=0.01)
    image = await picture(world)
    answers = [await submit(client, image) for _ in range(4)]

    assert [200, 200, 200, 402] == [answer.status_code for answer in answers]
    assert (0.0, 0.03) == (world.balance, world.stats()["charged"])


async def test_a_failed_task_is_refunded(world: World, client: httpx.AsyncClient) -> None:
    """It was charged, and then it was not."""
    submitted = await submit(client, await picture(world))
    world.script(Fault("result", "failed", nth=1, args={"code": 1200, "error": "flagged"}))

    first, second = await status(client, submitted), await status(client, submitted)

    assert ("failed", "failed") == (first, second)
    stats = world.stats()
    assert (0, 0.01, 0.01, 100.0) == (stats["paid"], stats["charged"], stats["refunded"], stats["balance"])


async def test_a_deleted_task_was_paid_for(world: World, client: httpx.AsyncClient) -> None:
    """Deleting is no way to get money back."""
    submitted = await submit(client, await picture(world))
    await client.post("/api/v3/predictions/delete", json={"ids": [submitted.json()["data"]["id"]]})

    assert 1 == world.paid


async def test_a_new_task_appears_in_the_history_after_its_lag(
    world: World, client: httpx.AsyncClient, clock: Clock
) -> None:
    """Whoever looks too early concludes wrongly."""
    world.set(listing_lag=30)
    await submit(client, await picture(world))

    async def listed() -> int:
        answer = await client.post("/api/v3/predictions", json={"page": 1, "page_size": 10})
        return len(answer.json()["data"]["items"])

    assert 0 == await listed()
    clock.at += 30
    assert 1 == await listed()


async def test_a_synchronous_request_is_given_up_after_its_limit(world: World, client: httpx.AsyncClient) -> None:
    """With code 5004, while the task goes on."""
    world.set(latency=200)
    answer = await submit(client, await picture(world), enable_sync_mode=True)

    assert (200, "processing", 5004) == (
        answer.status_code,
        answer.json()["data"]["status"],
        answer.json()["data"]["code"],
    )
    assert 1 == world.paid


async def test_its_date_is_that_of_its_own_clock(client: httpx.AsyncClient, clock: Clock) -> None:
    """So that clients can be shown a wrong one."""
    clock.at = 1_790_000_000.9

    assert "Mon, 21 Sep 2026 14:13:20 GMT" == (await client.get("/api/v3/balance")).headers["Date"]


# --- storage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 200),
        ({"Authorization": "Bearer test-key"}, 400),
        ({"Content-Type": "image/jpeg"}, 403),
        ({"If-None-Match": None}, 403),
        ({"Content-Type": None}, 403),
    ],
)
async def test_the_storage_wants_exactly_the_tickets_headers(
    world: World, change: dict[str, str | None], expected: int
) -> None:
    """And no key among them."""
    blob = world.ticket("in.png", 3, "image/png")
    headers = {"If-None-Match": "*", "Content-Type": "image/png"} | change
    given = {name: value for name, value in headers.items() if value is not None}
    transport = httpx.ASGITransport(application(world))
    async with httpx.AsyncClient(transport=transport) as anyone:
        url = f"{world.files_url}/storage/{blob.token}?X-Signature={blob.signature}"
        answer = await anyone.put(url, headers=given, content=b"abc")

    assert expected == answer.status_code
    assert bool(blob.sha256) is (expected == 200)


@pytest.mark.parametrize(
    ("size", "age", "signature", "expected"),
    [(4, 0, "", 400), (3, 3601, "", 403), (3, 0, "x", 403), (3, 3599, "", 200)],
)
async def test_a_ticket_holds_for_one_size_for_a_time_with_its_signature(
    world: World, *, size: int, age: float, signature: str, expected: int
) -> None:
    """Everything else is refused."""
    issued = world.now()
    blob = world.ticket("in.png", size, "image/png")
    world.now = lambda: issued + age
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application(world))) as anyone:
        url = f"{world.files_url}/storage/{blob.token}?X-Signature={blob.signature}{signature}"
        headers = {"If-None-Match": "*", "Content-Type": "image/png"}
        answer = await anyone.put(url, headers=headers, content=b"abc")

    assert expected == answer.status_code


async def test_an_output_is_refused_to_whoever_shows_a_key(world: World, client: httpx.AsyncClient) -> None:
    """It would have been sent to a stranger."""
    submitted = await submit(client, await picture(world))
    url = submitted.json()["data"]["outputs"][0]

    assert 400 == (await client.get(url)).status_code


@pytest.mark.parametrize(
    ("fault", "size", "form"), [("wrong-aspect", (90, 30), "JPEG"), ("wrong-type", (90, 60), "PNG")]
)
async def test_a_wrong_output_is_a_real_picture_nevertheless(
    world: World, client: httpx.AsyncClient, fault: str, size: tuple[int, int], form: str
) -> None:
    """Only not the right one."""
    submitted = await submit(client, await picture(world))
    world.script(Fault("output", fault))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application(world))) as anyone:
        answer = await anyone.get(submitted.json()["data"]["outputs"][0])

    with Image.open(io.BytesIO(answer.content)) as found:
        assert (size, form) == (found.size, found.format)
    assert "image/jpeg" == answer.headers["Content-Type"]


# --- the script ------------------------------------------------------------------------------------------------------


def test_faults_are_counted_by_kind_and_by_what_they_match() -> None:
    """Requests that a fault is not about do not count for it."""
    script = Script([Fault("submit", "drop", nth=2, match="cat"), Fault("submit", "500", nth=(1, 3))])

    found = [script.choose("submit", subject) for subject in ("cat", "dog", "cat", "cat")]
    other = script.choose("result", "cat")

    assert ["500", None, "drop", None] == [fault and fault.do for fault in found]
    assert other is None


def test_chance_follows_from_the_seed() -> None:
    """Neither always nor never, and the same again."""

    def run(seed: int) -> list[bool]:
        script = Script([Fault("submit", "drop", chance=0.5)], seed)
        return [script.choose("submit", "") is not None for _ in range(100)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 30 < sum(run(1)) < 70


def test_faults_survive_json() -> None:
    """As they go through the controls."""
    fault = Fault("submit", "429", nth=(1, 2), args={"retry_after": 7})

    assert fault == Fault.read(fault.write() | {"nth": [1, 2]})


async def test_an_unknown_fault_is_a_mistake_of_the_test(world: World, client: httpx.AsyncClient) -> None:
    """It must not pass for good behaviour."""
    world.script(Fault("balance", "expolde"))

    with pytest.raises(ValueError, match="expolde"):
        await client.get("/api/v3/balance")


# --- a process of its own --------------------------------------------------------------------------------------------


def test_it_is_steered_and_questioned_from_outside_and_outlives_its_own_death(tmp_path: Path) -> None:
    """Its account and its files are what it had when it was killed."""
    state = tmp_path / "service.json"
    with serve_process(state, Settings(**SMALL), [Fault("submit", "create-drop", nth=1)]) as server:
        client = Client(api_key=server.key, base_url=server.url)
        url = client.upload(str(PHOTO))
        with httpx.Client(base_url=server.url, headers=KEY, trust_env=False) as plain:
            with pytest.raises(httpx.RemoteProtocolError):
                plain.post(MODEL, json={"image": url})
            server.set(price=0.5)
            server.script(Fault("submit", "402", nth=1))
            assert 402 == plain.post(MODEL, json={"image": url}).status_code
            assert 200 == plain.post(MODEL, json={"image": url}).status_code
        before = server.stats()
        os.kill(server.process.pid, signal.SIGKILL)
    with serve_process(state, Settings(**SMALL)) as server:
        after = server.stats()

    assert ["create-drop", "402", ""] == [note["fault"] for note in before["requests"] if note["kind"] == "submit"]
    assert (2, 0.51, [2]) == (after["paid"], after["charged"], list(after["by_image"].values()))
    assert [task["id"] for task in before["tasks"]] == [task["id"] for task in after["tasks"]]
