"""Measure: CPU a job, all of the daemon's work included, beside clients that do none of it; and its loop meanwhile.

    python -m tests.benchmarks.cpu

All meet the same simulator over TLS with 500 KB up and 2 MB down, and all are warm when the meter is read. Predictions
take as long as the service's: log-normal, median 8 s, 95th percentile 20 s (and none longer than 15 s, to save time).
The SDK asks once a second, its default; so do plain httpx, as people write it, and the daemon's own HTTP client where
it is measured alone. The daemon asks when it has learned to; it is taught by the same law while it warms up.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks import stand, watched
from tests.benchmarks.table import Row

WARM_UP: Final = 20
SIZES: Final = ((50, 60), (300, 300))
"""Jobs in flight, jobs in all."""

LAW: Final = ("--latency", 8.0, "--p95", 20.0, "--longest", 15.0)
POLL: Final = 1.0
"""Seconds between two questions: the SDK's default."""

MEMORY: Final = 150.0
LATE: Final = 20.0
"""Milliseconds."""
STALL: Final = 50.0


def measure(root: Path) -> Iterator[Row]:
    """Yield the rows for 50 and for 300 in flight."""
    for in_flight, count in SIZES:
        yield from _measure(root / str(in_flight), in_flight, count)


def _measure(root: Path, in_flight: int, count: int) -> Iterator[Row]:
    source, result = stand.jpeg(stand.SOURCE_WIDTH, stand.UP), stand.jpeg(stand.RESULT_WIDTH, stand.DOWN)
    pictures = root / "pictures"
    stand.fill(pictures, source, WARM_UP + count)
    scene = _Scene(root, result, pictures, in_flight, count)
    sdk, httpx, client = (scene.peer(kind) for kind in ("sdk", "httpx", "client"))
    ours, polls, found = scene.daemon()
    at = f"at {in_flight} in flight"
    told = f"SDK {sdk:.1f} ms, httpx {httpx:.1f} ms, each asking once a second; the daemon asked {polls:.1f} times"
    yield Row(f"CPU a job {at}, all of the daemon's work", ours, None, "ms", told)
    yield Row(f"the same, as a share of the SDK's {at}", ours / sdk, 0.5)
    yield Row(f"the same, as a share of httpx's {at}", ours / httpx, 0.5)
    yield Row(f"HTTP alone, as a share of the SDK's {at}", client / sdk, 0.25, "", f"{client:.1f} ms")
    yield from found
    stand.forget(root)


class _Scene:
    """What all of them meet at one number in flight."""

    def __init__(self, root: Path, result: bytes, pictures: Path, in_flight: int, count: int) -> None:
        self._root = root
        self._result = result
        self._pictures = pictures
        self._in_flight = in_flight
        self._count = count

    def peer(self, kind: str) -> float:
        """Return milliseconds a job of another client."""
        with stand.simulator(self._root, self._result, *LAW, "--at-once", WARM_UP) as service:
            found = stand.peer(kind, service, self._pictures, concurrency=self._in_flight, poll=POLL, warm_up=WARM_UP)
        assert found["done"] == WARM_UP + self._count
        return 1000 * float(found["cpu"]) / self._count

    def daemon(self) -> tuple[float, float, list[Row]]:
        """Return milliseconds a job, questions a job, and the rows about what the process was like meanwhile."""
        home, warm = self._root / "daemon", self._root / "warm"
        warm.mkdir()
        for picture in sorted(self._pictures.iterdir())[:WARM_UP]:
            picture.rename(warm / picture.name)
        with (
            stand.simulator(self._root, self._result, *LAW) as service,
            stand.idle(self._root) as idle,
            stand.daemon(home, service, watched=True, queue_ahead=self._in_flight - 4) as daemon,
        ):
            daemon.drop(warm)
            daemon.wait_done(WARM_UP)
            before, began = daemon.process.cpu, time.monotonic()
            with stand.Gauge(daemon.process) as gauge:
                daemon.drop(self._pictures)
                daemon.wait_done(WARM_UP + self._count)
            cpu, ended = daemon.process.cpu - before, time.monotonic()
            polls = [task[2] for task in service.stats()["tasks"][WARM_UP:]]
        late = watched.read(home / "lateness", began, ended), watched.read(idle, began, ended)
        found = list(_process(f"at {self._in_flight} in flight", gauge, *late))
        return 1000 * cpu / self._count, sum(polls) / len(polls), found


def _process(at: str, gauge: stand.Gauge, late: Sequence[float], idle: Sequence[float]) -> Iterator[Row]:
    together = f"{gauge.together:.0f} MB with its worker processes"
    yield Row(f"memory of the daemon {at}", gauge.alone, MEMORY, "MB", together)
    machine = f"{_last(idle, 0.99):.1f} ms in an idle process beside it: the machine's share"
    yield Row(f"lateness of its loop {at}, 99th percentile", _last(late, 0.99), LATE, "ms", machine)
    machine = f"{_last(idle, 1.0):.1f} ms in an idle process beside it"
    yield Row(f"longest stall of its loop {at}", _last(late, 1.0), STALL, "ms", machine)


def _last(late: Sequence[float], share: float) -> float:
    return 1000 * late[min(len(late) - 1, int(share * len(late)))]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cpu-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
