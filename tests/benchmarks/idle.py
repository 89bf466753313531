"""Measure: the CPU of a daemon that looks after ten inboxes of 10,000 files each while nothing happens.

    python -m tests.benchmarks.idle

What the kernel counted for it, over more than one sweep of each: so something else may be measured meanwhile.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks import stand
from tests.benchmarks.table import Row

WAITING: Final = 10_000
FOLDERS: Final = 10
IDLE: Final = 100.0
"""Seconds of doing nothing."""
SHARE: Final = 1.0
"""Percent of a core."""


def measure(root: Path) -> Iterator[Row]:
    """Yield the row."""
    home = root / "many"
    for folder in range(FOLDERS):
        stand.litter(home / (f"inbox-{folder}" if folder else "inbox"), WAITING)
    with (
        stand.simulator(root, stand.jpeg(640, 80_000)) as service,
        stand.daemon(home, service, inboxes=FOLDERS) as daemon,
    ):
        stand.wait_for(lambda: daemon.judged(FOLDERS * WAITING), seconds=200)
        before = daemon.process.cpu
        time.sleep(IDLE)
        cpu = daemon.process.cpu - before
        memory = f"{daemon.process.main_resident:.0f} MB resident"
    stand.forget(home)
    yield Row(f"idle, {FOLDERS} folders of {WAITING:,} files", 100 * cpu / IDLE, SHARE, "% of a core", memory)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="idle-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
