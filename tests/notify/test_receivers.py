"""Real deliveries, and addresses that are never given away."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.support.configs import GOOD, load_text
from tests.support.house import House
from tests.support.receiver import receiving
from tests.support.service import Fault, serve
from tests.support.service import Settings as ServiceSettings
from upscaled.cli import main
from upscaled.errors import ConfigError, UpscaledError
from upscaled.notify.receivers import NotDelivered, cleaned, deliver_to_all, in_thread, receiver_of, receivers_of

BODY = {"id": "x-1", "upscaled": "x", "kind": "alert", "title": "T", "text": "one\ntwo", "at": "2026-11-22T10:00:00Z"}
SECRET = "s3cr3t-t0ken"


async def test_a_webhook_gets_the_message_as_json() -> None:
    """The same that programs read: kind, title, text, facts, and an id to tell repetitions by."""
    with receiving() as inbox:
        await receiver_of(f"{inbox.url}/hook/{SECRET}?k={SECRET}").deliver(BODY)

    assert [(f"/hook/{SECRET}", BODY)] == inbox.got


async def test_apprise_delivers_to_its_json_address() -> None:
    """One of a hundred; title, text and how grave it is."""
    with receiving() as inbox:
        await receiver_of(f"{inbox.url.replace('http', 'json')}/{SECRET}").deliver(BODY)

    ((path, got),) = inbox.got
    assert (f"/{SECRET}", "T", "one\ntwo", "warning") == (path, got["title"], got["message"], got["type"])


@pytest.mark.parametrize("scheme", ["http", "json"])
async def test_a_refusal_and_an_absence_are_told_without_the_address(scheme: str) -> None:
    """It may hold a password or a token."""
    with receiving() as inbox:
        inbox.status = 500
        receiver = receiver_of(f"{inbox.url.replace('http', scheme)}/hook/{SECRET}")
        with pytest.raises(NotDelivered) as refused:
            await receiver.deliver(BODY)
    with pytest.raises(NotDelivered) as absent:
        await receiver.deliver(BODY)

    assert SECRET not in f"{refused.value}{absent.value}{receiver.name}{receiver.key}"
    assert "500" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://", "is no address of a webhook"),
        (f"nosuch://{SECRET}", "is no address that Apprise knows"),
        (SECRET, "is no address"),
        (f"mailto://{SECRET}", "is no address that Apprise knows"),
    ],
)
def test_an_address_of_which_nothing_can_be_made_is_a_mistake_in_the_configuration(
    tmp_path: Path, url: str, message: str
) -> None:
    """With its line, and without what it says."""
    settings = load_text(GOOD + f"notify:\n  urls:\n    - http://fine.example/x\n    - {url}\n", tmp_path)

    with pytest.raises(ConfigError, match=message) as caught:
        receivers_of(settings)

    assert SECRET not in str(caught.value)
    assert 9 == caught.value.problems[0].line


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Webhooks need nothing."""
    monkeypatch.setitem(sys.modules, "apprise", None)

    receiver_of("https://hook.example/x")
    with pytest.raises(UpscaledError) as caught:
        receiver_of("ntfy://topic")
    assert "pip install 'upscaled[notify]'" in caught.value.do


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Failed to send to user:pa%ss@host", "Failed to send to ...:...@..."),
        ("no\nluck", "no luck"),
        ("", "it gives no reason"),
    ],
)
def test_what_a_library_says_is_cleaned_of_every_part_of_the_address(said: str, shown: str) -> None:
    """Encoded as it was written, or not."""
    assert shown == cleaned(said, "mailtos://user:pa%25ss@host/box?from=me")


async def test_what_hangs_in_a_thread_is_left_behind() -> None:
    """A mail server that never answers must not keep the daemon from stopping."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_thread(lambda: time.sleep(0.2))
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    assert 3 == await in_thread(lambda: 3)


async def test_each_is_tried_whatever_became_of_the_others() -> None:
    """`notify test` tells of all of them."""
    with receiving() as inbox:
        good, bad = receiver_of(f"{inbox.url}/x"), receiver_of("http://127.0.0.1:9/x")

        refused = await deliver_to_all([bad, good], BODY)

    assert [bad] == [receiver for receiver, _ in refused]
    assert 1 == len(inbox.got)


def test_thirty_pictures_are_one_message_to_each_receiver(tmp_path: Path) -> None:
    """The whole program: a webhook and an Apprise address, told once, with what failed by name."""
    with receiving() as inbox, serve(ServiceSettings(latency=0.05)) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key, "tier": "gold"})
        house.document["notify"] = {"urls": [f"{inbox.url}/hook", f"{inbox.url.replace('http', 'json')}/apprise"]}
        house.write()
        for n in range(29):
            house.drop(f"{n}.jpg", seed=n)
        server.script(Fault("result", "failed", nth=7, args={"code": 1200, "error": "flagged"}))
        house.drop("last.jpg", seed=29)

        house.once()

    (hook,), (apprise,) = inbox.at("/hook"), inbox.at("/apprise")
    assert ("digest", "29 done, 1 failed") == (hook["kind"], hook["title"])
    assert ["flagged" in failure["reason"] for failure in hook["facts"]["failures"]] == [True]
    assert hook["title"] == apprise["title"]


def test_a_test_message_is_sent_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`upscaled notify test`, and its exit code."""

    def test() -> tuple[object, str]:
        with pytest.raises(SystemExit) as over:
            main(["notify", "test", "-c", str(house.config)])
        return over.value.code, capsys.readouterr().out

    with receiving() as inbox:
        house = House(tmp_path, service={"url": "embedded"})
        house.document["notify"] = {"urls": [f"{inbox.url}/{SECRET}"]}
        house.write()
        code, printed = test()
    refused, complaint = test()

    assert (0, "http://127.0.0.1: took the message\n") == (code, printed)
    assert (1, "test") == (refused, inbox.got[0][1]["kind"])
    assert "connection refused" in complaint
    assert SECRET not in printed + complaint
