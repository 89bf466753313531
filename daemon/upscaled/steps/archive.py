"""Archive and reject: where the original goes when its job is over, done or failed (invariant I1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from upscaled.errors import FileTrouble
from upscaled.files import durable, names
from upscaled.files.durable import SetAside
from upscaled.hooks import AFTER_FAILURE, AFTER_PUBLISH
from upscaled.job.model import Done, Job, Outcome, Stage
from upscaled.steps import finishing, renditions, trouble
from upscaled.steps.ports import Folder, Ports, file_name, mirrored
from upscaled.steps.publish import is_flagged

STAYS: Final[Mapping[str, Any]] = {"archived": None, "stays": 1}
"""The facts about an original that is kept: it must not be taken again."""


async def archive(job: Job, ports: Ports) -> Outcome:
    """Move the original to the archive; only reached once its result is published.

    Run again after a crash: an original that is gone from the inbox and lies in the archive is done. One that was
    replaced meanwhile is somebody's new picture, and stays. Where originals are to be kept, nothing is moved. The hook
    is run once more.
    """
    folder = ports.folder(job)
    if folder.originals == "keep":
        note = "The original stays in the inbox, as `originals: keep` says."
        return await _told(AFTER_PUBLISH, job, ports, Done(Stage.ARCHIVED, STAYS, note=note))
    root, below = (folder.failed, names.FLAGGED) if is_flagged(job, folder) else (folder.archive, "")
    try:
        moved = await asyncio.to_thread(_archive, job, ports, root, below)
    except FileTrouble as error:
        return trouble.of_file(error)
    done = Done(Stage.ARCHIVED, {"archived": moved.path and str(moved.path)}, note=moved.note)
    return await _told(AFTER_PUBLISH, job, ports, done)


def _archive(job: Job, ports: Ports, root: Path, below: str) -> SetAside:
    ports.guard.require(root)
    return _set_aside(job, ports.folder(job), root, below)


async def _told(hook: str, job: Job, ports: Ports, done: Done) -> Done:
    """Run a hook now that all is done; what goes wrong with it is told, and changes nothing."""
    if not ports.hooks.wanted(hook):
        return done
    archived = done.facts.get("archived")
    places = {"output": job.output or "", "archived": archived or ""}
    told = replace(job, stage=done.stage, archived=archived)
    async with ports.hooks.workplace() as directory:
        ran = await ports.hooks.run(hook, told, places, directory)
    if ran.well:
        return done
    return replace(done, note=f"{done.note} hooks.{hook}: {ran}.".strip())


async def reject(job: Job, ports: Ports) -> Outcome:
    """Move the original of a job that cannot succeed to the failed folder, with a note for a person beside it.

    Where originals are to be kept, the note is all that is put there. Run again after a crash: what was moved stays
    moved, the note is written again, and the hook is run once more. What there is of a result is not right, or was not
    wanted: it goes.
    """
    try:
        await asyncio.to_thread(renditions.forget, job)
        moved = await asyncio.to_thread(_reject, job, ports.folder(job), ports.now())
        await asyncio.to_thread(finishing.forget, job)
    except FileTrouble as error:
        return trouble.of_file(error)
    if moved is None:
        return await _told(AFTER_FAILURE, job, ports, Done(job.stage, STAYS))
    done = Done(job.stage, {"archived": moved.path and str(moved.path)}, note=moved.note)
    return await _told(AFTER_FAILURE, job, ports, done)


def _reject(job: Job, folder: Folder, now: float) -> SetAside | None:
    if folder.originals == "keep":
        directory = durable.make_directories(folder.failed, mirrored(job))
        durable.write_note(directory / f"{file_name(job)}.error.txt", note(job, folder, now))
        return None
    moved = _set_aside(job, folder, folder.failed)
    if moved.path is not None:
        durable.write_note(moved.path.with_name(f"{moved.path.name}.error.txt"), note(job, folder, now))
    return moved


def _set_aside(job: Job, folder: Folder, root: Path, below: str = "") -> SetAside:
    # Looked at first: with the whole inbox away, a missing original says nothing about itself (I6).
    durable.require_directory(folder.inbox)
    directory = durable.make_directories(root, PurePosixPath(below) / mirrored(job))
    source = folder.inbox / job.source
    moved = durable.set_aside(source, directory, file_name(job), identity=job.identity, digest=job.fingerprint)
    if moved.path is not None and not moved.note:
        durable.take_along(source, moved.path)
    return moved


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
        f"To try again, {_again(job, folder)}.",
        f"(Job {job.id}; `upscaled show {job.id}` tells its whole story.)",
    )
    return "\n".join(lines) + "\n"


def _again(job: Job, folder: Folder) -> str:
    if folder.originals == "keep":
        return f"use `upscaled retry {job.id}`; the file is still in {folder.inbox}"
    return f"move the file back into {folder.inbox}"
