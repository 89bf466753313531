"""What `run` would do with every file that lies in the inboxes now, what it costs, and how long it takes.

Separate from the daemon because it changes nothing and sends nothing but the free question for a price. It judges with
the daemon's own functions: the ignore list, the readiness gate, the size against the target, the search for a twin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from upscaled.api import wire
from upscaled.config import Folder, Settings
from upscaled.errors import FileTrouble
from upscaled.files import durable
from upscaled.folders import intake_settings
from upscaled.inbox.ignore import Ignore
from upscaled.inbox.model import LOCAL, rules
from upscaled.inbox.opening import Opener
from upscaled.inbox.sweep import Sweep
from upscaled.job import plan
from upscaled.job.budget import MICRO, dollars, micro
from upscaled.job.model import Identity, Job, Parameters, Stage, Standing
from upscaled.job.plan import Verdict
from upscaled.job.readiness import LeaveAlone, Ready, Refuse, Shape, Track, Wait
from upscaled.ledger import Ledger
from upscaled.ledger.rows import canonical
from upscaled.ledger.twins import Reusable, Underway

Price = Callable[[Parameters], Awaitable[float | None]]

SECONDS_EACH: Final = 30.0
"""How long a prediction takes, roughly: for the estimate only."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file and what will happen to it; ``price`` in dollars, None where the service names none."""

    folder: str
    source: str
    verdict: Verdict
    reason: str
    price: float | None = 0.0


class Planner:
    """Judges the files of all folders; the ledger is None where nothing has run yet."""

    def __init__(self, settings: Settings, ledger: Ledger | None, price: Price) -> None:
        self._settings = settings
        self._ledger = ledger
        self._price = price
        self._met: dict[tuple[str, str, str], str] = {}

    async def items(self) -> list[Item]:
        """Return every file that is not ignored. Raises `errors.ServiceError` when no price can be asked."""
        return [item for folder in self._settings.folders for item in await self._folder(folder)]

    async def _folder(self, folder: Folder) -> list[Item]:
        known, stayed = self._known(str(folder.inbox))
        walk = Sweep(folder.inbox, Ignore(folder.ignore), recursive=folder.recursive)
        found: list[Item] = []
        for seen in sorted(walk, key=lambda seen: seen.path):
            if seen.identity is None:
                found.append(_item(folder, seen.path, Verdict.LEAVE, seen.reason))
            elif seen.path in known:
                found.append(_item(folder, seen.path, Verdict.WAIT, "It has a job already; `upscaled jobs` shows it."))
            elif stayed.get(seen.path) == seen.identity:
                found.append(_item(folder, seen.path, Verdict.SKIP, "It was left here on purpose."))
            else:
                found.append(await self.judge(folder, seen.path, seen.identity))
        return _braked(folder, found)

    def _known(self, inbox: str) -> tuple[dict[str, Identity], dict[str, Identity]]:
        return ({}, {}) if self._ledger is None else (self._ledger.known(inbox), self._ledger.stayed(inbox))

    async def judge(self, folder: Folder, source: str, identity: Identity) -> Item:
        """Return what will happen to one file that has no job. Raises `errors.ServiceError` as `items` does."""
        # As if it had just settled: an incomplete file still has its grace, as it has in the daemon.
        usual = rules(intake_settings(folder, self._settings.hooks), LOCAL)
        gate = replace(usual, settle=0.0, unknown=0.0)
        track = Track(identity, first=0.0, since=0.0, seen=0.0, looks=2)
        if identity.size == 0:
            return _item(folder, source, Verdict.WAIT, "It is empty; nothing has been written into it yet.")
        verdict = Opener().examine(folder.inbox / source, track, gate)
        match verdict:
            case Ready(shape):
                return await self._ready(folder, source, identity, shape)
            case Refuse(failure):
                return _item(folder, source, Verdict.REFUSE, failure.what)
            case LeaveAlone(reason):
                return _item(folder, source, Verdict.LEAVE, reason)
            case Wait():
                return _item(folder, source, Verdict.WAIT, verdict.reason)
            case _:
                return _item(folder, source, Verdict.WAIT, "It is changing or cannot be read at the moment.")

    async def _ready(self, folder: Folder, source: str, identity: Identity, shape: Shape) -> Item:
        target = folder.params.target_resolution
        pixels = (shape.width, shape.height) if shape.width and shape.height else None
        large = plan.large(target, wire.TARGETS.get(target or ""), pixels, folder.large_enough)
        if large is not None:
            return _item(folder, source, large.verdict, large.reason)
        try:
            with durable.open_source(folder.inbox / source) as file:
                fingerprint = durable.fingerprint(file)
        except FileTrouble as error:
            return _item(folder, source, Verdict.WAIT, str(error.what))
        return self._twin(folder, source, identity, fingerprint) or await self._submit(folder, source)

    def _twin(self, folder: Folder, source: str, identity: Identity, fingerprint: str) -> Item | None:
        twin = None if self._ledger is None else self._ledger.twin_of(_job(folder, source, identity, fingerprint))
        if isinstance(twin, Reusable) and durable.holds(Path(twin.output), twin.digest):
            return _item(folder, source, Verdict.REUSE, f"It was upscaled as {twin.source} (job {twin.job}).")
        if isinstance(twin, Underway):
            return _item(folder, source, Verdict.TWIN, f"It is on its way as {twin.source} (job {twin.job}).")
        key = (fingerprint, folder.params.model, canonical(folder.params.inputs))
        if key in self._met:
            return _item(folder, source, Verdict.TWIN, f"It is the same picture as {self._met[key]}.")
        self._met[key] = source
        return None

    async def _submit(self, folder: Folder, source: str) -> Item:
        price = await self._price(folder.params)
        return Item(str(folder.inbox), source, Verdict.SUBMIT, f"It is upscaled with profile {folder.profile}.", price)


