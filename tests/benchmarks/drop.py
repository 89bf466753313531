"""Measure: from dropping a picture to its submit.

    python -m tests.benchmarks.drop

Pictures are renamed into an inbox on a local disk one at a time, at moments that have nothing to do with the daemon's;
the ledger says when the paid request was about to be sent. Then the same while 10,000 files wait in the inbox.
Originals leave for the archive meanwhile, five a second; what that adds to another file's detection is told by a run in
which they are kept.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks import stand
from tests.benchmarks.table import Row

SETTLE: Final = 1.0
"""Seconds: shorter than the default, so that the measure does not take minutes. What is added to it is measured."""
ADDED: Final = 0.5
DROPS: Final = 40
WARM_UP: Final = 5
MOVED: Final = 0.05
"""Seconds that archiving may add to the detection of others."""
WAITING: Final = 10_000


def measure(root: Path) -> Iterator[Row]:
    """Yield the rows."""
    small = stand.jpeg(320, 20_000)
    result = stand.jpeg(640, 80_000)
    with stand.simulator(root, result, "--latency", 0.5, "--p95", 0.5) as service:
        submitted, archived = _dropped(root / "idle", service, small)
        yield _row("nothing waiting", submitted)
        _, kept = _dropped(root / "kept", service, small, originals="keep")
        medians = archived[len(archived) // 2], kept[len(kept) // 2]
        told = f"median {medians[0]:.3f} s while originals are archived, {medians[1]:.3f} s while they are kept"
        yield Row("what archiving adds to another file's detection", medians[0] - medians[1], MOVED, "s", told)
        submitted, _ = _dropped(root / "full", service, small, waiting=WAITING)
        yield _row(f"{WAITING:,} files waiting", submitted)


def _dropped(
    home: Path, service: stand.Service, picture: bytes, *, waiting: int = 0, **settings: object
) -> tuple[list[float], list[float]]:
    """Return what was added to the settle time until each submit, and until each was detected, sorted, in seconds."""
    stand.litter(home / "inbox" / "others", waiting)
    with stand.daemon(home, service, folder={"settle": f"{SETTLE}s", **settings}, queue_ahead=60) as daemon:
        stand.wait_for(lambda: daemon.judged(waiting), seconds=120)
        dropped = _drops(daemon, picture)
        rows = daemon.ask("SELECT source, intended_at, admitted_at FROM attempts JOIN jobs ON jobs.id = job_id")
    stand.forget(home)
    added = [
        (intended - dropped[name] - SETTLE, admitted - dropped[name] - SETTLE)
        for name, intended, admitted in rows
        if name in dropped
    ]
    return sorted(each[0] for each in added), sorted(each[1] for each in added)


def _row(case: str, added: list[float]) -> Row:
    last = added[int(0.99 * len(added))]
    return Row(f"drop to submit beyond the settle time, 99th percentile, {case}", last, ADDED, "s", _median(added))


def _median(values: list[float]) -> str:
    return f"median {values[len(values) // 2]:.2f} s of {len(values)}"


def _drops(daemon: stand.Daemon, picture: bytes) -> dict[str, float]:
    """Drop pictures one at a time, and return when each was dropped, in seconds since the epoch."""
    chance = random.Random(5)
    dropped: dict[str, float] = {}
    outside = daemon.root / "outside"
    # The first ones also wait for the price, which is asked for once an hour, and for connections.
    stand.fill(outside, picture, WARM_UP)
    daemon.drop(outside)
    daemon.wait_done(WARM_UP)
    stand.fill(outside, picture, DROPS, first=WARM_UP)
    for path in sorted(outside.iterdir()):
        path.rename(daemon.inbox / path.name)
        dropped[path.name] = time.time()
        time.sleep(chance.uniform(0.05, 0.35))
    daemon.wait_done(WARM_UP + DROPS)
    return dropped


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="drop-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
