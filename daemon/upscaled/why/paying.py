"""The last step of the gate: what holds a whole and quiet picture back from being paid for, one line each with numbers.

Separate from the steps before it because none of this is about the file: room on a disk, money, hours, a pause. What is
asked are the functions that the daemon asks right before it pays.
"""

from __future__ import annotations

from collections.abc import Iterator

from upscaled.api import wire
from upscaled.config.settings import Budget, Folder
from upscaled.errors import FileTrouble
from upscaled.files.durable import disk_of, free_space
from upscaled.job import hours, space
from upscaled.job.budget import MICRO, Limits, dollars, judge
from upscaled.job.calendar import periods
from upscaled.job.readiness import Shape
from upscaled.ledger import Ledger
from upscaled.why.answer import Step, clock


def before_paying(
    folder: Folder, budget: Budget, ledger: Ledger | None, picture: tuple[Shape, int], *, now: float
) -> Iterator[Step]:
    """Yield what is asked of a picture (its shape, and its size in bytes) before it is paid for, and if that holds."""
    yield from _room(folder, *picture)
    if ledger is not None:
        yield from _pause(folder, ledger)
        yield from _budget(budget, ledger, now)
    yield from _hours(folder, now)


def _room(folder: Folder, shape: Shape, size: int) -> Iterator[Step]:
    if folder.min_free is None:
        return
    pixels = (shape.width, shape.height) if shape.width and shape.height else None
    side = wire.TARGETS.get(folder.params.target_resolution or "")
    need = space.needed(
        folder.min_free, space.expected(folder.params, side=side, fmt=shape.format, pixels=pixels, size=size)
    )
    try:
        free, disk = free_space(folder.outbox), disk_of(folder.outbox)
    except FileTrouble as error:
        yield Step("room", passed=False, detail=error.said)
        return
    lack = space.lacking(str(disk), free, need)
    yield Step("room", not lack, lack or f"{space.spelled(free)} free at {disk}, {space.spelled(need)} must be")


def _pause(folder: Folder, ledger: Ledger) -> Iterator[Step]:
    paused = {row["folder"] for row in ledger.query("SELECT folder FROM paused")}
    if paused & {"", str(folder.inbox)}:
        yield Step("pause", passed=False, detail="a person paused the folder; `upscaled resume` lets it go on")


def _budget(budget: Budget, ledger: Ledger, now: float) -> Iterator[Step]:
    limits = Limits(budget.per_picture, budget.per_day, budget.per_month)
    if not limits.any:
        return
    used, price = ledger.used(now), ledger.last_price() if budget.price is None else budget.price
    spent = (("today", limits.per_day, used.day), ("this month", limits.per_month, used.month))
    sums = [f"{dollars(sum_ / MICRO)} of {dollars(limit)} {when}" for when, limit, sum_ in spent if limit is not None]
    cost = "the service is asked its price" if price is None else f"this one costs {dollars(price)}"
    told = "; ".join([*sums, cost])
    refusal = judge(limits, price or 0.0, used, periods(now), now)
    yield Step(
        "budget",
        refusal is None,
        told if refusal is None else f"{refusal.reason} It waits until {clock(refusal.until)}.",
    )


def _hours(folder: Folder, now: float) -> Iterator[Step]:
    if not folder.hours:
        return
    opening = hours.parse(folder.hours).opening(now)
    told = "now is one of them" if opening <= now else f"the next are from {clock(opening)}"
    yield Step("hours", opening <= now, f"pictures are submitted at {folder.hours} only; {told}")
