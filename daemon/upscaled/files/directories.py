"""Directories: there or not, made durably, how much room is left, and which of their names count as taken.

A folder's root is never made here: where one is missing, a share is not mounted, and what would be made is a directory
on the wrong disk that hides behind the share once it is back.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files import names
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path, PurePath

_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""What file systems say that cannot sync a directory (CIFS, some FUSE). There the server decides what is durable."""


def require_directory(path: Path) -> None:
    """Raise `FolderOffline` (or what else stands in the way) unless there is a directory at ``path``."""
    try:
        with translated(path, "use"):
            status = path.stat()
    except errors.Vanished as error:
        raise _offline(path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise _offline(path)


def _offline(path: Path) -> errors.FolderOffline:
    return errors.FolderOffline(
        f"There is no directory {names.printable(str(path))}",
        do="Mount the share that it lies on, or make the directory; it goes on by itself.",
        path=path,
    )


def remove_own(directory: Path) -> None:
    """Remove a directory in our own state with all that is in it, as far as that is possible; never one of a user's."""
    shutil.rmtree(directory, ignore_errors=True)


def make_directories(root: Path, relative: PurePath) -> Path:
    """Return ``root / relative``, made durably where it was missing. ``root`` itself must be there.

    After a crash at any point the next run goes on where this one stopped.
    """
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{relative} does not lie below a folder's root")
    require_directory(root)
    directory = root
    for part in relative.parts:
        parent, directory = directory, directory / part
        with translated(directory, "make"):
            if not directory.is_dir():
                directory.mkdir(exist_ok=True)
            # Also where it was there already: it may be the work of a run that was killed before it came to this.
            sync_directory(parent)
    return directory


def sync_directory(path: Path) -> None:
    """Make durable which names a directory holds. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def free_space(directory: Path) -> int:
    """Return how many bytes may still be written there by this user."""
    with translated(directory, "ask for the free space of"):
        space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize


def entries(directory: Path) -> list[str]:
    """Return the names in a directory; raises `FolderOffline` when there is none."""
    require_directory(directory)
    with translated(directory, "list"):
        return os.listdir(directory)  # noqa: PTH208 - iterdir() makes 100,000 objects of 100,000 names


def taken(directory: Path, name: str) -> Path | None:
    """Return what is there under ``name``, or under a name that some systems take for the same; None when it is free.

    Case and composition do not count, because a share may be read from macOS or Windows tomorrow.
    """
    wanted = names.fold(name)
    found = [entry for entry in entries(directory) if names.fold(entry) == wanted]
    return directory / (name if name in found else found[0]) if found else None
