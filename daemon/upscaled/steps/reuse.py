"""Reuse: a result that is there already is delivered once more, instead of being paid for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from upscaled.errors import FileTrouble
from upscaled.files import durable, names
from upscaled.job import plan
from upscaled.job.model import Cancelled, Done, Job, Outcome, Stage
from upscaled.steps import trouble
from upscaled.steps.ports import Ports, file_name, mirrored
from upscaled.steps.prepare import CHANGED


async def reuse(job: Job, ports: Ports) -> Outcome:
    """Copy the earlier result, or the source itself where it is large enough, into a part of this job.

    Run again after a crash: the same part is written from the start again. A result that is gone or was changed since
    is no result, and the source is upscaled after all.
    """
    try:
        return await asyncio.to_thread(_reuse, job, ports)
    except FileTrouble as error:
        return trouble.of_file(error)


def _reuse(job: Job, ports: Ports) -> Outcome:
    own = job.reuse == plan.OWN
    origin = _origin(job, ports)
    if origin is None:
        return Done(Stage.ADMITTED, {"reuse": None}, note="The earlier result is gone; it is upscaled after all.")
    path, expected = origin
    if own and not durable.holds(path, expected):
        return Cancelled(CHANGED)
    directory = durable.make_directories(ports.folder(job).outbox, mirrored(job))
    part = directory / names.part_name(file_name(job), job.id)
    with durable.create_part(part) as file:
        digest = durable.copy_into(path, file)
        durable.sync(file)
    if digest != expected:
        return Cancelled(CHANGED) if own else Done(Stage.ADMITTED, {"reuse": None})
    note = "" if own else f"The same picture was upscaled as job {job.reuse}: its result is delivered again, free."
    return Done(Stage.DOWNLOADED, {"part": str(part), "result_hash": digest, "result_size": part.stat().st_size}, note)


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
