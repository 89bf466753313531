"""Questions that are asked often must not read rows that they do not show, however many there are."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.support.jobs import NOW, new_job
from upscaled import status
from upscaled.job.budget import Limits
from upscaled.ledger import Ledger
from upscaled.ledger.database import connect
from upscaled.ledger.pruning import Place


def test_pages_of_jobs_follow_each_other(tmp_path: Path) -> None:
    """The newest first, each page in the order of admission, none twice and none missed, though times are equal."""
    ledger = Ledger.open(tmp_path)
    try:
        ledger.admit([new_job(number, admitted_at=NOW + number // 2) for number in range(7)])
        pages = [[job.id for job in ledger.jobs(limit=3)]]
        while len(pages[0]) < 7 and pages[-1]:
            before = ledger.job(pages[-1][0])
            pages.append([job.id for job in ledger.jobs(limit=3, before=before)])
    finally:
        ledger.close()

    assert [3, 3, 1, 0] == list(map(len, pages))
    assert [f"job{number:07d}" for number in range(7)] == [id_ for page in reversed(pages) for id_ in page]


async def test_no_question_of_the_daemon_or_of_status_walks_all_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what SQLite would do: no scan of a table, of an index only where it holds few, to count, or to a limit."""
    ledger = Ledger.open(tmp_path)
    asked: list[str] = []
    reader = connect(tmp_path, read_only=True)
    reader.set_trace_callback(asked.append)
    ledger.change(lambda c: c.set_trace_callback(asked.append))
    monkeypatch.setattr(ledger._read, "_borrow", lambda: reader)
    monkeypatch.setattr(ledger._read, "_take_back", lambda _: None)
    try:
        ledger.admit([new_job()])
        (job,) = await ledger.take(1, folders=["/in", "/other"], now=NOW, submitting=True, ahead=1)
        await ledger.in_flight(["/in"])
        await ledger.recent_submits(NOW, 60.0)
        await ledger.next_due(["/in"])
        await ledger.others(["p"])
        await ledger.affordable(job, price=0.01, now=NOW, limits=Limits(per_day=1, per_month=1))
        ledger.known("/in")
        ledger.stayed("/in")
        ledger.admitted_since("/in", NOW)
        ledger.jobs(limit=3, folder="/in")
        ledger.jobs(limit=3, standing="failed")
        status.summary(ledger, inboxes=["/in"], now=NOW, running=True)
        ledger.prune(Place(), before=NOW, now=NOW, dry_run=False)
        reader.set_trace_callback(None)
        plans = {query: plan_of(reader, query) for query in asked if re.match(r"\s*(SELECT|UPDATE|DELETE)", query)}
    finally:
        ledger.close()
        reader.close()

    bad = {query: plan for query, plan in plans.items() if re.search(r"SCAN (jobs|attempts|events)\b(?! USING)", plan)}
    assert {} == bad
    few = {"one_open_attempt_per_job", "jobs_in_review", "jobs_waiting", "jobs_unfinished", "jobs_to_reject"}
    walks = {
        query: plan
        for query, plan in plans.items()
        if set(re.findall(r"SCAN (?:jobs|attempts|events) USING (?:COVERING )?INDEX (\w+)", plan)) - few
    }
    assert [] == [query for query in walks if "GROUP BY standing" not in query and "LIMIT" not in query], walks


def plan_of(reader: sqlite3.Connection, query: str) -> str:
    """Return what SQLite would do."""
    return "; ".join(row["detail"] for row in reader.execute(f"EXPLAIN QUERY PLAN {query}"))
