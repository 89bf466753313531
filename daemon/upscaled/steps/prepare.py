"""Prepare and upload: know exactly which bytes are to be upscaled, and give them to the service. Both are free."""

from __future__ import annotations

import asyncio
from pathlib import Path

from upscaled import errors
from upscaled.api import wire
from upscaled.errors import FileTrouble
from upscaled.files import durable, names, pictures
from upscaled.job import plan, space
from upscaled.job.model import Cancelled, Cause, Done, Failure, Identity, Job, Outcome, Refused, Retry, Stage
from upscaled.ledger import twins
from upscaled.ledger.twins import Underway
from upscaled.steps import renditions, trouble
from upscaled.steps.ports import Folder, Ports, mirrored

CHANGED = "The file was changed or replaced while it was being worked on; it is taken again once it is quiet."
VANISHED = "The file is no longer in the inbox."


async def prepare(job: Job, ports: Ports) -> Outcome:
    """Take the source's fingerprint, and settle what a result of its name in the outbox means.

    Run again: reads the same file again.
    """
    folder = ports.folder(job)
    try:
        return await asyncio.to_thread(_prepare, job, folder)
    except FileTrouble as error:
        return trouble.of_file(error)


def _prepare(job: Job, folder: Folder) -> Outcome:
    durable.require_directory(folder.outbox)
    durable.require_directory(folder.archive)
    digest = _fingerprint(folder, job)
    if digest is None:
        return Cancelled(_absence(folder, job))
    existing = _existing(job, folder)
    if existing is not None and folder.on_collision == "skip":
        found = {"fingerprint": digest, "output": str(existing)}
        return Done(Stage.PUBLISHED, found, note="A result of this name was in the outbox already; nothing was spent.")
    if existing is not None and folder.on_collision == "fail":
        return Refused(
            Failure(
                f"There is a result of this name in the outbox already: {existing.name}",
                "Move that one away and drop this file into the inbox again, or set on_collision to version.",
            )
        )
    large = _large(job, folder)
    if large is None:
        return Done(Stage.ADMITTED, {"fingerprint": digest})
    if large.verdict is plan.Verdict.SKIP:
        return Cancelled(large.reason, stays=True)
    return Done(Stage.ADMITTED, {"fingerprint": digest, "reuse": plan.OWN}, note=large.reason)


def _large(job: Job, folder: Folder) -> plan.Large | None:
    target = job.params.target_resolution
    pixels = (job.width, job.height) if job.width and job.height else None
    rule = "submit" if job.forced else folder.large_enough
    return plan.large(target, wire.TARGETS.get(target or ""), pixels, rule)


def _existing(job: Job, folder: Folder) -> Path | None:
    if folder.on_collision not in {"skip", "fail"}:
        return None
    name = names.result_name_of(job, folder.name, job.params.output_format or plan.delivered(job.format, None))
    path = folder.outbox / mirrored(job) / name
    return path if path.exists() else None


def _fingerprint(folder: Folder, job: Job) -> str | None:
    """Return the SHA-256 of the source as it was admitted, or None when it is not that file (any more)."""
    try:
        with durable.open_source(folder.inbox / job.source) as file:
            if durable.identity_of_open(file) != job.identity:
                return None
            digest = durable.fingerprint(file)
            return digest if durable.identity_of_open(file) == job.identity else None
    except FileTrouble as error:
        if error.missing:
            return None
        raise


def _absence(folder: Folder, job: Job) -> str:
    """Say why the source is not the file that was admitted. Raises `FileTrouble` when the whole inbox is not there."""
    durable.require_directory(folder.inbox)
    return CHANGED if (folder.inbox / job.source).exists() else VANISHED


def unchanged(folder: Folder, job: Job) -> Outcome | None:
    """Return None while the source is the file that was admitted, else what that means for a job that is not paid yet.

    Raises `FileTrouble` when the whole inbox is not there: an absent share says nothing about its files (I6).
    """
    identity: Identity | None = durable.identity_at(folder.inbox / job.source)
    return None if identity == job.identity else Cancelled(_absence(folder, job))


