"""Requests to addresses that a client named: only what may be requested is, and webhooks are signed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.contract.suite import MODEL, PHOTO, Service
from tests.engine.test_app import Time, serving
from tests.support.quick import Quick
from upscaled.api import wire
from upscaled.engine.outside import Outside, OutsideError, Reach
from upscaled.engine.store import Store, Task
from upscaled.engine.webhooks import PAUSES, Webhooks, kept_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PUBLIC = "http://8.8.8.8/cat.jpg"


class Net:
    """Stands for the network: remembers requests and answers with what it was given, the last for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://localhost:8080/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[64:ff9b:1::808:808]/",
        "http://[2002:a00:1::]/",
        "http://[fec0::1]/",
        "http://[::ffff:0:10.0.0.1]/",
        "http://[::10.0.0.1]/",
        "http://[ff0e::1]/",
        "http://user:secret@8.8.8.8/",
        "ftp://8.8.8.8/",
        "http:///nothing",
        "http://[broken/",
        "http://8.8.8.8:99999/",
        "http://no-such-host.invalid/",
    ],
)
async def test_only_the_public_internet_is_requested(tmp_path: Path, url: str) -> None:
    """However an address of ours is written, nothing is sent to it."""
    net = Net(httpx.Response(200))
    with pytest.raises(OutsideError):
        await Outside(Reach.PUBLIC, transport=net.transport).fetch(url, tmp_path / "got")
    assert [] == net.requests


async def test_a_redirect_is_checked_like_an_address(tmp_path: Path) -> None:
    """A public page must not lead us to a private one."""
    net = Net(httpx.Response(302, headers={"Location": "http://127.0.0.1/admin"}))
    with pytest.raises(OutsideError, match="not on the public internet"):
        await Outside(Reach.PUBLIC, transport=net.transport).fetch(PUBLIC, tmp_path / "got")
    assert 1 == len(net.requests)


async def test_a_redirect_to_no_address_is_the_hosts_failure(tmp_path: Path) -> None:
    """And not one of ours."""
    net = Net(httpx.Response(302, headers={"Location": "http://[bad"}))
    with pytest.raises(OutsideError, match="not a valid address"):
        await Outside(Reach.ANY, transport=net.transport).fetch(PUBLIC, tmp_path / "got")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::1]:8080/cat.jpg", "[::1]:8080"),
        ("http://[2001:db8::1]/cat.jpg", "[2001:db8::1]"),
        ("http://nas/cat.jpg", "nas"),
        ("http://nas:81/cat.jpg", "nas:81"),
    ],
)
async def test_the_host_is_named_as_http_wants_it(tmp_path: Path, url: str, host: str) -> None:
    """An IPv6 address stands in brackets."""
    net = Net(httpx.Response(200, content=b"picture"))
    await Outside(Reach.ANY, transport=net.transport).fetch(url, tmp_path / "got")
    assert host == net.requests[0].headers["host"]


async def test_a_host_that_dawdles_is_given_up(tmp_path: Path) -> None:
    """Each byte comes in time, and the whole never would; the next picture is made."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    images = Outside(Reach.ANY, patience=0.2, transport=transport)
    async with serving(tmp_path, Quick(), images=images) as service:
        finished = await service.finished((await service.submit(image="http://nas/cat.jpg")).id)
        assert "Failed to download image from the provided URL: it took longer than 0.2 s" == finished.error
        assert wire.CODE_MEDIA == finished.code
        assert "completed" == (await service.finished((await service.submit(image=await service.uploaded())).id)).status
    with pytest.raises(OutsideError, match="longer than"):
        await Outside(Reach.ANY, patience=0.2, transport=httpx.MockTransport(never)).post("http://nas/", b"", {})


async def never(_: httpx.Request) -> httpx.Response:
    """Give no answer."""
    await asyncio.sleep(3600)
    return httpx.Response(200)


async def test_redirects_come_to_an_end(tmp_path: Path) -> None:
    """A circle is not followed for ever."""
    net = Net(httpx.Response(302, headers={"Location": PUBLIC}))
    with pytest.raises(OutsideError, match="more than 3 times"):
        await Outside(Reach.PUBLIC, transport=net.transport).fetch(PUBLIC, tmp_path / "got")
    assert 4 == len(net.requests)


async def test_the_request_goes_to_the_address_that_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to something else a moment later changes nothing; host and certificate stay the name's."""
    net = Net(httpx.Response(200, content=b"picture"))

    async def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("93.184.215.14", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    await Outside(Reach.PUBLIC, transport=net.transport).fetch("https://example.com:8443/a?b=c", tmp_path / "got")
    assert "https://93.184.215.14:8443/a?b=c" == str(net.requests[0].url)
    assert "example.com:8443" == net.requests[0].headers["host"]
    assert "example.com" == net.requests[0].extensions["sni_hostname"]
    assert b"picture" == (tmp_path / "got").read_bytes()


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look-up could give the other."""

    async def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    with pytest.raises(OutsideError, match="not on the public internet"):
        await Outside(Reach.PUBLIC, transport=Net().transport).fetch("http://example.com/", tmp_path / "got")


async def test_too_large_a_file_is_not_fetched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of uploads holds here too."""
    monkeypatch.setattr(wire, "UPLOAD_LIMIT", 10)
    net = Net(httpx.Response(200, content=b"x" * 11))
    with pytest.raises(OutsideError, match="larger than"):
        await Outside(Reach.ANY, transport=net.transport).fetch("http://nas/cat.jpg", tmp_path / "got")


async def test_a_picture_elsewhere_is_fetched_where_that_is_allowed(tmp_path: Path) -> None:
    """And nothing of it stays but the result."""
    net = Net(httpx.Response(200, content=PHOTO.read_bytes()))
    async with serving(tmp_path, Quick(), images=Outside(Reach.ANY, transport=net.transport)) as service:
        finished = await service.finished((await service.submit(image="http://nas/cat.jpg")).id)
        assert "completed" == finished.status
    assert [] == list((tmp_path / "uploads").iterdir())


async def test_a_picture_that_cannot_be_fetched_fails_its_task_with_the_reason(tmp_path: Path) -> None:
    """In the service's words and with its code."""
    net = Net(httpx.Response(404))
    async with serving(tmp_path, Quick(), images=Outside(Reach.ANY, transport=net.transport)) as service:
        finished = await service.finished((await service.submit(image="http://nas/cat.jpg")).id)
        assert wire.CODE_MEDIA == finished.code
        assert "Failed to download image from the provided URL: it answered with HTTP 404" == finished.error


async def hooked(service: Service, url: str, **inputs: Any) -> httpx.Response:
    """Submit with a webhook."""
    body = {"image": await service.uploaded(), "target_resolution": "2k", **inputs}
    return await service.client.post(MODEL, params={"webhook": url}, json=body)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens beside the test."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never happened")


