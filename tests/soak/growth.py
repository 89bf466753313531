"""What the daemon holds, and whether that grows: bytes, descriptors and threads, measured against the jobs done."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WARM: Final = 200
"""Jobs after which the daemon has everything that it makes at first use."""

SLACK: Final = {"memory": 3 * 1024**2, "files": 2, "threads": 2, "processes": 0}
"""How far thirds of a run may lie apart by chance: memory that allocators keep after a peak, in bytes, and threads that
a crowd called for. Python takes memory by the megabyte; steps of 2 MB were seen while what was in use stayed the same.
"""

A_JOB: Final = 256
"""Growth of memory that is put up with, in bytes a job: at 1,000 pictures a day, a quarter of a megabyte a day."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the daemon and its worker processes hold. ``memory`` is what nobody else can use instead, in bytes.

    That is what they have written, and what of it was put out to swap. Pages of libraries that were only read do not
    count: they are private for as long as no other program on the machine has loaded the same library, and the kernel
    drops them when it needs the room. Beside another Python that came and went they made a difference of 3.9 MB.
    """

    at: float
    done: int
    memory: int
    files: int
    threads: int
    processes: int


COUNTED: Final = ("Private_Dirty:", "Swap:")
"""The lines of /proc/PID/smaps_rollup that tell of ``memory``."""


def family(pid: int) -> Iterator[Path]:
    """Yield the directory in /proc of a process and of those below it."""
    yield Path("/proc", str(pid))
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def look(pid: int, *, at: float, done: int) -> Sample:
    """Look at a process and those below it."""
    processes = list(family(pid))
    memory = sum(written(process) for process in processes)
    files = sum(len(list((process / "fd").iterdir())) for process in processes)
    threads = sum(len(list((process / "task").iterdir())) for process in processes)
    return Sample(at, done, memory, files, threads, len(processes))


def written(process: Path) -> int:
    """Return how much memory a process holds that it has written, in bytes, given its directory in /proc."""
    lines = (process / "smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(COUNTED))


def grown(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield what grew from the middle third of a run to its last, by their medians; in the first third, caches fill."""
    warm = [sample for sample in samples if sample.done >= WARM]
    assert len(warm) >= 6, "the run was too short to tell"
    third = len(warm) // 3
    middle, last = warm[third : 2 * third], warm[-third:]
    jobs = _median(last, "done") - _median(middle, "done")
    for name, slack in SLACK.items():
        before, after = _median(middle, name), _median(last, name)
        if after - before > slack + (A_JOB * jobs if name == "memory" else 0):
            yield f"{name}: from {before:,.0f} to {after:,.0f} over {jobs:,.0f} jobs"


def _median(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(float(getattr(sample, name)) for sample in samples)
