"""A ledger of 1,000,000 finished jobs: how long until it is open, and what the verbs that read it take.

    python tests/benchmarks/ledger_million.py [COUNT]

The ledger is built by SQL, with the attempts and events that finished jobs have. What is measured is the program's own
work with it, without the start of an interpreter; each figure is the best of three. The exit code is 1 if a bound is
not kept.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from upscaled import prune, status
from upscaled.ledger import Ledger, database
from upscaled.ledger.pruning import Place

COUNT = 1_000_000

NOW = 1_790_000_000.0

DAY = 86_400.0

BUILD = """
INSERT INTO jobs (id, folder, source, profile, model, inputs, priority, admitted_at, stage, standing, reason,
                  finished_at, device, inode, size, mtime_ns, ctime_ns, format, width, height, fingerprint,
                  upload_url, uploaded_at, prediction_id, submitted_at, output_url, inference_ms, part, result_hash,
                  result_size, result_width, result_height, output, archived)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
SELECT printf('%010d', i), '/srv/photos/in' || (i % 4), printf('2026/%03d/DSC_%07d.jpg', i % 365, i), 'default',
       'wavespeed-ai/image-upscaler', '{"output_format":"jpeg","target_resolution":"4k"}', 0, :now - 63000000 + i * 63,
       'archived', 'done', '',
       :now - 63000000 + i * 63 + 40, 64, i, 4000000 + i, 1790000000000000000 + i, 1790000000000000000 + i, 'jpeg',
       1200, 800, lower(hex(randomblob(32))), 'https://files.example/' || i, :now - 63000000 + i * 63,
       printf('p%015d', i), :now - 63000000 + i * 63, 'https://cdn.example/' || i, 9000, '/srv/photos/out/.part',
       lower(hex(randomblob(32))), 2500000, 3840, 2560, printf('/srv/photos/out/%d/DSC_%07d.jpg', i % 4, i),
       printf('/srv/photos/originals/%d/DSC_%07d.jpg', i % 4, i)
FROM n;
INSERT INTO attempts (job_id, state, upload_url, price, intended_at, prediction_id, answered_at, settled_at)
SELECT id, 'completed', upload_url, 0.01, submitted_at, prediction_id, submitted_at + 1, finished_at FROM jobs;
INSERT INTO events (job_id, at, kind, text) SELECT id, admitted_at, 'admitted', '' FROM jobs;
INSERT INTO events (job_id, at, kind, text) SELECT id, finished_at, 'done', '' FROM jobs;
"""
"""Two years of jobs, the last of them just over."""


def build(directory: Path, count: int) -> None:
    """Make the ledger; not durable on the way, as it is thrown away."""
    Ledger.open(directory).close()
    connection = database.connect(directory, read_only=False)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    for statement in BUILD.split(";\n"):
        if statement.strip():
            connection.execute(statement, {"count": count, "now": NOW} if ":now" in statement else {})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def best(work: Callable[[], object], times: int = 3) -> float:
    """Return the shortest time that ``work`` took, in seconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def measured(directory: Path) -> list[tuple[str, float, float]]:
    """Return what was measured: its name, seconds, and the bound."""
    ledger = Ledger.read(directory)
    folders = [f"/srv/photos/in{number}" for number in range(4)]
    middle = ledger.job("0000500000") or ledger.jobs(limit=1)[0]
    return [
        ("start-up: open, what the worker and an intake ask, close", best(lambda: start(directory, folders)), 1.0),
        ("status", best(lambda: status.summary(ledger, inboxes=folders, now=NOW, running=True)), 0.3),
        ("jobs, the newest 200", best(lambda: ledger.jobs(limit=200)), 0.3),
        ("jobs, 200 from the middle", best(lambda: ledger.jobs(limit=200, before=middle)), 0.3),
        ("jobs of one standing", best(lambda: ledger.jobs(limit=200, standing="failed")), 0.3),
        ("jobs of one folder", best(lambda: ledger.jobs(limit=200, folder=folders[1])), 0.3),
        ("show", best(lambda: status.story(ledger, ledger.jobs(limit=1)[0])), 0.3),
        (
            "prune --dry-run, a year",
            best(lambda: prune.prune(ledger, 365 * DAY, dry_run=True, now=lambda: NOW), 1),
            30.0,
        ),
        ("longest wait of another write while a year is pruned", longest_wait(directory), 0.3),
    ]


def count_old(ledger: Ledger) -> None:
    """Look at every job, as half of them were over a year ago."""
    prune.prune(ledger, 365 * DAY, dry_run=True, now=lambda: NOW)


def start(directory: Path, folders: list[str]) -> None:
    """Do what a daemon does with its ledger until it is ready."""
    ledger = Ledger.open(directory)
    try:
        ledger.keep_folders(folders)
        asyncio.run(begin(ledger, folders))
        for folder in folders:
            ledger.known(folder)
            ledger.stayed(folder)
            ledger.admitted_since(folder, NOW - 60)
    finally:
        ledger.close()


async def begin(ledger: Ledger, folders: list[str]) -> None:
    """Ask what the worker asks at its start and at its first look."""
    await ledger.in_flight(folders)
    await ledger.recent_submits(NOW, 60.0)
    await ledger.take(20, folders=folders, now=NOW, submitting=True, ahead=4)
    await ledger.next_due(folders)


def longest_wait(directory: Path) -> float:
    """Prune 20,000 jobs, and return the longest time that another write could have to wait for that, in seconds."""
    ledger = Ledger.open(directory)
    waits: list[float] = []
    place: Place | None = Place()
    try:
        while place is not None and len(waits) < 100:
            began = time.perf_counter()
            place = ledger.prune(place, before=NOW - 365 * DAY, now=NOW, dry_run=False).following
            waits.append(time.perf_counter() - began)
    finally:
        ledger.close()
    return max(waits)


def main(count: int) -> int:
    """Build, measure, print, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        directory = Path(name)
        began = time.perf_counter()
        build(directory, count)
        size = (directory / database.FILE).stat().st_size / 1e6
        sys.stdout.write(f"{count:,} jobs, {size:.0f} MB, built in {time.perf_counter() - began:.0f} s\n")
        found = measured(directory)
    for what, took, bound in found:
        sys.stdout.write(f"{what:<60} {took * 1000:8.1f} ms (bound {bound * 1000:.0f})\n")
    good = all(took < bound for _, took, bound in found)
    sys.stdout.write("within the bounds\n" if good else "NOT within the bounds\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
