"""Real mounts: a directory that is seen through FUSE, and written behind its back; skipped where none can be made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _why_not() -> str:
    if not sys.platform.startswith("linux"):
        return "mounts are made as Linux makes them"
    if os.geteuid() != 0:
        return "only root may mount (run it in a container)"
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    return ""


@pytest.fixture(scope="session")
def bindfs() -> str:
    """Give the program that shows a directory through FUSE."""
    if why := _why_not():
        pytest.skip(why)
    found = shutil.which("bindfs")
    if found is None:
        pytest.skip("bindfs is not installed (.ci/run installs it)")
    return found


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


class Share:
    """A share: ``disk`` is the other machine's side of it, ``point`` where it is mounted here."""

    def __init__(self, program: str, disk: Path, point: Path) -> None:
        self._program = program
        self.disk, self.point = disk, point
        disk.mkdir(parents=True)
        point.mkdir(parents=True, exist_ok=True)

    def mount(self, *, read_only: bool = False) -> None:
        """Mount it. Attributes are not cached, or the test would be one of the cache's time."""
        options = "attr_timeout=0,entry_timeout=0,negative_timeout=0" + (",ro" if read_only else "")
        subprocess.run([self._program, "-o", options, str(self.disk), str(self.point)], check=True, timeout=20)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let the share not answer: whoever asks it for anything is kept waiting in the kernel."""
        asked = str(self.point)
        (pid,) = [
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if asked in _words(entry) and Path(self._program).name in _words(entry)[0]
        ]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def unmount(self, *, lazily: bool = False) -> None:
        """Unmount it, as an administrator does; it must not be busy, unless ``lazily``: files that are open live on."""
        subprocess.run(["umount", *(["-l"] if lazily else []), str(self.point)], check=True, timeout=20)


@pytest.fixture
def share(bindfs: str, tmp_path: Path) -> Iterator[Share]:
    """Give a share that is mounted."""
    made = Share(bindfs, tmp_path / "disk", tmp_path / "mnt")
    try:
        made.mount()
    except subprocess.CalledProcessError:
        pytest.skip("FUSE is there, but not for us")
    yield made
    subprocess.run(["umount", "-l", str(made.point)], check=False, capture_output=True)
