"""Measure: 3,000 predictions in flight with a long backlog behind them, at the pace of the gold tier.

    python -m tests.benchmarks.load [COUNT]

COUNT small pictures wait in the ledger and lie in the inbox when the daemon starts, as after a restart; how long it
takes to admit them is another measure (`backlog`). The simulator refuses what is faster than 3,000 a minute, in any
minute; predictions take longer than the measure, so that all that may be in flight is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.benchmarks import stand
from tests.benchmarks.table import Row
from upscaled.files.sources import identity_of
from upscaled.job.model import Parameters
from upscaled.ledger import Ledger
from upscaled.ledger.rows import NewJob

COUNT: Final = 100_000
PACE: Final = 3000
IN_FLIGHT: Final = 3000
"""What a minute allows, too."""
BATCH: Final = 1000
MEMORY: Final = 200.0
LATENCY: Final = 90.0


def measure(root: Path, count: int = COUNT) -> Iterator[Row]:
    """Yield the rows."""
    home = root / "load"
    picture = stand.jpeg(64, 2_000)
    for first in range(0, count, BATCH):
        stand.fill(home / "inbox" / f"{first:06d}", picture, min(BATCH, count - first), first=first)
    admit(home)
    options = ("--latency", LATENCY, "--p95", LATENCY, "--per-minute", PACE)
    with (
        stand.simulator(root, stand.jpeg(128, 5_000), *options) as service,
        stand.daemon(home, service, tier="gold") as daemon,
        stand.Gauge(daemon.process) as gauge,
    ):
        with suppress(TimeoutError):
            stand.wait_for(lambda: len(service.stats()["tasks"]) >= IN_FLIGHT, seconds=85.0, every=0.5)
        waiting, stats = daemon.count("stage IN ('admitted', 'uploaded')"), service.stats()
    created = sorted(task[0] for task in stats["tasks"])
    timed = created[:IN_FLIGHT]
    took, bound = timed[-1] - timed[0], 60.0 * len(timed) / PACE
    stand.forget(home)
    yield Row(f"{len(timed):,} submits at {PACE:,} a minute, over the bound", took / bound, 1.02, "", f"{took:.1f} s")
    yield Row("refusals for being too fast (429)", stats["refused"], 0.0)
    behind = f"{waiting:,} in the ledger behind them, {gauge.together:.0f} MB with its worker processes"
    yield Row(f"memory at {len(created):,} in flight, {count:,} files waiting", gauge.alone, MEMORY, "MB", behind)


def admit(home: Path) -> None:
    """Have the ledger know every picture in the inbox, as an intake before this one left it."""
    params = Parameters("wavespeed-ai/image-upscaler", {"output_format": "jpeg", "target_resolution": "4k"})
    inbox = home / "inbox"
    ledger = Ledger.open(home / "state")
    for directory in sorted(inbox.iterdir()):
        new = [
            NewJob(
                f"{directory.name}{number:04d}",
                str(inbox),
                str(path.relative_to(inbox)),
                "default",
                params,
                identity_of(path.lstat()),
                time.time(),
                format="jpeg",
                width=64,
                height=43,
                orientation=1,
            )
            for number, path in enumerate(sorted(directory.iterdir()))
        ]
        ledger.admit(new)
    ledger.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        for row in measure(Path(directory), int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
            sys.stdout.write(f"{row}\n")
