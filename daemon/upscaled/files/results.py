"""Publish: a verified result gets its name in the outbox (invariant I2).

The crash argument. Until the part is moved there is no name, and a second run does the same again. Once it is moved,
the name holds the result's bytes, and a second run finds it by those. Between the two there may be both (see
`upscaled.files.moves`): the second run finds the name and removes the part.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upscaled import errors
from upscaled.files.directories import require_directory, sync_directory
from upscaled.files.moves import place, relatives
from upscaled.files.names import printable
from upscaled.files.parts import discard, sync
from upscaled.files.sources import fingerprint, holds, identity_at, no_follow
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path


def publish(
    part: Path, directory: Path, name: str, *, digest: str, overwrite: bool = False, whole: bool = False
) -> Path:
    """Give a part its name in a directory, or the first free version of it; return the path, which is durable.

    A name that holds these bytes already is the result, and the part is removed: so it is after a crash. With
    ``overwrite`` the name is replaced whatever it holds. A part that is known to be ``whole``, as it was just written
    and nobody touched it since, is not read for that. Raises `PartMissing` when the part is gone or does not hold
    the bytes that were verified, and no name holds them either; any other `FileTrouble` means: not now.
    """
    require_directory(directory)
    size = _size_if_whole(part, None if whole else digest)
    known = relatives(directory, name)
    existing = holder(directory, known, digest, size=size)
    if existing is not None and (not overwrite or existing.name == name):
        with translated(existing, "write"):
            _sync_existing(existing)
            discard(part)
        return existing
    if size is None:
        raise _missing(part)
    if not overwrite:
        return place(part, directory, name, known)
    with translated(directory / name, "write"):
        part.replace(directory / name)
        sync_directory(directory)
    return directory / name


def holder(directory: Path, known: list[str], digest: str, *, size: int | None = None) -> Path | None:
    """Return the file among ``known`` entries of a directory that holds these bytes, or None.

    Where their ``size`` is known, only files of that size are read.
    """
    paths = (directory / entry for entry in known)
    return next((path for path in paths if _may_hold(path, size) and holds(path, digest)), None)


def _may_hold(path: Path, size: int | None) -> bool:
    found = identity_at(path)
    return found is not None and size in {None, found.size}


def _sync_existing(path: Path) -> None:
    # A run that was killed right after the move may not have come to this.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def _size_if_whole(part: Path, digest: str | None) -> int | None:
    """Return the size of the part, in bytes, if it holds what was verified, and make that durable; else None.

    Without a ``digest`` there is no need to look.
    """
    with translated(part, "read"):
        try:
            # For writing, because some network file systems sync nothing through a file that is open for reading.
            with open(part, "r+b", opener=no_follow) as file:
                sync(file)
                return file.seek(0, os.SEEK_END) if digest is None or fingerprint(file) == digest else None
        except FileNotFoundError:
            return None


def _missing(part: Path) -> errors.PartMissing:
    why = "it holds other bytes than those that were verified" if os.path.lexists(part) else "it is gone"
    what = f"The downloaded result {printable(str(part))} cannot be published"
    return errors.PartMissing(what, why=why, do="Download it again.", path=part)
