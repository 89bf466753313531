"""What a person sees of work that goes on: the numbers, the table, and plain lines where there is no terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.jobs import NOW, job, new_job
from upscaled.board import Board, board
from upscaled.cli import main
from upscaled.events import Event
from upscaled.job.model import Stage, Standing, Step
from upscaled.ledger import Ledger
from upscaled.progress import Progress, doing, line, reading, table, watch

BOARD = Board((), 1, 2, 0, (("done", 3),), 0.03, 0.01, 6.0, 30.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger in which of ten jobs four are done, one failed, and two are under way."""
    made = Ledger.open(tmp_path)
    made.admit([new_job(n, admitted_at=NOW + n / 10) for n in range(10)])
    ends = [("done", "archived", f"job{n:07d}") for n in range(4)] + [("failed", "admitted", "job0000004")]
    columns = f"standing = ?, stage = ?, finished_at = {NOW + 60}, output = 'x', failure = '{{}}'"
    made.change(lambda c: c.executemany(f"UPDATE jobs SET {columns} WHERE id = ?", ends).rowcount)
    begun = "UPDATE jobs SET standing = 'running' WHERE id IN ('job0000005', 'job0000006')"
    made.change(lambda c: c.execute(begun).rowcount)
    attempt = "INSERT INTO attempts (job_id, state, upload_url, price, intended_at, prediction_id, settled_at)"
    paid = [(f"job{n:07d}", "completed", "u", 0.01, NOW + 5, f"p{n}", NOW + 50) for n in range(4)]
    made.change(lambda c: c.executemany(f"{attempt} VALUES (?, ?, ?, ?, ?, ?, ?)", paid).rowcount)
    yield made
    made.close()


def test_the_board_counts_what_ended_and_estimates_the_rest(ledger: Ledger) -> None:
    """Four in two minutes are two a minute, so the five that are left take two and a half."""
    found = board(ledger, since=NOW, now=NOW + 120)

    assert (("done", 4), ("failed", 1)) == found.ended
    assert (2, 3, 0, 10) == (found.running, found.waiting, found.held, found.total)
    assert ["5.jpg", "6.jpg"] == [active.source for active in found.active]
    assert (2.0, 150.0, 0.04) == (found.rate, found.left, found.dollars)


def test_what_ended_before_is_not_this_runs(ledger: Ledger) -> None:
    """Nor is its cost, and nothing is estimated from nothing."""
    found = board(ledger, since=NOW + 100, now=NOW + 120)

    assert ((), None, None, 0.0) == (found.ended, found.rate, found.left, found.dollars)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (BOARD, "3 done of 6, 1 under way, 2 waiting; 6.0 a minute; about 30 s left; $0.03 and $0.01 reserved"),
        (Board((), 0, 0, 2, (), 0.0, 0.0, None, None), "nothing done yet of 2, 2 need you; $0.00"),
        (Board((), 0, 0, 0, (), 0.0, 0.0, None, None), "nothing done yet; $0.00"),
    ],
)
def test_the_totals_in_a_line(found: Board, text: str) -> None:
    """What ended of how many, the rate, the time left, the cost."""
    assert text == line(found)


def printed(found: Board) -> str:
    """Return the table as text."""
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(table(found))
    stream: Any = console.file
    return str(stream.getvalue())


def test_the_table_names_the_stage_of_each_active_job() -> None:
    """A name cannot break out of its line, and what is not named is counted."""
    active = (job(source="a\nb.jpg", stage=Stage.SUBMITTED), job(source="c.jpg", stage=Stage.RENDERED))
    text = printed(Board(active, 5, 0, 0, (), 0.0, 0.0, None, None))

    assert ["being upscaled", "downloading"] == [doing(one) for one in active]
    rows = text.splitlines()
    assert "being upscaled" in rows[0]
    assert "c.jpg" in rows[1]
    assert "and 3 more" in rows[2]


def event(standing: Standing) -> Event:
    """Return the event of a job that ended."""
    ended = job(standing=standing, stage=Stage.ARCHIVED, output="/out/b.jpg", reason="why", width=6, height=4)
    return Event(ended, Step.ARCHIVE, str(standing), "")


def test_without_a_terminal_each_end_is_a_plain_line() -> None:
    """No table, no colours, and nothing for jobs that go on."""
    stream = io.StringIO()
    with Progress(Console(file=stream, width=200), lambda: BOARD) as progress:
        progress(event(Standing.DONE))
        progress(event(Standing.RUNNING))
        progress(event(Standing.FAILED))

    assert ["done       a/b.jpg -> /out/b.jpg", "failed     a/b.jpg: why"] == stream.getvalue().splitlines()


def test_on_a_terminal_the_table_stays_below_the_lines() -> None:
    """And is gone at the end."""
    stream = io.StringIO()
    with Progress(Console(file=stream, width=120, force_terminal=True), lambda: BOARD) as progress:
        progress(event(Standing.DONE))

    assert "3 done of 6" in stream.getvalue()
    assert "a/b.jpg" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_watching_shows_each_change_until_the_daemon_stops(terminal: bool) -> None:
    """On a terminal a table; elsewhere a line, and only when something changed."""
    stream = io.StringIO()
    later = Board((), 0, 0, 0, (("done", 6),), 0.06, 0.0, 6.0, None)
    boards = iter([None, BOARD, BOARD, later])
    left = iter([True, True, True, True, False])
    console = Console(file=stream, width=120, force_terminal=terminal)

    watch(console, lambda: next(boards), running=lambda: next(left), pause=lambda: None)

    shown = stream.getvalue()
    assert "6 done of 6; 6.0 a minute; $0.06" in shown
    if not terminal:
        assert [line(BOARD), line(later)] == shown.splitlines()


def test_there_may_be_no_ledger_yet(tmp_path: Path) -> None:
    """A daemon that has just been started."""
    assert reading(lambda: Ledger.read(tmp_path), since=0.0)() is None


def test_watching_needs_a_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else it says so; and it prints no JSON."""
    config = tmp_path / "upscaled.yaml"
    config.write_text("state_dir: state\nservice: {url: embedded}\nfolders: [{inbox: in, outbox: out, archive: arc}]\n")
    codes = []
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as over:
            main(["status", "--watch", *more, "-c", str(config)])
        codes.append(over.value.code)

    assert [2, 2] == codes
    assert "upscaled is not running" in capsys.readouterr().err
