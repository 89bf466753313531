"""Measure: how long 300 jobs take, over what they would take with every place always full and nothing else to do.

    python -m tests.benchmarks.makespan

Latencies are log-normal, round trips take 80 ms, and the service runs 10 (or 30) predictions at once; what is more it
queues, or refuses. The clients run side by side, each against a simulator of its own with the same latencies, on
smaller pictures than elsewhere: what is measured is waiting, and they must not wait for one another's CPU. They begin
one after the other for the same reason.

The daemon has its default settings but for what its service runs at once and queues, which no tier says here; and but
for `poll_min` where the service refuses what is too many and takes 2 seconds for a picture: with nothing queued, each
place stands idle from a prediction's end until a question and a submit have gone to and fro.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import stand
from tests.benchmarks.simulator import Law, ideal
from tests.benchmarks.table import Row
from upscaled.config.settings import TIERLESS_CONCURRENCY

COUNT: Final = 300
SIZES: Final = ((30, Law(8.0, 20.0)), (10, Law(2.0, 4.0)))
"""Predictions at once and their latencies, those that take longest first."""
OFTEN: Final = "50ms"
QUICK: Final = 4.0
"""Seconds: a model that takes less is asked for its results that often where it queues nothing."""
BEGIN: Final = 1.5
"""Seconds from one client's start to the next one's."""
SEED: Final = 7
ROUND_TRIP: Final = 0.08
SURPLUS: Final = 3
KINDS: Final = ("queues", "rejects", "sdk", "httpx")
QUEUED, REFUSED = 1.05, 1.12
"""Bounds."""


@dataclass(frozen=True, slots=True)
class Case:
    """One client on one service; ``places`` predictions run at once."""

    places: int
    law: Law
    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """What the daemon is told beside how many it may send."""
        return {"poll_min": OFTEN} if self.kind == "rejects" and self.law.median < QUICK else {}


def measure(root: Path) -> Iterator[Row]:
    """Run the clients of one size after those of the other, and yield the rows."""
    pictures = stand.jpeg(640, 50_000), stand.jpeg(1280, 200_000)
    for places, law in SIZES:
        yield from _measure(root, places, law, pictures)


def _measure(root: Path, places: int, law: Law, pictures: tuple[bytes, bytes]) -> Iterator[Row]:
    with ThreadPoolExecutor(len(KINDS)) as pool:
        runs = {
            kind: pool.submit(_took, Case(places, law, kind), root / f"{places}-{kind}", pictures, number * BEGIN)
            for number, kind in enumerate(KINDS)
        }
    best = ideal(law, SEED, COUNT, places)
    share = {kind: run.result() / best for kind, run in runs.items()}
    what = f"{COUNT} jobs, {places} at once, median {law.median:g} s"
    peers = f"SDK pool {share['sdk']:.2f}, semaphore around the job {share['httpx']:.2f}"
    told = "".join(f"`{name}: {value}`; " for name, value in Case(places, law, "rejects").settings.items())
    yield Row(f"{what}: time over the ideal, excess queued", share["queues"], QUEUED, "", peers)
    yield Row(f"{what}: time over the ideal, excess refused", share["rejects"], REFUSED, "", told + peers)


def _took(case: Case, root: Path, pictures: tuple[bytes, bytes], after: float) -> float:
    """Return how long one client took, in seconds; ``pictures`` are a source and a result."""
    time.sleep(after)
    sources, law = root / "pictures", case.law
    stand.fill(sources, pictures[0], COUNT)
    options: list[object] = ["--latency", law.median, "--p95", law.p95, "--seed", SEED, "--concurrency", case.places]
    options += ["--round-trip", ROUND_TRIP, *(["--rejects"] if case.kind == "rejects" else [])]
    with stand.simulator(root, pictures[1], *options) as service:
        if case.kind in {"queues", "rejects"}:
            took = _daemon(case, root / "daemon", service, sources)
        else:
            took = stand.peer(case.kind, service, sources, concurrency=case.places, poll=1.0, warm_up=0)["wall"]
    stand.forget(root)
    return took


def _daemon(case: Case, root: Path, service: stand.Service, pictures: Path) -> float:
    # Without a tier four are run at once, so the rest of the places is given as what is queued ahead.
    ahead = case.places - TIERLESS_CONCURRENCY + SURPLUS
    with stand.daemon(root, service, queue_ahead=ahead, **case.settings) as daemon:
        began = time.time()
        daemon.drop(pictures)
        daemon.wait_done(COUNT, seconds=400.0)
        ended: float = daemon.ask("SELECT max(finished_at) FROM jobs")[0][0]
    return ended - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="makespan-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
