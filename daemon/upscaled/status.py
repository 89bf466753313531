"""The read model: what the ledger says, as the JSON that `status`, `jobs` and `show` print.

Field names are a public interface. Times are ISO 8601 in UTC, money dollars.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from upscaled.job.calendar import periods
from upscaled.job.model import Job, Standing
from upscaled.ledger import Ledger
from upscaled.ledger import spending as money
from upscaled.ledger.database import bind

_HELD: Final = """
SELECT id, source, reason FROM jobs WHERE standing = 'held' AND cause IS NOT 'mass'
UNION ALL
SELECT min(id), folder, max(reason) FROM jobs WHERE standing = 'held' AND cause = 'mass' GROUP BY folder
"""
"""What a person must look at. Files that came all at once are one matter, not five hundred."""


def job_record(job: Job) -> dict[str, Any]:
    """Return a job as `jobs --json` prints it."""
    return {
        "id": job.id,
        "folder": job.folder,
        "source": job.source,
        "profile": job.profile,
        "params": {"model": job.params.model, **job.params.inputs},
        "stage": str(job.stage),
        "standing": str(job.standing),
        "reason": job.failure.what if job.failure and not job.reason else job.reason,
        "fingerprint": job.fingerprint,
        "prediction_id": job.prediction_id,
        "attempts": job.attempts,
        "price": 0.0 if job.reuse is not None and job.price is None else job.price,
        "reuse": job.reuse,
        "output": job.output,
        "archived": job.archived,
        "review": job.review and str(job.review),
        "size": job.identity.size,
        "width": job.width,
        "height": job.height,
        "result_size": job.result_size,
        "result_width": job.result_width,
        "result_height": job.result_height,
        "has_nsfw_contents": job.nsfw,
        "inference_ms": job.inference_ms,
        "admitted_at": moment(job.admitted_at),
        "submitted_at": moment(job.submitted_at),
        "not_before": moment(job.not_before),
        "finished_at": moment(job.finished_at),
    }


def story(ledger: Ledger, job: Job) -> dict[str, Any]:
    """Return a job with all that happened to it, as `show --json` prints it."""
    events = ledger.query("SELECT at, kind, text FROM events WHERE job_id = ? ORDER BY id", job.id)
    attempts = ledger.query(
        "SELECT state, price, intended_at, prediction_id, settled_at FROM attempts WHERE job_id = ? ORDER BY id", job.id
    )
    return job_record(job) | {
        "events": [{"at": moment(row["at"]), "kind": row["kind"], "text": row["text"]} for row in events],
        "paid_requests": [
            {
                "state": row["state"],
                "price": row["price"],
                "prediction_id": row["prediction_id"],
                "intended_at": moment(row["intended_at"]),
                "settled_at": moment(row["settled_at"]),
            }
            for row in attempts
        ],
    }


def summary(ledger: Ledger, *, inboxes: Iterable[str], now: float, running: bool) -> dict[str, Any]:
    """Return what `status --json` prints: counts, folders, spending, what stands in the way."""
    return {
        "running": running,
        "paused": [row["folder"] for row in ledger.query("SELECT folder FROM paused ORDER BY folder")],
        "jobs": counts(ledger, running=running),
        "folders": [_folder(ledger, inbox, running=running) for inbox in inboxes],
        "spend": spending(ledger, now),
        "in_flight": ledger.query("SELECT count(*) AS n FROM attempts WHERE settled_at IS NULL")[0]["n"],
        "in_review": ledger.query("SELECT count(*) AS n FROM jobs WHERE review = 'waiting'")[0]["n"],
        "notices": [
            {"key": row["key"], "text": row["text"], "since": moment(row["since"])}
            for row in ledger.query("SELECT key, text, since FROM notices ORDER BY since")
        ],
        "waits": [
            {"cause": row["cause"], "jobs": row["n"], "until": moment(row["until"]), "reason": row["reason"]}
            for row in ledger.query(
                "SELECT cause, count(*) AS n, min(not_before) AS until, max(reason) AS reason FROM jobs"
                " WHERE standing = 'waiting' GROUP BY cause ORDER BY cause"
            )
        ],
        "needs_you": [
            {"id": row["id"], "source": row["source"], "reason": row["reason"]} for row in ledger.query(_HELD)
        ],
    }


def counts(ledger: Ledger, *, running: bool = True) -> dict[str, int]:
    """Return how many jobs stand how; every standing is there."""
    found = {str(standing): 0 for standing in Standing}
    for row in ledger.query("SELECT standing, count(*) AS n FROM jobs GROUP BY standing"):
        found[row["standing"]] = row["n"]
    if not running:
        # Rows of a process that was killed: nobody works on them, and the next start goes on with them.
        found["ready"] += found["running"]
        found["running"] = 0
    return found


def _folder(ledger: Ledger, inbox: str, *, running: bool) -> dict[str, Any]:
    rows = ledger.query(
        "SELECT state, reason, seen, swept_at FROM folders WHERE inbox = CAST(? AS TEXT)",
        bind(inbox),
    )
    if not rows:
        return {"inbox": inbox, "state": "unknown", "reason": "It has not been looked at yet.", "swept_at": None}
    row = rows[0]
    state, reason = (row["state"], row["reason"]) if running else ("stopped", "upscaled is not running.")
    seen = json.loads(row["seen"])
    return {"inbox": inbox, "state": state, "reason": reason, "swept_at": moment(row["swept_at"]), **seen}


def spending(ledger: Ledger, now: float) -> dict[str, float]:
    """Return dollars spent today and this month by the local calendar, and reserved for predictions under way."""
    calendar = periods(now)
    today, month = (ledger.total(f"{money.SPENT} AND intended_at >= ?", at) for at in (calendar.day, calendar.month))
    return {"today": today, "month": month, "reserved": ledger.total(f"settled_at IS NULL AND {money.RESERVED}")}


def moment(at: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC with milliseconds."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def clock(at: str) -> str:
    """Return a moment as clocks on the wall here show it."""
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M}"
