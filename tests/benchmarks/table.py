"""The table that the measures fill: one named row each, with its bound and whether it was kept; where it is shown."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.md"
README: Final = HERE.parent.parent / "README.md"

BEGIN: Final = "<!-- benchmarks: written by `python -m tests.benchmarks` -->"
END: Final = "<!-- end of benchmarks -->"
PICTURE: Final = "![Each measure as a share of its bound](tests/benchmarks/results.svg)"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. ``value`` is to be at most ``bound``, in ``unit``; None is a figure that is only told."""

    name: str
    value: float
    bound: float | None
    unit: str = ""
    detail: str = ""
    """What it is compared with."""

    @property
    def verdict(self) -> str:
        """Was the bound kept?"""
        if self.bound is None:
            return ""
        return "ok" if self.value <= self.bound else "MISS"


def machine() -> str:
    """Return what this was measured on, in words."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    kind = model[1].strip() if model else platform.machine()
    return f"{os.cpu_count()} cores of {kind}, Linux {platform.release()}, Python {platform.python_version()}"


def markdown(rows: Iterable[Row], seconds: float) -> str:
    """Return the table as Markdown."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [
        f"Measured on {when} in {seconds / 60:.1f} minutes: {machine()}; load at the end {os.getloadavg()[0]:.1f}.",
        "",
        "| measure | here | bound | | beside |",
        "|---|---|---|---|---|",
        *(
            f"| {row.name} | {_number(row.value, row.unit)} | {_bound(row)} | {row.verdict} | {row.detail} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{' ' if unit else ''}{unit}"


def _bound(row: Row) -> str:
    return "" if row.bound is None else f"≤ {row.bound:g}{' ' if row.unit else ''}{row.unit}"


def publish(text: str) -> None:
    """Write the results beside the benchmarks, and into the README between its two marks."""
    RESULTS.write_text(text, "utf-8")
    readme = README.read_text("utf-8")
    if BEGIN in readme:
        before, _, rest = readme.partition(BEGIN)
        after = rest.partition(END)[2]
        README.write_text(f"{before}{BEGIN}\n{text}\n{PICTURE}\n{END}{after}", "utf-8")
