"""Renditions: what the service is given in a source's place, where it could misunderstand the source itself.

They lie in the state directory as parts of their jobs, like results in the spool, and only until the service has them.

The crash argument. A rendition is made from the source, which stays in the inbox until its result is published; so it
can be made again at any time, and is not even synced. Its fingerprint is committed with its place: one that is gone, or
that a crash left with other bytes, is noticed when it is uploaded, and made again. A death before the commit leaves a
file that is written anew at the next run; what a job that is over leaves behind, `upscaled.strays` removes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from upscaled.api import wire
from upscaled.errors import BadPicture, FileTrouble
from upscaled.files import durable, metadata, names, pictures
from upscaled.files.pictures import Rendition, Wanted
from upscaled.hooks import BEFORE_SUBMIT, CONVERT
from upscaled.job import plan, readiness
from upscaled.job.model import Cancelled, Cause, Done, Failure, Job, Outcome, Refused, Retry, Stage
from upscaled.steps.ports import Ports, file_name

_AGAIN: Final = "Export it as a JPEG, PNG or WebP and drop that into the inbox."

GONE: Final[Mapping[str, Any]] = {"rendition": None, "rendition_hash": None}
"""The facts of a job without a rendition."""

GONE_AGAIN: Final = Done(
    Stage.ADMITTED, {**GONE, "vetted": 0}, note="The rendition is gone or was changed; it is made again."
)
"""What an upload says that finds another rendition than was made, or none."""


async def settled(job: Job, ports: Ports) -> Outcome | None:
    """Return what had to be done before this source can be uploaded; None: nothing any more.

    Run again after a crash: does the same again. The hook that may object is asked once more then.
    """
    try:
        if job.rendition is None and not job.vetted and (outcome := await _rendered(job, ports)) is not None:
            return outcome
        if ports.hooks.wanted(BEFORE_SUBMIT) and not job.vetted:
            return await _vetted(job, ports)
    except BadPicture as error:
        return refused(error)
    return None


def refused(error: BadPicture) -> Refused:
    """Return the end of a source that cannot be read as a picture, before anything is spent."""
    return Refused(Failure(f"It cannot be upscaled: {error.said}", error.do or _AGAIN))


async def _rendered(job: Job, ports: Ports) -> Outcome | None:
    out = _place(job, ports)
    made = await made_from(job, ports, out, _wanted(job))
    if isinstance(made, Retry | Refused):
        return made
    if (turned_out := _large(job, ports, made)) is not None:
        await asyncio.to_thread(durable.forget, out)
        return turned_out
    if made.digest is None and _strips(job, ports):
        made = await _stripped(ports, ports.source(job), out, made, _wanted(job))
    return None if made.digest is None else _fact(out, made)


def _wanted(job: Job) -> Wanted:
    """Return what the service may be given for a job: transparency only where its answer can hold it."""
    alpha = job.params.output_format in {"png", "webp"}
    return Wanted(encodings=("png", "webp") if alpha else ("png", "jpeg"), alpha=alpha, largest=wire.UPLOAD_LIMIT)


async def made_from(job: Job, ports: Ports, out: Path, wanted: Wanted) -> Rendition | Retry | Refused:
    """Write to ``out`` what stands for a job's source, unless that may stay as it is. Raises `BadPicture`."""
    if job.format in readiness.RAW:
        return await _developed(job, ports, out, wanted)
    return await ports.in_process(pictures.render, ports.source(job), out, wanted)


async def _developed(job: Job, ports: Ports, out: Path, wanted: Wanted) -> Rendition | Retry | Refused:
    if not ports.hooks.wanted(CONVERT):
        return Refused(readiness.raw_refused(job.format or "raw"))
    async with ports.hooks.workplace() as directory:
        target = directory / "picture.tif"
        places = {"in": str(ports.source(job)), "out": str(target)}
        ran = await ports.hooks.run(CONVERT, job, places, directory)
        if ran.undecided(job.tries):
            return Retry(f"hooks.convert: {ran}")
        found = await asyncio.to_thread(_product, directory, target)
        if not ran.well or found is None:
            why = f"hooks.convert could not develop it: {ran}" if not ran.well else "hooks.convert made no picture"
            return Refused(Failure(why, "Mend the program, or export the picture as a JPEG and drop that in."))
        return await _taken(found, job, ports, out, wanted=wanted, hook=CONVERT)


