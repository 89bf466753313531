"""`why`: one file through the gate, for every way it can end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.support.house import House
from tests.support.inbox_world import picture
from tests.support.jobs import NOW, new_job
from tests.support.service import Settings, serve
from upscaled import commands
from upscaled.errors import NoPermission
from upscaled.files.durable import identity_at
from upscaled.inbox.opening import Opener
from upscaled.ledger import Ledger
from upscaled.why import Answer, World, explain


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A local folder with the usual numbers."""
    return House(tmp_path, service={"url": "embedded"}, folder={"settle": "5s"})


def asked(house: House, path: Path, *, age: float = 60.0, **world: Any) -> Answer:
    """Ask about a path, so many seconds after the file there changed last."""
    changed = path.lstat().st_ctime if path.is_symlink() or path.exists() else time.time()
    usual = World(None, running=True, now=lambda: changed + age, sleep=lambda _: None, kind_of=lambda _: "ext4")
    return explain(path, house.settings(), replace(usual, **world))


def failed(answer: Answer) -> list[str]:
    """Return the steps that were not passed."""
    return [step.name for step in answer.steps if step.passed is False]


def dropped(house: House, name: str, data: bytes | None = None) -> Path:
    """Write a file into the inbox."""
    path = house.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture() if data is None else data)
    return path


def test_a_ready_picture_is_said_to_be_taken_with_every_step_and_the_plan(house: House) -> None:
    """Whether a daemon runs, or will."""
    path = dropped(house, "a.jpg")

    answer = asked(house, path)

    assert answer.well
    assert "Nothing is in its way: it is taken at the next sweep." == answer.answer
    gate = ["name", "kind", "size", "settle", "open", "type", "whole", "room"]
    assert gate == [step.name for step in answer.steps if step.passed]
    assert "profile default: wavespeed-ai/image-upscaler" in answer.plan["profile"]
    assert "when upscaled runs" in asked(house, path, running=False).answer


@contextmanager
def ledger_of(house: House) -> Iterator[Ledger]:
    """Give the house's ledger."""
    ledger = Ledger.open(house.state)
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("change", "step", "part"),
    [
        ({"folders": {"min_free": "900TB"}}, "room", "and 900000.0 GB must be free before a picture is paid for"),
        ({"folders": {"hours": "03:00-03:01"}}, "hours", "submitted at 03:00-03:01 only; the next are from "),
        ({"budget": {"price": 0.02, "per_day": 0.01}}, "budget", "The day's budget of $0.01 is used up ($0.00 spent"),
        ({"budget": {"price": 0.02, "per_picture": 0.01}}, "budget", "It costs $0.02, and budget.per_picture is $0.01"),
        ({"paused": True}, "pause", "a person paused the folder; `upscaled resume` lets it go on"),
    ],
)
def test_what_holds_a_whole_picture_back_is_told_in_one_line(
    house: House, change: dict[str, Any], step: str, part: str
) -> None:
    """Room, hours, money and a pause, each with its numbers; it is taken all the same, and waits unpaid."""
    house.document["folders"][0] |= change.get("folders", {})
    house.document["budget"] = change.get("budget", {})
    house.write()
    with ledger_of(house) as ledger:
        if "paused" in change:
            commands.pause(ledger, str(house.inbox), now=NOW)
        answer = asked(house, dropped(house, "a.jpg"), ledger=ledger, now=lambda: NOW)

    assert (True, [step]) == (answer.well, failed(answer))
    assert "It is taken at the next sweep, and then it waits, unpaid: " in answer.answer
    assert part in answer.answer


def test_a_budget_with_room_in_it_is_told_too(house: House) -> None:
    """How much of it is spent."""
    house.document["budget"] = {"price": 0.01, "per_day": 2, "per_month": 20}
    house.write()
    with ledger_of(house) as ledger:
        answer = asked(house, dropped(house, "a.jpg"), ledger=ledger)

    (told,) = [step.detail for step in answer.steps if step.name == "budget"]
    assert "$0.00 of $2.00 today; $0.00 of $20.00 this month; this one costs $0.01" == told


def test_a_settling_file_is_told_with_its_numbers(house: House) -> None:
    """How long of how much, where, and since when; and a second look tells whether it grows."""
    path = dropped(house, "a.jpg", picture()[:300])

    def write_on(_: float) -> None:
        path.write_bytes(picture()[:500])

    quiet, growing = asked(house, path, age=3.1), asked(house, path, age=3.1, sleep=write_on)

    assert (True, ["settle"]) == (quiet.well, failed(quiet))
    assert "unchanged for 3.1 of 5 s (local, ext4)" in quiet.answer
    assert quiet.since is not None
    assert "it is being written: +200 bytes" in growing.answer


