"""Measure: how long 300 jobs take, over what they would take with every place always full and nothing else to do.

    python -m tests.benchmarks.makespan

Latencies are log-normal, round trips take 80 ms, and the service runs 10 (or 30) predictions at once; what is more it
queues, or refuses. All clients run side by side, each against a simulator of its own with the same latencies, on
smaller pictures than elsewhere: what is measured is waiting, and they must not wait for one another's CPU.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.benchmarks import stand
from tests.benchmarks.simulator import Law, ideal
from tests.benchmarks.table import Row

COUNT: Final = 300
CASES: Final = ((10, Law(2.0, 4.0)), (30, Law(8.0, 20.0)))
SEED: Final = 7
ROUND_TRIP: Final = 0.08
SURPLUS: Final = 3
KINDS: Final = ("queues", "rejects", "sdk", "httpx")
QUEUED, REFUSED = 1.05, 1.12
"""Bounds."""


def measure(root: Path) -> Iterator[Row]:
    """Run everything at once, and yield the rows."""
    source, result = stand.jpeg(640, 50_000), stand.jpeg(1280, 200_000)
    cases = [(places, law, kind) for places, law in CASES for kind in KINDS]
    with ThreadPoolExecutor(len(cases)) as pool:
        runs = {
            (places, kind): pool.submit(_took, root / f"{places}-{kind}", places, law, kind, (source, result))
            for places, law, kind in cases
        }
    took = {case: run.result() for case, run in runs.items()}
    for places, law in CASES:
        best = ideal(law, SEED, COUNT, places)
        share = {kind: took[places, kind] / best for kind in KINDS}
        what = f"{COUNT} jobs, {places} at once, median {law.median:g} s"
        peers = f"SDK pool {share['sdk']:.2f}, semaphore around the job {share['httpx']:.2f}"
        yield Row(f"{what}: time over the ideal, excess queued", share["queues"], QUEUED, "", peers)
        yield Row(f"{what}: time over the ideal, excess refused", share["rejects"], REFUSED)


def _took(root: Path, places: int, law: Law, kind: str, data: tuple[bytes, bytes]) -> float:
    """Return how long one client took, in seconds; ``data`` are a source and a result."""
    pictures = root / "pictures"
    stand.fill(pictures, data[0], COUNT)
    options: list[object] = ["--latency", law.median, "--p95", law.p95, "--seed", SEED, "--concurrency", places]
    options += ["--round-trip", ROUND_TRIP, *(["--rejects"] if kind == "rejects" else [])]
    with stand.simulator(root, data[1], *options) as service:
        if kind in {"queues", "rejects"}:
            took = _daemon(root / "daemon", service, pictures, places)
        else:
            took = stand.peer(kind, service, pictures, concurrency=places, poll=1.0, warm_up=0)["wall"]
    stand.forget(root)
    return took


def _daemon(root: Path, service: stand.Service, pictures: Path, places: int) -> float:
    # Without a tier four are run at once, so the rest of the places is given as what is queued ahead.
    ahead = places - 4 + SURPLUS
    with stand.daemon(root, service, queue_ahead=ahead, poll_min="200ms") as daemon:
        began = time.time()
        daemon.drop(pictures)
        daemon.wait_done(COUNT, seconds=400.0)
        ended: float = daemon.ask("SELECT max(finished_at) FROM jobs")[0][0]
    return ended - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="makespan-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
