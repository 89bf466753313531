from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.jobs import IDENTITY, NOW, new_job
from upscaled import errors
from upscaled.job.machine import Change, transition
from upscaled.job.model import AttemptState, Cause, Done, Failure, Held, Identity, Job, Retry, Stage, Standing, Step
from upscaled.ledger import Ledger, database
from upscaled.ledger.spending import Others


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give an empty ledger."""
    opened = Ledger.open(tmp_path)
    yield opened
    opened.close()


async def take(ledger: Ledger, limit: int = 100, *, submitting: bool = True, ahead: int = 100) -> list[Job]:
    """Take jobs of the only folder."""
    return await ledger.take(limit, folders=["/in"], now=NOW, submitting=submitting, ahead=ahead)


async def advance(ledger: Ledger, job: Job, step: Step, stage: Stage, **facts: object) -> Job:
    """Commit that a step is done."""
    change = transition(job, step, Done(stage, facts), now=NOW, jitter=0.0)
    return await ledger.commit(job, change, now=NOW)


async def intend(ledger: Ledger, job: Job, now: float = NOW) -> Job:
    """Intend a paid POST that nothing forbids."""
    intended = await ledger.intend(job, price=0.01, now=now)
    assert isinstance(intended, Job)
    return intended


async def uploaded(ledger: Ledger) -> Job:
    """Admit one job and bring it to uploaded."""
    ledger.admit([new_job()])
    job = (await take(ledger))[0]
    return await advance(ledger, job, Step.UPLOAD, Stage.UPLOADED, upload_url="u", uploaded_at=NOW)


async def test_what_was_admitted_is_taken_as_it_was(ledger: Ledger) -> None:
    """A row is a job and back."""
    ledger.admit([new_job(7, width=40, height=30)])

    (job,) = await take(ledger)

    assert ("job0000007", "7.jpg", Stage.ADMITTED, Standing.RUNNING) == (job.id, job.source, job.stage, job.standing)
    assert IDENTITY == job.identity
    assert (40, 30) == (job.width, job.height)
    assert {"target_resolution": "4k", "output_format": "jpeg"} == job.params.inputs


async def test_a_second_admission_of_an_unfinished_source_is_a_no_op(ledger: Ledger) -> None:
    """The sweep may find a source again before its job has moved it."""
    assert 1 == ledger.admit([new_job(1)])
    assert 0 == ledger.admit([replace(new_job(2), source="1.jpg")])
    assert 1 == len(await take(ledger))


async def test_a_source_whose_job_is_over_may_come_again(ledger: Ledger) -> None:
    """Somebody drops another picture of the same name."""
    ledger.admit([new_job(1)])
    (job,) = await take(ledger)
    await ledger.commit(job, Change({"standing": Standing.CANCELLED, "finished_at": NOW}), now=NOW)

    assert 1 == ledger.admit([replace(new_job(2), source="1.jpg")])


@pytest.mark.parametrize("name", ["b\udcff\udc80.jpg", "new\nline.jpg", "ä/日本.jpg", "'; DROP TABLE jobs; --.jpg"])
async def test_any_file_name_survives_the_ledger(ledger: Ledger, name: str) -> None:
    """Names are bytes of a file system; not all of them are UTF-8 or polite."""
    ledger.admit([new_job(source=name)])
    (job,) = await take(ledger)
    job = await advance(ledger, job, Step.PREPARE, Stage.ADMITTED, fingerprint=os.fsencode(name).hex())

    assert name == job.source
    assert {name: IDENTITY} == ledger.known("/in")


async def test_an_inode_beyond_63_bits_survives_the_ledger(ledger: Ledger) -> None:
    """Network file systems use the whole 64 bits; SQLite's integers are signed."""
    identity = Identity(2**64 - 1, 2**63, 1, -5, 7)
    ledger.admit([new_job(identity=identity)])

    assert {"0.jpg": identity} == ledger.known("/in")


async def test_jobs_begun_go_first_then_priority_then_age(ledger: Ledger) -> None:
    """What was started is finished before new things are begun."""
    ledger.admit([new_job(3), new_job(1), new_job(2, priority=5)])
    (first,) = await take(ledger, 1)
    assert "job0000002" == first.id
    await advance(ledger, first, Step.UPLOAD, Stage.UPLOADED, upload_url="u")
    await ledger.commit(first, Change({"standing": Standing.READY}), now=NOW)
    ledger.admit([new_job(0, priority=9)])

    assert ["job0000002", "job0000000", "job0000001", "job0000003"] == [job.id for job in await take(ledger)]


