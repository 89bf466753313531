"""What was told survives a restart, what was not delivered too, and a dead receiver harms nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.configs import GOOD, load_text
from tests.support.jobs import NOW, new_job
from upscaled.api.client import Service
from upscaled.config import Settings
from upscaled.events import Event
from upscaled.ledger import Ledger, messages
from upscaled.notify.decisions import CALM
from upscaled.notify.notifier import GIVE_UP, Notifier, retry_after
from upscaled.notify.receivers import NotDelivered


class Place:
    """A receiver that remembers what it was told, unless it is dead."""

    def __init__(self, key: str = "one") -> None:
        self.key = self.name = key
        self.got: list[Mapping[str, Any]] = []
        self.tries = 0
        self.dead = False
        self.hangs = False
        self.told = asyncio.Event()

    async def deliver(self, body: Mapping[str, Any]) -> None:
        """Take a message, or not."""
        self.tries += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.dead:
            raise NotDelivered("nobody there")
        self.got.append(body)
        self.told.set()

    @property
    def titles(self) -> list[str]:
        """Return what it was told, in order."""
        return [str(body["title"]) for body in self.got]


class World:
    """A ledger, a time that stands still, and receivers; ``start`` gives a new process's notifier."""

    def __init__(self, directory: Path, *places: Place) -> None:
        self.directory, self.places = directory, places or (Place(),)
        self.now: float = NOW
        self.ledger = Ledger.open(directory / "state")
        self.settings = load_text(GOOD, directory)
        self.balance = 10.0

    def start(self) -> Notifier:
        """Return a notifier on what an earlier one left."""

        def answer(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"code": 200, "data": {"balance": self.balance}})

        service = Service("http://service.invalid", api_key=None, transport=httpx.MockTransport(answer))
        return Notifier(self.ledger, self.places, settings=lambda: self.settings, service=service, now=lambda: self.now)

    def with_notify(self, **fields: Any) -> Settings:
        """Have other rules."""
        self.settings = replace(self.settings, notify=replace(self.settings.notify, **fields))
        return self.settings

    def sql(self, statement: str, *arguments: Any) -> None:
        """Change the ledger as no command would."""
        self.ledger.change(lambda c: c.execute(statement, arguments).rowcount)

    def finish_jobs(self, count: int, standing: str = "done", first: int = 0, at: float | None = None) -> None:
        """Have jobs end, a second after what was before."""
        self.now += 1
        numbers = range(first, first + count)
        self.ledger.admit([new_job(n, admitted_at=NOW - 60) for n in numbers])
        stage = "archived" if standing == "done" else "admitted"
        for n in numbers:
            self.sql(
                "UPDATE jobs SET standing = ?, stage = ?, output = 'x', failure = '{}', reason = 'why', finished_at = ?"
                " WHERE id = ?",
                *(standing, stage, self.now if at is None else at, f"job{n:07d}"),
            )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a world with one receiver."""
    made = World(tmp_path)
    yield made
    made.ledger.close()


async def deliver(notifier: Notifier, world: World) -> None:
    """Have every courier do what is due."""
    for place in world.places:
        while await notifier._deliver_next(place) == 0.0:
            pass


async def at(world: World, notifier: Notifier, seconds: float) -> None:
    """Look and deliver at a time."""
    world.now = NOW + seconds
    await notifier.look()
    await deliver(notifier, world)


async def test_thirty_pictures_are_one_message(world: World) -> None:
    """By name what failed, with its cause; and what ended before there was anybody to tell is not told."""
    world.finish_jobs(5, first=100, at=NOW - 3600)
    notifier = world.start()
    await at(world, notifier, 0)
    world.now = NOW + 10
    world.finish_jobs(29)
    world.finish_jobs(1, "failed", first=29)
    for seconds in (20, 60, 131, 140, 300, 5000):
        await at(world, notifier, seconds)

    (message,) = world.places[0].got
    assert ("digest", "29 done, 1 failed") == (message["kind"], message["title"])
    assert "29 done, 1 failed; $0.00, 72 s.\n- 29.jpg: why" == message["text"]


async def test_what_ends_after_a_digest_is_in_the_next_one(world: World) -> None:
    """Nothing is told twice, nothing left out, a restart between them or not."""
    notifier = world.start()
    await at(world, notifier, 0)
    world.finish_jobs(2)
    await at(world, notifier, 200)
    world.finish_jobs(3, first=2)
    await at(world, world.start(), 400)

    assert ["2 done", "3 done"] == world.places[0].titles
    assert 2 == len({body["id"] for body in world.places[0].got}), "an id is never used again"


async def test_an_alert_is_not_sent_again_after_a_restart(world: World) -> None:
    """And its all-clear comes from the process that sees the end."""
    world.ledger.admit([new_job()])
    world.sql("UPDATE jobs SET standing = 'waiting', cause = 'key', reason = 'refused', not_before = 1")
    for seconds in (0.0, 10.0, 20.0):
        await at(world, world.start(), seconds)
    world.sql("UPDATE jobs SET standing = 'ready', cause = NULL, reason = '', not_before = NULL")
    notifier = world.start()
    for seconds in (30.0, 30.0 + CALM, 500.0):
        await at(world, notifier, seconds)

    assert ["The service refuses the key", "Over: The service refuses the key"] == world.places[0].titles
    assert ["alert", "clear"] == [body["kind"] for body in world.places[0].got]


async def test_a_folder_that_is_away_is_told_after_ten_minutes_of_any_process(world: World) -> None:
    """Since when it is away is not forgotten."""
    inbox = str(world.settings.folders[0].inbox)
    world.ledger.record_folder(inbox, state="offline", reason="It is not mounted.", seen={}, swept_at=None)
    for seconds in (0, 300, 599, 600, 900):
        await at(world, world.start(), seconds)

    (message,) = world.places[0].got
    assert ("A folder is offline", f"{inbox}: It is not mounted.") == (message["title"], message["text"])


async def test_a_low_balance_is_told(world: World) -> None:
    """Where somebody wants to know; it is asked for every ten minutes."""
    world.with_notify(balance_below=5.0)
    notifier = world.start()
    await at(world, notifier, 0)
    world.balance = 4.5
    await at(world, notifier, 300)
    assert [] == world.places[0].titles
    await at(world, notifier, 600)

    assert ["The balance is low"] == world.places[0].titles
    assert "$4.50 are left on the account; notify.balance_below is $5.00." == world.places[0].got[0]["text"]


async def test_a_held_job_is_told_with_its_reason(world: World) -> None:
    """A second one while the first is held is in the digest and in `status`, not in another alert."""
    world.ledger.admit([new_job(held="Too many.")])
    notifier = world.start()
    await at(world, notifier, 0)
    world.ledger.admit([new_job(1, held="Too many.", folder="/other")])
    await at(world, notifier, 100)

    assert ["A job needs you"] == world.places[0].titles
    assert "Too many." in world.places[0].got[0]["text"]


async def test_what_was_not_delivered_is_delivered_after_a_restart(world: World) -> None:
    """In its order, with the id that it had."""
    place = world.places[0]
    place.dead = True
    notifier = world.start()
    await at(world, notifier, 0)
    world.finish_jobs(1)
    await at(world, notifier, 200)
    world.finish_jobs(1, first=1)
    await at(world, notifier, 400)
    assert [] == place.got
    place.dead = False
    await at(world, world.start(), 5000)

    assert ["1 done", "1 done"] == place.titles
    assert 2 == len({body["id"] for body in place.got})


async def test_a_dead_receiver_is_tried_less_and_less_and_given_up_after_a_day(world: World) -> None:
    """Retries are bounded, in number and in what is kept."""
    place = world.places[0]
    place.dead = True
    notifier = world.start()
    await at(world, notifier, 0)
    world.finish_jobs(1)
    for seconds in range(130, int(GIVE_UP) + 2000, 60):
        await at(world, notifier, seconds)

    assert 90 < place.tries < 120
    assert [] == world.ledger.query("SELECT * FROM messages")
    assert [5.0, 10.0, 900.0] == [retry_after(0), retry_after(1), retry_after(1000)]


async def test_a_receiver_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """Each has a courier of its own."""
    slow, quick = Place("slow"), Place("quick")
    slow.hangs = True
    world = World(tmp_path, slow, quick)
    notifier = world.start()
    await notifier.look()
    world.finish_jobs(1)
    world.now += 200
    running = asyncio.create_task(notifier.run())
    async with asyncio.timeout(30):
        await quick.told.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    world.ledger.close()

    assert (["1 done"], []) == (quick.titles, slow.titles)


async def test_killed_between_writing_and_delivering_nothing_is_lost(world: World) -> None:
    """The message is in the ledger before anybody is told; killed after, it is told a second time by the same id."""
    notifier = world.start()
    await at(world, notifier, 0)
    world.finish_jobs(1)
    world.now += 200
    await notifier.look()
    letter = world.ledger.look(lambda c: messages.next_letter(c, "one"))
    assert letter is not None
    await notifier._delivered(world.places[0], letter)
    await deliver(world.start(), world)

    first, second = world.places[0].got
    assert first == second


async def test_what_is_on_its_way_to_nobody_is_forgotten(world: World) -> None:
    """A receiver that is taken out of the configuration is told nothing when it comes back."""
    world.places[0].dead = True
    notifier = world.start()
    await at(world, notifier, 0)
    world.finish_jobs(1)
    await at(world, notifier, 200)
    world.ledger.change(lambda c: messages.keep_receivers(c, ["another"]))

    assert [] == world.ledger.query("SELECT * FROM messages")


async def test_what_ends_before_the_first_look_is_told(world: World) -> None:
    """Somebody was to be told by then."""
    notifier = world.start()
    world.finish_jobs(2)
    await at(world, notifier, 1)
    await at(world, notifier, 200)

    assert ["2 done"] == world.places[0].titles


async def test_the_end_of_a_first_short_run_is_told(world: World) -> None:
    """It may end before it ever looked."""
    notifier = world.start()
    world.finish_jobs(2)
    await notifier.finish()

    assert ["2 done"] == world.places[0].titles


async def test_who_is_told_again_is_not_told_what_ended_meanwhile(world: World) -> None:
    """But what ends from then on, be it before the first look, and of a trouble that was told and still stands."""
    (place,) = world.places
    world.ledger.admit([new_job(1000)])
    world.sql("UPDATE jobs SET standing = 'waiting', cause = 'key', reason = 'refused', not_before = 1")
    notifier = world.start()
    await at(world, notifier, 0)
    running = asyncio.create_task(notifier.run())
    await employed(notifier, place)
    notifier.replace([])
    await employed(notifier)
    world.finish_jobs(2, at=NOW + 50)
    world.now = NOW + 100
    notifier.replace([place])
    world.finish_jobs(3, first=2)
    await employed(notifier, place)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await at(world, notifier, 110)
    await at(world, notifier, 400)

    trouble = "The service refuses the key"
    assert [trouble, trouble, "3 done"] == place.titles


async def test_only_so_many_messages_are_kept_for_one_receiver(world: World) -> None:
    """The newest."""
    bodies = [{"title": str(n)} for n in range(messages.MOST + 10)]
    world.ledger.change(
        lambda c: messages.tell(c, alerts=[], until=NOW, bodies=bodies, receivers=["one", "two"], now=NOW)
    )

    kept = world.ledger.query("SELECT receiver, count(*) AS n, min(body) AS first FROM messages GROUP BY receiver")
    assert [("one", messages.MOST), ("two", messages.MOST)] == [(row["receiver"], row["n"]) for row in kept]


async def test_an_event_asks_for_a_look(world: World) -> None:
    """What ended is seen at once, not at the next tick."""
    notifier = world.start()
    (job,) = (world.ledger.admit([new_job()]), world.ledger.jobs())[1]
    notifier(Event(job, None, "upload", ""))  # type: ignore[arg-type]
    before = notifier._rung.is_set()
    notifier(Event(job, None, "held", ""))  # type: ignore[arg-type]

    assert (False, True) == (before, notifier._rung.is_set())


async def test_a_ledger_in_trouble_is_no_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a defect: the next look may be better."""
    notifier = world.start()

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(notifier, "_read", broken)
        await notifier._guarded(notifier.look)
    await notifier._guarded(notifier.look)

    assert not notifier._unwell