async def _taken(picture: Path, job: Job, ports: Ports, out: Path, *, wanted: Wanted, hook: str) -> Rendition:
    """Write to ``out`` what stands for a picture that a hook made, which may know more places than the source."""
    try:
        made = await ports.in_process(pictures.render, picture, out, wanted, in_any_case=not _strips(job, ports))
        return await _stripped(ports, picture, out, made, wanted) if made.digest is None else made
    except BadPicture as error:
        what = f"hooks.{hook} made no picture that can be used: {error.what}"
        raise BadPicture(what, why=error.why, do="Mend the program, and drop the file in again.") from error


def _product(directory: Path, target: Path) -> Path | None:
    """Return what a converter made: what it was asked for, or the one file it left under a name of its own."""
    if target.is_file():
        return target
    files = [path for path in directory.iterdir() if path.is_file()]
    return files[0] if len(files) == 1 else None


def _large(job: Job, ports: Ports, made: Rendition) -> Outcome | None:
    """Judge the size anew where it was not known before the source was decoded."""
    if (job.width, job.height) in {(made.width, made.height), (made.height, made.width)}:
        return None
    target = job.params.target_resolution
    rule = "submit" if job.forced else ports.folder(job).large_enough
    large = plan.large(target, wire.TARGETS.get(target or ""), (made.width, made.height), rule)
    if large is None:
        return None
    if large.verdict is plan.Verdict.SKIP:
        return Cancelled(large.reason, stays=True)
    size = {"width": made.width, "height": made.height, "orientation": 1}
    return Done(Stage.ADMITTED, {"reuse": plan.OWN, **size}, note=large.reason)


def _strips(job: Job, ports: Ports) -> bool:
    return ports.folder(job).metadata == "strip-gps"


async def _stripped(ports: Ports, picture: Path, out: Path, made: Rendition, wanted: Wanted) -> Rendition:
    """Write a picture that may go byte for byte without its metadata: no place goes to the service."""
    try:
        stripped = await ports.in_process(metadata.strip_places, picture, out)
    except BadPicture:
        # It cannot be followed; its pixels alone can.
        return await ports.in_process(pictures.render, picture, out, replace(wanted, as_they_are=()))
    done = ("without its metadata, as metadata: strip-gps says",)
    return Rendition(made.format, made.width, made.height, stripped.digest, stripped.size, done)


def _fact(out: Path, made: Rendition, **more: object) -> Done:
    size = {"width": made.width, "height": made.height, "orientation": 1}
    facts = {"rendition": str(out), "rendition_hash": made.digest, **size, **more}
    how = f": {'; '.join(made.done)}" if made.done else ""
    return Done(Stage.ADMITTED, facts, note=f"It is uploaded as {made.format.upper()}{how}.")


def _place(job: Job, ports: Ports) -> Path:
    assert ports.renditions is not None
    ports.renditions.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ports.renditions / names.part_name(file_name(job), job.id)


# --- the hook that may object ----------------------------------------------------------------------------------------


async def _vetted(job: Job, ports: Ports) -> Outcome:
    """Ask the hook whether this may be submitted, and take what it offers instead."""
    async with ports.hooks.workplace() as directory:
        offer = directory / "replacement"
        current = job.rendition or str(ports.source(job))
        ran = await ports.hooks.run(BEFORE_SUBMIT, job, {"in": current, "out": str(offer)}, directory)
        if ran.undecided(job.tries):
            return Retry(f"hooks.before_submit: {ran}", Cause.JOB)
        if not ran.well:
            return Refused(
                Failure(f"hooks.before_submit objects: {ran}", "Do what it says, and drop the file in again.")
            )
        if not await asyncio.to_thread(offer.is_file):
            return Done(Stage.ADMITTED, {"vetted": 1})
        out = _place(job, ports)
        made = await _taken(offer, job, ports, out, wanted=_wanted(job), hook=BEFORE_SUBMIT)
        return _fact(out, made, vetted=1)


# --- uploading it ----------------------------------------------------------------------------------------------------


def forget(job: Job) -> None:
    """Remove a rendition that the service has. One that cannot be removed is left to `upscaled.strays`."""
    if job.rendition is not None:
        try:
            durable.forget(Path(job.rendition))
        except FileTrouble:
            return