async def test_only_so_many_jobs_are_taken_ahead_of_the_submit(ledger: Ledger) -> None:
    """The backlog stays rows."""
    ledger.admit([new_job(n) for n in range(10)])

    assert 3 == len(await take(ledger, 100, ahead=3))
    assert [] == await take(ledger, 100, ahead=0)


async def test_nothing_is_taken_towards_a_submit_while_the_service_refuses(ledger: Ledger) -> None:
    """But a job beyond it, and a refused one, may go on."""
    job = await uploaded(ledger)
    await ledger.intend(job, price=0.01, now=NOW)
    job = await ledger.commit(job, Change({"stage": Stage.SUBMITTED, "prediction_id": "p"}), now=NOW)
    await ledger.commit(job, Change({"standing": Standing.READY}), now=NOW)
    ledger.admit([new_job(1), new_job(2, failure=Failure("bad", "mend"))])

    assert ["job0000000", "job0000002"] == sorted(job.id for job in await take(ledger, submitting=False))


async def test_jobs_of_folders_that_are_not_configured_stay_where_they_are(ledger: Ledger) -> None:
    """A folder taken out of the config keeps its jobs for when it is back."""
    ledger.admit([new_job(1, folder="/gone"), new_job(2)])

    assert ["job0000002"] == [job.id for job in await take(ledger)]


async def test_a_waiting_job_is_taken_when_its_time_has_come(ledger: Ledger) -> None:
    """Trouble ends by itself."""
    ledger.admit([new_job()])
    (job,) = await take(ledger)
    change = transition(job, Step.UPLOAD, Retry("no network", Cause.NETWORK, 60.0), now=NOW, jitter=0.0)
    await ledger.commit(job, change, now=NOW)

    assert NOW + 60 == await ledger.next_due(["/in"])
    assert [] == await ledger.take(9, folders=["/in"], now=NOW + 59, submitting=True, ahead=9)
    (again,) = await ledger.take(9, folders=["/in"], now=NOW + 60, submitting=True, ahead=9)
    assert 1 == again.tries


async def test_those_that_wait_for_the_key_wake_together(ledger: Ledger) -> None:
    """When the key is accepted again, nobody waits out a back-off."""
    ledger.admit([new_job(1), new_job(2)])
    causes = [Cause.KEY, Cause.NETWORK]
    for job, cause in zip(await take(ledger), causes, strict=True):
        change = transition(job, Step.UPLOAD, Retry("no", cause, 60.0), now=NOW, jitter=0.0)
        await ledger.commit(job, change, now=NOW)

    assert 1 == await ledger.wake([Cause.KEY, Cause.CREDIT])
    assert ["job0000001"] == [job.id for job in await take(ledger)]


async def test_a_second_paid_request_cannot_be_intended_while_one_is_open(ledger: Ledger) -> None:
    """I3, held by the database itself."""
    job = await uploaded(ledger)
    job = await intend(ledger, job)
    assert job.attempt is not None
    assert job.attempt.unresolved

    with pytest.raises(sqlite3.IntegrityError):
        await ledger.intend(job, price=0.01, now=NOW)
    assert [job.id] == await ledger.in_flight(["/in"])


@pytest.mark.parametrize("state", [AttemptState.REJECTED, AttemptState.FAILED])
async def test_after_a_settled_attempt_another_may_follow(ledger: Ledger, state: AttemptState) -> None:
    """A refused or failed request was not paid, or is refunded."""
    job = await uploaded(ledger)
    job = await intend(ledger, job)
    if state is AttemptState.FAILED:
        job = await ledger.commit(job, Change({"prediction_id": "p"}, AttemptState.ACCEPTED), now=NOW)
    job = await ledger.commit(job, Change({}, state), now=NOW)

    job = await intend(ledger, job, NOW + 1)
    assert 2 == job.attempts
    assert [NOW, NOW + 9] == await ledger.recent_submits(NOW + 9, 60)


