from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House, digest
from tests.support.service import ApiServer, Fault
from upscaled.events import Event
from upscaled.job import pacing
from upscaled.job.model import Cause, Standing


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let back-off be a matter of milliseconds; its real numbers are tested where they are."""
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))
    monkeypatch.setattr("upscaled.worker.GIVE_UP", 1000)
    monkeypatch.setattr("upscaled.ending.GIVE_UP", 1000)


def once(number: int | tuple[int, ...], on: str, do: str, **args: Any) -> Fault:
    """Return a fault of the n-th request of a kind."""
    return Fault(on, do, nth=number, args=args)


PASSING = [
    once(1, "ticket", "500"),
    once(1, "ticket", "429"),
    once(1, "ticket", "expired"),
    once(1, "ticket", "no-address"),
    once(1, "ticket", "drop"),
    once(1, "put", "403"),
    once(1, "put", "412"),
    once(1, "put", "500"),
    once(1, "put", "drop"),
    once(1, "put", "store-drop"),
    once(1, "submit", "drop"),
    once(1, "submit", "create-drop"),
    once(1, "submit", "create-drop-headers"),
    once(1, "submit", "create-drop-body"),
    once(1, "submit", "504"),
    once(1, "submit", "create-504"),
    once(1, "submit", "500"),
    once(1, "submit", "create-500"),
    once(1, "submit", "429"),
    once(1, "submit", "429", retry_after=0),
    once(1, "submit", "200-code", code=500),
    once(1, "submit", "create-200-code", code=500),
    once(1, "submit", "200-no-id"),
    once(1, "submit", "create-200-no-id"),
    once((1, 2), "result", "unknown-status"),
    once((1, 2), "result", "nulls"),
    once((1, 2), "result", "missing-fields"),
    once(1, "result", "nanoseconds"),
    once((1, 2), "result", "503"),
    once(1, "result", "html"),
    once(1, "result", "404"),
    once(1, "result", "429"),
    once(1, "result", "drop"),
    once(1, "output", "short"),
    once(1, "output", "corrupt"),
    once(1, "output", "html"),
    once(1, "output", "403"),
    once(1, "output", "404"),
    once(1, "output", "500"),
    once(1, "output", "wrong-type"),
    once(1, "output", "wrong-aspect"),
    once(1, "output", "drop"),
    once(1, "output", "redirect"),
    once(1, "price", "500"),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.on} {fault.do} {dict(fault.args) or ''}".strip())
def test_trouble_that_passes_costs_time_and_never_a_second_cent(house: House, server: ApiServer, fault: Fault) -> None:
    """One result, one original archived, one paid task, whatever happened on the way."""
    server.script(fault)
    original = digest(house.drop())

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]
    assert [1] == list(server.stats()["by_image"].values())


@pytest.mark.parametrize("listing", [None, "input", "inputs"])
@pytest.mark.parametrize("fault", ["create-drop", "drop"])
def test_a_lost_submit_is_reconciled_whatever_the_history_shows(
    house: House, server: ApiServer, listing: str | None, fault: str
) -> None:
    """With or without inputs in the listing, and with a listing that lags."""
    server.world.set(listing_inputs=listing, listing_lag=0.4)
    server.script(once(1, "submit", fault))
    original = digest(house.drop())

    assert 0 == house.once(listing_lag=0.8)

    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def test_two_lost_submits_that_cannot_be_told_apart_are_held_not_paid_again(house: House, server: ApiServer) -> None:
    """I3: doubt is a person's to settle."""
    server.world.set(listing_inputs=None)
    server.script(once((1, 2), "submit", "create-drop"))
    house.drop("a.jpg", seed=1)
    house.drop("b.jpg", seed=2)

    assert 1 == house.once()

    assert 2 == server.stats()["paid"]
    assert {"held"} == set(house.standings())
    assert all("could be it" in job.reason for job in house.ledger().jobs())
    assert ["a.jpg", "b.jpg"] == sorted(house.files(house.inbox))


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ({"code": 1200, "error": "Content flagged as potentially sensitive."}, "potentially sensitive"),
        ({"code": 1403, "error": "execution failed"}, "execution failed"),
    ],
)
def test_a_prediction_that_fails_for_good_sends_its_original_to_the_failed_folder(
    house: House, server: ApiServer, args: dict[str, Any], word: str
) -> None:
    """With a note that says what, when, what it cost, and what to do."""
    server.script(Fault("result", "failed", args=args))
    original = digest(house.drop("sub/a.jpg"))

    assert 1 == house.once()

    assert {} == house.files(house.inbox)
    assert {} == house.files(house.outbox)
    assert original == house.files(house.failed)["sub/a.jpg"]
    note = (house.failed / "sub" / "a.jpg.error.txt").read_text("utf-8")
    assert word in note
    assert "refund" in note
    assert str(house.inbox) in note
    (job,) = house.ledger().jobs()
    assert Standing.FAILED is job.standing
    assert str(house.failed / "sub" / "a.jpg") == job.archived


