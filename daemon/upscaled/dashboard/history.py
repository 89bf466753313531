"""Jobs by the page: newest first, filtered, each page as fast as the first at any number of jobs.

A page begins after the last job of the one before it (keyset), never after a count of rows. The indexes that each
filter walks are in the ledger's second migration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from upscaled.job.calendar import seconds
from upscaled.job.model import Job, Review, Standing
from upscaled.ledger import Ledger
from upscaled.ledger.database import bind
from upscaled.ledger.rows import SELECT, job_of

SIZE: Final = 48
"""Jobs on a page."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None and empty mean all. ``day`` is the local day on which a job was admitted."""

    name: str = ""
    folder: str | None = None
    standing: str | None = None
    review: str | None = None
    day: str | None = None

    def conditions(self) -> tuple[list[str], list[Any]]:
        """Return conditions of SQL and their arguments."""
        terms: list[tuple[str, Sequence[Any]]] = []
        if self.name:
            pattern = "%" + re.sub(r"([\\%_])", r"\\\1", self.name) + "%"
            terms.append(("source LIKE CAST(? AS TEXT) ESCAPE '\\'", [bind(pattern)]))
        if self.folder:
            terms.append(("folder = CAST(? AS TEXT)", [bind(self.folder)]))
        if self.standing in set(Standing):
            terms.append(("standing = ?", [str(self.standing)]))
        if self.review in set(Review):
            terms.append(("review = ?", [str(self.review)]))
        if (range_ := day_of(self.day)) is not None:
            terms.append(("admitted_at >= ? AND admitted_at < ?", range_))
        return [term for term, _ in terms], [argument for _, arguments in terms for argument in arguments]

    @property
    def index(self) -> str:
        """The index to walk. SQLite would rather sort what it thinks are few."""
        if self.name:
            return "jobs_by_age_and_name"
        if self.standing in set(Standing):
            return "jobs_by_standing"
        return "jobs_by_folder" if self.folder else "jobs_by_age_and_name"


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, newest first, and where the next page begins; None where there is none."""

    jobs: list[Job]
    after: str | None


def day_of(text: str | None) -> tuple[float, float] | None:
    """Return when a local day such as ``2026-11-22`` begins and ends, in seconds since the epoch; None for no day."""
    if not text or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        first = datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - `seconds` puts it into its zone
        return seconds(first), seconds(first + timedelta(days=1))
    except (ValueError, OverflowError):
        return None


def page(ledger: Ledger, wanted: Wanted, after: str | None, *, size: int = SIZE) -> Page:
    """Return the jobs that are wanted, from where a page before ended."""
    terms, arguments = wanted.conditions()
    if (begin := _cursor(after)) is not None:
        terms.append("(admitted_at, id) < (?, ?)")
        arguments += begin
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    walk = "" if wanted.review in set(Review) else f"INDEXED BY {wanted.index}"
    found = ledger.query(
        f"SELECT id FROM jobs {walk} {where} ORDER BY admitted_at DESC, id DESC LIMIT ?",  # noqa: S608
        *arguments,
        size + 1,
    )
    jobs = by_ids(ledger, [row["id"] for row in found[:size]])
    last = jobs[-1] if len(found) > size and jobs else None
    return Page(jobs, None if last is None else f"{last.admitted_at!r}~{last.id}")


def by_ids(ledger: Ledger, ids: Sequence[str]) -> list[Job]:
    """Return jobs in this order; those that are not there are left out."""
    marks = ", ".join("?" for _ in ids)
    found = {row["id"]: job_of(row) for row in ledger.query(f"{SELECT} WHERE jobs.id IN ({marks})", *ids)}
    return [found[job_id] for job_id in ids if job_id in found]


def _cursor(text: str | None) -> list[Any] | None:
    at, _, job = (text or "").partition("~")
    if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", at) or not re.fullmatch(r"[\w-]{1,64}", job):
        return None
    return [float(at), job]
