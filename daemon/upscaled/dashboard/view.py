"""What the templates are given: the read models' answers, put into the words and the order of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from upscaled import status
from upscaled.config import Budget, Folder, Settings
from upscaled.dashboard import plot
from upscaled.dashboard.history import by_ids
from upscaled.dashboard.places import place_of
from upscaled.dashboard.templating import dollars, spent
from upscaled.errors import FileTrouble
from upscaled.files import thumbnails
from upscaled.files.inside import open_inside
from upscaled.files.structure.kinds import HEAD
from upscaled.job.machine import next_step
from upscaled.job.model import Job, Review, Stage, Standing, Step
from upscaled.ledger import Ledger

DOING: Final[Mapping[Step, str]] = {
    Step.PREPARE: "looking at it",
    Step.UPLOAD: "uploading",
    Step.SUBMIT: "submitting",
    Step.AWAIT: "being upscaled",
    Step.DOWNLOAD: "downloading",
    Step.VERIFY: "checking the result",
    Step.PUBLISH: "delivering",
    Step.ARCHIVE: "archiving the original",
    Step.REUSE: "delivering an earlier result",
    Step.REJECT: "setting it aside",
}
"""What is being done, for a person."""

STAGES: Final = tuple(Stage)

WELL: Final = frozenset({"online", "unknown"})
"""States of a folder in which nobody needs to look."""


@dataclass(frozen=True, slots=True)
class Running:
    """A job that is at work: what is done now, how far it is (of `STAGES`), and since when (epoch)."""

    job: Job
    doing: str
    reached: int
    since: float


def overview(ledger: Ledger, settings: Settings, plots: plot.Plots, now: float) -> dict[str, Any]:
    """Return what the overview shows."""
    inboxes = [str(folder.inbox) for folder in settings.folders]
    found = status.summary(ledger, inboxes=inboxes, now=now, running=True)
    days = plots.days(ledger, now)
    return {
        "status": found,
        "folders": [_folder(number, state, found["paused"]) for number, state in enumerate(found["folders"])],
        "paused": "" in found["paused"],
        "needs": needs(found, inboxes),
        "running": running(ledger, now),
        "finished": latest(ledger),
        "budget": budget(settings.budget, found["spend"]),
        "now": now,
        "days": days,
        "pictures": plot.bars([day.pictures for day in days], [f"{day.date}: {day.pictures} pictures" for day in days]),
        "dollars": plot.bars([day.dollars for day in days], [f"{day.date}: {dollars(day.dollars)}" for day in days]),
    }


def _folder(number: int, state: Mapping[str, Any], paused: Sequence[str]) -> dict[str, Any]:
    return {
        **state,
        "number": number,
        "well": state["state"] in WELL,
        "paused": state["inbox"] in paused,
        "waiting": state.get("waiting", {}),
        "left_alone": state.get("left_alone", {}),
    }


def needs(found: Mapping[str, Any], inboxes: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a person must look at, the most pressing first: each with a text, and what can be done."""
    told = [{"kind": "notice", "id": "", "text": notice["text"]} for notice in found["notices"]]
    told += [
        {"kind": "folder", "id": "", "text": f"{folder['inbox']} is {folder['state']}. {folder['reason']}"}
        for folder in found["folders"]
        if folder["state"] not in WELL
    ]
    for held in found["needs_you"]:
        crowd = held["source"] in inboxes
        number = inboxes.index(held["source"]) if crowd else None
        told.append({"kind": "crowd" if crowd else "held", "folder": number, **held, "text": held["reason"]})
    return told


def running(ledger: Ledger, now: float) -> list[Running]:
    """Return the jobs that are at work, those furthest first."""
    found = ledger.query("SELECT id FROM jobs WHERE standing = 'running' ORDER BY admitted_at, id LIMIT 50")
    jobs = by_ids(ledger, [row["id"] for row in found])
    since = _last_events(ledger, [job.id for job in jobs])
    at_work = [Running(job, DOING[next_step(job)], STAGES.index(job.stage), since.get(job.id, now)) for job in jobs]
    return sorted(at_work, key=lambda each: -each.reached)


