"""How much memory there is for us: the machine's free memory, or what our container leaves us.

Separate because it reads /proc and /sys; everything else is told a number of bytes.
"""

from __future__ import annotations

import os
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
    """Return how many bytes may still be used, the least of what machine and container say; None if neither does."""
    known = [value for value in (_machine(root), _container(root)) if value is not None]
    return min(known) if known else None


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


def _container(root: Path) -> int | None:
    """The control group's limit less what it uses; caches count as used, and so this errs on the small side."""
    group = root / "sys/fs/cgroup"
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