async def test_a_webhook_is_told_of_the_result_and_signed(tmp_path: Path) -> None:
    """The body is the bare prediction, and verifies as the service's documents say."""
    net, time = Net(httpx.Response(200)), Time()
    webhooks = Outside(Reach.ANY, transport=net.transport)
    async with serving(tmp_path, Quick(), webhooks=webhooks, clock=time) as service:
        submitted = (await hooked(service, "https://me.example/hook?job=1")).json()["data"]
        await until(lambda: net.requests)
        answer = await service.client.get(f"{wire.PREFIX}/webhook/secret")
        secret = answer.json()["data"]["secret"]
    told = net.requests[0]
    body = json.loads(told.content)
    assert ("https://me.example/hook?job=1", submitted["id"]) == (str(told.url), body["id"])
    assert "completed" == body["status"]
    assert body["outputs"][0].startswith("http://embedded/outputs/")
    assert str(int(time())) == told.headers["webhook-timestamp"]
    assert submitted["id"] == told.headers["webhook-id"]
    signed = f"{submitted['id']}.{int(time())}.".encode() + told.content
    expected = hmac.new(secret.removeprefix("whsec_").encode(), signed, hashlib.sha256).hexdigest()
    assert f"v3,{expected}" == told.headers["webhook-signature"]


async def test_a_webhook_that_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    """The receiver was down, and then the server died."""
    down, up = Net(httpx.Response(503)), Net(httpx.Response(200))
    async with serving(tmp_path, Quick(), webhooks=Outside(Reach.ANY, transport=down.transport)) as service:
        task = (await hooked(service, "http://me/hook")).json()["data"]["id"]
        await until(lambda: down.requests)
    kept = tmp_path / "predictions" / f"{task}.json"
    assert "http://me/hook" == json.loads(kept.read_bytes())["webhook"]
    async with serving(tmp_path, Quick(), webhooks=Outside(Reach.ANY, transport=up.transport)):
        await until(lambda: up.requests)
        await until(lambda: json.loads(kept.read_bytes())["webhook"] is None)
    assert 1 == len(up.requests)


async def test_a_webhook_is_tried_four_times_with_growing_pauses(tmp_path: Path, finished_task: Task) -> None:
    """And then no more: a poll still finds the result."""
    net, pauses = Net(httpx.Response(500)), list[float]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    store = Store(tmp_path)
    hooks = Webhooks("whsec_x", Outside(Reach.ANY, transport=net.transport), store, Time(), pause=pause)
    store.note(finished_task)
    hooks.tell(finished_task)
    await until(lambda: not store.untold())
    assert list(PAUSES) == pauses
    assert 4 == len(net.requests)


@pytest.fixture
def finished_task() -> Task:
    """A prediction to tell of."""
    return Task("0" * 32, wire.IMAGE_UPSCALER, {}, Time()(), status="completed", webhook="http://me/hook")


async def test_webhooks_that_cannot_be_sent_are_refused_at_once(tmp_path: Path) -> None:
    """Rather than never coming."""
    async with serving(tmp_path, Quick(), webhooks=Outside(Reach.NONE)) as service:
        assert 400 == (await hooked(service, "https://me.example/")).status_code
    async with serving(tmp_path, Quick()) as service:
        assert 400 == (await hooked(service, "file:///etc/passwd")).status_code


def test_the_secret_stays_the_same_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """Receivers keep it."""
    secret = kept_secret(tmp_path)
    assert secret == kept_secret(tmp_path)
    assert secret.startswith("whsec_")
    assert 0o600 == (tmp_path / "webhook-secret").stat().st_mode & 0o777
    assert ["webhook-secret"] == [path.name for path in tmp_path.iterdir()]


async def test_too_many_submits_in_a_minute_are_429_until_the_next(tmp_path: Path) -> None:
    """With the time to wait, and without having made or kept anything."""
    time = Time()
    async with serving(tmp_path, Quick(), per_minute=2, clock=time) as service:
        image = await service.uploaded()
        for _ in range(2):
            await service.submit(image=image)
        time.now += 20
        answer = await service.client.post(MODEL, json={"image": image})
        assert (429, "40") == (answer.status_code, answer.headers["retry-after"])
        kept = list((tmp_path / "uploads").iterdir())
        assert 429 == (await service.client.post(MODEL, json={"image": "data:image/png;base64,AAAA"})).status_code
        assert kept == list((tmp_path / "uploads").iterdir())
        assert 2 == len(await service.found())
        time.now += 40
        await service.submit(image=image)
