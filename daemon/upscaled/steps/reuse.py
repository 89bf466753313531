"""Reuse: a result that is there already is delivered once more, instead of being paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from upscaled.errors import BadPicture, FileTrouble
from upscaled.files import durable, names
from upscaled.files.pictures import Rendition, Wanted
from upscaled.job import plan, readiness
from upscaled.job.model import Cancelled, Done, Job, Outcome, Stage
from upscaled.steps import renditions, trouble
from upscaled.steps.ports import Ports, file_name, mirrored
from upscaled.steps.prepare import CHANGED, unchanged


async def reuse(job: Job, ports: Ports) -> Outcome:
    """Copy the earlier result, or the source itself where it is large enough, into a part of this job.

    Run again after a crash: the same part is written from the start again. A result that is gone or was changed since
    is no result, and the source is upscaled after all.
    """
    try:
        if job.reuse == plan.OWN and job.format not in plan.DELIVERED:
            return await _converted(job, ports)
        return await asyncio.to_thread(_reuse, job, ports)
    except BadPicture as error:
        return renditions.refused(error)
    except FileTrouble as error:
        return trouble.of_file(error)


async def _converted(job: Job, ports: Ports) -> Outcome:
    """Make of a source that is large enough, but of a rare format, a picture of the format that results have."""
    if (changed := await asyncio.to_thread(unchanged, ports.folder(job), job)) is not None:
        return changed
    form = plan.delivered(job.format, job.params.output_format)
    part = await asyncio.to_thread(_part, job, ports)
    wanted = Wanted(as_they_are=(form,), encodings=(form,), alpha=form != "jpeg", largest=readiness.LARGEST)
    made = await renditions.made_from(job, ports, part, wanted)
    if not isinstance(made, Rendition):
        return made
    size = {"width": made.width, "height": made.height, "orientation": 1}
    facts = {"part": str(part), "result_hash": made.digest, "result_size": made.size, **size}
    return Done(Stage.DOWNLOADED, facts, note=f"It is delivered as {form.upper()}: {'; '.join(made.done)}.")


def _reuse(job: Job, ports: Ports) -> Outcome:
    own = job.reuse == plan.OWN
    origin = _origin(job, ports)
    if origin is None:
        return Done(Stage.ADMITTED, {"reuse": None}, note="The earlier result is gone; it is upscaled after all.")
    path, expected = origin
    if own and not durable.holds(path, expected):
        return Cancelled(CHANGED)
    part = _part(job, ports)
    with durable.create_part(part) as file:
        digest = durable.copy_into(path, file)
        durable.sync(file)
    if digest != expected:
        return Cancelled(CHANGED) if own else Done(Stage.ADMITTED, {"reuse": None})
    note = "" if own else f"The same picture was upscaled as job {job.reuse}: its result is delivered again, free."
    facts = {"part": str(part), "result_hash": digest, "result_size": part.stat().st_size, **_flag(job, ports)}
    return Done(Stage.DOWNLOADED, facts, note)


def _part(job: Job, ports: Ports) -> Path:
    directory = durable.make_directories(ports.folder(job).outbox, mirrored(job))
    return directory / names.part_name(file_name(job), job.id)


def _flag(job: Job, ports: Ports) -> Mapping[str, int]:
    """What the service said of the earlier result holds for this one, too."""
    earlier = None if job.reuse == plan.OWN else ports.ledger.job(job.reuse or "")
    return {"nsfw": int(earlier is not None and earlier.nsfw)}


def _origin(job: Job, ports: Ports) -> tuple[Path, str] | None:
    """Return the file to deliver and the bytes it must hold; None when there is no such file any more."""
    if job.reuse == plan.OWN:
        assert job.fingerprint is not None
        return ports.source(job), job.fingerprint
    earlier = ports.ledger.job(job.reuse or "")
    if earlier is None or earlier.output is None or earlier.result_hash is None:
        return None
    path = Path(earlier.output)
    return (path, earlier.result_hash) if durable.holds(path, earlier.result_hash) else None
