"""Set aside: an original leaves its inbox for the archive or the failed folder (invariant I1).

On one file system it is renamed; where that cannot be done without risk of overwriting, it gets a second name and then
loses its first; across file systems it is copied, the copy read back and compared, and only then removed.

The crash argument. At every instant the original's bytes are durable under at least one name: the new name is synced
before the old one goes. A second run finds what the first one did by the bytes (or by size and time of modification, as
long as nobody has read the bytes): in the destination, then what is left in the inbox is removed; in the inbox alone,
then it is moved; under a `leaving` name in the inbox, then the first run died between taking the original out of
people's sight and removing it, and it is removed, or brought back if its copy is not there after all.

An original that was replaced meanwhile is somebody's new picture. It is never removed: what is to be removed is first
renamed to its `leaving` name and looked at again, so that no replacement can slip in between the look and the removal.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files import names
from upscaled.files.directories import require_directory, sync_directory
from upscaled.files.moves import NO_LINKS, UNSUPPORTED, place, put, relatives, rename_new
from upscaled.files.parts import create_part, discard, sync
from upscaled.files.results import holder
from upscaled.files.sources import BLOCK, fingerprint, holds, identity_at, identity_of_open, open_source
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from upscaled.job.model import Identity

GONE: Final = "The original was no longer in the inbox, so there was nothing to set aside."
REPLACED: Final = "The file in the inbox was replaced or changed meanwhile; the new one was left where it is."

_ELSEWHERE: Final = UNSUPPORTED | {errno.EXDEV}


@dataclass(frozen=True, slots=True)
class SetAside:
    """Where the original lies now; None when nothing of ours was there to move. ``note`` is for a person."""

    path: Path | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Task:
    source: Path
    directory: Path
    name: str
    identity: Identity

    @property
    def key(self) -> str:
        """What tells this task's temporaries from all others, and is known to a second run."""
        return f"original-{self.identity.inode:x}-{self.identity.size:x}-{self.identity.mtime_ns & (1 << 64) - 1:x}"

    @property
    def part(self) -> Path:
        return self.directory / names.part_name(self.name, self.key)

    @property
    def leaving(self) -> Path:
        return self.source.with_name(names.leaving_name(self.source.name, self.key))


def set_aside(source: Path, directory: Path, name: str, *, identity: Identity, digest: str | None) -> SetAside:
    """Move an original to a directory, under ``name`` or the first free version of it; durable when it returns.

    ``identity`` and ``digest`` (None: nobody has read it yet) say which file is meant. One that is not that file any
    more is left alone, and one that is gone is looked for in the directory. Raises `FileTrouble`: not now.
    """
    require_directory(directory)
    task = _Task(source, directory, name, identity)
    with translated(source, "set aside", onto=task.part):
        _require_apart(task)
        _resume(task, digest)
        now = identity_at(source)
        if now is None:
            return _gone(task, digest)
        found = _digest_if_same(task, now, digest)
        if found is None:
            discard(task.part)
            return SetAside(_arrived(task, digest, identity.size) if digest else None, REPLACED)
        known = relatives(task.directory, task.name)
        path = _arrived(task, found, now.size, known) if digest else _arrived_unread(task, found, known)
        return _set_aside(task, now, found, path, known)


def _set_aside(task: _Task, now: Identity, digest: str, path: Path | None, known: list[str]) -> SetAside:
    if path is not None:
        # A part means that a run died between copying and this one's look.
        discard(task.part)
        _require_distinct(task)
        return SetAside(path, "" if _remove(task, now) else REPLACED)
    try:
        return _renamed(task, now, known)
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
    linked = _linked(task, now, known)
    if linked is not None:
        return linked
    return _copied(task, now, digest, known)


def _digest_if_same(task: _Task, now: Identity, digest: str | None) -> str | None:
    """Return the fingerprint of the source if it is the file that is meant, else None."""
    if digest is not None and now == task.identity:
        return digest
    if digest is None and not _same_version(now, task.identity):
        return None
    with open_source(task.source) as file:
        found = fingerprint(file)
        steady = identity_of_open(file) == now
    return found if steady and digest in {None, found} else None


def _same_version(one: Identity | None, other: Identity) -> bool:
    # Renaming and linking change the ctime, and nothing else.
    return one is not None and one._replace(ctime_ns=0) == other._replace(ctime_ns=0)


# --- what an earlier run may have left -------------------------------------------------------------------------------


def _resume(task: _Task, digest: str | None) -> None:
    """Finish what a run that died while it removed the original had begun, or undo it."""
    if identity_at(task.leaving) is None:
        return
    with open_source(task.leaving) as file:
        found = fingerprint(file)
    if digest in {None, found} and holder(task.directory, relatives(task.directory, task.name), found) is not None:
        task.leaving.unlink()
        sync_directory(task.source.parent)
    else:
        place(task.leaving, task.source.parent, task.source.name)


def _gone(task: _Task, digest: str | None) -> SetAside:
    path = _arrived(task, digest, task.identity.size) if digest else _arrived_unread(task)
    if path is None and digest and holds(task.part, digest):
        # The copy was whole when the run died, and now it is the only one.
        path = place(task.part, task.directory, task.name)
    discard(task.part)
    return SetAside(path, "" if path else GONE)