def _item(folder: Folder, source: str, verdict: Verdict, reason: str) -> Item:
    return Item(str(folder.inbox), source, verdict, reason)


def _braked(folder: Folder, items: list[Item]) -> list[Item]:
    """Hold everything new, where it is more at once than the folder takes without leave."""
    stay = {Verdict.LEAVE, Verdict.WAIT}
    count = sum(item.verdict not in stay for item in items)
    if not plan.too_many(count, folder.max_new):
        return items
    reason = f"{count} new files at once, more than max_new ({folder.max_new}); they wait for `upscaled release`."
    return [
        item if item.verdict in stay else Item(item.folder, item.source, Verdict.HOLD, reason, item.price)
        for item in items
    ]


def _job(folder: Folder, source: str, identity: Identity, fingerprint: str) -> Job:
    """The job that this file would be, younger than any that there is."""
    return Job(
        id="",
        folder=str(folder.inbox),
        source=source,
        profile=folder.profile,
        params=folder.params,
        stage=Stage.ADMITTED,
        standing=Standing.READY,
        identity=identity,
        admitted_at=float("inf"),
        fingerprint=fingerprint,
    )


def report(settings: Settings, items: Sequence[Item]) -> dict[str, Any]:
    """Return the plan as `plan --json` prints it: every file, how many of each, dollars and seconds in all."""
    paid = [item for item in items if item.verdict in {Verdict.SUBMIT, Verdict.HOLD} and item.price != 0.0]
    service = settings.service
    seconds = plan.duration(
        len(paid), per_minute=service.per_minute, at_once=service.in_flight_cap, seconds_each=SECONDS_EACH
    )
    cost = None if any(item.price is None for item in paid) else sum(micro(item.price or 0.0) for item in paid) / MICRO
    return {
        "files": [
            {
                "folder": item.folder,
                "source": item.source,
                "verdict": str(item.verdict),
                "reason": item.reason,
                "price": item.price,
            }
            for item in items
        ],
        "counts": dict(Counter(str(item.verdict) for item in items)),
        "price": cost,
        "seconds": seconds,
    }


def summary(record: dict[str, Any]) -> str:
    """Return the last line of a plan for a person."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(record["counts"].items())) or "no files"
    price = "a price that the service does not name" if record["price"] is None else dollars(record["price"])
    minutes = record["seconds"] / 60
    time = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{counts}: {price}, and about {time} at this account's pace."
