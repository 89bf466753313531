"""What was spent: by day, folder and profile, and held against the service's own bills.

Separate from `upscaled.status` because it reads months of attempts, and asks the service when that is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from upscaled.api import wire
from upscaled.api.client import Service
from upscaled.errors import UsageError
from upscaled.job.budget import MICRO, micro
from upscaled.job.calendar import local, month_of
from upscaled.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the local calendar; ``since`` and ``until`` in seconds since the epoch."""

    name: str
    since: float
    until: float


def month(text: str | None, now: float) -> Month:
    """Read a month such as ``2026-11``; None is the current one. Raises `UsageError`."""
    text = text or f"{local(now):%Y-%m}"
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if match is None:
        raise UsageError(f"{text} is no month", do="Write it like 2026-11.")
    return Month(text, *month_of(int(match[1]), int(match[2])))


def report(ledger: Ledger, wanted: Month) -> dict[str, Any]:
    """Return a month's spending by day, folder and profile, and in all; dollars."""
    found = ledger.spending(wanted.since, wanted.until)
    totals = {name: _sum(getattr(line, name) for line in found) for name in ("spent", "reserved", "refunded")}
    predictions = sum(line.predictions for line in found)
    return {"month": wanted.name, "lines": [asdict(line) for line in found], "predictions": predictions, **totals}


def _sum(amounts: Iterable[float]) -> float:
    return sum(map(micro, amounts)) / MICRO


async def reconcile(ledger: Ledger, service: Service, wanted: Month) -> dict[str, Any]:
    """Hold the ledger against the service's bills, prediction by prediction; return every difference.

    The account may be used by others too, so a bill that is not ours is a difference to be looked at, not an error.
    """
    bills = await service.bills(
        start=datetime.fromtimestamp(wanted.since, UTC), end=datetime.fromtimestamp(wanted.until, UTC)
    )
    theirs = _charged(bills)
    ours = {row["prediction_id"]: row for row in _ours(ledger, wanted)}
    differences = [
        found
        for prediction in sorted(theirs.keys() | ours.keys())
        if (found := _difference(prediction, ours.get(prediction), theirs.get(prediction))) is not None
    ]
    in_all = {"ours": sum(_cost(row) for row in ours.values()) / MICRO, "theirs": sum(theirs.values()) / MICRO}
    return {**in_all, "differences": differences}


def _charged(bills: Iterable[wire.Bill]) -> dict[str, int]:
    charged: dict[str, int] = {}
    for bill in bills:
        sign = -1 if bill.refund else 1
        charged[bill.prediction] = charged.get(bill.prediction, 0) + sign * micro(abs(bill.dollars))
    return charged


def _ours(ledger: Ledger, wanted: Month) -> list[Any]:
    return ledger.query(
        "SELECT prediction_id, job_id, state, price FROM attempts"
        " WHERE prediction_id IS NOT NULL AND intended_at >= ? AND intended_at < ?",
        wanted.since,
        wanted.until,
    )


def _cost(row: Mapping[str, Any]) -> int:
    return 0 if row["state"] in {"failed", "rejected"} else micro(row["price"] or 0.0)


def _difference(prediction: str, row: Mapping[str, Any] | None, charged: int | None) -> dict[str, Any] | None:
    ours = 0 if row is None else _cost(row)
    if (row is not None or not charged) and ours == (charged or 0):
        return None
    return {
        "prediction_id": prediction,
        "job": None if row is None else row["job_id"],
        "ours": ours / MICRO,
        "theirs": None if charged is None else charged / MICRO,
    }