def _arrived(task: _Task, digest: str, size: int, known: list[str] | None = None) -> Path | None:
    """Return the file in the destination that holds the original's bytes, durable, or None."""
    known = relatives(task.directory, task.name) if known is None else known
    path = holder(task.directory, known, digest, size=size)
    if path is not None:
        sync_directory(task.directory)
    return path


def _arrived_unread(task: _Task, digest: str | None = None, known: list[str] | None = None) -> Path | None:
    """Return the file in the destination that has the original's size and time, which every way of moving keeps.

    With nothing else to know it by next time, a file of the same bytes and another time must not stand for it.
    """
    known = relatives(task.directory, task.name) if known is None else known
    for path in (task.directory / entry for entry in known):
        found = identity_at(path)
        alike = found and (found.size, found.mtime_ns) == (task.identity.size, task.identity.mtime_ns)
        if alike and (digest is None or holds(path, digest)):
            sync_directory(task.directory)
            return path
    return None


def _require_apart(task: _Task) -> None:
    with suppress(FileNotFoundError):
        if task.source.parent.samefile(task.directory):
            raise _same_directory(task)


def _require_distinct(task: _Task) -> None:
    """Raise `FileTrouble` if inbox and destination are one directory seen through two mounts.

    Then what looks like the original's copy is the original, and removing one would remove both.
    """
    probe = names.part_name(task.name, f"probe-{task.key}")
    (task.directory / probe).touch()
    try:
        if os.path.lexists(task.source.parent / probe):
            raise _same_directory(task)
    finally:
        discard(task.directory / probe)


def _same_directory(task: _Task) -> errors.FileTrouble:
    return errors.FileTrouble(
        f"{names.printable(str(task.source.parent))} and {names.printable(str(task.directory))} are the same directory",
        do="Give the archive and the failed folder directories of their own.",
        path=task.directory,
    )


# --- three ways ------------------------------------------------------------------------------------------------------


def _renamed(task: _Task, now: Identity, known: list[str]) -> SetAside:
    """Raises `OSError` where such a rename is not possible, having changed nothing."""
    path = put(task.source, task.directory, task.name, rename_new, known)
    if not _same_version(identity_at(path), now):
        # Somebody replaced the original in the very instant before.
        place(path, task.source.parent, task.source.name)
        return SetAside(None, REPLACED)
    sync_directory(task.directory)
    sync_directory(task.source.parent)
    return SetAside(path)


def _linked(task: _Task, now: Identity, known: list[str]) -> SetAside | None:
    """Return None where links are not possible, having changed nothing."""
    try:
        path = put(task.source, task.directory, task.name, _link, known)
    except OSError as error:
        if error.errno not in NO_LINKS | _ELSEWHERE:
            raise
        return None
    linked = identity_at(path)
    if linked is None or not _same_version(linked, now):
        path.unlink()
        return SetAside(None, REPLACED)
    sync_directory(task.directory)
    return SetAside(path, "" if _remove(task, linked) else REPLACED)


def _link(source: Path, target: Path) -> None:
    os.link(source, target, follow_symlinks=False)


def _copied(task: _Task, now: Identity, digest: str, known: list[str]) -> SetAside:
    try:
        with open_source(task.source) as file, create_part(task.part) as copy:
            shutil.copyfileobj(file, copy, BLOCK)
            _keep_attributes(file, copy)
            sync(copy)
            # So that what is compared comes from the disk and not from memory.
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            same = fingerprint(copy) == digest
            steady = identity_of_open(file) == now
    except (OSError, errors.FileTrouble):
        with suppress(OSError):
            discard(task.part)
        raise
    if not (same and steady):
        discard(task.part)
        if steady:
            raise _differs(task)
        return SetAside(None, REPLACED)
    path = place(task.part, task.directory, task.name, known)
    return SetAside(path, "" if _remove(task, now) else REPLACED)


def _differs(task: _Task) -> errors.FileTrouble:
    return errors.FileTrouble(
        f"The copy of {names.printable(str(task.source))} in {names.printable(str(task.directory))} holds other bytes",
        do="Look at the disks and their cables; the original is untouched, and copying is tried again by itself.",
        path=task.directory,
    )


def _keep_attributes(file: BinaryIO, copy: BinaryIO) -> None:
    """Give the copy the original's owner, permissions and times, as far as the file system knows such things."""
    copy.flush()
    status = os.fstat(file.fileno())
    with suppress(OSError):
        os.fchown(copy.fileno(), status.st_uid, status.st_gid)
    with suppress(OSError):
        os.fchmod(copy.fileno(), stat.S_IMODE(status.st_mode))
    with suppress(OSError):
        os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _remove(task: _Task, seen: Identity) -> bool:
    """Remove the original, if it is still the file that was seen; its bytes are durable elsewhere."""
    if identity_at(task.source) != seen:
        return False
    task.source.rename(task.leaving)
    if not _same_version(identity_at(task.leaving), seen):
        place(task.leaving, task.source.parent, task.source.name)
        return False
    task.leaving.unlink()
    sync_directory(task.source.parent)
    return True
