"""Archive and reject: where the original goes when its job is over, done or failed (invariant I1)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from upscaled.errors import FileTrouble
from upscaled.files import durable
from upscaled.files.durable import SetAside
from upscaled.job.model import Done, Job, Outcome, Stage
from upscaled.steps import trouble
from upscaled.steps.ports import Folder, Ports, file_name, mirrored


async def archive(job: Job, ports: Ports) -> Outcome:
    """Move the original to the archive; only reached once its result is published.

    Run again after a crash: an original that is gone from the inbox and lies in the archive is done. One that was
    replaced meanwhile is somebody's new picture, and stays.
    """
    folder = ports.folder(job)
    try:
        moved = await asyncio.to_thread(_set_aside, job, folder, folder.archive)
    except FileTrouble as error:
        return trouble.of_file(error)
    return Done(Stage.ARCHIVED, {"archived": moved.path and str(moved.path)}, note=moved.note)


async def reject(job: Job, ports: Ports) -> Outcome:
    """Move the original of a job that cannot succeed to the failed folder, with a note for a person beside it.

    Run again after a crash: what was moved stays moved, and the note is written again.
    """
    try:
        moved = await asyncio.to_thread(_reject, job, ports.folder(job), ports.now())
    except FileTrouble as error:
        return trouble.of_file(error)
    return Done(job.stage, {"archived": moved.path and str(moved.path)}, note=moved.note)


def _reject(job: Job, folder: Folder, now: float) -> SetAside:
    moved = _set_aside(job, folder, folder.failed)
    if moved.path is not None:
        durable.write_note(moved.path.with_name(f"{moved.path.name}.error.txt"), note(job, folder, now))
    return moved


def _set_aside(job: Job, folder: Folder, root: Path) -> SetAside:
    # Looked at first: with the whole inbox away, a missing original says nothing about itself (I6).
    durable.require_directory(folder.inbox)
    directory = durable.make_directories(root, mirrored(job))
    return durable.set_aside(
        folder.inbox / job.source, directory, file_name(job), identity=job.identity, digest=job.fingerprint
    )


def note(job: Job, folder: Folder, now: float) -> str:
    """Return the text of ``NAME.error.txt``: what happened, when, what it cost, what to do."""
    assert job.failure is not None
    when = datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    lines = (
        f"{file_name(job)} was not upscaled.",
        "",
        f"What happened:  {job.failure.what}",
        f"When:           {when}",
        f"What it cost:   {job.failure.cost}",
        f"What to do:     {job.failure.do}",
        "",
        f"To try again, move the file back into {folder.inbox}.",
        f"(Job {job.id}; `upscaled show {job.id}` tells its whole story.)",
    )
    return "\n".join(lines) + "\n"
