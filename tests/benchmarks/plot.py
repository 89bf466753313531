"""The plot of the last run, drawn as SVG by hand: a bar a measure, as a share of its bound."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from tests.benchmarks.table import HERE, Row

PLOT: Final = HERE / "results.svg"

_ROW: Final = 22
_LEFT: Final = 520
_WIDTH: Final = 950
_FULL: Final = 300
"""Pixels of a bar that just keeps its bound."""


def draw(rows: Sequence[Row], path: Path = PLOT) -> None:
    """Write the plot. Bars beyond the line are bounds that were not kept; those beyond the edge are cut."""
    bounded = [row for row in rows if row.bound]
    height = _ROW * (len(bounded) + 1) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}">',
        "<style>text {font: 12px sans-serif}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, row in enumerate(bounded):
        assert row.bound is not None
        share = row.value / row.bound
        y = 10 + _ROW * number
        length = max(1.0, min(share * _FULL, _WIDTH - _LEFT - 50.0))
        colour = "#3b7" if share <= 1 else "#c43"
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{length:.0f}" height="{_ROW - 7}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 5:.0f}" y="{y + 14}">{share:.0%}</text>',
        ]
    line, bottom = _LEFT + _FULL, 10 + _ROW * len(bounded)
    parts += [
        f'<line x1="{line}" y1="6" x2="{line}" y2="{bottom}" stroke="black" stroke-dasharray="4 3"/>',
        f'<text x="{line}" y="{bottom + 16}" text-anchor="middle">bound</text>',
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", "utf-8")
