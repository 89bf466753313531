"""What becomes of results that a person looks at first: kept, rejected, done again, or taken out by hand."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.house import House, digest
from tests.support.killing import kill_at, stops_that_changed
from tests.support.service import ApiServer
from upscaled import building
from upscaled.commands import Said
from upscaled.guard import Guard, owner_of
from upscaled.job.model import Job, Review
from upscaled.ledger import Ledger
from upscaled.steps.ports import Folder, Unguarded
from upscaled.verdicts import Court, asked_of


@pytest.fixture
def reviewed(house: House) -> House:
    """Give a house whose results wait for review, with a second profile."""
    house.document["folders"][0]["review"] = "required"
    house.document["profiles"]["print"] = {"target_resolution": "2k", "output_format": "png"}
    house.write()
    return house


@contextmanager
def court(house: House) -> Iterator[tuple[Court, Ledger]]:
    """Open the ledger for verdicts, as a command does."""
    settings = house.settings()
    folders: Mapping[str, Folder] = {str(folder.inbox): folder for folder in settings.folders}
    with closing(Ledger.join(settings.state_dir)) as ledger:
        yield Court(ledger, folders, Guard(ledger, owner_of(ledger, settings.state_dir))), ledger


def only(house: House, source: str = "a.jpg") -> Job:
    """Return the newest job of a source."""
    return [job for job in house.ledger().jobs() if job.source == source][-1]


def verdict(house: House, what: str) -> Said:
    """Keep or reject the one picture's result."""
    with court(house) as (bench, _):
        (said,) = getattr(bench, what)([only(house)], now=time.time())
    assert isinstance(said, Said)
    return said


def redo(house: House, profile: str = "print") -> Said:
    """Have the one picture done again."""
    with court(house) as (bench, _):
        asked = asked_of(house.settings().profiles, profile)
        (said,) = bench.redo([only(house)], asked, now=time.time(), new_id=building.new_id)
    return said


def settle(house: House) -> int:
    """Look for what was taken out by hand."""
    with court(house) as (bench, _):
        return bench.settle(now=time.time())


def test_a_result_waits_in_review_while_its_original_is_archived(reviewed: House) -> None:
    """The job is over and nobody waits for the original; only the delivery waits (I1)."""
    original = digest(reviewed.drop("x/a.jpg"))

    assert 0 == reviewed.once()

    job = only(reviewed, "x/a.jpg")
    assert [".review/x/a.jpg"] == list(reviewed.files(reviewed.outbox))
    assert {"x/a.jpg": original} == reviewed.files(reviewed.archive)
    assert ("done", Review.WAITING) == (job.standing, job.review)


def test_what_is_kept_is_delivered_under_its_name_and_never_over_another(reviewed: House) -> None:
    """No-clobber: a file that came to lie there meanwhile stays, and the result takes a version of the name."""
    reviewed.drop()
    reviewed.once()
    result = digest(reviewed.outbox / ".review" / "a.jpg")
    (reviewed.outbox / "a.jpg").write_bytes(b"somebody else's")

    said = verdict(reviewed, "keep")

    assert said.done, said.text
    assert result == reviewed.files(reviewed.outbox)["a~2.jpg"]
    assert b"somebody else's" == (reviewed.outbox / "a.jpg").read_bytes()
    assert (Review.KEPT, str(reviewed.outbox / "a~2.jpg")) == (only(reviewed).review, only(reviewed).output)
    assert not verdict(reviewed, "keep").done


def test_what_is_rejected_is_put_away_and_not_deleted(reviewed: House) -> None:
    """It lies in the failed folder, under `rejected`, until a person deletes it."""
    reviewed.drop("a.jpg")
    reviewed.once()
    result = digest(reviewed.outbox / ".review" / "a.jpg")

    assert verdict(reviewed, "reject").done

    assert {"rejected/a.jpg": result} == reviewed.files(reviewed.failed)
    assert {} == reviewed.files(reviewed.outbox)
    assert Review.REJECTED is only(reviewed).review


