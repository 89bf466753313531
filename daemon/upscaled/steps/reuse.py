"""Reuse: a result that is there already is delivered once more, instead of being paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from upscaled.errors import BadPicture, FileTrouble
from upscaled.files import durable, metadata, names
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
        done = await asyncio.to_thread(_reuse, job, ports)
        return await _bare(done, job, ports) if job.reuse != plan.OWN else done
    except BadPicture as error:
        return renditions.refused(error)
    except FileTrouble as error:
        return trouble.of_file(error)


async def _bare(done: Outcome, job: Job, ports: Ports) -> Outcome:
    """Take the earlier job's metadata out of its result; what this folder wants comes into it when it is verified."""
    if not isinstance(done, Done) or done.stage is not Stage.DOWNLOADED:
        return done
    earlier = ports.ledger.job(job.reuse or "")
    assert earlier is not None
    assert earlier.output is not None
    part = Path(done.facts["part"])
    with suppress(BadPicture):  # then it is verified, and carried into, as it is
        bare = await ports.in_process(metadata.strip_places, Path(earlier.output), part)
        return replace(done, facts={**done.facts, "result_hash": bare.digest, "result_size": bare.size})
    await asyncio.to_thread(_copied, Path(earlier.output), part)
    return done


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
    how = f": {'; '.join(made.done)}" if made.done else ""
    return Done(Stage.DOWNLOADED, facts, note=f"It is delivered as {form.upper()}{how}.")


def _reuse(job: Job, ports: Ports) -> Outcome:
    own = job.reuse == plan.OWN
    origin = _origin(job, ports)
    if origin is None:
        return Done(Stage.ADMITTED, {"reuse": None}, note="The earlier result is gone; it is upscaled after all.")
    path, expected = origin
    if own and not durable.holds(path, expected):
        return Cancelled(CHANGED)
    part = _part(job, ports)
    digest = _copied(path, part)
    if digest != expected:
        durable.drop_part(part)
        return Cancelled(CHANGED) if own else Done(Stage.ADMITTED, {"reuse": None})
    note = "" if own else f"The same picture was upscaled as job {job.reuse}: its result is delivered again, free."
    facts = {"part": str(part), "result_hash": digest, "result_size": part.stat().st_size, **_flag(job, ports)}
    return Done(Stage.DOWNLOADED, facts, note)


def _copied(path: Path, part: Path) -> str:
    with durable.create_part(part) as file:
        digest = durable.copy_into(path, file)
        durable.sync(file)
    return digest


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
