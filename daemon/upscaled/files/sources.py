"""Reading files that other people put there: which file is this, which version of it, and what bytes does it hold?"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from upscaled import errors
from upscaled.files.names import printable
from upscaled.files.trouble import translated
from upscaled.job.model import Identity

BLOCK: Final = 1 << 18
"""How much is read at a time, in bytes: it is still in the processor's cache when it is hashed or written."""


def identity_of(status: os.stat_result) -> Identity:
    """Return which file a status describes, and which version of it."""
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def identity_of_open(file: BinaryIO) -> Identity:
    """Return the identity of an open file."""
    return identity_of(os.fstat(file.fileno()))


def identity_at(path: Path) -> Identity | None:
    """Return the identity of the regular file at ``path``, or None when there is none. Links are not followed."""
    with translated(path, "look at"):
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    return identity_of(status) if stat.S_ISREG(status.st_mode) else None


def open_source(path: Path) -> BinaryIO:
    """Open a file for reading. Nothing but a regular file is opened, and nothing keeps us waiting.

    Raises `FileTrouble`; `NotAFile` for a link, a pipe, a device or a directory.
    """
    with translated(path, "open"):
        file = open(path, "rb", opener=no_follow)  # noqa: SIM115 - the caller closes it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise errors.NotAFile(f"{printable(str(path))} is not a regular file", path=path)


def no_follow(path: str, flags: int) -> int:
    """Open for `open`: no link is followed, and nothing keeps us waiting."""
    # Without O_NONBLOCK, opening a pipe that nobody writes to would never return.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def fingerprint(file: BinaryIO) -> str:
    """Return the SHA-256 of a whole open file, as hexadecimal digits. Raises `FileTrouble`."""
    digest = hashlib.sha256()
    with translated(Path(str(getattr(file, "name", ""))), "read"):
        file.seek(0)
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def holds(path: Path, digest: str) -> bool:
    """Is there a regular file at ``path`` with this fingerprint?"""
    try:
        with open_source(path) as file:
            return fingerprint(file) == digest
    except errors.FileTrouble as error:
        if error.missing:
            return False
        raise


def copy_into(path: Path, file: BinaryIO) -> str:
    """Copy a regular file's bytes into an open one, and return their fingerprint. Raises `FileTrouble` of either."""
    digest = hashlib.sha256()
    target = Path(str(file.name))
    with open_source(path) as source:
        while block := _block(source, path):
            digest.update(block)
            with translated(target, "write"):
                file.write(block)
    return digest.hexdigest()


def _block(source: BinaryIO, path: Path) -> bytes:
    with translated(path, "read"):
        return source.read(BLOCK)
