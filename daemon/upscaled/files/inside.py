"""Opening a file below a directory, and nothing else: no link is followed on the way, so no name leads out of it.

Separate because names that came from a network must be opened this way, whatever the ledger says of them.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from upscaled import errors
from upscaled.files.names import printable
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_inside(root: Path, relative: PurePath) -> BinaryIO:
    """Open a regular file below ``root`` for reading; ``root`` itself may be a link, as its owner configured it.

    Raises `FileTrouble`: `NotAFile` where a link or anything but a file stands on the way, or a name leads out.
    """
    path = root / relative
    if relative.is_absolute() or not relative.parts or ".." in relative.parts:
        raise errors.NotAFile(f"{printable(str(relative))} does not lie below {printable(str(root))}", path=path)
    with translated(path, "open"), _directory(root, relative.parts[:-1]) as directory:
        descriptor = os.open(relative.parts[-1], _FILE, dir_fd=directory)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        # By this opener, so that the file knows its name.
        return open(path, "rb", opener=lambda _path, _flags: descriptor)
    os.close(descriptor)
    raise errors.NotAFile(f"{printable(str(path))} is not a regular file", path=path)


@contextmanager
def _directory(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