async def test_a_look_undoes_nothing_that_a_later_one_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trouble that came between the two is told once, and still known."""
    notifier, has_read, go_on = world.start(), threading.Event(), threading.Event()
    read = notifier._read

    def held_up(*, last: bool) -> Any:
        found = read(last=last)
        has_read.set()
        go_on.wait(30)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(notifier, "_read", held_up)
        earlier = asyncio.create_task(notifier.look())
        await until(has_read.is_set)
    world.ledger.admit([new_job()])
    world.sql("UPDATE jobs SET standing = 'waiting', cause = 'key', reason = 'refused', not_before = 1")
    later = asyncio.create_task(notifier.look())
    await asyncio.wait([later], timeout=0.5)
    go_on.set()
    await asyncio.gather(earlier, later)

    assert 1 == len(world.ledger.look(messages.alerts))


async def test_receivers_are_exchanged_while_it_runs(world: World) -> None:
    """One that stays gets what it is owed, one that comes what is told from then on, one that goes nothing more."""
    stays, goes, comes = Place("stays"), Place("goes"), Place("comes")
    world.places = (stays, goes)
    notifier = world.start()
    running = asyncio.create_task(notifier.run())
    await employed(notifier, stays, goes)
    stays.dead = goes.dead = True
    world.ledger.admit([new_job()])
    world.sql("UPDATE jobs SET standing = 'waiting', cause = 'key', reason = 'refused', not_before = 1")
    await notifier.look()
    await until(lambda: stays.tries > 0 < goes.tries)

    stays.dead = goes.dead = False
    notifier.replace([stays, comes])
    await employed(notifier, stays, comes)
    world.now += retry_after(0)
    notifier._posted["stays"].set()
    await stays.told.wait()
    world.sql("UPDATE jobs SET standing = 'ready', cause = NULL, reason = '', not_before = NULL")
    await notifier.look()
    world.now += CALM
    await notifier.look()
    await comes.told.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert ["alert"] == [body["kind"] for body in stays.got][:1]
    assert ["clear"] == [body["kind"] for body in comes.got]
    assert [] == goes.got
    assert [] == world.ledger.query("SELECT 1 FROM messages WHERE receiver = 'goes'")


async def employed(notifier: Notifier, *places: Place) -> None:
    """Wait until each of these has its courier, and nobody else has."""
    keys = {place.key for place in places}
    await until(lambda: not notifier._replaced and notifier._couriers.keys() == keys)


async def until(true: Callable[[], bool]) -> None:
    """Let the others work until something is true."""
    while not true():  # noqa: ASYNC110 - what it waits for rings no bell
        await asyncio.sleep(0)
