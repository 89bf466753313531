"""Numbers for Prometheus: what was made since the start, what waits, and how long it took.

The text format is written here, as five numbers do not need a library
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Tally:
    """Counts since the start: predictions by how they ended, and the seconds that work on them took."""

    ended: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def count(self, status: str, seconds: float) -> None:
        """Count one that ended."""
        self.ended[status] += 1
        self.seconds += seconds


def text(tally: Tally, *, unfinished: int, kept: int) -> str:
    """Return everything in the text format."""
    ended = [f'upscaled_engine_predictions_total{{status="{name}"}} {tally.ended[name]}' for name in _ENDINGS]
    lines = [
        "# HELP upscaled_engine_predictions_total Predictions that ended since the server started.",
        "# TYPE upscaled_engine_predictions_total counter",
        *ended,
        "# HELP upscaled_engine_work_seconds_total Time spent on them.",
        "# TYPE upscaled_engine_work_seconds_total counter",
        f"upscaled_engine_work_seconds_total {tally.seconds:.3f}",
        "# HELP upscaled_engine_unfinished Predictions that wait or are being made.",
        "# TYPE upscaled_engine_unfinished gauge",
        f"upscaled_engine_unfinished {unfinished}",
        "# HELP upscaled_engine_kept Predictions that can be looked up.",
        "# TYPE upscaled_engine_kept gauge",
        f"upscaled_engine_kept {kept}",
    ]
    return "\n".join(lines) + "\n"


_ENDINGS: Final = ("completed", "failed")