async def test_an_accepted_attempt_carries_its_prediction(ledger: Ledger) -> None:
    """Spending is told by predictions."""
    job = await intend(ledger, await uploaded(ledger))
    change = transition(
        job,
        Step.SUBMIT,
        Done(Stage.SUBMITTED, {"prediction_id": "p1"}, attempt=AttemptState.ACCEPTED),
        now=NOW,
        jitter=0,
    )

    job = await ledger.commit(job, change, now=NOW)

    assert job.attempt is not None
    assert ("p1", AttemptState.ACCEPTED) == (job.attempt.prediction_id, job.attempt.state)
    assert Others(frozenset({"p1"}), 0, under_way=False) == await ledger.others(["p1", "p2"])


async def test_a_held_job_does_not_hold_a_place_at_the_service(ledger: Ledger) -> None:
    """One lost submit must not narrow the allowance for ever."""
    job = await intend(ledger, await uploaded(ledger))
    await ledger.commit(job, transition(job, Step.SUBMIT, Held("?"), now=NOW, jitter=0), now=NOW)

    assert [] == await ledger.in_flight(["/in"])


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "submitted"},
        {"stage": "published"},
        {"stage": "downloaded", "part": "/x"},
        {"standing": "done"},
        {"standing": "done", "finished_at": NOW},
        {"standing": "failed", "finished_at": NOW},
        {"standing": "waiting"},
        {"finished_at": NOW},
        {"stage": "nowhere"},
    ],
)
async def test_the_database_refuses_impossible_rows(ledger: Ledger, fields: dict[str, object]) -> None:
    """I4: a claim without its fact cannot even be written."""
    ledger.admit([new_job()])
    (job,) = await take(ledger)

    with pytest.raises(sqlite3.IntegrityError):
        await ledger.commit(job, Change(fields), now=NOW)


async def test_a_write_that_fails_takes_back_itself_alone(ledger: Ledger) -> None:
    """Others in the same commit are not harmed."""
    ledger.admit([new_job(1), new_job(2)])
    bad, good = await take(ledger)
    writes = [
        ledger._write(lambda c: c.execute("UPDATE jobs SET stage = 'nowhere' WHERE id = ?", (bad.id,))),
        ledger._write(lambda c: c.execute("UPDATE jobs SET tries = 5 WHERE id = ?", (good.id,))),
    ]

    with pytest.raises(sqlite3.IntegrityError):
        writes[0].result()
    writes[1].result()
    found = ledger.job(good.id)
    assert found is not None
    assert 5 == found.tries


async def test_running_jobs_are_ready_again_at_the_next_start(tmp_path: Path) -> None:
    """A dead process leaves rows that say running; whoever holds the lock next knows better."""
    first = Ledger.open(tmp_path)
    first.admit([new_job()])
    await take(first)
    first.close()
    second = Ledger.open(tmp_path)
    try:
        assert 1 == len(await take(second))
    finally:
        second.close()


def test_a_second_daemon_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    """Two daemons on one ledger would pay twice."""
    first = Ledger.open(tmp_path)
    try:
        assert database.owned(tmp_path)
        with pytest.raises(errors.Locked, match=str(os.getpid())):
            Ledger.open(tmp_path)
    finally:
        first.close()
    assert not database.owned(tmp_path)


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    """The lock is the operating system's, not a file's presence."""
    code = f"import os; from pathlib import Path; from upscaled.ledger import Ledger; Ledger.open(Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"  # noqa: E501
    assert -9 == subprocess.run([sys.executable, "-c", code], check=False).returncode

    Ledger.open(tmp_path).close()


def test_a_ledger_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    """Going back must not damage what the newer version wrote."""
    Ledger.open(tmp_path).close()
    connection = database.connect(tmp_path, read_only=False)
    connection.execute("PRAGMA user_version = 999")
    connection.close()

    with pytest.raises(errors.LedgerTooNew, match="999"):
        Ledger.open(tmp_path)
    with pytest.raises(errors.LedgerTooNew):
        Ledger.read(tmp_path)
    assert not database.owned(tmp_path)


