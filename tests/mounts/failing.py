"""A directory shown through FUSE whose changes fail with whatever error a file says: the disk that is broken on demand.

Run as ``python -m tests.mounts.failing DISK POINT SWITCH``: ``DISK`` is the directory that is shown at ``POINT``, and
while the file ``SWITCH`` names an error (``EIO``), every change of a file or directory fails with it. It is a process
of its own because a process that serves a file system must not wait for it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mfusepy


class Failing(mfusepy.Operations):  # type: ignore[misc]  # it publishes no types
    """Passes everything on to ``disk``, but for changes while it is broken."""

    use_ns = True

    def __init__(self, disk: Path, switch: Path) -> None:
        self._disk = str(disk)
        self._switch = switch

    def _real(self, path: str) -> str:
        return self._disk + path

    def _change(self) -> None:
        """Raise the error that a change must meet now, if any."""
        try:
            name = self._switch.read_text("ascii").strip()
        except FileNotFoundError:
            return
        raise mfusepy.FuseOSError(getattr(errno, name))

    # --- looking: always possible ---

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """As the disk says."""
        found = os.lstat(self._real(path))
        times = {name: getattr(found, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks")
        return {name: getattr(found, name) for name in names} | times

    def readdir(self, path: str, fh: int) -> Iterable[str]:
        """As the disk says."""
        return [".", "..", *os.listdir(self._real(path))]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """As the disk says."""
        return os.pread(fh, size, offset)

    def statfs(self, path: str) -> dict[str, int]:
        """As the disk says."""
        found = os.statvfs(self._real(path))
        names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namemax")
        return {name: getattr(found, name) for name in names}

    def open(self, path: str, flags: int) -> int:
        """As the disk does; with O_TRUNC it is a change."""
        if flags & os.O_TRUNC:
            self._change()
        return os.open(self._real(path), flags)

    def release(self, path: str, fh: int) -> int:
        """As the disk does."""
        os.close(fh)
        return 0

    # --- changes ---

    def create(self, path: str, mode: int, fi: object = None) -> int:
        """As the disk does, or not."""
        self._change()
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """As the disk does, or not."""
        self._change()
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """As the disk does, or not."""
        self._change()
        os.truncate(self._real(path) if fh is None else fh, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """As the disk does, or not."""
        self._change()
        os.fsync(fh)
        return 0

    def rename(self, old: str, new: str) -> int:
        """As the disk does, or not."""
        self._change()
        os.rename(self._real(old), self._real(new))
        return 0

    def link(self, target: str, source: str) -> int:
        """As the disk does, or not."""
        self._change()
        os.link(self._real(source), self._real(target))
        return 0

    def unlink(self, path: str) -> int:
        """As the disk does, or not."""
        self._change()
        os.unlink(self._real(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """As the disk does, or not."""
        self._change()
        os.mkdir(self._real(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        """As the disk does, or not."""
        self._change()
        os.rmdir(self._real(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """As the disk does, or not."""
        self._change()
        os.chmod(self._real(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """As the disk does, or not."""
        self._change()
        os.chown(self._real(path), uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """As the disk does, or not."""
        self._change()
        if times is None:
            os.utime(self._real(path))
        else:
            os.utime(self._real(path), ns=times)
        return 0


def main() -> None:
    """Show a directory until it is unmounted."""
    disk, point, switch = map(Path, sys.argv[1:])
    options = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0, "allow_other": True}
    mfusepy.FUSE(Failing(disk, switch), str(point), foreground=True, nothreads=False, **options)


if __name__ == "__main__":
    main()
