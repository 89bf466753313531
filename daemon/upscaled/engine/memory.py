"""How much memory there is for us: the machine's free memory, or what our control groups or limits leave us.

Separate because it reads /proc and /sys; everything else is told a number of bytes.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PER_WORKER: Final = 750_000_000
"""What one worker uses at its peak, in bytes, with blocks of 256 pixels: two were measured to use 1.9 GB in all."""

BASE: Final = 600_000_000
"""What the largest pictures and the networks themselves use beside the workers, in bytes."""

EDGES: Final = (256, 128)
"""Sides of blocks, in pixels: the usual one, and that for little memory, which takes a third as much and more time."""


@dataclass(frozen=True, slots=True)
class Share:
    """How to work: on how many blocks at once, and of which side in pixels."""

    workers: int
    edge: int


def available(root: Path = Path("/")) -> int | None:
    """Return how many bytes may still be used, the least of what anything says; None where nothing does."""
    found = [_machine(root), _address_space(), *(_left(group) for group in _groups(root))]
    return min((value for value in found if value is not None), default=None)


def share(limit: int | None = None) -> Share:
    """Return how to work: a block for each core, fewer or smaller ones where memory (``limit`` in bytes) is short."""
    cores = len(os.sched_getaffinity(0))
    memory = min((value for value in (limit, available()) if value is not None), default=None)
    if memory is None:
        return Share(cores, EDGES[0])
    workers = (memory - BASE) // PER_WORKER
    return Share(min(cores, workers), EDGES[0]) if workers >= 1 else Share(1, EDGES[1])


def _machine(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _address_space() -> int | None:
    """The limit on one process's addresses (``ulimit -v``); what the server itself has of it counts for nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _groups(root: Path) -> Iterator[Path]:
    """The control groups that we are in, of either version, and all above them, whose limits hold for us too."""
    top = root / "sys/fs/cgroup"
    yield from (top, top / "memory")
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            group = (top / "memory" if controllers else top) / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if top in folder.parents)


def _left(group: Path) -> int | None:
    """The limit of a control group less what it uses; caches count as used, and so this errs on the small side."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, used = _text(group / limit_name).strip(), _text(group / used_name).strip()
        if limit.isdigit() and used.isdigit():
            return max(0, int(limit) - int(used))
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
