"""Results that a person looks at: delivered, put away, or found to have been taken out by hand.

They lie in the outbox under `names.REVIEW`, mirrored like the outbox itself, under the names that they are to have.

The crash argument. Both ways out are moves that may be run again (see `upscaled.files.results` and
`upscaled.files.originals`). What a run moved that died before the ledger knew of it, `found` finds by its bytes.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from upscaled import errors
from upscaled.files import names
from upscaled.files.directories import make_directories
from upscaled.files.moves import place, relatives
from upscaled.files.originals import set_aside
from upscaled.files.parts import create_part, discard, sync
from upscaled.files.results import holder, publish
from upscaled.files.sources import copy_into, identity_at
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from upscaled.job.model import Identity


def relative_of(path: Path, outbox: Path) -> PurePosixPath | None:
    """Return where a result in review is to lie below the outbox; None for a path that is not in its review folder."""
    try:
        return PurePosixPath(path.relative_to(outbox / names.REVIEW))
    except ValueError:
        return None


def deliver(path: Path, outbox: Path, digest: str, *, overwrite: bool) -> Path:
    """Move a result from review into the outbox, under its name or the first free version of it; return where it is.

    Raises `PartMissing` when it is not there, or was changed, and the outbox does not have it either; `FileTrouble`.
    """
    relative = relative_of(path, outbox)
    assert relative is not None
    directory = make_directories(outbox, relative.parent)
    return publish(path, directory, relative.name, digest=digest, overwrite=overwrite)


def put_away(path: Path, outbox: Path, failed: Path, digest: str) -> Path | None:
    """Move a result from review to the failed folder, below `names.REJECTED`; None if there was nothing to move.

    Raises `FileTrouble`.
    """
    relative = relative_of(path, outbox)
    assert relative is not None
    directory = make_directories(failed, PurePosixPath(names.REJECTED) / relative.parent)
    identity = identity_at(path)
    if identity is None:
        return holder(directory, relatives(directory, relative.name), digest)
    return set_aside(path, directory, relative.name, identity=identity, digest=digest).path


def found(path: Path, root: Path, relative: PurePosixPath, digest: str, size: int | None) -> Path | None:
    """Return the file below ``root`` that holds a result which is no longer in review, or None."""
    directory = root / relative.parent
    if identity_at(path) is not None or not directory.is_dir():
        return None
    return holder(directory, relatives(directory, relative.name), digest, size=size)


def copy_back(archived: Path, inbox: Path, source: PurePosixPath, digest: str, job: str) -> Path:
    """Copy an archived original to a part in its inbox, durably; return the part.

    ``job`` names the part: a run that died leaves one that the next run with this job replaces. Raises `FileTrouble`;
    `PartMissing` when the archived file holds other bytes than the original did.
    """
    directory = make_directories(inbox, source.parent)
    part = directory / names.part_name(source.name, job)
    with create_part(part) as file:
        same = copy_into(archived, file) == digest
        sync(file)
    if not same:
        with translated(part, "remove"):
            discard(part)
        raise errors.PartMissing(
            f"{names.printable(str(archived))} is not the original any more",
            do="Drop the picture into the inbox instead.",
            path=archived,
        )
    return part


def name_part(part: Path, name: str) -> tuple[Path, Identity]:
    """Give a part of `copy_back` its name in the inbox, or a free version of it; return where and what it is."""
    path = place(part, part.parent, name)
    identity = identity_at(path)
    if identity is None:
        raise errors.Vanished(f"{names.printable(str(path))} was taken away", path=path)
    return path, identity
