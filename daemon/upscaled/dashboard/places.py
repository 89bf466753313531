"""Which files belong to a job: those that the ledger names, and only below the directories of its configured folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from upscaled.job.model import Job
from upscaled.steps.ports import Folder

Side = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Place:
    """A file below one of a folder's directories; ``digest`` is what it held when the ledger heard of it."""

    root: Path
    relative: PurePath
    digest: str
    size: int | None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.relative.name


def place_of(job: Job, side: Side, folders: Mapping[str, Folder]) -> Place | None:
    """Return where a job's original or its result lies; None when there is none, or its folder is not configured."""
    folder = folders.get(job.folder)
    if folder is None:
        return None
    if side == "after":
        return _below(job.output, (folder.outbox, folder.failed), job.result_hash or "", job.result_size)
    if job.archived is None:
        return Place(folder.inbox, PurePath(job.source), job.fingerprint or "", job.identity.size)
    return _below(job.archived, (folder.archive, folder.failed), job.fingerprint or "", job.identity.size)


def _below(path: str | None, roots: tuple[Path, ...], digest: str, size: int | None) -> Place | None:
    for root in roots if path else ():
        try:
            return Place(root, PurePath(path or "").relative_to(root), digest, size)
        except ValueError:
            continue
    return None