def _last_events(ledger: Ledger, ids: Sequence[str]) -> dict[str, float]:
    marks = ", ".join("?" for _ in ids)
    query = f"SELECT job_id, max(at) AS at FROM events WHERE job_id IN ({marks}) GROUP BY job_id"  # noqa: S608
    return {row["job_id"]: row["at"] for row in ledger.query(query, *ids)}


def latest(ledger: Ledger) -> list[Job]:
    """Return what was finished last."""
    found = ledger.query(
        "SELECT id FROM jobs INDEXED BY jobs_by_end WHERE standing = 'done' AND finished_at IS NOT NULL"
        " ORDER BY finished_at DESC LIMIT 8"
    )
    return by_ids(ledger, [row["id"] for row in found])


def budget(limits: Budget, spend: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return spending by period: what was spent and reserved, and of which limit."""
    return [
        {"name": name, "spent": spend[key], "limit": limit, "used": spend[key] + spend["reserved"]}
        for name, key, limit in (("Today", "today", limits.per_day), ("This month", "month", limits.per_month))
    ]


# --- one picture -----------------------------------------------------------------------------------------------------


def picture(ledger: Ledger, job: Job, settings: Settings, folders: Mapping[str, Folder]) -> dict[str, Any]:
    """Return what a picture's page shows."""
    record = status.story(ledger, job)
    return {
        "job": job,
        "record": record,
        "story": told(record["events"]),
        "took": _took(record["events"]),
        "before": _shown(job, "before", folders),
        "after": _shown(job, "after", folders),
        "profiles": list(settings.profiles),
        "orders": orders_of(job),
        "params": record["params"],
    }


def orders_of(job: Job) -> list[str]:
    """Return the orders that make sense for a job as it stands."""
    if job.review is Review.WAITING:
        return ["keep", "reject", "redo"]
    return {
        Standing.HELD: ["release", "cancel"],
        Standing.FAILED: ["retry", "redo"],
        Standing.CANCELLED: ["retry", "redo"],
        Standing.DONE: ["redo"],
        Standing.WAITING: ["retry", "cancel"],
    }.get(job.standing, ["cancel"])


def _shown(job: Job, side: Any, folders: Mapping[str, Folder]) -> dict[str, Any] | None:
    """Return the addresses of a job's original or result; None when there is none to be shown."""
    place = place_of(job, side, folders)
    if place is None:
        return None
    try:
        with open_inside(place.root, place.relative) as file:
            plain = thumbnails.media_type(file.read(HEAD)) is not None
    except FileTrouble:
        return None
    width, height = _size(job) if side == "before" else (job.result_width, job.result_height)
    version = place.digest[:8]
    small = f"/jobs/{job.id}/preview/{side}?v={version}"
    full = f"/jobs/{job.id}/{side}" if plain else small
    large = not plain or max(width or 0, height or 0) > 2048
    return {"src": small if large else full, "full": full, "width": width, "height": height, "name": place.name}


def _size(job: Job) -> tuple[int | None, int | None]:
    """The size of the original as it is seen: orientations from 5 on stand it on its side."""
    turned = (job.orientation or 1) >= 5
    return (job.height, job.width) if turned else (job.width, job.height)


def told(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what happened with how long each took: the time since what happened before."""
    times = [datetime.fromisoformat(event["at"]).astimezone(UTC).timestamp() for event in events]
    lengths = [None, *(max(0.0, later - sooner) for sooner, later in pairwise(times))][: len(times)]
    return [
        {**event, "after": "" if length is None else spent(length)}
        for event, length in zip(events, lengths, strict=True)
    ]


def _took(events: Sequence[Mapping[str, Any]]) -> str:
    ends = [event["at"] for event in events if event["kind"] in {"done", "failed", "cancelled"}]
    if not ends:
        return ""
    first, last = (datetime.fromisoformat(at).timestamp() for at in (events[0]["at"], ends[0]))
    return spent(last - first)
