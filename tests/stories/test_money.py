"""What money is spent on, and what it is not, from the drop to the service's own account."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.house import House, digest, picture
from tests.support.service import ApiServer, Fault
from upscaled import commands
from upscaled.events import Event
from upscaled.job import pacing
from upscaled.job.model import Cause
from upscaled.ledger import Ledger


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let back-off be a matter of milliseconds; its real numbers are tested where they are."""
    quick = dict.fromkeys(Cause, (0.05, 0.2))
    keep = {Cause.TWIN: (5.0, 300.0), Cause.PAUSE: (3600.0, 3600.0)}
    monkeypatch.setattr(pacing, "BACKOFF", quick | keep)
    monkeypatch.setattr("upscaled.worker.GIVE_UP", 1000)
    monkeypatch.setattr("upscaled.ending.GIVE_UP", 1000)


class Calendar:
    """The daemon's clock, set to noon of a day, and moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._offset = datetime(2026, 11, 23, 12, 0).timestamp() - time.time()  # noqa: DTZ001 - noon here
        for module in ("building", "ending"):
            monkeypatch.setattr(f"upscaled.{module}.time", SimpleNamespace(time=lambda: time.time() + self._offset))

    def move(self, **by: float) -> None:
        """Move the clock."""
        self._offset += timedelta(**by).total_seconds()


def drop_many(house: House, count: int, *, start: int = 0) -> dict[str, str]:
    """Drop different pictures; return their digests by name."""
    return {f"{n:03d}.jpg": digest(house.drop(f"{n:03d}.jpg", seed=n)) for n in range(start, start + count)}


def standings(house: House) -> list[str]:
    """Return how the jobs stand, sorted."""
    return sorted(house.standings())


# --- budgets ---------------------------------------------------------------------------------------------------------


def test_a_budget_of_ten_cents_buys_ten_pictures_and_the_rest_waits_for_midnight(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7 at a concurrency of ten; after midnight the others go on by themselves."""
    calendar = Calendar(monkeypatch)
    house.document["service"]["max_in_flight"] = 10
    house.document["budget"] = {"per_day": 0.10}
    house.write()
    originals = drop_many(house, 15)

    assert 1 == house.once()

    assert 10 == server.stats()["paid"] == len(server.world.tasks)
    waiting = house.ledger().jobs(standing="waiting")
    assert ["done"] * 10 + ["waiting"] * 5 == standings(house)
    assert {datetime(2026, 11, 24).timestamp()} == {job.not_before and round(job.not_before) for job in waiting}  # noqa: DTZ001
    assert all("The day's budget of $0.10 is used up" in job.reason for job in waiting)

    calendar.move(hours=11.5)
    assert 1 == house.once()
    assert 10 == server.stats()["paid"]
    calendar.move(hours=0.6)
    assert 0 == house.once()
    house.assert_whole(originals)
    assert 15 == server.stats()["paid"]


