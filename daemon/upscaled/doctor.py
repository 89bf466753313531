"""The doctor's part of `upscaled check`: events, limits, markers, clocks and the ignore list.

Separate from `check`, which tells whether a run would work: most of what is said here makes a run slower to notice, or
explains it, and does not keep it from working. What it writes into an inbox it removes.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from upscaled.check import Check, answered
from upscaled.config import exposed_key
from upscaled.config.findings import spell
from upscaled.config.settings import ROLES, Folder, Settings
from upscaled.errors import LedgerTooOld, StateError, UpscaledError
from upscaled.files import markers
from upscaled.inbox import mounts
from upscaled.inbox.ignore import DEFAULTS
from upscaled.inbox.root import Root
from upscaled.inbox.watch import Doorbell
from upscaled.ledger import Ledger

EVENT_WITHIN: Final = 2.0
"""An event that has not arrived after so many seconds does not come."""

SKEW_ALLOWED: Final = 30.0
"""The service's clock and ours may be so many seconds apart before it is worth a word."""

USED_UP: Final = 0.9
"""The share of a limit of the kernel beyond which it is soon used up."""

_SYSCTLS: Final = Path("/proc/sys/fs/inotify")
_PROCESSES: Final = Path("/proc")


def examine(settings: Settings, ledger: Ledger | None, *, skew: float, now: float) -> list[Check]:
    """Look at what makes files be noticed soon, or explains why they are not.

    ``skew`` is the service's clock minus ours in seconds, ``now`` our clock.
    """
    checks = [*inotify(), *clocks(skew, now), *exposed(settings)]
    folders = list(enumerate(settings.folders))
    # What does not answer was said to be silent by the checks before these.
    checks += answered(folders, lambda index, folder: _placed(index, folder, ledger), silence="")
    return checks


def _placed(index: int, folder: Folder, ledger: Ledger | None) -> list[Check]:
    return [*marked(index, folder, ledger), canary(index, folder), ignored(index, folder)]


def unread(trouble: StateError) -> Check:
    """Tell that the ledger was not asked. One of an older version is no obstacle: a run brings it up to date."""
    ok = None if isinstance(trouble, LedgerTooOld) else False
    return Check("state_dir", ok=ok, detail=trouble.said, remedy=trouble.do)


def _told(error: UpscaledError | OSError) -> tuple[str, str]:
    """Return what an error says, and what to do, which a check has in a line of its own."""
    return (str(error), "") if isinstance(error, OSError) else (error.said, error.do)


def exposed(settings: Settings) -> Iterator[Check]:
    """Warn about a key that everybody on this machine may read."""
    if (problem := exposed_key(settings)) is not None:
        yield Check("key", ok=None, detail=f"{problem.message}. {problem.remedy}")


# --- the kernel's limits ---------------------------------------------------------------------------------------------


_LIMITS: Final = (
    ("max_user_watches", "directories watched at once", 524_288),
    ("max_user_instances", "programs that watch", 1024),
)
"""The kernel's limits by name: what they limit, and what they should at least be."""


def inotify(*, sysctls: Path = _SYSCTLS, processes: Path = _PROCESSES) -> Iterator[Check]:
    """How much of the limits on watches and instances is used by the processes that we may look into."""
    instances, watches = _used(processes)
    for (name, what, least), used in zip(_LIMITS, (watches, instances), strict=True):
        try:
            limit = int((sysctls / name).read_text())
        except (OSError, ValueError):
            detail = f"the limit of {what} ({name}) cannot be read; where no events come, folders are polled"
            yield Check("file events", ok=None, detail=detail)
            continue
        enough = used < USED_UP * limit
        remedy = "" if enough else f"Raise the limit, as root: sysctl fs.inotify.{name}={max(least, 2 * limit)}"
        yield Check("file events", ok=enough, detail=f"{used:,} of {limit:,} {what} ({name})", remedy=remedy)


def _used(processes: Path) -> tuple[int, int]:
    """Count the instances and watches of our own user's processes: the limits are by user."""
    instances = watches = 0
    for process in processes.glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.geteuid():
                continue
            for descriptor in (process / "fd").iterdir():
                if "inotify" not in str(descriptor.readlink()):
                    continue
                instances += 1
                watches += (process / "fdinfo" / descriptor.name).read_text().count("inotify wd:")
        except OSError:
            # It has ended, or its owner does not let us look: it counts under another user then.
            continue
    return instances, watches


# --- clocks ----------------------------------------------------------------------------------------------------------


