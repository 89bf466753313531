"""Every measure of speed in one run: a table, a plot, and the README's section.

    python -m tests.benchmarks [MEASURE...]

Measures: cpu, polling, ledger, makespan, drop, load. With some of them only, nothing is written but the table on
standard output. The exit code is 1 if a bound is not kept. Run it on a machine that does nothing else; it takes up to
ten minutes. How good and how quick the built-in engine is, is measured by the other programs in this directory.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks import cpu, drop, ledger, load, makespan, polling
from tests.benchmarks.plot import draw
from tests.benchmarks.table import Row, markdown, publish

MEASURES: Final[dict[str, Callable[[Path], Iterator[Row]]]] = {
    "cpu": cpu.measure,
    "makespan": makespan.measure,
    "polling": polling.measure,
    "ledger": ledger.measure,
    "drop": drop.measure,
    "load": load.measure,
}


def main(wanted: list[str]) -> int:
    """Run the measures, show what they found, and return the exit code."""
    began = time.monotonic()
    rows: list[Row] = []
    for name in wanted or MEASURES:
        with tempfile.TemporaryDirectory(prefix=f"upscaled-{name}-") as directory:
            sys.stderr.write(f"{name} ... ({time.monotonic() - began:.0f} s)\n")
            rows += _rows(name, Path(directory))
    text = markdown(rows, time.monotonic() - began)
    sys.stdout.write(text)
    if not wanted:
        publish(text)
        draw(rows)
    return 1 if any(row.verdict == "MISS" for row in rows) else 0


def _rows(name: str, root: Path) -> list[Row]:
    """Return what a measure found; one that breaks off is a bound that was not kept, and hides no other."""
    found: list[Row] = []
    try:
        for row in MEASURES[name](root):
            sys.stderr.write(f"  {row.name}: {row.value:.3g} {row.unit} {row.verdict}  {row.detail}\n")
            found.append(row)
    except Exception as error:  # noqa: BLE001 - the table tells it
        traceback.print_exc()
        found.append(Row(f"{name} broke off", 1.0, 0.0, "", repr(error).replace("|", "/")[:120]))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
