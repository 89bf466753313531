"""Parts: files of ours under hidden names, beside where they are to be, until they are whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from upscaled.files import names
from upscaled.files.directories import require_directory
from upscaled.files.sources import no_follow
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Callable


def create_part(path: Path) -> BinaryIO:
    """Open a new, empty file at ``path`` for writing and reading, in place of what a run before this one left there.

    The old one is removed, never written into: after a crash it may be a second name of a published result.
    """
    with translated(path, "write"):
        discard(path)
        return path.open("x+b")


def sync(file: BinaryIO) -> None:
    """Make what was written into an open file durable."""
    with translated(Path(str(file.name)), "write"):
        file.flush()
        os.fsync(file.fileno())


def sync_part(path: Path) -> None:
    """Make durable what was written into a part before."""
    # For writing: some network file systems sync nothing through a file that is open for reading.
    with translated(path, "write"), open(path, "r+b", opener=no_follow) as file:
        os.fsync(file.fileno())


def discard(path: Path) -> None:
    """Remove a part if it is there. Raises `OSError`."""
    path.unlink(missing_ok=True)


def drop_part(path: Path) -> None:
    """Remove a part that is not needed any more, if it is there. What cannot be removed is left to `sweep_parts`."""
    with suppress(OSError):
        discard(path)


def sweep_parts(directory: Path, keep: Callable[[str], bool]) -> list[Path]:
    """Remove the parts below a directory that no run will come back for, and return them.

    ``keep`` is asked with the name of each; other names are never touched. To be run before there are workers. What
    cannot be removed stays: the next start tries again. Raises `FolderOffline` when the directory is not there.
    """
    require_directory(directory)
    removed = []
    for parent, _, files in os.walk(directory):
        strays = (name for name in files if names.job_of_part(name) is not None and not keep(name))
        removed += [path for name in strays if _swept(path := Path(parent, name))]
    return removed


def _swept(path: Path) -> bool:
    with suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
            return True
    return False
