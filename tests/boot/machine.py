"""A Debian of its own, booted with systemd as its first process in a container, and upscaled installed from its wheel.

The tree is made once with debootstrap and kept (``UPSCALED_BOOT_CACHE``, else the user's cache); each machine works on
a layer over it that is thrown away. It shares the network with the host, so that a service for tests can be reached.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

PACKAGES: Final = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3-minimal,python3-venv,procps"
"""What a small Debian with systemd has, and Python."""

SUITE: Final = "bookworm"

PATIENCE: Final = 90.0
"""How long booting may take, in seconds."""


def why_not() -> str:
    """Return what keeps a machine from being booted here; '' if nothing does."""
    if os.geteuid() != 0:
        return "only root may boot a container"
    missing = [name for name in ("systemd-nspawn", "debootstrap", "nsenter") if shutil.which(name) is None]
    return f"{', '.join(missing)} is not installed (apt install systemd-container debootstrap)" if missing else ""


def tree() -> Path:
    """Return a Debian tree, made if it is not there; a tree that is half made has another name."""
    cache = Path(os.environ.get("UPSCALED_BOOT_CACHE") or Path.home() / ".cache" / "upscaled-boot")
    made, part = cache / SUITE, cache / f"{SUITE}.part"
    if not made.exists():
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        _do("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, part, "http://deb.debian.org/debian")
        part.rename(made)
    return made


def _do(*command: object, limit: float = 1200.0) -> None:
    subprocess.run([str(word) for word in command], check=True, timeout=limit, stdout=sys.stderr)


class Machine:
    """One booted Debian. ``files`` is its root directory as the host sees it, ``log`` what its console says."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.files = directory / "root"
        self.log = log
        self._layer = directory
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Lay an empty layer over the tree, and install the wheel and what it needs into it."""
        upper, work = self._layer / "upper", self._layer / "work"
        for path in (upper, work, self.files):
            path.mkdir(parents=True)
        options = f"lowerdir={tree()},upperdir={upper},workdir={work}"
        _do("mount", "-t", "overlay", "overlay", "-o", options, self.files)
        wheels = self.files / "wheels"
        _do(sys.executable, "-m", "pip", "wheel", "-q", "-w", wheels, f"{ROOT}[engine]")
        _do("chroot", self.files, "python3", "-m", "venv", "/opt/upscaled")
        pip = ("/opt/upscaled/bin/pip", "install", "-q", "--no-index", "--find-links", "/wheels", "upscaled[engine]")
        _do("chroot", self.files, *pip)
        shutil.rmtree(wheels)
        (self.files / "usr/local/bin/upscaled").symlink_to("/opt/upscaled/bin/upscaled")

    def boot(self) -> None:
        """Start it, and wait until systemd says that it has started."""
        options = ["--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off", "--console=pipe"]
        command = ["systemd-nspawn", "-q", "-D", str(self.files), "-M", "upscaled-boot", *options, "--boot"]
        with self.log.open("ab") as stream:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        self.started()

    def started(self) -> None:
        """Wait until systemd has started everything."""
        self.becomes(lambda: self.run("systemctl", "is-system-running", check=False) in {"running", "degraded"})

    @property
    def first_process(self) -> int:
        """The pid, on the host, of its systemd."""
        assert self._process is not None
        assert self._process.poll() is None, "the container has ended"
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(found[0]) if found else 0

    def run(self, *command: str, check: bool = True, text: str | None = None, limit: float = 120.0) -> str:
        """Run a command in it as root; return what it said on both outputs, which also goes to the log."""
        inside = ["nsenter", "-t", str(self.first_process), "-m", "-u", "-i", "-p", "-r", "-w"]
        environ = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"]
        done = subprocess.run(
            [*inside, *environ, *command],
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            check=False,
        )
        if check and len(done.stdout) < 4000:
            self.note(f"# {' '.join(command)}\n{done.stdout}")
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
        return done.stdout.strip()

    def note(self, text: str) -> None:
        """Write into the log, with the time."""
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"[{time.strftime('%H:%M:%S')}] {text.rstrip()}\n")

    def becomes(self, true: Callable[[], bool], *, limit: float = PATIENCE) -> None:
        """Wait until something is true."""
        end = time.monotonic() + limit
        while True:
            try:
                if true():
                    return
            except (AssertionError, ValueError, IndexError, OSError, subprocess.TimeoutExpired) as error:
                if self._process is not None and self._process.poll() is not None:
                    raise AssertionError("the container has ended") from error
            assert time.monotonic() < end, f"it did not become true within {limit:.0f} s; see {self.log}"
            time.sleep(0.2)

    def reboot(self) -> None:
        """Have it shut itself down in order, and start it again: nspawn ends when its unit is not its own."""
        assert self._process is not None
        self.run("systemctl", "reboot", check=False)
        assert 133 == self._process.wait(PATIENCE), "nspawn's code for a reboot"
        self.boot()

    def pull_the_plug(self) -> None:
        """End it with no time to put anything down, and wait until it is gone."""
        assert self._process is not None
        os.kill(self.first_process, signal.SIGKILL)
        self._process.wait(60)

    def off(self) -> None:
        """Switch it off if it runs, and throw its layer away."""
        if self._process is not None and self._process.poll() is None:
            self.pull_the_plug()
        subprocess.run(["umount", "-l", str(self.files)], check=False, capture_output=True)