def clocks(skew: float, now: float) -> Iterator[Check]:
    """Is our clock sane, and near the service's? Only hours and budgets go by it; readiness does not."""
    year = datetime.fromtimestamp(now, UTC).year
    told = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if not 2025 <= year < 2100:
        yield Check("clock", ok=False, detail=f"it is {told} here", remedy="Set the clock (timedatectl set-ntp true).")
    elif abs(skew) > SKEW_ALLOWED:
        apart = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the service's"
        remedy = "Set the clock (timedatectl set-ntp true): days, months and hours of the budget go by it."
        yield Check("clock", ok=False, detail=f"it is {told} here, {apart}", remedy=remedy)
    else:
        yield Check("clock", ok=True, detail=f"it is {told} here, within {SKEW_ALLOWED:.0f} s of the service's")


# --- folders ---------------------------------------------------------------------------------------------------------


def marked(index: int, folder: Folder, ledger: Ledger | None) -> Iterator[Check]:
    """Does each directory carry the marker that the ledger knows?"""
    for role in ROLES:
        path = getattr(folder, role)
        known = None if ledger is None else ledger.place(str(path))
        try:
            found = markers.read(path)
        except (UpscaledError, OSError) as error:
            said, remedy = _told(error)
            detail = f"its marker cannot be read: {said}"
            yield Check(spell(("folders", index, role)), ok=False, detail=detail, remedy=remedy)
            continue
        yield _marker(spell(("folders", index, role)), path, known.marker if known else None, found.id if found else "")


def _marker(name: str, path: Path, known: str | None, found: str) -> Check:
    if known is None:
        said = (
            "marked already, and taken as it is" if found else "not marked yet; a run does that when it first uses it"
        )
        return Check(name, ok=None, detail=f"{path}: {said}")
    if known == found:
        return Check(name, ok=True, detail=f"{path}: its marker is the one that it was given ({found or 'none'})")
    what = "another marker than it was given" if found else "no marker, though it was given one: is its share mounted?"
    remedy = f"Mount the right share; if this is the right directory: upscaled init --adopt {path}"
    return Check(name, ok=False, detail=f"{path} has {what}", remedy=remedy)


def canary(index: int, folder: Folder, *, within: float = EVENT_WITHIN) -> Check:
    """Write a hidden file into the inbox and see whether an event of it arrives."""
    name = spell(("folders", index, "inbox"))
    kind = mounts.kind_of(folder.inbox)
    if folder.watch == "poll" or (folder.watch == "auto" and not mounts.rings(kind)):
        why = "`watch: poll`" if folder.watch == "poll" else f"{kind} does not tell what other machines write"
        return Check(name, ok=None, detail=f"no events: {why}; sweeps find what comes")
    try:
        took = _ring(folder.inbox, within)
    except (OSError, UpscaledError) as error:
        said, remedy = _told(error)
        detail = f"whether events arrive could not be tried: {said}; sweeps find what comes"
        return Check(name, ok=None, detail=detail, remedy=remedy)
    if isinstance(took, str):
        return Check(name, ok=None, detail=f"no event: {took}; sweeps find what comes, somewhat later")
    return Check(
        name,
        ok=True,
        detail=f"an event of a new file arrived after {took:.2f} s; that proves what is written here, not what other"
        " machines write, which sweeps find",
    )


def _ring(inbox: Path, within: float) -> float | str:
    """Return after how many seconds the event came, or why none did."""
    rung = threading.Event()
    bell = Doorbell(inbox, rung.set, recursive=False)
    # Hidden, and named as unfinished files are: a daemon that runs meanwhile leaves it alone.
    file = inbox / f".upscaled-canary-{uuid.uuid4().hex}.part"
    try:
        deaf = bell.tend(Root(inbox).check(), 0.0)
        if deaf:
            return deaf
        rung.clear()
        began = time.monotonic()
        file.touch(exist_ok=False)
        return time.monotonic() - began if rung.wait(within) else f"none arrived within {within:g} s"
    finally:
        bell.stop()
        file.unlink(missing_ok=True)


def ignored(index: int, folder: Folder) -> Check:
    """Which names are never looked at, and how to take one back."""
    own = [pattern for pattern in folder.ignore if not pattern.startswith("!")]
    back = [pattern for pattern in folder.ignore if pattern.startswith("!")]
    built_in = [pattern for pattern in DEFAULTS if f"!{pattern}".lower() not in {each.lower() for each in back}]
    words = (("built in", built_in), ("your own", own), ("taken back", back))
    said = "; ".join(f"{word}: {' '.join(patterns)}" for word, patterns in words if patterns)
    detail = f"names never looked at, in any case (take one back with `ignore: ['!PATTERN']`): {said}"
    return Check(spell(("folders", index, "ignore")), ok=None, detail=detail)


def brief(checks: list[Check]) -> list[Check]:
    """Return them without the long lists, for people who did not ask for those."""
    return [check for check in checks if not check.name.endswith("ignore")]