def test_dropping_a_failed_picture_back_tries_again(house: House, server: ApiServer) -> None:
    """The failed folder is a place to come back from."""
    server.script(once(1, "result", "failed", code=1403, error="execution failed"))
    original = digest(house.drop())
    assert 1 == house.once()

    (house.failed / "a.jpg").rename(house.inbox / "a.jpg")
    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})


@pytest.mark.parametrize("fault", [("failed", {"code": 5000, "error": "internal"}), ("timeout", {})])
def test_a_failure_of_the_service_itself_gets_a_new_prediction(
    house: House, server: ApiServer, fault: tuple[str, dict[str, Any]]
) -> None:
    """The failed one is refunded, so one is paid in the end."""
    server.script(once(1, "result", fault[0], **fault[1]))
    original = digest(house.drop())

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})
    (job,) = house.ledger().jobs()
    assert 2 == job.attempts


@pytest.mark.parametrize("status", ["cancelled", "deleted"])
def test_a_prediction_ended_by_somebody_else_is_a_failure_that_says_so(
    house: House, server: ApiServer, status: str
) -> None:
    """Not repeated: somebody wanted it so."""
    server.script(Fault("result", status))
    house.drop()

    assert 1 == house.once()

    assert "Somebody ended it" in (house.failed / "a.jpg.error.txt").read_text("utf-8")


@pytest.mark.parametrize(("do", "said"), [("401", "key"), ("403", "key"), ("402", "credit"), ("400-credit", "credit")])
def test_a_service_that_refuses_pauses_everything_says_so_once_and_keeps_the_pictures(
    house: House, server: ApiServer, do: str, said: str
) -> None:
    """Nothing fails for want of a key or of money; `once` tells it by its exit code."""
    server.world.set(balance=0.0)
    server.script(Fault("submit", do), Fault("balance", "500") if said == "key" else Fault("price", "404"))
    names = [f"{n}.jpg" for n in range(5)]
    for n, name in enumerate(names):
        house.drop(name, seed=n)
    refusals: list[Event] = []

    def watch(event: Event) -> None:
        if event.job.cause in {Cause.KEY, Cause.CREDIT}:
            refusals.append(event)

    assert 3 == house.once(watch)

    assert names == sorted(house.files(house.inbox))
    assert {} == house.files(house.failed)
    assert 0 == server.stats()["paid"]
    assert refusals


def test_work_goes_on_by_itself_when_the_key_is_accepted_again(house: House, server: ApiServer) -> None:
    """Nobody has to restart anything."""
    server.script(once((1, 2, 3), "submit", "401"))
    originals = {f"{n}.jpg": digest(house.drop(f"{n}.jpg", seed=n)) for n in range(3)}
    codes = [house.once() for _ in range(4)]

    assert 0 == codes[-1]
    house.assert_whole(originals)
    assert 3 == server.stats()["paid"]


def test_a_model_that_does_not_exist_waits_instead_of_failing_pictures(house: House, server: ApiServer) -> None:
    """A typing error in a profile must not empty an inbox into the failed folder."""
    house.document["profiles"]["default"] = {"model": "wavespeed-ai/no-such-model"}
    house.write()
    house.drop()
    server.script(Fault("submit", "404"))
    seen: list[str] = []

    def watch(event: Event) -> None:
        seen.append(event.job.reason)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaled.ending.GIVE_UP", 3)
        assert 1 == house.once(watch)

    assert ["a.jpg"] == sorted(house.files(house.inbox))
    assert any("model" in reason for reason in seen)


