"""What the ledger knows of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upscaled.job.model import Job
from upscaled.ledger import Ledger, rows
from upscaled.ledger.database import bind


def _jobs(ledger: Ledger | None, where: str, *arguments: Any) -> list[Job]:
    if ledger is None:
        return []
    query = f"{rows.SELECT} WHERE {where} ORDER BY jobs.finished_at IS NULL DESC, jobs.admitted_at DESC LIMIT 1"
    return [rows.job_of(row) for row in ledger.query(query, *arguments)]


def job_of_source(ledger: Ledger | None, folder: str, source: str) -> Job | None:
    """Return the unfinished job of a source, else the last one it had."""
    where = "jobs.folder = CAST(? AS TEXT) AND jobs.source = CAST(? AS TEXT)"
    return next(iter(_jobs(ledger, where, bind(folder), bind(source))), None)


def job_that_made(path: Path, ledger: Ledger | None) -> Job | None:
    """Return the job whose result, or whose original, lies at a path."""
    where = "jobs.output = CAST(?1 AS TEXT) OR jobs.archived = CAST(?1 AS TEXT)"
    return next(iter(_jobs(ledger, where, bind(str(path)))), None)


def folder_rows(ledger: Ledger, inbox: str) -> list[Any]:
    """Return how a folder was doing at its last sweep: none before the first."""
    return ledger.query("SELECT state, reason, swept_at FROM folders WHERE inbox = CAST(? AS TEXT)", bind(inbox))
