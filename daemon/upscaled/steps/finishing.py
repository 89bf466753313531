"""Finishing: what a downloaded result must be, and which metadata it gets, as its folder and its way say.

Separate from the verify step, because three kinds of results come to it: what the service made; an earlier job's
result that is delivered again, whose folder may have asked for other metadata; and the source itself, where it is large
enough.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from upscaled import __version__
from upscaled.api import wire
from upscaled.errors import BadPicture, FileTrouble, FolderOffline
from upscaled.files import durable, names
from upscaled.files.finishing import Check, Finish, begin, finish
from upscaled.files.metadata import Beginning, Provenance
from upscaled.job import plan
from upscaled.job.model import Job
from upscaled.steps.ports import Folder, Ports, file_name

CHANGED = "The source is no longer there as it was; its metadata could not be carried into the result."


@dataclass(frozen=True, slots=True)
class Result:
    """The facts about a finished result, and what a person may want to know of it."""

    facts: Mapping[str, Any]
    note: str


def finished_part(job: Job, part: Path) -> Path:
    """Return where the finished result lies: beside the downloaded one."""
    return part.with_name(names.part_name(f"finished {file_name(job)}", job.id))


def downloaded_part(job: Job, part: Path) -> Path:
    """Return what it was made of; it is itself where nothing had to be made."""
    return part.with_name(names.part_name(file_name(job), job.id))


def forget(job: Job) -> None:
    """Remove what was downloaded and what was made of it, where it is not to be published."""
    if job.part is not None:
        for part_of in (downloaded_part, finished_part):
            durable.drop_part(part_of(job, Path(job.part)))


_PATIENCE: Final = 5.0
"""How long a download is held up for its metadata, in seconds: the processes may have pictures to decode, and an inbox
that does not answer must not keep other folders' downloads waiting."""

_SILENT: Final = "The inbox does not answer, and the source's metadata is there"


@dataclass(slots=True)
class Early:
    """Gives a result its source's metadata while it is coming, where that can be; else it is carried into it later."""

    job: Job
    ports: Ports
    then: Finish
    note: str = ""
    """What a person may want to know of what was done."""
    shift: int = 0
    """By how many bytes its pixels stand further behind for it."""

    async def __call__(self, held: bytes, size: int | None) -> Beginning | None:
        """Return how the result is to begin, as `upscaled.api.transfer` asks for it."""
        self.note, self.shift = "", 0
        if self.job.wrong:
            return None
        source = self.ports.source(self.job)
        try:
            async with asyncio.timeout(_PATIENCE):
                then, note = await _possible(self.job, self.then, source)
                beginning = await self.ports.in_process(begin, source, held, size, then)
        except (TimeoutError, BadPicture, FileTrouble):
            return None
        if beginning is not None:
            self.shift = len(beginning.head) - beginning.skip
            self.note = " ".join(filter(None, (note, *beginning.notes)))
        return beginning


def early(job: Job, ports: Ports) -> Early | None:
    """Return what gives a job's result its metadata while it is coming; None where there is nothing to give.

    Nothing is begun where a result was wrong before: it is judged as the service made it.
    """
    then = _then(job, ports, ports.folder(job))
    return None if then is None else Early(job, ports, then)


def may_have_begun(job: Job, ports: Ports) -> bool:
    """Has a result perhaps got metadata already, and is it not known which? That of an earlier job never has."""
    return job.reuse is None and bool(job.result_hash) and _then(job, ports, ports.folder(job)) is not None


async def finished(job: Job, ports: Ports, part: Path, *, early: Early | None = None) -> Result:
    """Check a result and give it its metadata, unless it has it. Raises `BadPicture` or `FileTrouble`.

    ``early`` is what had to do with it while it was coming. Where the folder wants another by now, it is given anew: a
    place is not left in because a download began before somebody wanted it out.
    """
    source, out = ports.source(job), finished_part(job, part)
    then, note = _then(job, ports, ports.folder(job)), ""
    if early is not None and job.result_hash and then == early.then:
        then = replace(then, how="begun")
    elif then is not None:
        then, note = await _possible(job, then, source)
    check = replace(_check(job), shift=early.shift if early else 0)
    done = await ports.in_process(finish, part, source, out, check, then)
    facts: dict[str, Any] = {"result_width": done.picture.width, "result_height": done.picture.height}
    if done.carried is not None:
        ports.written.note(out, done.carried.digest, done.carried.identity)
        facts |= {"part": str(out), "result_hash": done.carried.digest, "result_size": done.carried.size}
        note = " ".join(filter(None, (note, *done.carried.notes)))
    elif not job.result_hash:  # the folder's settings are others than when it was downloaded
        await asyncio.to_thread(durable.sync_part, part)
        facts["result_hash"] = await asyncio.to_thread(_fingerprint, part)
    return Result(facts, note)


async def _possible(job: Job, then: Finish, source: Path) -> tuple[Finish, str]:
    """Return what can be done as things are, and why it is less than was wanted."""
    if then.how != "carry" or then.mode == "none":
        return then, ""
    try:
        async with asyncio.timeout(_PATIENCE):
            there = await asyncio.to_thread(_is_there, job, source)
    except TimeoutError:
        raise FolderOffline(_SILENT, path=source) from None
    return (then, "") if there else (replace(then, mode="none"), CHANGED)


def _fingerprint(part: Path) -> str:
    with durable.open_source(part) as file:
        return durable.fingerprint(file)


def as_it_is(job: Job) -> bool:
    """Is the result the source's own file?"""
    return job.reuse == plan.OWN and job.format in plan.DELIVERED


def _check(job: Job) -> Check:
    size = (job.width, job.height) if job.width and job.height else None
    if job.reuse == plan.OWN:
        # The source itself stands as it is stored; what was converted is upright, and so are the job's numbers then.
        return Check(plan.delivered(job.format, job.params.output_format), size)
    side = wire.TARGETS.get(job.params.target_resolution or "")
    return Check(job.params.output_format, plan.least(size, side), job.orientation)


def _then(job: Job, ports: Ports, folder: Folder) -> Finish | None:
    if as_it_is(job):
        stripped = Finish("carry", "strip-gps", orientation=job.orientation or 1, srgb=False)
        return {"keep": None, "strip-gps": stripped, "none": Finish("bare")}[folder.metadata]
    provenance = _provenance(job, ports) if folder.provenance and job.reuse != plan.OWN else None
    if folder.metadata == "none" and provenance is None:
        return None
    return Finish("carry", folder.metadata, provenance)


def _provenance(job: Job, ports: Ports) -> Provenance:
    """Return how the result came to be: by this job's prediction, or by that of the job whose result it is."""
    maker = job if job.reuse is None else ports.ledger.job(job.reuse) or job
    when = maker.submitted_at or ports.now()
    return Provenance(
        software=f"upscaled {__version__}",
        model=job.params.model,
        date=dt.datetime.fromtimestamp(when, dt.UTC),
        parameters=job.params.inputs,
        prediction_id=maker.prediction_id,
        source_fingerprint=job.fingerprint,
    )


def _is_there(job: Job, source: Path) -> bool:
    """Is the source the file that was upscaled? Where a share was mounted anew, device and inode may be others."""
    found = durable.identity_at(source)
    then = job.identity
    return found is not None and (found.size, found.mtime_ns) == (then.size, then.mtime_ns)