def test_a_result_that_was_changed_in_review_is_not_taken_for_the_one_that_was_verified(reviewed: House) -> None:
    """A person retouched it: they are told to move it themselves, and nothing happens to it."""
    reviewed.drop()
    reviewed.once()
    path = reviewed.outbox / ".review" / "a.jpg"
    path.write_bytes(b"retouched")

    said = verdict(reviewed, "keep")

    assert not said.done
    assert "by hand" in said.text
    assert b"retouched" == path.read_bytes()
    assert Review.WAITING is only(reviewed).review


@pytest.mark.parametrize(("to", "judged"), [("a.jpg", Review.KEPT), ("elsewhere", Review.KEPT)])
def test_what_is_moved_out_by_hand_counts_as_kept(reviewed: House, to: str, judged: Review) -> None:
    """Into the outbox or anywhere else; where it is found again, the ledger says so."""
    reviewed.drop()
    reviewed.once()
    path = reviewed.outbox / ".review" / "a.jpg"
    assert 0 == settle(reviewed)
    target = reviewed.outbox / to if to == "a.jpg" else reviewed.root / "taken.jpg"
    path.rename(target)

    assert 1 == settle(reviewed)

    assert judged is only(reviewed).review
    assert str(target if to == "a.jpg" else path) == only(reviewed).output


def test_a_running_daemon_notices_what_is_moved_out_by_hand(reviewed: House) -> None:
    """Its first look is at the start, also in a run that ends by itself."""
    reviewed.drop()
    reviewed.once()
    shutil.rmtree(reviewed.outbox / ".review")

    reviewed.once()

    assert Review.KEPT is only(reviewed).review


def test_an_outbox_that_is_away_says_nothing_about_its_results(reviewed: House) -> None:
    """An unmounted share leaves an empty directory behind (I6)."""
    reviewed.drop()
    reviewed.once()
    reviewed.outbox.rename(reviewed.root / "unmounted")

    assert 0 == settle(reviewed)
    reviewed.outbox.mkdir()
    assert 0 == settle(reviewed)

    assert Review.WAITING is only(reviewed).review


def test_redo_makes_another_job_of_the_archived_original_and_moves_no_original(
    reviewed: House, server: ApiServer
) -> None:
    """I1 holds for the second job as for the first; the rejected result is kept, and two were paid."""
    original = digest(reviewed.drop())
    reviewed.once()
    first = only(reviewed)

    said = redo(reviewed)

    assert said.done, said.text
    assert {"a.jpg": original} == reviewed.files(reviewed.archive) == reviewed.files(reviewed.inbox)
    assert 0 == reviewed.once()
    second = only(reviewed)
    assert said.job == second.id != first.id
    assert ("print", first.fingerprint) == (second.profile, second.fingerprint)
    assert [".review/a.png"] == list(reviewed.files(reviewed.outbox))
    assert {"a.jpg": original} == reviewed.files(reviewed.archive)
    assert {} == reviewed.files(reviewed.inbox)
    assert ["rejected/a.jpg"] == list(reviewed.files(reviewed.failed))
    assert 2 == server.stats()["paid"]


def test_redo_where_originals_are_kept_copies_nothing(house: House, server: ApiServer) -> None:
    """The original is where it was all the time."""
    house.document["folders"][0]["originals"] = "keep"
    house.document["profiles"]["print"] = {"output_format": "png", "target_resolution": "2k"}
    house.write()
    original = digest(house.drop())
    house.once()

    assert redo(house).done
    assert 0 == house.once()

    assert {"a.jpg": original} == house.files(house.inbox)
    assert ["a.jpg", "a.png"] == list(house.files(house.outbox))
    assert 2 == server.stats()["paid"]


