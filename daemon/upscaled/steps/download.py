"""Download and verify: the paid result, whole and right, in a part beside its destination."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

from upscaled import errors
from upscaled.api import wire
from upscaled.api.client import Downloaded, decode_output
from upscaled.errors import FileTrouble
from upscaled.files import durable, names, pictures
from upscaled.job.model import Done, Held, Job, Outcome, Redo, Stage
from upscaled.steps import trouble
from upscaled.steps.ports import Ports, file_name, mirrored

_FRESH_DOWNLOADS = 2
"""How often a result that fails verification is downloaded again."""


async def download(job: Job, ports: Ports) -> Outcome:
    """Write the output to a part in the outbox, durable when this returns.

    Run again after a crash: the same part is written from the start again; free until the service deletes the output.
    """
    folder = ports.folder(job)
    try:
        directory = await asyncio.to_thread(durable.make_directories, folder.outbox, mirrored(job))
        part = directory / names.part_name(file_name(job), job.id)
        file = await asyncio.to_thread(durable.create_part, part)
        try:
            got = await _fetch(job, ports, file)
            await asyncio.to_thread(durable.sync, file)
        finally:
            await asyncio.to_thread(file.close)
    except errors.Missing:
        return _expired(job, ports)
    except errors.ServiceError as error:
        return trouble.of_service(error)
    except FileTrouble as error:
        return trouble.of_file(error)
    except OSError as error:
        return trouble.of_file(durable.translate(error, folder.outbox))
    return Done(Stage.DOWNLOADED, {"part": str(part), "result_hash": got.fingerprint, "result_size": got.size})


async def _fetch(job: Job, ports: Ports, file: BinaryIO) -> Downloaded:
    if job.output_url is not None:
        return await ports.service.download(job.output_url, file)
    assert job.prediction_id is not None
    prediction = await ports.service.result(job.prediction_id)
    if not prediction.outputs:
        raise errors.Missing("The service no longer has the output")
    return await decode_output(prediction.outputs[0], file)


def _expired(job: Job, ports: Ports) -> Outcome:
    assert job.submitted_at is not None
    if ports.now() - job.submitted_at > wire.RETENTION:
        return Held(f"The service has deleted the output of prediction {job.prediction_id}; it keeps them for 7 days.")
    return Redo(Stage.SUBMITTED, "The output is not at its address; the service is asked for it again.")


async def verify(job: Job, ports: Ports) -> Outcome:
    """Decode the whole result, in a worker process, and compare it with what was asked for.

    Run again: decodes again. A part that is gone or wrong is downloaded again before a person is troubled.
    """
    assert job.part is not None
    try:
        picture = await ports.in_process(
            pictures.verify,
            Path(job.part),
            expected_format=job.params.output_format,
            source_size=(job.width, job.height) if job.width and job.height else None,
            orientation=job.orientation,
        )
    except errors.BadPicture as error:
        if job.redos < _FRESH_DOWNLOADS:
            return Redo(Stage.RENDERED, f"The result is not right ({error}); it is downloaded once more.")
        return Held(f"The result is not right: {error}. It was paid; it is kept for inspection as {job.part}.")
    except FileTrouble as error:
        if error.missing:
            return Redo(Stage.RENDERED, "The downloaded result is gone from the outbox; it is downloaded again.")
        return trouble.of_file(error)
    return Done(Stage.DOWNLOADED, {"result_width": picture.width, "result_height": picture.height})
