"""Writing so that it survives: a file is whole under its name or not there, and stays after a power cut.

Separate because predictions, uploads and outputs are all written by it. A death at any instruction leaves at most a
file that begins with ``.part-``; `clear` removes those at the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_PART: Final = ".part-"


def part(folder: Path) -> Path:
    """Return a new name in ``folder`` for a file on its way in."""
    return folder / f"{_PART}{secrets.token_hex(8)}"


def write(path: Path, content: bytes) -> None:
    """Write or replace a file; on return it is durable."""
    temporary = part(path.parent)
    try:
        temporary.write_bytes(content)
        keep(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keep(temporary: Path, path: Path) -> None:
    """Give a finished file its name, replacing what had it; on return it is durable."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def keep_first(temporary: Path, path: Path) -> bool:
    """Give a finished file its name unless another has it; on return it is durable. Tell whether it got the name."""
    sync(temporary)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Have the disk itself hold what was written to a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear(folder: Path) -> None:
    """Remove what a killed process left unfinished in a folder."""
    for leftover in folder.glob(f"{_PART}*"):
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()