def test_redo_with_the_same_profile_pays_anew_as_a_person_wants_another_result(house: House, server: ApiServer) -> None:
    """Else the earlier result would be delivered again; both results are there."""
    house.drop()
    house.once()

    assert redo(house, "default").done
    assert 0 == house.once()

    assert 2 == server.stats()["paid"]
    assert "done" == only(house).standing


def test_redo_refuses_an_archived_original_that_was_changed(house: House) -> None:
    """What lies in the archive now is another picture; nothing is left in the inbox."""
    house.document["profiles"]["print"] = {"output_format": "png"}
    house.write()
    house.drop()
    house.once()
    (house.archive / "a.jpg").write_bytes(b"another")

    said = redo(house)

    assert not said.done
    assert {} == house.files(house.inbox)


@pytest.mark.parametrize("what", ["keep", "reject", "redo"])
def test_killed_at_every_change_of_a_disk_nothing_is_lost_and_the_next_look_is_right(
    reviewed: House, what: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Result and original are whole under some name at every instant, and what was done is known again by its bytes."""
    original = digest(reviewed.drop())
    reviewed.once()
    job = only(reviewed)
    assert job.result_hash is not None
    settings = reviewed.settings()
    # Read but once: reading it is most of the lines, and changes nothing.
    monkeypatch.setattr(reviewed, "settings", lambda: settings)
    saved = tmp_path_factory.mktemp("saved") / "house"
    shutil.copytree(reviewed.root, saved)
    places = (reviewed.outbox, reviewed.failed, reviewed.inbox)
    act: Callable[[], object] = partial(redo, reviewed) if what == "redo" else partial(verdict, reviewed, what)

    def again() -> None:
        for path in reviewed.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(saved, reviewed.root, dirs_exist_ok=True)

    stops = stops_that_changed(act, places)
    again()
    assert len(stops) > 1
    for stop in stops:
        kill_at(act, stop)
        whole = {reviewed.root / name: sha for name, sha in reviewed.files(reviewed.root).items()}
        assert job.result_hash in whole.values(), stop
        assert original == digest(reviewed.archive / "a.jpg")
        settle(reviewed)
        after = only(reviewed) if what != "redo" else next(j for j in reviewed.ledger().jobs() if j.id == job.id)
        assert after.output is not None
        assert job.result_hash == digest(Path(after.output)), stop
        in_review = after.output.startswith(str(reviewed.outbox / ".review"))
        assert in_review == (after.review is Review.WAITING)
        again()


def test_the_command_line_keeps_rejects_and_redoes(reviewed: House) -> None:
    """As the page does; an inbox stands for all its results in review."""
    reviewed.drop("a.jpg", seed=1)
    reviewed.drop("b.jpg", seed=2)
    reviewed.once()

    redone = json.loads(reviewed.command("redo", only(reviewed, "b.jpg").id, "--profile", "print", "--json"))
    kept = json.loads(reviewed.command("keep", str(reviewed.inbox), "--json"))
    unknown = reviewed.command("redo", only(reviewed, "b.jpg").id, "--profile", "nope", check=False)

    assert [True] == [one["done"] for one in redone]
    assert [(only(reviewed).id, True)] == [(one["id"], one["done"]) for one in kept]
    assert "" == unknown
    assert ["rejected/b.jpg"] == list(reviewed.files(reviewed.failed))


def test_a_court_without_the_folder_decides_nothing(reviewed: House) -> None:
    """A folder that was taken out of the configuration has no outbox to deliver to."""
    reviewed.drop()
    reviewed.once()
    with closing(Ledger.join(reviewed.state)) as ledger:
        bench = Court(ledger, {}, Unguarded())
        job = only(reviewed)
        said = [*bench.keep([job], now=0.0), *bench.reject([job], now=0.0)]
        said += bench.redo([job], asked_of(reviewed.settings().profiles, "print"), now=0.0, new_id=building.new_id)
        assert 0 == bench.settle(now=0.0)

    assert [False, False, False] == [one.done for one in said]
