"""Publish: the verified result gets its name in the outbox (invariant I2)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from upscaled.errors import FileTrouble, PartMissing
from upscaled.files import durable, names, pictures
from upscaled.job.model import Done, Job, Outcome, Redo, Stage
from upscaled.steps import trouble
from upscaled.steps.ports import Folder, Ports


async def publish(job: Job, ports: Ports) -> Outcome:
    """Give the part its final name, never over another file unless the folder says so.

    Run again after a crash: a name that holds our bytes is ours, and the part is gone or removed; a name that holds
    others is left alone, and the next free one taken.
    """
    try:
        path = await asyncio.to_thread(_publish, job, ports.folder(job))
    except PartMissing:
        return Redo(Stage.RENDERED, "The downloaded result is gone from the outbox; it is downloaded again.")
    except FileTrouble as error:
        return trouble.of_file(error)
    return Done(Stage.PUBLISHED, {"output": str(path)})


def _publish(job: Job, folder: Folder) -> Path:
    assert job.part is not None
    assert job.result_hash is not None
    part = Path(job.part)
    kind = job.params.output_format or pictures.format_of(part) or job.format or "jpeg"
    name = names.result_name_of(job, folder.name, kind)
    overwrite = folder.on_collision == "overwrite"
    return durable.publish(part, part.parent, name, digest=job.result_hash, overwrite=overwrite)
