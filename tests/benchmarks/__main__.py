"""Every measure of speed in one run: a table, a plot, and the README's section.

    python -m tests.benchmarks [MEASURE...]

Measures: cpu, makespan, idle, polling, ledger, drop, load. With some of them only, nothing is written but the table on
standard output. The exit code is 1 if a bound is not kept. Run it on a machine that does nothing else; it takes
less than ten minutes; the daemon that does nothing is watched while others are waited for.

How good and how quick the built-in engine is, is measured by the other programs in this directory.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.benchmarks import cpu, drop, idle, ledger, load, makespan, polling
from tests.benchmarks.plot import draw
from tests.benchmarks.table import Row, markdown, publish

MEASURES: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    "cpu": cpu.measure,
    "makespan": makespan.measure,
    "idle": idle.measure,
    "polling": polling.measure,
    "ledger": ledger.measure,
    "drop": drop.measure,
    "load": load.measure,
}
BESIDE: Final = {"makespan": "idle"}
"""Measures that hardly work, with one that only waits: they run side by side."""


def main(wanted: list[str]) -> int:
    """Run the measures, show what they found, and return the exit code."""
    began = time.monotonic()
    rows: list[Row] = []
    with ThreadPoolExecutor() as beside:
        for names in _rounds(wanted or list(MEASURES)):
            sys.stderr.write(f"{' and '.join(names)} ... ({time.monotonic() - began:.0f} s)\n")
            for found in beside.map(_rows, names):
                rows += found
    text = markdown(rows, time.monotonic() - began)
    sys.stdout.write(text)
    if not wanted:
        publish(text)
        draw(rows)
    return 1 if any(row.verdict == "MISS" for row in rows) else 0


def _rounds(names: list[str]) -> Iterator[list[str]]:
    """Yield what runs at a time."""
    along = {BESIDE[name] for name in names if name in BESIDE}
    for name in names:
        if name not in along:
            yield [name, *([BESIDE[name]] if BESIDE.get(name) in names else [])]


def _rows(name: str) -> list[Row]:
    """Return what a measure found; one that breaks off is a bound that was not kept, and hides no other."""
    found: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix=f"upscaled-{name}-") as directory:
            for row in MEASURES[name](Path(directory)):
                sys.stderr.write(f"  {row.name}: {row.value:.3g} {row.unit} {row.verdict}  {row.detail}\n")
                found.append(row)
    except Exception as error:  # noqa: BLE001 - the table tells it
        traceback.print_exc()
        found.append(Row(f"{name} broke off", 1.0, 0.0, "", repr(error).replace("|", "/")[:120]))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
