"""Estimates from measured speed."""

from __future__ import annotations

import pytest

from upscaled.engine.pace import Pace
from upscaled.engine.recipe import Recipe
from upscaled.engine.tiles import Size

SCALES = {"twofold": 2, "fourfold": 4}
MEGAPIXEL, SIXTEEN = Size(1000, 1000), Size(4000, 4000)


@pytest.mark.parametrize(
    ("recipe", "workers", "expected"),
    [
        (Recipe(("twofold",), None, 0.0), 1, 1.3 * 2 + 0.8),
        (Recipe(("twofold", "twofold"), None, 0.0), 1, 1.3 * (2 + 4 * 2) + 0.8),
        (Recipe((), "fourfold", 1.0), 1, 1.3 * 5 + 0.8),
        (Recipe(("twofold",), "fourfold", 0.4), 2, 1.3 * (2 + 5) / 1.85 + 0.8),
        (Recipe((), "unmeasured", 1.0), 1, 1.3 * 5 + 0.8),
    ],
)
def test_the_estimate_counts_every_pass_at_its_own_size(recipe: Recipe, workers: int, expected: float) -> None:
    """The second pass sees four times as many pixels; an unknown network counts as the slowest."""
    pace = Pace({"twofold": 2.0, "fourfold": 5.0}, workers)
    assert expected == pytest.approx(pace.estimate(recipe, MEGAPIXEL, SIXTEEN, {**SCALES, "unmeasured": 4}))
