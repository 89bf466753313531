"""Measure: CPU a job, all of the daemon's work included, beside clients that do none of it.

    python -m tests.benchmarks.cpu

All meet the same simulator over TLS with 500 KB up and 2 MB down, and all are warm when the meter is read. Latencies
are constant, and the clients ask twice for a prediction, at once and when it is over: the least they can do.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import stand, watched
from tests.benchmarks.table import Row

WARM_UP: Final = 20
PEERS: Final = ("sdk", "httpx", "client")
SIZES: Final = ((50, 250, 2.0), (300, 300, 10.0))
"""Jobs in flight, jobs in all, seconds a prediction takes."""

MEMORY: Final = 150.0
LATE: Final = 20.0
"""Milliseconds."""
STALL: Final = 50.0


def measure(root: Path) -> Iterator[Row]:
    """Yield the rows for 50 and for 300 in flight."""
    for in_flight, count, latency in SIZES:
        yield from _measure(root / str(in_flight), in_flight, count, latency)


def _measure(root: Path, in_flight: int, count: int, latency: float) -> Iterator[Row]:
    source, result = stand.jpeg(stand.SOURCE_WIDTH, stand.UP), stand.jpeg(stand.RESULT_WIDTH, stand.DOWN)
    pictures = root / "pictures"
    stand.fill(pictures, source, WARM_UP + count)
    cost = {}
    options = ("--latency", latency, "--p95", latency)
    for kind in PEERS:
        with stand.simulator(root, result, *options) as service:
            found = stand.peer(kind, service, pictures, concurrency=in_flight, poll=latency, warm_up=WARM_UP)
            assert found["done"] == WARM_UP + count
            cost[kind] = 1000 * found["cpu"] / count
    with stand.simulator(root, result, *options) as service:
        ours, gauge, late = _daemon(root, service, pictures, in_flight, count)
    told = ", ".join(f"{kind} {value:.1f} ms" for kind, value in cost.items() if kind != "client")
    at = f"at {in_flight} in flight"
    yield Row(f"CPU a job {at}, all of the daemon's work", ours, None, "ms", told)
    yield Row(f"the same, as a share of the SDK's {at}", ours / cost["sdk"], 0.5)
    yield Row(f"the same, as a share of httpx's {at}", ours / cost["httpx"], 0.5)
    yield Row(
        f"HTTP alone, as a share of the SDK's {at}", cost["client"] / cost["sdk"], 0.25, "", f"{cost['client']:.1f} ms"
    )
    yield from _at_rest(at, gauge, late)
    stand.forget(root)


def _at_rest(at: str, gauge: stand.Gauge, late: Any) -> Iterator[Row]:
    together = f"{gauge.together:.0f} MB with its worker processes"
    yield Row(f"memory of the daemon {at}", gauge.alone, MEMORY, "MB", together)
    yield Row(f"lateness of its loop {at}, 99th percentile", 1000 * late[int(0.99 * len(late))], LATE, "ms")
    yield Row(f"longest stall of its loop {at}", 1000 * late[-1], STALL, "ms")


def _daemon(
    root: Path, service: stand.Service, pictures: Path, in_flight: int, count: int
) -> tuple[float, stand.Gauge, Any]:
    """Return milliseconds a job, the memory, and the loop's latenesses."""
    home = root / "daemon"
    warm = root / "warm"
    warm.mkdir()
    for picture in sorted(pictures.iterdir())[:WARM_UP]:
        picture.rename(warm / picture.name)
    with stand.daemon(home, service, watched=True, queue_ahead=in_flight - 4) as daemon:
        daemon.drop(warm)
        daemon.wait_done(WARM_UP)
        before, began = daemon.process.cpu, time.monotonic()
        with stand.Gauge(daemon.process) as gauge:
            daemon.drop(pictures)
            daemon.wait_done(WARM_UP + count)
        cpu, ended = daemon.process.cpu - before, time.monotonic()
    return 1000 * cpu / count, gauge, watched.read(home / "lateness", began, ended)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cpu-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