def test_a_network_share_has_its_own_numbers(tmp_path: Path) -> None:
    """Fifteen seconds, by the kind of file system, unless the folder says otherwise."""
    house = House(tmp_path, service={"url": "embedded"}, folder={"settle": "auto"})
    answer = asked(house, dropped(house, "a.jpg"), age=6, kind_of=lambda _: "nfs4")

    assert "unchanged for 6.0 of 15 s (network, nfs4)" in answer.answer


@pytest.mark.parametrize(
    ("name", "folder", "part"),
    [
        ("a.jpg.part", {}, "built-in pattern *.part; to take it, add `ignore: ['!*.part']`"),
        ("@eaDir/a.jpg", {}, "@eaDir is ignored by the built-in pattern @eaDir"),
        ("proof-a.jpg", {"ignore": ["proof-*"]}, "the folder's own pattern proof-*; to take it, remove that"),
        (".upscaled", {"ignore": ["!.*"]}, "one of upscaled's own files"),
        ("b/a.jpg", {"recursive": False}, "it lies in a subfolder, and the folder says `recursive: false`"),
    ],
)
def test_an_ignored_name_is_told_with_the_way_to_take_it_back(
    tmp_path: Path, name: str, folder: dict[str, Any], part: str
) -> None:
    """The most frequent reason of all."""
    house = House(tmp_path, service={"url": "embedded"}, folder=folder)
    answer = asked(house, dropped(house, name))

    assert (False, ["name"]) == (answer.well, failed(answer))
    assert part in answer.answer


@pytest.mark.parametrize(
    ("data", "age", "step", "part"),
    [
        (b"", 60, "size", "empty: nothing has been written into it yet"),
        (b"%PDF-1.7 and so on", 60, "type", "PDF, not a picture, though named .jpg"),
        (picture()[:-9], 60, "whole", "refused after 600 s without a change; so far 60 s"),
        (picture()[:-9], 700, "whole", "It is refused, unpaid, and goes to the failed folder: incomplete: JPEG has no"),
    ],
)
def test_what_is_no_whole_picture_is_told_as_what_it_is(
    house: House, data: bytes, age: float, step: str, part: str
) -> None:
    """With the byte, and what is left of its grace."""
    answer = asked(house, dropped(house, "a.jpg", data), age=age)

    assert (False, [step]) == (answer.well, failed(answer))
    assert part in answer.answer
    assert answer.since is not None


def test_a_picture_too_large_and_an_animation_are_told_as_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is spent."""
    monkeypatch.setattr("upscaled.job.readiness.LARGEST", 100)

    assert "too large" in asked(house, dropped(house, "a.jpg")).answer


def test_an_incomplete_picture_that_will_be_submitted_is_well(tmp_path: Path) -> None:
    """Where the folder says so."""
    house = House(tmp_path, service={"url": "embedded"}, folder={"incomplete": "submit"})
    path = dropped(house, "a.jpg", picture()[:-9])

    assert asked(house, path).well
    assert asked(house, path, age=700).well


def test_a_held_back_file_is_told_how_long(tmp_path: Path) -> None:
    """Of the folder's `hold`."""
    house = House(tmp_path, service={"url": "embedded"}, folder={"hold": "10m"})
    answer = asked(house, dropped(house, "a.jpg"), age=60)

    assert (True, ["hold"]) == (answer.well, failed(answer))
    assert "held for 60 of 600 s" in answer.answer


def test_a_file_that_cannot_be_read_is_told_with_rights_and_users(house: House) -> None:
    """Whose it is, what its mode is, and who asks."""
    path = dropped(house, "a.jpg")
    path.chmod(0o600)

    def refused(path: Path) -> BinaryIO:
        raise NoPermission(f"Cannot open {path}", path=path, why="Permission denied")

    answer = asked(house, path, opener=Opener(open=refused))

    assert (False, ["open"]) == (answer.well, failed(answer))
    assert f"mode 0600, owner {os.getuid()}; upscaled runs as {os.geteuid()}" in answer.answer