def test_an_outbox_that_is_away_costs_nothing_and_loses_nothing(house: House, server: ApiServer) -> None:
    """Looked at before money is spent."""
    house.drop()
    away = house.outbox.rename(house.root / "away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaled.ending.GIVE_UP", 2)
        assert 1 == house.once()
    assert 0 == server.stats()["paid"]
    assert not house.outbox.exists()

    away.rename(house.outbox)
    assert 0 == house.once()


@pytest.mark.parametrize("directory", ["outbox", "archive"])
def test_a_directory_that_goes_away_after_paying_is_waited_for(house: House, server: ApiServer, directory: str) -> None:
    """The paid result is delivered when it is back, and not paid again."""
    original = digest(house.drop())
    path: Path = getattr(house, directory)
    gone: list[Path] = []

    def watch(event: Event) -> None:
        if event.kind == "submit" and not gone:
            gone.append(path.rename(house.root / "away"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaled.ending.GIVE_UP", 2)
        assert 1 == house.once(watch)
    assert 1 == server.stats()["paid"]

    gone[0].rename(path)
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def test_an_inbox_that_goes_away_cancels_nothing(house: House, server: ApiServer) -> None:
    """I6: what is absent from a disk that is absent was not deleted."""
    original = digest(house.drop())
    gone: list[Path] = []

    def watch(event: Event) -> None:
        if event.kind == "upload" and not gone:
            gone.append(house.inbox.rename(house.root / "away"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaled.ending.GIVE_UP", 2)
        assert 1 == house.once(watch)
    assert ["waiting"] == house.standings()

    gone[0].rename(house.inbox)
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def between(kind: str, act: Callable[[], object]) -> Callable[[Event], None]:
    """Return a subscriber that acts once, right after a step has been committed."""
    done: list[object] = []

    def watch(event: Event) -> None:
        if event.kind == kind and not done:
            done.append(act() or True)

    return watch


def test_a_source_that_vanishes_before_it_is_paid_is_called_off(house: House, server: ApiServer) -> None:
    """Quietly: somebody took it out again."""
    path = house.drop()

    assert 0 == house.once(between("upload", path.unlink))

    assert 0 == server.stats()["paid"]
    assert ["cancelled"] == house.standings()


def test_a_source_replaced_before_it_is_paid_starts_over(house: House, server: ApiServer) -> None:
    """The upload of the old bytes is thrown away; it was free."""
    house.drop(seed=1)

    def replace() -> None:
        house.drop("new.jpg", seed=2).rename(house.inbox / "a.jpg")

    assert 0 == house.once(between("upload", replace))

    assert 1 == server.stats()["paid"]
    assert ["cancelled", "done"] == house.standings()
    assert 1 == len(house.files(house.archive))


def test_a_source_replaced_after_it_was_paid_is_a_new_picture(house: House, server: ApiServer) -> None:
    """Its result is delivered, and what lies in the inbox now is upscaled too."""
    house.drop(seed=1)

    def replace() -> None:
        house.drop("new.jpg", seed=2).rename(house.inbox / "a.jpg")

    assert 0 == house.once(between("submit", replace))

    assert 2 == server.stats()["paid"]
    assert ["a.jpg", "a~2.jpg"] == sorted(house.files(house.outbox))
    assert {} == house.files(house.inbox)


def test_the_key_goes_to_the_service_alone(house: House, server: ApiServer) -> None:
    """The test service answers 400 to a key on its storage or its outputs; and no file holds it."""
    house.drop()

    assert 0 == house.once()

    for path in house.root.rglob("*"):
        if path.is_file() and path != house.config:
            assert server.key.encode() not in path.read_bytes(), path


def test_a_new_prediction_whose_answer_is_lost_is_not_taken_for_the_one_that_failed(
    house: House, server: ApiServer
) -> None:
    """Both were made of the same upload, so its address alone does not tell them apart."""
    server.script(once(1, "result", "failed", code=5000, error="internal"), once(2, "submit", "create-drop"), seed=1)
    original = digest(house.drop())

    # The listing lags, so the first look shows the failed one alone.
    server.world.set(listing_lag=1.1)

    assert 0 == house.once(listing_lag=2.0)

    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]
    assert 2 == len(server.world.tasks)
