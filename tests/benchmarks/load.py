"""Measure: 3,000 predictions in flight with a long backlog behind them, at the pace of the gold tier.

    python -m tests.benchmarks.load [COUNT]

COUNT small pictures lie in the inbox when the daemon starts. The simulator refuses what is faster than 3,000 a minute,
in any minute; predictions take longer than the measure, so that all that may be in flight is.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.benchmarks import stand
from tests.benchmarks.table import Row

COUNT: Final = 100_000
PACE: Final = 3000
IN_FLIGHT: Final = 3300
"""The tier's, and what is queued ahead."""
MEMORY: Final = 200.0
LATENCY: Final = 90.0


def measure(root: Path, count: int = COUNT) -> Iterator[Row]:
    """Yield the rows."""
    home = root / "load"
    picture = stand.jpeg(64, 2_000)
    for first in range(0, count, 1000):
        stand.fill(home / "inbox" / f"{first:06d}", picture, min(1000, count - first), first=first)
    options = ("--latency", LATENCY, "--p95", LATENCY, "--per-minute", PACE)
    with (
        stand.simulator(root, stand.jpeg(128, 5_000), *options) as service,
        stand.daemon(home, service, tier="gold") as daemon,
        stand.Gauge(daemon.process) as gauge,
    ):
        with suppress(TimeoutError):
            stand.wait_for(lambda: len(service.stats()["tasks"]) >= IN_FLIGHT, seconds=85.0, every=0.5)
        waiting, stats = daemon.count("finished_at IS NULL"), service.stats()
    created = sorted(task[0] for task in stats["tasks"])[:IN_FLIGHT]
    took, bound = created[-1] - created[0], 60.0 * len(created) / PACE
    stand.forget(home)
    yield Row(f"{len(created):,} submits at {PACE:,} a minute, over the bound", took / bound, 1.02, "", f"{took:.1f} s")
    yield Row("refusals for being too fast (429)", stats["refused"], 0.0)
    behind = f"{waiting:,} in the ledger by then, {gauge.together:.0f} MB with its worker processes"
    yield Row(f"memory at {len(created):,} in flight, {count:,} files waiting", gauge.alone, MEMORY, "MB", behind)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        for row in measure(Path(directory), int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
            sys.stdout.write(f"{row}\n")