async def upload(job: Job, ports: Ports) -> Outcome:
    """Give the service the picture under a URL that no other upload has, unless its result is there already.

    That is the source's own bytes, or a rendition where the service could misunderstand those: then the first run makes
    it, and the next one uploads it. Nothing is uploaded for which the budget has nothing left, or the outbox no room.

    Run again after a crash: uploads again under a new URL; the first upload is free and forgotten in 7 days. A
    rendition that was removed before the fact was written is made again.
    """
    try:
        return await _needless(job, ports) or await _upload(job, ports)
    except FileTrouble as error:
        return trouble.of_file(error)
    except errors.ServiceError as error:
        return trouble.of_service(error)


async def _needless(job: Job, ports: Ports) -> Outcome | None:
    """Return what makes an upload needless now: a result that is there, a twin on its way, no money; or None."""
    twin = await ports.ledger.twin(job)
    if isinstance(twin, Underway):
        return trouble.not_now(twins.waits_for(twin, ports.now()), ports.now())
    if twin is not None and await asyncio.to_thread(durable.holds, Path(twin.output), twin.digest):
        return Done(Stage.ADMITTED, {"reuse": twin.job})
    price = await ports.price(job.params)
    refusal = await ports.ledger.affordable(job, price=price, now=ports.now(), limits=ports.limits)
    if refusal is not None:
        return trouble.not_now(refusal, ports.now())
    return await asyncio.to_thread(room, ports.folder(job), job)


def room(folder: Folder, job: Job) -> Retry | None:
    """Return the wait for room on the outbox's disk, or None where a result can be taken. Raises `FileTrouble`.

    Asked before anything is uploaded, and again right before it is paid for.
    """
    if folder.min_free is None:
        return None
    size = space.expected(
        job.params,
        side=wire.TARGETS.get(job.params.target_resolution or ""),
        fmt=job.format,
        pixels=(job.width, job.height) if job.width and job.height else None,
        size=job.identity.size,
    )
    free, need = durable.free_space(folder.outbox), space.needed(folder.min_free, size)
    if free >= need:
        return None
    disk = names.printable(str(durable.disk_of(folder.outbox)))
    return Retry(space.lacking(disk, free, need), Cause.FOLDER)


async def _upload(job: Job, ports: Ports) -> Outcome:
    folder = ports.folder(job)
    if (changed := await asyncio.to_thread(unchanged, folder, job)) is not None:
        return changed
    if (first := await renditions.settled(job, ports)) is not None:
        return first
    path = ports.source(job) if job.rendition is None else Path(job.rendition)
    kind = await asyncio.to_thread(pictures.format_of, path)
    if kind is None and job.rendition is not None:
        return renditions.GONE_AGAIN
    kind = kind or job.format or "jpeg"
    # The service learns no file name: it is nobody's business, and uniqueness is what matters (I3).
    name = f"{job.id}-{int(ports.now() * 1000):x}.{kind}"
    try:
        sent = await ports.service.upload(
            path, name=name, content_type=wire.CONTENT_TYPES.get(kind, "image/jpeg"), method=ports.upload
        )
        changed = await asyncio.to_thread(unchanged, folder, job)
    except errors.ServiceError as error:
        return _upload_trouble(error)
    except OSError as error:
        return Retry(f"{path} cannot be read: {error.strerror or error}")
    if changed is not None:
        return changed
    if job.rendition is not None and sent.fingerprint != job.rendition_hash:
        return renditions.GONE_AGAIN
    if job.rendition is None and sent.fingerprint != job.fingerprint:
        return Cancelled(CHANGED)
    if job.rendition is not None:
        await asyncio.to_thread(renditions.forget, job)
    return Done(Stage.UPLOADED, {"upload_url": sent.url, "uploaded_at": ports.now(), **renditions.GONE})


def _upload_trouble(error: errors.ServiceError) -> Outcome:
    if isinstance(error, errors.BadRequest) and error.status in {400, 413, 415, 422}:
        failure = Failure(
            f"The service does not accept the file: {error.why or error.what}",
            "Change the picture accordingly and drop it into the inbox again.",
        )
        return Refused(failure)
    return trouble.of_service(error)