def test_a_migration_that_dies_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each migration is one transaction."""
    Ledger.open(tmp_path).close()
    broken = [*database.migrations(), (999, "CREATE TABLE extra (x); SELECT no_such_function();")]
    monkeypatch.setattr(database, "migrations", lambda: broken)

    with pytest.raises(errors.StateError):
        Ledger.open(tmp_path)
    monkeypatch.undo()
    connection = database.connect(tmp_path, read_only=False)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "extra" not in tables
    Ledger.open(tmp_path).close()


def test_reading_where_nothing_ran_yet_says_so(tmp_path: Path) -> None:
    """`status` before the first run is a question, not a crash."""
    with pytest.raises(errors.StateError, match="has not run"):
        Ledger.read(tmp_path)


def test_a_state_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """The path is a file."""
    (tmp_path / "file").write_text("")

    with pytest.raises(errors.StateError, match="file"):
        Ledger.open(tmp_path / "file")


async def test_a_disk_that_refuses_answers_everybody_in_the_commit(ledger: Ledger) -> None:
    """I4: nobody may believe in a fact that is not on the disk; and the ledger works on when it is mended."""
    ledger.admit([new_job()])
    ledger._write(lambda c: c.execute("PRAGMA max_page_count = 1")).result()
    writes = [
        ledger._write(lambda c: c.execute("CREATE TABLE IF NOT EXISTS fill (x)")),
        ledger._write(lambda c: c.execute("INSERT INTO fill VALUES (zeroblob(10000000))")),
    ]
    for write in writes[1:]:
        with pytest.raises(errors.LedgerUnavailable, match="full"):
            write.result()
    ledger._write(lambda c: c.execute("PRAGMA max_page_count = 1000000")).result()

    assert 1 == ledger.admit([new_job(1)])


def test_writers_in_many_threads_share_commits_and_lose_nothing(ledger: Ledger) -> None:
    """Group commit answers each writer after the disk has its row."""

    def admit(start: int) -> None:
        for number in range(start, start + 50):
            ledger.admit([new_job(number)])

    threads = [threading.Thread(target=admit, args=(start,)) for start in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 400 == len(ledger.jobs())


async def test_every_transition_leaves_an_event_in_the_same_commit(ledger: Ledger) -> None:
    """A job's story is in the ledger, not in a log that rotates."""
    await uploaded(ledger)

    rows = ledger.query("SELECT kind FROM events ORDER BY id")
    assert ["admitted", "upload"] == [row["kind"] for row in rows]


def test_a_job_is_found_by_the_beginning_of_its_id_when_it_alone_begins_so(ledger: Ledger) -> None:
    """People type as little as they can."""
    ledger.admit([new_job(1), new_job(12)])

    assert ledger.job("job00000") is None
    assert ledger.job("job%") is None
    found = ledger.job("job0000012")
    assert found is not None
    assert "12.jpg" == found.source


def test_jobs_are_listed_oldest_first_and_filtered(ledger: Ledger) -> None:
    """`jobs` pages through them."""
    ledger.admit([new_job(n) for n in range(5)] + [new_job(9, folder="/other")])

    assert ["job0000004", "job0000009"] == [job.id for job in ledger.jobs(limit=2)]
    assert ["job0000009"] == [job.id for job in ledger.jobs(folder="/other")]
    assert [] == ledger.jobs(standing="held")


async def test_a_write_called_off_before_its_turn_harms_nobody(ledger: Ledger) -> None:
    """A task that is cancelled while it waits must not take the writer with it."""
    gate = threading.Event()
    ledger._write(lambda _: gate.wait(10))
    called_off = ledger._write(lambda c: c.execute("UPDATE jobs SET tries = 9"))
    assert called_off.cancel()
    gate.set()

    assert 1 == ledger.admit([new_job(1)])
    (job,) = ledger.jobs()
    assert 0 == job.tries


async def test_a_folder_that_is_not_configured_holds_no_place_at_the_service(ledger: Ledger) -> None:
    """An inbox that was renamed must not narrow the allowance for ever."""
    await intend(ledger, await uploaded(ledger))

    assert [] == await ledger.in_flight(["/other"])


async def test_a_lost_submit_is_looked_up_whatever_room_there_is_ahead(ledger: Ledger) -> None:
    """It holds a slot until its fate is known: waiting for room behind it would be waiting for itself."""
    job = await intend(ledger, await uploaded(ledger))
    await ledger.commit(job, Change({"standing": Standing.READY}), now=NOW)

    assert [job.id] == [taken.id for taken in await take(ledger, ahead=0)]


async def test_a_value_that_cannot_be_written_harms_its_own_write_alone(ledger: Ledger) -> None:
    """Python's own errors of binding must not stop the writer."""
    write = ledger._write(lambda c: c.execute("UPDATE jobs SET reason = ?", (object(),)))
    with pytest.raises(sqlite3.Error):
        write.result()

    assert 1 == ledger.admit([new_job(1)])
