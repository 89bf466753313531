"""Publish: the verified result gets its name in the outbox (invariant I2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

import structlog

from upscaled.errors import FileTrouble, PartMissing
from upscaled.files import durable, names, pictures
from upscaled.job import plan
from upscaled.job.model import Done, Job, Outcome, Redo, Review, Stage
from upscaled.steps import trouble
from upscaled.steps.download import back
from upscaled.steps.finishing import downloaded_part, finished_part
from upscaled.steps.ports import Folder, Ports, file_name, mirrored

log = structlog.get_logger()


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
    if is_flagged(job, ports.folder(job)):
        return Done(Stage.PUBLISHED, {"output": str(path)}, note=_FLAGGED)
    review = Review.WAITING if ports.folder(job).review == "required" else None
    return Done(Stage.PUBLISHED, {"output": str(path), "review": review})


_FLAGGED: Final = "The service marks the result as not safe for work; it was put aside, as `nsfw: quarantine` says."


def is_flagged(job: Job, folder: Folder) -> bool:
    """Is this a result that the folder does not want in its outbox?"""
    return job.nsfw and folder.nsfw == "quarantine"


def _is_spooled(job: Job, spool: Path | None) -> bool:
    return spool is not None and job.part is not None and Path(job.part).parent == spool


def _publish(job: Job, ports: Ports) -> Path:
    folder = ports.folder(job)
    assert job.part is not None
    assert job.result_hash is not None
    flagged = is_flagged(job, folder)
    first = Path(job.part)
    _drop_others(job, first)
    ports.guard.require(folder.failed if flagged else folder.outbox)
    name = names.result_name_of(job, folder.name, _kind(job, first))
    away = flagged or _is_spooled(job, ports.spool)
    part = _brought(job, folder, first, flagged=flagged) if away else first
    directory = part.parent
    if flagged:
        name = _beside_its_original(name)
    elif folder.review == "required":
        directory = durable.make_directories(folder.outbox, PurePosixPath(names.REVIEW) / mirrored(job))
    whole = ports.written.is_still(first, job.result_hash) and not away
    _dress(job, ports, part)
    overwrite = folder.on_collision == "overwrite" and not flagged
    path = durable.publish(part, directory, name, digest=job.result_hash, overwrite=overwrite, whole=whole)
    if away:
        durable.forget(first)
    return path


def _drop_others(job: Job, first: Path) -> None:
    """Remove what was downloaded, where another part was made of it: that one is the ledger's by now.

    And what a run before made of a download that this one did not need.
    """
    for other in (downloaded_part(job, first), finished_part(job, first)):
        if other != first:
            durable.drop_part(other)


def _brought(job: Job, folder: Folder, first: Path, *, flagged: bool) -> Path:
    """Copy a part that lies elsewhere to where it is to be, which may be another disk."""
    assert job.result_hash is not None
    root, below = (folder.failed, PurePosixPath(names.FLAGGED)) if flagged else (folder.outbox, PurePosixPath())
    directory = durable.make_directories(root, below / mirrored(job))
    part = directory / names.part_name(f"published {file_name(job)}", job.id)
    durable.bring(first, part, job.result_hash)
    return part


def _beside_its_original(name: str) -> str:
    """Return another name than the original's, which comes to lie beside it."""
    stem, extension = names.split(name)
    return names.fit(f"{stem}.upscaled{extension}")


def _dress(job: Job, ports: Ports, part: Path) -> None:
    """Give the part the source's time and the folder's rights; what cannot be given is said once a folder."""
    folder = ports.folder(job)
    dress = durable.Dress(job.identity.mtime_ns, folder.mode, folder.group)
    try:
        refused = durable.put_on(part, dress, ports.source(job))
    except FileTrouble:
        return  # a part that is gone is for `durable.publish` to judge: its name may be there already
    for what in refused:
        if (key := f"{folder.inbox} {what}") not in ports.said:
            ports.said.add(key)
            log.warning("result.rights", inbox=str(folder.inbox), refused=what, result="delivered all the same")


def _kind(job: Job, part: Path) -> str:
    """Return the format that the result's name is to say."""
    if job.reuse == plan.OWN:
        return plan.delivered(job.format, job.params.output_format)
    return job.params.output_format or pictures.format_of(part) or job.format or "jpeg"
