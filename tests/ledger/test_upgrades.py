from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.support.configs import FOLDER, GOOD
from tests.test_cli import call
from upscaled import errors
from upscaled.ledger import Ledger, database

LEDGERS: Final = sorted((Path(__file__).parent / "ledgers").glob("schema-*.sql"))
"""Ledgers as earlier versions left them, each with jobs of every kind; none is ever edited."""

NEWEST: Final = database.migrations()[-1][0]


def restored(dump: Path, directory: Path) -> Path:
    """Make the ledger that was dumped; return its state directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(directory / database.FILE)) as connection:
        connection.executescript(dump.read_text("utf-8"))
    return directory


def schema(directory: Path, file: str = database.FILE) -> int:
    """Return the version of a ledger's schema."""
    with closing(sqlite3.connect(directory / file)) as connection:
        return database.version(connection)


def contents(file: Path) -> list[str]:
    """Return everything in a database, as text."""
    with closing(sqlite3.connect(file)) as connection:
        return [line for line in connection.iterdump() if line.startswith("INSERT")]


def test_the_first_ledger_is_among_those_that_are_tried() -> None:
    """Whoever installed the first version must come through every upgrade since."""
    assert "schema-1.sql" == LEDGERS[0].name


@pytest.mark.parametrize("dump", LEDGERS, ids=lambda dump: dump.stem)
def test_a_ledger_of_an_earlier_version_opens_with_every_job_as_it_stood(dump: Path, tmp_path: Path) -> None:
    """What was paid is remembered, what was held is held, what ran goes on."""
    state = restored(dump, tmp_path)

    ledger = Ledger.open(state)

    standings = {job.source: (str(job.stage), str(job.standing)) for job in ledger.jobs()}
    paid = next(job for job in ledger.jobs() if job.source == "paid.jpg")
    spent = ledger.total("state IN ('completed', 'accepted')")
    ledger.close()
    assert NEWEST == schema(state)
    assert {
        "done.jpg": ("archived", "done"),
        "twin.jpg": ("archived", "done"),
        "waits.jpg": ("archived", "done"),
        "wrong.jpg": ("submitted", "failed"),
        "mass-0.jpg": ("admitted", "held"),
        "mass-1.jpg": ("admitted", "held"),
        "mass-2.jpg": ("admitted", "held"),
        "paid.jpg": ("submitted", "ready"),
    } == standings
    assert paid.prediction_id
    assert 0.03 == pytest.approx(spent)


@pytest.mark.parametrize("dump", LEDGERS, ids=lambda dump: dump.stem)
def test_a_copy_is_made_before_anything_is_changed(dump: Path, tmp_path: Path) -> None:
    """It is a whole ledger of the version before, which that version opens."""
    state = restored(dump, tmp_path)
    before, number = contents(state / database.FILE), schema(state)

    Ledger.open(state).close()

    copy = database.copy_of(state, number)
    assert number == schema(state, copy.name)
    assert before == contents(copy)
    assert not list(state.glob("*.part"))


def test_a_new_ledger_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    """A copy at each start would fill the disk."""
    Ledger.open(tmp_path).close()
    Ledger.open(tmp_path).close()

    assert not list(tmp_path.glob("*upgrade*"))


def test_without_room_for_the_copy_the_ledger_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and the next start tries again."""
    state = restored(LEDGERS[0], tmp_path)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "keep_copy", full)
    with pytest.raises(errors.StateError, match="disk is full"):
        Ledger.open(state)
    assert 1 == schema(state)
    assert not database.owned(state)
    monkeypatch.undo()

    Ledger.open(state).close()

    assert NEWEST == schema(state)


def test_an_upgrade_that_died_half_way_goes_on_from_the_copy(tmp_path: Path) -> None:
    """A copy that was being made is made anew; one that is whole is replaced by one just as whole."""
    state = restored(LEDGERS[0], tmp_path)
    database.copy_of(state, 1).with_suffix(".part").write_bytes(b"half a copy")

    Ledger.open(state).close()

    assert 1 == schema(state, database.copy_of(state, 1).name)


@pytest.mark.parametrize("verb", ["status", "jobs", "pause"])
def test_who_looks_at_a_ledger_of_an_earlier_version_is_told_to_start_upscaled(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command changes no schema: the daemon of the earlier version may be running on it."""
    state = restored(LEDGERS[0], tmp_path / "state")
    config = tmp_path / "upscaled.yaml"
    config.write_text(f"{GOOD}state_dir: state\n", "utf-8")

    assert 4 == call(verb, "-c", str(config))

    assert "of an older upscaled" in capsys.readouterr().err
    assert 1 == schema(state)


@pytest.mark.parametrize(
    ("verb", "told"),
    [(("why", "in/a.jpg"), "There is no such file"), (("check",), "files can be written and renamed")],
)
def test_what_can_be_told_without_the_ledger_is_told(
    verb: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After an upgrade, before the start: the disks and the file are as they are, whatever the ledger's version."""
    state = restored(LEDGERS[0], tmp_path / "state")
    for name in ("in", "out", "archive"):
        (tmp_path / name).mkdir()
    config = tmp_path / "upscaled.yaml"
    config.write_text(f"service: {{url: 'http://127.0.0.1:9', api_key: x}}\n{FOLDER}state_dir: state\n", "utf-8")
    monkeypatch.chdir(tmp_path)

    assert 4 != call(*verb, "-c", str(config))

    said = capsys.readouterr()
    assert told in said.out
    assert "of an older upscaled" in said.out + said.err
    assert 1 == schema(state)


def test_going_back_is_refused_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is named, and with it in place of the ledger the earlier version goes on as before the upgrade."""
    state = restored(LEDGERS[0], tmp_path)
    Ledger.open(state).close()
    first = database.migrations()[:1]
    monkeypatch.setattr(database, "migrations", lambda: first)

    with pytest.raises(errors.LedgerTooNew) as refused:
        Ledger.read(state)

    copy = database.copy_of(state, 1)
    assert 4 == refused.value.exit_code
    assert "Install the newer version again" in refused.value.do
    assert copy.name in refused.value.do
    (tmp_path / "back").mkdir()
    shutil.copy(copy, tmp_path / "back" / database.FILE)
    with closing(database.connect(tmp_path / "back", read_only=True)) as connection:
        database.refuse_newer(connection, tmp_path / "back")
