"""Putting the service in place and taking it away: files, and what systemd is asked to do.

Both are safe to repeat, and after a crash anywhere in them: a file appears whole or not at all, one that is as it
should be is left alone, and systemd is asked last. What a person put beside our files stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from upscaled import errors
from upscaled.config.paths import SYSTEM_STATE
from upscaled.systemd.layout import DAEMON, ONCE, TIMER, USER, Layout
from upscaled.systemd.units import Placed, Wanted, files

PATIENCE: Final = 180.0
"""How long systemd may take to start or stop the service, in seconds."""

BOOTED: Final = Path("/run/systemd/system")
"""There where systemd is the machine's first process; see sd_booted(3)."""

Manager = Callable[[Sequence[str]], bool]
"""Runs a command and tells whether it succeeded."""


def run(command: Sequence[str]) -> bool:
    """Run a command, its words going to the terminal; False if it fails, is not there, or takes too long."""
    try:
        return subprocess.run(command, check=False, timeout=PATIENCE).returncode == 0  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired):
        return False


def require(layout: Layout) -> None:
    """Raise `errors.UsageError` where this process cannot install a service."""
    if not BOOTED.is_dir():
        raise errors.UsageError(
            "systemd does not run this machine",
            do="`--print` shows the files; README.md tells of containers and NAS systems.",
        )
    if not layout.personal and os.geteuid() != 0:
        raise errors.UsageError(
            "Only root may install a service for the whole machine",
            do="Run it with sudo, or install one for yourself: upscaled service install --user",
        )


def install(wanted: Wanted, layout: Layout, *, start: bool, manager: Manager = run) -> Iterator[str]:
    """Put the service in place, and with ``start`` start it; yield a line for everything that was done.

    Raises `errors.UsageError` where systemd refuses.
    """
    changed = [placed.path for placed in files(wanted, layout) if write(placed)]
    yield from (f"wrote {path}" for path in changed)
    for command in commands(wanted, layout, start=start, changed=bool(changed)):
        _must(command, manager)
        yield f"ran {' '.join(command)}"


def commands(wanted: Wanted, layout: Layout, *, start: bool, changed: bool) -> Iterator[tuple[str, ...]]:
    """Yield what systemd is asked to do once the files are there."""
    if not layout.personal and wanted.account == USER:
        yield ("systemd-sysusers", str(layout.sysusers))
        yield ("systemd-tmpfiles", "--create", str(layout.tmpfiles))
    yield (*layout.systemctl, "daemon-reload")
    unit = TIMER if wanted.once else DAEMON
    yield (*layout.systemctl, "enable", unit)
    if start or wanted.once:
        # A daemon that runs sees new paths only after a restart; one that is as it was is not disturbed.
        yield (*layout.systemctl, "restart" if changed else "start", unit)


def _must(command: Sequence[str], manager: Manager) -> None:
    if not manager(command):
        raise errors.UsageError(
            f"`{' '.join(command)}` failed",
            why="its own words stand above",
            do="`upscaled service logs` tells more; then try again. `upscaled service uninstall` undoes it.",
        )


def uninstall(layout: Layout, *, manager: Manager = run) -> Iterator[str]:
    """Stop the service and remove every file of it, the stored key too; yield a line for everything that was done."""
    there = [path for path in layout.everything() if os.path.lexists(path)]
    for unit in (DAEMON, TIMER, ONCE):
        if layout.units / unit in there:
            manager((*layout.systemctl, "disable", "--now", "--quiet", unit))
            yield f"stopped {unit}"
    for path in there:
        path.unlink(missing_ok=True)
        yield f"removed {path}"
    made = {path.parent for path in there if path.parent.name.endswith((".service.d", "sysusers.d"))} | {layout.etc}
    for directory in sorted(made):
        with suppress(OSError):  # it is not there, or holds what is not ours
            directory.rmdir()
            yield f"removed {directory}"
    if there:
        manager((*layout.systemctl, "daemon-reload"))
        for unit in (DAEMON, ONCE):
            if manager((*layout.systemctl, "is-failed", "--quiet", unit)):
                manager((*layout.systemctl, "reset-failed", unit))


def write(placed: Placed, *, mode: int = 0o644) -> bool:
    """Make a file hold what it should, whole at every moment; False if it does already. Raises OSError."""
    with suppress(OSError):
        if placed.path.read_text("utf-8") == placed.text and not placed.path.stat().st_mode & 0o777 & ~mode:
            return False
    placed.path.parent.mkdir(parents=True, exist_ok=True)
    part = placed.path.with_name(f".{placed.path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
            stream.write(placed.text)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(placed.path)
    finally:
        part.unlink(missing_ok=True)
    return True


def unable(wanted: Wanted, *, manager: Manager | None = None) -> Iterator[str]:
    """Yield what the account that the service runs as may not do, each with its remedy."""
    asked = manager or _quietly
    account = wanted.account
    if shutil.which("runuser") is None:
        return

    def may(test: str, path: Path) -> bool:
        return asked(("runuser", "-u", account, "--", "test", test, str(path)))

    if not may("-x", wanted.command):
        yield f"{account} may not run {wanted.command}: install upscaled where everybody may, such as in /opt."
    if not may("-r", wanted.config):
        yield f"{account} may not read {wanted.config}: chgrp {account} it, and chmod 640."
    for path in wanted.writable:
        # The state directory is systemd's to hand over, and it does so when the service starts.
        if path != SYSTEM_STATE and path.exists() and not may("-w", path):
            yield (
                f"{account} may not write in {path}: chown or chgrp it, or run the service as the owner of the"
                " pictures: upscaled service install --run-as NAME"
            )


def _quietly(command: Sequence[str]) -> bool:
    done = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE)  # noqa: S603 - our own words
    return done.returncode == 0
