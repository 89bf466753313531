from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import NOW, new_job
from upscaled import prune
from upscaled.errors import LedgerUnavailable
from upscaled.job.calendar import periods
from upscaled.ledger import Ledger, rows
from upscaled.ledger.pruning import HANDFUL, Place

DAY = 86_400.0
YEAR = 365 * DAY
LONG_AGO = NOW - 2 * YEAR


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give an empty ledger."""
    ledger = Ledger.open(tmp_path)
    yield ledger
    ledger.close()


def over(ledger: Ledger, number: int, *, at: float = LONG_AGO, paid_at: float | None = None, **fields: Any) -> str:
    """Put a job into the ledger that was over at some time; return its id."""
    new = new_job(number, admitted_at=at - 60)
    ledger.admit([new])
    done = {"standing": "done", "stage": "archived", "output": f"/out/{number}.jpg", "finished_at": at, **fields}
    ledger.change(lambda c: c.execute(*rows.update("jobs", done, "id", new.id)))
    if paid_at is not None:
        attempt = {
            "job_id": new.id,
            "state": "completed",
            "upload_url": "u",
            "price": 0.01,
            "intended_at": paid_at,
            "prediction_id": f"p{number}",
            "settled_at": paid_at,
        }
        ledger.change(lambda c: c.execute(*rows.insert("attempts", attempt)))
    return new.id


def pruned(ledger: Ledger, **options: Any) -> dict[str, Any]:
    """Prune what was over a year ago."""
    return prune.prune(ledger, YEAR, now=lambda: NOW, pause=lambda _: None, **options)


def ids(ledger: Ledger) -> list[str]:
    """Return the jobs that there are."""
    return [job.id for job in ledger.jobs()]


def test_jobs_that_were_over_long_ago_leave_with_all_that_is_known_of_them(ledger: Ledger) -> None:
    """Of every standing that is an end; younger ones and unfinished ones stay."""
    over(ledger, 1, paid_at=LONG_AGO)
    over(ledger, 2, standing="failed", stage="admitted", failure="{}")
    over(ledger, 3, standing="cancelled", stage="admitted")
    young = over(ledger, 4, at=NOW - YEAR + 1)
    ledger.admit([new_job(5, admitted_at=LONG_AGO)])

    found = pruned(ledger)

    assert (3, {}, False) == (found["removed"], found["kept"], found["dry_run"])
    assert datetime.fromtimestamp(NOW - YEAR, UTC).isoformat(timespec="milliseconds") == found["before"]
    assert {young, "job0000005"} == set(ids(ledger))
    assert 0 == ledger.query("SELECT count(*) AS n FROM attempts")[0]["n"]
    assert {young, "job0000005"} == {row["job_id"] for row in ledger.query("SELECT job_id FROM events")}


@pytest.mark.parametrize(
    ("guard", "fields"),
    [
        ("stays", {"stays": 1}),
        ("stays", {"standing": "cancelled", "stage": "admitted", "stays": 1}),
        ("money", {"paid_at": periods(NOW).month}),
        ("review", {"review": "waiting"}),
    ],
)
def test_what_still_guards_something_stays_however_old(ledger: Ledger, guard: str, fields: dict[str, Any]) -> None:
    """A file that would be taken anew, this month's money, a result in review."""
    kept = over(ledger, 1, **fields)
    over(ledger, 2)

    assert (1, {guard: 1}) == ((found := pruned(ledger))["removed"], found["kept"])
    assert [kept] == ids(ledger)


def test_money_of_the_month_before_guards_nothing(ledger: Ledger) -> None:
    """Budgets look no further back than this month."""
    over(ledger, 1, paid_at=periods(NOW).month - 1)

    assert 1 == pruned(ledger)["removed"]


def test_a_result_that_is_being_delivered_again_stays(ledger: Ledger) -> None:
    """Without it the other job would pay; once that is over, it guards nothing any more."""
    origin = over(ledger, 1)
    ledger.admit([new_job(2)])
    ledger.change(lambda c: c.execute("UPDATE jobs SET reuse = ? WHERE id = 'job0000002'", (origin,)))

    assert (0, {"reused": 1}) == ((found := pruned(ledger))["removed"], found["kept"])
    over_now = {"standing": "cancelled", "finished_at": NOW}
    ledger.change(lambda c: c.execute(*rows.update("jobs", over_now, "id", "job0000002")))
    assert 1 == pruned(ledger)["removed"]


def test_a_dry_run_counts_and_removes_nothing(ledger: Ledger) -> None:
    """Also beside a running daemon, with a ledger that is only read."""
    over(ledger, 1)
    over(ledger, 2, stays=1)

    found = prune.prune(Ledger.read(ledger._directory), YEAR, dry_run=True, now=lambda: NOW)

    assert (1, {"stays": 1}, True) == (found["removed"], found["kept"], found["dry_run"])
    assert 2 == len(ids(ledger))


def test_it_goes_in_handfuls_that_pass_over_what_stays(ledger: Ledger) -> None:
    """Each is a transaction of its own, and dying between two of them leaves whole jobs only."""
    for number in range(2 * HANDFUL + 3):
        over(ledger, number, at=LONG_AGO, stays=number % 2)

    first = ledger.prune(Place(), before=NOW - YEAR, now=NOW, dry_run=False)

    assert (HANDFUL, HANDFUL // 2) == (first.gone + len(first.kept), first.gone)
    assert first.following is not None
    assert (HANDFUL + 2 - HANDFUL // 2, HANDFUL + 1) == ((found := pruned(ledger))["removed"], found["kept"]["stays"])
    assert [True] * (HANDFUL + 1) == [bool(row["stays"]) for row in ledger.query("SELECT stays FROM jobs")]


async def test_the_daemon_tidies_only_what_it_is_told_and_survives_a_full_disk(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`retain: off` keeps everything; a disk that refuses is a warning, and it is tried again later."""
    tried: list[float] = []

    class Enough(Exception):
        pass

    def refuse(_ledger: Ledger, age: float) -> dict[str, Any]:
        tried.append(age)
        raise LedgerUnavailable("full")

    async def sleep(seconds: float) -> None:
        assert prune.EVERY == seconds
        if len(tried) == 2:
            raise Enough

    monkeypatch.setattr(prune, "prune", refuse)
    monkeypatch.setattr("upscaled.prune.asyncio.sleep", sleep)

    await prune.tidy(ledger, None)
    with pytest.raises(Enough):
        await prune.tidy(ledger, YEAR)

    assert [YEAR, YEAR] == tried
