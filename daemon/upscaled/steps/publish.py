"""Publish: the verified result gets its name in the outbox (invariant I2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path, PurePosixPath

from upscaled.errors import FileTrouble, PartMissing
from upscaled.files import durable, names, pictures
from upscaled.job import plan
from upscaled.job.model import Done, Job, Outcome, Redo, Review, Stage
from upscaled.steps import trouble
from upscaled.steps.download import back
from upscaled.steps.ports import Ports, file_name, mirrored


async def publish(job: Job, ports: Ports) -> Outcome:
    """Give the part its final name, never over another file unless the folder says so.

    Run again after a crash: a name that holds our bytes is ours, and the part is gone or removed; a name that holds
    others is left alone, and the next free one taken.
    """
    try:
        path = await asyncio.to_thread(_publish, job, ports)
    except PartMissing:
        return Redo(back(job), "The downloaded result is gone from the outbox; it is downloaded again.")
    except FileTrouble as error:
        wait = trouble.of_file(error)
        kept = f" Its result is kept as {job.part} and delivered then." if _is_spooled(job, ports.spool) else ""
        return replace(wait, reason=wait.reason + kept)
    review = Review.WAITING if ports.folder(job).review == "required" else None
    return Done(Stage.PUBLISHED, {"output": str(path), "review": review})


def _is_spooled(job: Job, spool: Path | None) -> bool:
    return spool is not None and job.part is not None and Path(job.part).parent == spool


def _publish(job: Job, ports: Ports) -> Path:
    folder, spool = ports.folder(job), ports.spool
    ports.guard.require(folder.outbox)
    assert job.part is not None
    assert job.result_hash is not None
    part = Path(job.part)
    spooled = part if _is_spooled(job, spool) else None
    kind = _kind(job, part)
    if spooled is not None:
        part = durable.make_directories(folder.outbox, mirrored(job)) / names.part_name(file_name(job), job.id)
        durable.bring(spooled, part, job.result_hash)
    name = names.result_name_of(job, folder.name, kind)
    overwrite = folder.on_collision == "overwrite"
    directory = part.parent
    if folder.review == "required":
        directory = durable.make_directories(folder.outbox, PurePosixPath(names.REVIEW) / mirrored(job))
    path = durable.publish(part, directory, name, digest=job.result_hash, overwrite=overwrite)
    if spooled is not None:
        durable.forget(spooled)
    return path


def _kind(job: Job, part: Path) -> str:
    """Return the format that the result's name is to say."""
    own = job.format if job.reuse == plan.OWN else None
    return own or job.params.output_format or pictures.format_of(part) or job.format or "jpeg"
