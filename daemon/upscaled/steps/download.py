"""Download and verify: the paid result, whole and right, in a part beside its destination.

In the ordinary case both are one step with one fact, and the bytes are written once: the metadata is put where the
result begins while the rest of it is still coming, and then all of it is looked at. Where the metadata has to wait for
the rest, what came is finished while it is still in memory, and only the finished file goes to the disk. Whatever goes
wrong with either is for the verify step to judge, which finds the downloaded part.

The crash argument. A part has a hash among its facts only where it was to be published as it is, and it is durable
before that is a fact (I4). What has none yet has no metadata either, and the verify step carries it over. What has one
and could not be looked at is downloaded once more there, as the service made it. Before the fact there is only a part,
which the next run writes from the start.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from upscaled import errors
from upscaled.api import wire
from upscaled.api.client import Downloaded, decode_output
from upscaled.errors import FileTrouble
from upscaled.files import durable, names
from upscaled.job import plan
from upscaled.job.model import Done, Failure, Held, Identity, Job, Outcome, Redo, Refused, Stage
from upscaled.steps import finishing, trouble
from upscaled.steps.finishing import Early
from upscaled.steps.ports import Ports, file_name, mirrored

_FRESH_DOWNLOADS = 1
"""How often a result that fails verification is downloaded again."""


async def download(job: Job, ports: Ports) -> Outcome:
    """Write the output to a part in the outbox, or in the spool while the outbox is away or full, and finish it.

    The fact comes after the finished part is durable, or, where it could not be finished, the downloaded one. Run again
    after a crash: the same parts are written from the start again; free until the service deletes the output.
    """
    try:
        return await _downloaded(job, ports)
    except errors.Missing:
        return _expired(job, ports)
    except errors.ServiceError as error:
        return trouble.of_service(error)
    except FileTrouble as error:
        return trouble.of_file(error)


async def _downloaded(job: Job, ports: Ports) -> Done:
    early = finishing.early(job, ports)
    try:
        part = await asyncio.to_thread(_part, job, ports)
        done = await _written(job, ports, part, early)
    except FileTrouble as error:
        if ports.spool is None:
            raise
        part = ports.spool / names.part_name(file_name(job), job.id)
        done = await _spooled(job, ports, part, error, early)
    return await _finished(job, ports, part, done, early)


_SPOOLED: Final = "The outbox cannot take it; it is kept in the spool until it can."


async def _finished(job: Job, ports: Ports, part: Path, done: Done, early: Early | None) -> Done:
    """Add the facts about the finished result; where it cannot be finished, those that are there must do."""
    try:
        result = await finishing.finished(replace(job, **done.facts), ports, part, early=early)
    except (errors.BadPicture, FileTrouble) as error:
        # It is not a fact yet, and what is not durable must not become one (I4).
        await asyncio.to_thread(durable.sync_part, part)
        return replace(done, note=f"{done.note} As it came, it could not be finished: {error}.".lstrip())
    notes = " ".join(filter(None, (done.note, result.note)))
    return replace(done, facts={**done.facts, **result.facts}, note=notes)


def _part(job: Job, ports: Ports) -> Path:
    outbox = ports.folder(job).outbox
    ports.guard.require(outbox)
    directory = durable.make_directories(outbox, mirrored(job))
    return directory / names.part_name(file_name(job), job.id)


async def _spooled(job: Job, ports: Ports, part: Path, trouble_there: FileTrouble, early: Early | None) -> Done:
    """Write the output into the spool. Raises what is wrong with the outbox where the spool cannot take it either."""
    try:
        await asyncio.to_thread(durable.open_spool, part.parent)
        done = await _written(job, ports, part, early)
    except FileTrouble as error:
        raise trouble_there from error
    return replace(done, note=f"{_SPOOLED} {done.note}".rstrip())


async def _written(job: Job, ports: Ports, part: Path, early: Early | None) -> Done:
    """Write the output into a part: durable, and hashed, unless finishing makes another file of it."""
    file = await asyncio.to_thread(durable.create_part, part)
    try:
        got = await _fetch(job, ports, file, early)
        identity = await asyncio.to_thread(_closed, file, durably=bool(got.fingerprint))
    except OSError as error:
        # What was written of it would keep a full disk full.
        with suppress(OSError):
            await asyncio.to_thread(part.unlink)
        raise durable.translate(error, part) from error
    finally:
        if not file.closed:
            await asyncio.to_thread(file.close)
    if got.fingerprint:
        ports.written.note(part, got.fingerprint, identity)
    facts = {"part": str(part), "result_hash": got.fingerprint, "result_size": got.size}
    return Done(Stage.DOWNLOADED, facts, early.note if early else "")


def _closed(file: BinaryIO, *, durably: bool) -> Identity:
    if durably:
        durable.sync(file)
    else:
        file.flush()
    identity = durable.identity_of_open(file)
    file.close()
    return identity


async def _fetch(job: Job, ports: Ports, file: BinaryIO, early: Early | None) -> Downloaded:
    if job.output_url is not None:
        return await ports.service.download(job.output_url, file, begin=early)
    assert job.prediction_id is not None
    prediction = await ports.service.result(job.prediction_id)
    if not prediction.outputs:
        raise errors.Missing("The service no longer has the output")
    return await decode_output(prediction.outputs[0], file, begin=early)


def _expired(job: Job, ports: Ports) -> Outcome:
    if _deleted(job, ports):
        return Held(f"The service has deleted the output of prediction {job.prediction_id}; it keeps them for 7 days.")
    return Redo(Stage.SUBMITTED, "The output is not at its address; the service is asked for it again.")


def _deleted(job: Job, ports: Ports) -> bool:
    """Has the service kept the output for as long as it does?"""
    assert job.submitted_at is not None
    return ports.now() - job.submitted_at > wire.RETENTION


async def verify(job: Job, ports: Ports) -> Outcome:
    """Decode the whole result, in a worker process, compare it with what was asked for, and give it its metadata.

    For results that are there already (`upscaled.steps.reuse`), and for downloads that could not be finished at once.
    What is finished is a new part, whose hash is the result's from here on. Run again: the same, from the part that was
    there. One that is gone or wrong is downloaded once more before a person is troubled.
    """
    assert job.part is not None
    part = Path(job.part)
    if finishing.may_have_begun(job, ports):
        return Redo(Stage.RENDERED, "The result could not be looked at; it is downloaded once more.", wrong=True)
    try:
        finished = await finishing.finished(job, ports, part)
    except errors.BadPicture as error:
        if job.reuse is not None:
            return _not_reusable(job, error)
        # What the service has deleted by now would be lost for good: the file that is kept is all there is.
        if job.wrong < _FRESH_DOWNLOADS and not _deleted(job, ports):
            return Redo(Stage.RENDERED, f"The result is not right ({error}); it is downloaded once more.", wrong=True)
        return Held(
            f"The result is not right: {error}. It was paid; it is kept for inspection as {job.part}. `upscaled retry"
            f" {job.id}` fetches it once more, free; `upscaled retry --force {job.id}` has it made and paid for anew."
        )
    except FileTrouble as error:
        if error.missing:
            return Redo(back(job), "The downloaded result is gone from the outbox; it is downloaded again.")
        return trouble.of_file(error)
    return Done(Stage.DOWNLOADED, finished.facts, note=finished.note)


def _not_reusable(job: Job, error: errors.BadPicture) -> Outcome:
    if job.reuse == plan.OWN:
        return Refused(Failure(f"It cannot be read as a picture: {error}", "Export it anew and drop it in again."))
    return Held(f"The result of job {job.reuse} is not right: {error}. `upscaled retry --force {job.id}` pays anew.")


def back(job: Job) -> Stage:
    """Return the fact that a result which is gone leads back to."""
    return Stage.RENDERED if job.reuse is None else Stage.ADMITTED
