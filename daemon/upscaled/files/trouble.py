"""What the disk's errors mean to a person: each `OSError` becomes one `FileTrouble`, here and nowhere else.

Separate, so that the code that moves files can be read without its apologies.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files.disks import disk_of
from upscaled.files.names import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def _kinds() -> Iterator[tuple[int, type[errors.FileTrouble]]]:
    for kind, names in (
        (errors.Vanished, "ENOENT"),
        (errors.FolderOffline, "ENOTDIR ENOTCONN ESTALE ENODEV ENXIO EHOSTDOWN EHOSTUNREACH ENETUNREACH ETIMEDOUT"),
        (errors.DiskFull, "ENOSPC EDQUOT"),
        (errors.ReadOnly, "EROFS"),
        (errors.NoPermission, "EACCES EPERM"),
        (errors.Busy, "EBUSY ETXTBSY EAGAIN EDEADLK ENOLCK"),
        (errors.NameRefused, "ENAMETOOLONG EILSEQ"),
        (errors.NotAFile, "ELOOP EISDIR"),
    ):
        yield from ((getattr(errno, name), kind) for name in names.split())


_KINDS: Final[Mapping[int, type[errors.FileTrouble]]] = dict(_kinds())

_REMEDIES: Final[Mapping[type[errors.FileTrouble], str]] = {
    errors.FolderOffline: "Mount the share or make the directory; it goes on by itself.",
    errors.DiskFull: "Free some space there; it goes on by itself.",
    errors.ReadOnly: "Make the file system writable again; a disk that turned read-only by itself may be failing.",
    errors.NoPermission: "Give the user that upscaled runs as ({user}) the right to read and write there.",
    errors.Busy: "Another program holds it; it is tried again by itself.",
    errors.NameRefused: "Give the file a shorter or simpler name.",
    errors.NotAFile: "Put a regular file there.",
    errors.Vanished: "Nothing needs to be done if somebody moved it away on purpose.",
}


def translate(error: OSError, path: Path, doing: str = "use", *, onto: Path | None = None) -> errors.FileTrouble:
    """Return what an error of the system means; ``doing`` is the verb for what was tried with ``path``.

    ``onto`` is what was written, where that is another file: it is its disk that may be full.

    A file that is not there because its whole directory is not there says nothing about the file (invariant I6).
    """
    kind = _KINDS.get(error.errno or 0, errors.FileTrouble)
    if kind is errors.Vanished and not os.path.isdir(path.parent):  # noqa: PTH112 - it must not raise in its turn
        kind = errors.FolderOffline
    if kind is errors.DiskFull:
        return _full(error, onto or path)
    do = _REMEDIES.get(kind, "Look at the disk and at the system's log; it is tried again by itself.")
    return kind(
        f"Cannot {doing} {printable(str(path))}",
        why=error.strerror or str(error),
        do=do.format(user=f"uid {os.geteuid()}"),
        path=path,
    )


def _full(error: OSError, path: Path) -> errors.DiskFull:
    """Name the disk that a person must clear, not the file that happened to be written there."""
    disk = printable(str(disk_of(path)))
    what = f"The disk at {disk} is full" if error.errno != errno.EDQUOT else f"The quota at {disk} is used up"
    why = f"{error.strerror or error}, writing in {printable(str(path.parent))}"
    return errors.DiskFull(what, why=why, do=_REMEDIES[errors.DiskFull], path=path)


@contextmanager
def translated(path: Path, doing: str, *, onto: Path | None = None) -> Iterator[None]:
    """Raise what the system's errors mean, instead of them."""
    try:
        yield
    except OSError as error:
        raise translate(error, path, doing, onto=onto) from error