def test_odd_things_are_told_as_what_they_are(house: House) -> None:
    """None of them is opened, so none can hang."""
    os.mkfifo(house.inbox / "pipe.jpg")
    (house.inbox / "link.jpg").symlink_to(dropped(house, "a.jpg"))
    (house.inbox / "dir.jpg").mkdir()

    assert "a named pipe" in asked(house, house.inbox / "pipe.jpg").answer
    assert "a symbolic link" in asked(house, house.inbox / "link.jpg").answer
    assert "a folder: ask about a file in it" in asked(house, house.inbox / "dir.jpg").answer


def test_a_path_elsewhere_is_told_where_it_lies(house: House, tmp_path: Path) -> None:
    """Outside every inbox, in one of the other directories, the inbox itself, or nowhere."""
    assert "It lies in no inbox" in asked(house, tmp_path / "a.jpg").answer
    assert f"It lies in the outbox {house.outbox}" in asked(house, house.outbox / "a.jpg").answer
    assert "move a file back to an inbox" in asked(house, house.failed / "a.jpg").answer
    assert "It is an inbox" in asked(house, house.inbox).answer
    assert "There is no such file, and the ledger knows none." == asked(house, house.inbox / "gone.jpg").answer


def test_an_inbox_reached_by_another_name_is_the_same_inbox(house: House, tmp_path: Path) -> None:
    """People type paths as they see them."""
    (tmp_path / "other").symlink_to(house.inbox)
    dropped(house, "a.jpg")

    assert asked(house, tmp_path / "other" / "a.jpg").well


@contextmanager
def admitted(house: House, path: Path) -> Iterator[Ledger]:
    """Give a ledger in which the file has a job."""
    identity = identity_at(path)
    assert identity is not None
    with ledger_of(house) as ledger:
        name = str(path.relative_to(house.inbox))
        ledger.admit([new_job(folder=str(house.inbox), source=name, identity=identity)])
        yield ledger


def test_a_file_with_a_job_is_told_by_its_job(house: House) -> None:
    """Its standing and reason; a held one needs a person, a file that changed since is another version."""
    path = dropped(house, "a.jpg")
    with admitted(house, path) as ledger:
        ready = asked(house, path, ledger=ledger)
        ledger.change(lambda c: c.execute("UPDATE jobs SET standing = 'held', reason = 'A person must look.'"))
        held = asked(house, path, ledger=ledger)
        path.write_bytes(picture("PNG"))
        changed = asked(house, path, ledger=ledger)
        path.unlink()
        gone = asked(house, path, ledger=ledger)

    assert ready.well
    assert "job job0000000 is ready, admitted." in ready.answer
    assert ready.job is not None
    assert not held.well
    assert "A person must look. More" in held.answer
    assert "of an earlier version" in next(step.detail for step in changed.steps if step.name == "job")
    assert "job job0000000 is held" in gone.answer


def test_a_folder_that_is_offline_is_the_reason_for_all_in_it(house: House) -> None:
    """Once the daemon has said so."""
    path = dropped(house, "a.jpg")
    with admitted(house, dropped(house, "b.jpg")) as ledger:
        ledger.record_folder(str(house.inbox), state="offline", reason="not mounted", seen={}, swept_at=1.0)
        answer = asked(house, path, ledger=ledger)

    assert (False, "Its folder is offline: not mounted") == (answer.well, answer.answer)


def test_the_verb_prints_the_gate_and_its_exit_code_tells(house: House) -> None:
    """For people and for scripts, with the daemon down and no ledger yet."""
    settled = dropped(house, "a.jpg")
    os.utime(settled)
    text = house.command("why", str(dropped(house, "b.jpg.part")), check=False)
    record = json.loads(house.command("why", str(settled), "--json"))

    assert "NO  name      b.jpg.part is ignored by the built-in pattern *.part" in text
    assert (True, str(house.inbox)) == (record["well"], record["folder"])
    assert {"path", "folder", "well", "answer", "since", "steps", "plan", "job"} == set(record)


def test_the_plan_is_the_one_that_the_daemon_will_follow(tmp_path: Path) -> None:
    """Copied where it is large enough, delivered again where it was done before."""
    with serve(Settings(latency=0.05)) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key})
        house.drop("done.jpg", seed=1)
        assert 0 == house.once()
        again, large = house.drop("again.jpg", seed=1), house.drop("large.jpg", seed=2, size=(2048, 8))

        plans = [asked(house, path, ledger=house.ledger()).plan for path in (again, large)]

        assert ["reuse", "copy"] == [plan["does"] for plan in plans]
        assert ["free", "free"] == [plan["price"] for plan in plans]
        assert "done.jpg" in plans[0]["reason"]
        assert 1 == server.stats()["paid"]
