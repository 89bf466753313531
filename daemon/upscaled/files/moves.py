"""Giving a file a name that must be free, in three ways, because no file system offers all of them.

    renameat2(RENAME_NOREPLACE)     one instant: the file has either its old name or the new one
    link, unlink                    where flags are refused (NFS): for an instant it has both names
    placeholder, rename             where links are refused too (some FUSE): for an instant the name holds our note

After a crash the first needs nothing, the second leaves two names of one file, which `upscaled.files.results` tells by
their bytes, and the third leaves a placeholder that names its part, and only that part may replace it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Final

from upscaled.files import names, stems
from upscaled.files.directories import sync_directory
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What `rename_new` meets where the file system has no such rename."""

NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EMLINK}
"""What `os.link` meets where links are unknown, or forbidden for this file."""

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file unless the new name is taken. Raises `OSError`, `FileExistsError` among them."""
    if not hasattr(_LIBC, "renameat2"):  # glibc before 2.28, some versions of musl
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    old, new = os.fsencode(source), os.fsencode(target)
    if _LIBC.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


def settle(part: Path, target: Path) -> None:
    """Move a file of ours to a free name on the same file system, durably.

    Raises `OSError`; `FileExistsError` when the name is taken by anything but the placeholder that a run before this
    one left there for this very part.
    """
    try:
        _settle(part, target)
    except FileExistsError:
        if not _is_placeholder(target, part):
            raise
        part.replace(target)
    sync_directory(target.parent)


def _settle(part: Path, target: Path) -> None:
    try:
        rename_new(part, target)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _link_or_replace(part, target)


def _link_or_replace(part: Path, target: Path) -> None:
    try:
        os.link(part, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _put_placeholder(part, target)
        part.replace(target)
    else:
        # The new name must be durable before the old one goes.
        sync_directory(target.parent)
        part.unlink()


def _note_for(part: Path) -> bytes:
    return b"upscaled is about to put the file here that is now called " + os.fsencode(part.name) + b"\n"


def _put_placeholder(part: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, _note_for(part))
    except OSError:
        with suppress(OSError):
            target.unlink()
        raise
    finally:
        os.close(descriptor)


def _is_placeholder(target: Path, part: Path) -> bool:
    note = _note_for(part)
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(note) + 1) == note
    except OSError:
        return False
    finally:
        os.close(descriptor)


# --- names in a directory --------------------------------------------------------------------------------------------


def relatives(directory: Path, name: str) -> list[str]:
    """Return the entries of a directory that are ``name`` or a version of it, where case does not count."""
    # Names are compared one by one only where they begin alike: a directory may hold 100,000.
    beginning = names.fold(names.split(name)[0])[:8]
    alike = (
        entry
        for entry in stems.candidates(directory, name)
        if (entry.lower() if entry.isascii() else names.fold(entry)).startswith(beginning)
    )
    return [entry for entry in alike if names.is_version(entry, name)]


def place(file: Path, directory: Path, name: str, known: list[str] | None = None) -> Path:
    """Move a file of ours to ``name`` in a directory of the same file system, or to its first free version; durably.

    ``known`` are the name's relatives there, where the caller has asked already. Raises `FileTrouble`.
    """
    with translated(directory / name, "write"):
        return put(file, directory, name, settle, known)


def put(
    file: Path, directory: Path, name: str, move: Callable[[Path, Path], None], known: list[str] | None = None
) -> Path:
    """Move a file in one of the ways above to ``name`` in a directory, or to its first free version.

    Raises `OSError`, so that the caller can choose another way.
    """
    known = relatives(directory, name) if known is None else known
    used = {names.fold(entry) for entry in known if not _is_placeholder(directory / entry, file)}
    free = (candidate for candidate in _versions(name) if names.fold(candidate) not in used)
    for candidate in free:
        with suppress(FileExistsError):
            move(file, directory / candidate)
            return directory / candidate
    raise AssertionError("there is no last version")


def _versions(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield names.version(name, number)
