"""Which networks run, and in what proportion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.engine.order import Order, Tier
from upscaled.engine.recipe import Condition, Recipe, choose, share_of

CLEAN, DIRTY = "waifu2x-photo", "waifu2x-photo-denoise1"


@pytest.mark.parametrize(
    ("creativity", "expected"),
    [(-3, 0.0), (-2, 0.0), (-1.5, 0.1), (-1, 0.2), (0, 0.4), (0.5, 0.55), (1, 0.7), (2, 1.0), (9, 1.0)],
)
def test_creativity_is_the_share_of_the_restoring_network(creativity: float, expected: float) -> None:
    """The table of the documentation, straight lines between its points."""
    assert expected == pytest.approx(share_of(creativity))


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_more_creativity_never_means_less_of_it(one: float, other: float) -> None:
    """The share is monotone."""
    assert (one <= other) <= (share_of(one) <= share_of(other))


@pytest.mark.parametrize(
    ("order", "tier", "condition", "factor", "expected"),
    [
        (Order(), Tier.STANDARD, Condition(), 2.0, Recipe((CLEAN,), "animevideov3", 0.4)),
        (Order(), Tier.STANDARD, Condition(), 4.0, Recipe((CLEAN, CLEAN), "animevideov3", 0.4)),
        (Order(), Tier.STANDARD, Condition(), 12.0, Recipe((CLEAN, CLEAN), "animevideov3", 0.4)),
        (Order(), Tier.STANDARD, Condition(quality=75), 3.0, Recipe((DIRTY, CLEAN), "animevideov3", 0.4)),
        (Order(), Tier.STANDARD, Condition(noise=3.1), 1.5, Recipe((DIRTY,), "animevideov3", 0.4)),
        (Order(), Tier.STANDARD, Condition(quality=76, noise=3.0), 1.5, Recipe((CLEAN,), "animevideov3", 0.4)),
        (Order(creativity=-2), Tier.STANDARD, Condition(), 2.0, Recipe((CLEAN,), None, 0.0)),
        (Order(creativity=2), Tier.STANDARD, Condition(), 2.0, Recipe((), "animevideov3", 1.0)),
        (Order(creativity=2), Tier.FAST, Condition(), 2.0, Recipe((CLEAN,), None, 0.0)),
        (Order(creativity=1), Tier.MAX, Condition(), 2.0, Recipe((CLEAN,), "x4plus", 0.7)),
    ],
)
def test_the_recipe_for_an_order(
    order: Order, tier: Tier, condition: Condition, factor: float, expected: Recipe
) -> None:
    """A network with no share does not run; a damaged source is cleaned once."""
    assert expected == choose(order, tier, condition, factor)


def test_a_recipe_names_each_network_once() -> None:
    """Two passes of the same network are one name in the answer."""
    assert (CLEAN, "animevideov3") == Recipe((CLEAN, CLEAN), "animevideov3", 0.4).networks
