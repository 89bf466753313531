"""The rights of an ordinary user, for tests that run as root, too: as root nothing is ever forbidden."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534

_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def ordinary() -> Iterator[None]:
    """Look at files as an ordinary user does, in this thread alone; who is one already stays who they are.

    setfsuid(2) takes root's leave to read everything away with the user, and gives it back with it.
    """
    if os.geteuid() != 0:
        yield
        return
    _LIBC.setfsgid(NOBODY)
    _LIBC.setfsuid(NOBODY)
    try:
        assert NOBODY == _LIBC.setfsuid(NOBODY), "this system lets nobody be somebody else"
        yield
    finally:
        _LIBC.setfsuid(0)
        _LIBC.setfsgid(0)


@contextmanager
def public_directory() -> Iterator[Path]:
    """Give a directory that everybody may enter; pytest's own are for their owner alone."""
    path = Path(tempfile.mkdtemp(prefix="upscaled-public-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