def test_a_month_is_a_budget_too_and_what_failed_is_given_back(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refunded prediction makes room for another one."""
    Calendar(monkeypatch)
    server.script(Fault("result", "failed", nth=1, args={"code": 1200}))
    house.document["service"]["max_in_flight"] = 1
    house.document["budget"] = {"per_month": 0.02}
    house.write()
    drop_many(house, 4)

    assert 1 == house.once()

    assert ["done", "done", "failed", "waiting"] == standings(house)
    assert 2 == server.stats()["paid"]
    (waiting,) = house.ledger().jobs(standing="waiting")
    assert datetime(2026, 12, 1).timestamp() == pytest.approx(waiting.not_before)  # noqa: DTZ001


def test_a_picture_that_is_too_dear_waits_and_says_what_would_help(house: House, server: ApiServer) -> None:
    """Nothing is spent; raising the limit lets it go on at the next start."""
    house.document["budget"] = {"per_picture": 0.005}
    house.write()
    house.drop()

    assert 1 == house.once()
    (job,) = house.ledger().jobs()
    assert "It costs $0.01, and budget.per_picture is $0.005." == job.reason
    assert 0 == server.stats()["paid"]

    house.document["budget"] = {"per_picture": 0.01}
    house.write()
    assert 0 == house.once()


def test_the_balance_is_not_brought_below_its_floor(house: House, server: ApiServer) -> None:
    """Everything pauses, and goes on by itself once the account is topped up."""
    server.world.set(balance=5.03)
    house.document["budget"] = {"balance_floor": 5.01}
    house.write()
    originals = drop_many(house, 4)

    assert 1 == house.once()
    assert 2 == server.stats()["paid"]
    assert 5.01 == server.world.balance

    server.world.set(balance=6.0)
    assert 0 == house.once()
    house.assert_whole(originals)


# --- nothing twice, nothing for nothing ------------------------------------------------------------------------------


def test_two_copies_dropped_together_are_paid_once_and_delivered_twice(house: House, server: ApiServer) -> None:
    """The second waits for the first, whichever was first to be prepared."""
    first = house.drop("a.jpg")
    for name in ("b.jpg", "c.jpg"):
        shutil.copyfile(first, house.inbox / name)
    original = digest(first)

    assert 0 == house.once()

    house.assert_whole(dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), original))
    assert 1 == server.stats()["paid"]
    assert 1 == len(set(house.files(house.outbox).values()))
    reused = [job for job in house.ledger().jobs() if job.reuse]
    assert 2 == len(reused)
    assert all(0 == job.attempts for job in reused)


def test_a_picture_dropped_again_is_delivered_again_and_not_paid_again(house: House, server: ApiServer) -> None:
    """Unless its result is gone, was changed, or other parameters are asked for."""
    house.drop("a.jpg")
    assert 0 == house.once()
    shutil.copyfile(house.archive / "a.jpg", house.inbox / "again.jpg")
    assert 0 == house.once()
    assert 1 == server.stats()["paid"]
    assert digest(house.outbox / "a.jpg") == digest(house.outbox / "again.jpg")

    house.document["profiles"]["default"]["target_resolution"] = "4k"
    house.write()
    shutil.copyfile(house.archive / "a.jpg", house.inbox / "larger.jpg")
    assert 0 == house.once()
    assert 2 == server.stats()["paid"]

    (house.outbox / "larger.jpg").write_bytes(b"changed")
    shutil.copyfile(house.archive / "a.jpg", house.inbox / "anew.jpg")
    assert 0 == house.once()
    assert 3 == server.stats()["paid"]


def test_a_twin_that_cannot_succeed_lets_the_other_try(house: House, server: ApiServer) -> None:
    """Nobody waits for a job that is over."""
    server.script(Fault("result", "failed", nth=1, args={"code": 1405}))
    shutil.copyfile(house.drop("a.jpg"), house.inbox / "b.jpg")

    assert 1 == house.once()

    assert ["done", "failed"] == standings(house)
    assert 1 == server.stats()["paid"]


@pytest.mark.parametrize(("rule", "left"), [("copy", (0, 1, 0)), ("skip", (0, 0, 1)), ("submit", (1, 1, 0))])
def test_a_picture_that_is_large_enough_already_is_not_paid_for(
    house: House, server: ApiServer, rule: str, left: tuple[int, int, int]
) -> None:
    """2048 pixels are 2k. A copy is the original itself; what is skipped is left alone for good."""
    server.world.set(targets={"2k": 2048, "4k": 3840, "8k": 7680})
    house.document["folders"][0]["large_enough"] = rule
    house.write()
    original = digest(picture(house.inbox / "a.png", size=(2048, 16)))

    assert 0 == house.once()
    assert 0 == house.once()

    assert left == (server.stats()["paid"], len(house.files(house.outbox)), len(house.files(house.inbox)))
    assert 1 == len(house.ledger().jobs())
    if rule == "copy":
        assert {"a.png": original} == house.files(house.outbox) == house.files(house.archive)


# --- hours, pauses, brakes -------------------------------------------------------------------------------------------


def test_outside_its_hours_a_folder_uploads_and_does_not_submit(
    house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noon, and pictures are submitted at night."""
    calendar = Calendar(monkeypatch)
    house.document["folders"][0]["hours"] = "22:00-06:00"
    house.write()
    originals = drop_many(house, 3)

    assert 1 == house.once()
    jobs = house.ledger().jobs()
    assert [("uploaded", "waiting", "hours")] * 3 == [(str(j.stage), str(j.standing), str(j.cause)) for j in jobs]
    assert {datetime(2026, 11, 23, 22).timestamp()} == {job.not_before and round(job.not_before) for job in jobs}  # noqa: DTZ001

    calendar.move(hours=10.01)
    assert 0 == house.once()
    house.assert_whole(originals)
    assert 3 == server.stats()["paid"]


def test_more_files_at_once_than_max_new_wait_for_a_person(house: House, server: ApiServer) -> None:
    """The brake for a whole disk copied into the inbox by mistake."""
    house.document["folders"][0] |= {"max_new": 5, "settle": "200ms"}
    house.write()
    originals = drop_many(house, 8)

    assert 1 == house.once()
    assert ["held"] * 8 == standings(house)
    assert 0 == server.stats()["paid"]
    reason = house.ledger().jobs()[0].reason
    assert "8 new files at once, more than max_new (5); about $0.08 in all." in reason

    released = json.loads(house.command("release", "--json", str(house.inbox)))
    assert [True] * 8 == [one["done"] for one in released]
    assert 0 == house.once()
    house.assert_whole(originals)


def test_a_paused_folder_submits_nothing_until_it_is_resumed(house: House, server: ApiServer) -> None:
    """And once ends meanwhile, without calling that a success."""
    assert 0 == house.once()
    house.command("pause", str(house.inbox))
    originals = drop_many(house, 2)

    assert 1 == house.once()
    assert 0 == server.stats()["paid"]
    assert [str(house.inbox)] == json.loads(house.command("status", "--json"))["paused"]

    house.command("resume")
    assert 0 == house.once()
    house.assert_whole(originals)


# --- orders ----------------------------------------------------------------------------------------------------------


def test_a_failed_job_is_done_again_with_its_original_back_in_the_inbox(house: House, server: ApiServer) -> None:
    """The note beside it goes too."""
    server.script(Fault("result", "failed", nth=1, args={"code": 1405}))
    original = digest(house.drop("sub/a.jpg"))
    assert 1 == house.once()
    assert {"sub/a.jpg", "sub/a.jpg.error.txt"} == set(house.files(house.failed))

    house.command("retry", "--all-failed")

    assert {} == house.files(house.failed)
    assert {"sub/a.jpg": original} == house.files(house.inbox)
    assert 0 == house.once()
    house.assert_whole({"sub/a.jpg": original})
    assert ["done"] == standings(house)


def test_a_done_job_is_paid_again_only_by_force(house: House, server: ApiServer) -> None:
    """And `retry --force` is the way round the reuse."""
    house.drop("a.jpg")
    assert 0 == house.once()
    (job,) = house.ledger().jobs()

    assert "retry --force" in house.command("retry", job.id, check=False)
    assert 0 == house.once()
    assert 1 == server.stats()["paid"]

    house.command("retry", "--force", job.id)
    assert 0 == house.once()
    assert 2 == server.stats()["paid"]


def test_a_cancelled_file_stays_and_is_taken_again_only_when_it_changes(house: House, server: ApiServer) -> None:
    """A person said no to this picture, not to this name."""
    house.document["budget"] = {"per_day": 0.0}
    house.write()
    house.drop("a.jpg", seed=1)
    assert 1 == house.once()
    (job,) = house.ledger().jobs()
    house.command("cancel", job.id)
    house.document["budget"] = {}
    house.write()

    assert 0 == house.once()
    assert ["a.jpg"] == list(house.files(house.inbox))
    assert 0 == server.stats()["paid"]

    house.drop("a.jpg", seed=2)
    assert 0 == house.once()
    assert 1 == server.stats()["paid"]


def test_cancelling_what_is_paid_says_what_that_means(house: House, server: ApiServer) -> None:
    """The result comes all the same, unless it is to be thrown away; and the money is counted either way."""
    house.drop("a.jpg")
    said: list[str] = []

    def watch(event: Event) -> None:
        if event.kind == "submit":
            ledger = Ledger.join(house.state)
            said.extend(one.text for one in commands.cancel(ledger, [event.job], now=time.time()))
            ledger.close()

    assert 0 == house.once(watch)

    assert ["its prediction is paid ($0.01), or may be, and the service gives no money back"] == [
        text.partition(";")[0] for text in said
    ]
    assert ["done"] == standings(house)


def test_a_running_daemon_notices_a_cancel_within_a_second(house: House, server: ApiServer) -> None:
    """Thrown away by force while its prediction is under way; what was paid stays in the books."""
    server.world.set(latency=30.0)
    house.document["service"]["poll_min"] = "20s"
    house.write()
    house.drop("a.jpg")
    moments: list[float] = []

    def watch(event: Event) -> None:
        moments.append(time.monotonic())
        if event.kind == "submit":
            ledger = Ledger.join(house.state)
            commands.cancel(ledger, [event.job], now=time.time(), force=True)
            ledger.close()

    assert 0 == house.once(watch)

    assert moments[-1] - moments[-2] < 1.0
    assert ["cancelled"] == standings(house)
    assert 0.01 == json.loads(house.command("status", "--json"))["spend"]["today"]


# --- results are paid for --------------------------------------------------------------------------------------------


def test_a_paid_result_waits_in_the_spool_while_the_outbox_is_away(house: House, server: ApiServer) -> None:
    """Fetched before the service forgets it, delivered when the share is back; and no success until then."""
    original = digest(house.drop())
    gone: list[Path] = []

    def watch(event: Event) -> None:
        if event.kind == "submit" and not gone:
            gone.append(house.outbox.rename(house.root / "away"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upscaled.ending.GIVE_UP", 2)
        assert 1 == house.once(watch)
    (job,) = house.ledger().jobs()
    assert "downloaded" == job.stage
    assert 1 == len(house.files(house.state / "spool"))
    assert "Its result is kept" in job.reason
    server.world.set(models=[])
    server.script(Fault("output", "404"))

    gone[0].rename(house.outbox)
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert {} == house.files(house.state / "spool")


# --- books -----------------------------------------------------------------------------------------------------------


def test_spending_is_told_by_day_folder_and_profile_and_held_against_the_bills(house: House, server: ApiServer) -> None:
    """To the cent, refunds included; a stranger's prediction on the account is a difference."""
    server.script(Fault("result", "failed", nth=1, args={"code": 1200}))
    house.document["service"]["max_in_flight"] = 1
    house.write()
    drop_many(house, 3)
    assert 1 == house.once()

    found = json.loads(house.command("spend", "--json", "--reconcile"))
    assert (3, 0.02, 0.0, 0.01) == (found["predictions"], found["spent"], found["reserved"], found["refunded"])
    assert {"ours": 0.02, "theirs": 0.02, "differences": []} == found["reconciled"]
    (line,) = found["lines"]
    assert (str(house.inbox), "default", 0.02) == (line["folder"], line["profile"], line["spent"])
    day = f"{datetime.now().astimezone():%Y-%m-%d}"
    assert f"{day},{house.inbox},default,3,0.02,0.0,0.01" == house.command("spend", "--csv").splitlines()[1]

    task = next(task for task in server.world.tasks.values() if not task.refunded)
    server.world.submit("wavespeed-ai/image-upscaler", {"image": task.image})
    (difference,) = json.loads(house.command("spend", "--json", "--reconcile", check=False))["reconciled"][
        "differences"
    ]
    assert (None, 0.0, 0.01) == (difference["job"], difference["ours"], difference["theirs"])
