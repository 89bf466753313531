"""Memory and CPU of a backlog of 100,000 pictures in one inbox: run it, and it prints each number beside its bound.

    python tests/benchmarks/backlog.py [COUNT]

The files are hard links of one small picture, so that they cost no space. What is measured is the intake with the real
ledger: the first sweep admits all of it, and then one sweep passes over it while all of it is still to be done. The
exit code is 1 if a bound is not kept.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from upscaled.admission import Desk
from upscaled.building import new_id
from upscaled.config import load
from upscaled.folders import intake_settings
from upscaled.inbox.intake import Intake
from upscaled.inbox.watch import Silence
from upscaled.ledger import Ledger

COUNT = 100_000
MEMORY = 150.0
"""Megabytes resident, at most."""
CPU = 1.5
"""Seconds for one sweep, at most."""

PICTURE = Path(__file__).parent.parent / "photos" / "cat.jpg"


def resident() -> float:
    """Return the megabytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def fill(inbox: Path, count: int) -> None:
    """Make so many names of one picture, 1,000 in each folder; a file can have no more than 65,000 names on ext4."""
    for folder in range(0, count, 1000):
        (inbox / f"{folder:06d}").mkdir()
        first = inbox / f"{folder:06d}" / "000.jpg"
        first.write_bytes(PICTURE.read_bytes())
        for number in range(1, min(1000, count - folder)):
            os.link(first, first.with_name(f"{number:03d}.jpg"))


def main(count: int) -> int:
    """Measure, print, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="backlog-") as name:
        root = Path(name)
        for directory in ("inbox", "out", "arc", "failed", "state"):
            (root / directory).mkdir()
        fill(root / "inbox", count)
        config = root / "upscaled.yaml"
        folder = "{inbox: inbox, outbox: out, archive: arc, failed: failed, settle: 0s, max_new: null}"
        config.write_text(f"service: {{url: embedded}}\nstate_dir: state\nfolders: [{folder}]\n")
        return measure(config, root, count)


def measure(config: Path, root: Path, count: int) -> int:
    """Admit everything, then sweep once more."""
    settings = load(config, environ={}, cwd=root)
    (folder,) = settings.folders
    ledger = Ledger.open(root / "state")
    desk = Desk(ledger, folder, ring=lambda: None, now=time.time, new_id=new_id, price=lambda _: None)
    intake = Intake(intake_settings(folder, settings.hooks), desk, bell=Silence("measured"))
    began = time.monotonic()
    intake.turn()
    admitted = ledger.query("SELECT count(*) AS n FROM jobs")[0]["n"]
    took = time.monotonic() - began
    after_admission = resident()

    intake._schedule.postpone(time.monotonic() - 100)
    cpu = time.process_time()
    intake.turn()
    cpu = time.process_time() - cpu
    memory = resident()
    ledger.close()

    good = admitted == count and intake.state.jobs == count and memory < MEMORY and cpu < CPU
    lines = (
        f"admitted             {admitted:,} of {count:,} in {took:.1f} s, {after_admission:.0f} MB resident then",
        f"resident             {memory:.0f} MB (bound {MEMORY:.0f})",
        f"one sweep of it      {cpu:.2f} s of CPU (bound {CPU}), {intake.state.jobs:,} sources with a job",
        "within the bounds" if good else "NOT within the bounds",
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
