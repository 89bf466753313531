"""Which networks run, and in what proportion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.engine.order import Order, Tier
from upscaled.engine.recipe import RESTORING, Condition, Recipe, Restoring, choose, mix

CLEAN, DIRTY = "waifu2x-photo", "waifu2x-photo-denoise1"


@pytest.mark.parametrize(
    ("creativity", "damage", "share", "detail"),
    [
        (-3, 0, 0.0, 1.0),
        (-2, 0, 0.0, 1.0),
        (-2, 1, 0.5, 1.0),
        (-1.5, 0, 0.04, 1.05),
        (0, 0, 0.2, 1.2),
        (0, 0.5, 0.4, 1.2),
        (0, 1, 0.6, 1.2),
        (1, 0, 0.4, 1.35),
        (2, 0, 1.0, 1.4),
        (2, 1, 1.0, 1.4),
        (9, 0, 1.0, 1.4),
    ],
)
def test_creativity_moves_the_share_from_the_most_truthful_one_to_all(
    creativity: float, damage: float, share: float, detail: float
) -> None:
    """The table of the documentation, straight lines between its points; damage moves its beginning."""
    assert (share, detail) == pytest.approx(mix(creativity, damage, RESTORING["animevideov3"]))


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 1), st.sampled_from(list(RESTORING.values())))
def test_more_creativity_never_means_less_of_it(one: float, other: float, damage: float, network: Restoring) -> None:
    """Share and strength are monotone."""
    low, high = sorted((one, other))
    (share, detail), (other_share, other_detail) = mix(low, damage, network), mix(high, damage, network)
    assert share <= other_share
    assert detail <= other_detail


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(), 0.0),
        (Condition(quality=98), 0.0),
        (Condition(quality=90), 0.25),
        (Condition(quality=75), 1.0),
        (Condition(quality=20), 1.0),
        (Condition(noise=3.0), 0.0),
        (Condition(quality=95, noise=3.1), 1.0),
    ],
)
def test_damage_is_told_from_quality_and_noise(condition: Condition, expected: float) -> None:
    """Coding counts by degrees; noise counts from where it is cleaned."""
    assert expected == pytest.approx(condition.damage)


def mixed(faithful: tuple[str, ...], share: float, detail: float = 1.2, restoring: str = "animevideov3") -> Recipe:
    """A mix as creativity 0 asks for, if nothing else is said."""
    return Recipe(faithful, restoring, share, detail)


@pytest.mark.parametrize(
    ("order", "tier", "condition", "factor", "expected"),
    [
        (Order(), Tier.STANDARD, Condition(), 2.0, mixed((CLEAN,), 0.2)),
        (Order(), Tier.STANDARD, Condition(), 4.0, mixed((CLEAN, CLEAN), 0.2)),
        (Order(), Tier.STANDARD, Condition(), 12.0, mixed((CLEAN, CLEAN), 0.2)),
        (Order(), Tier.STANDARD, Condition(quality=75), 3.0, mixed((DIRTY, CLEAN), 0.6)),
        (Order(), Tier.STANDARD, Condition(noise=3.1), 1.5, mixed((DIRTY,), 0.6)),
        (Order(), Tier.STANDARD, Condition(quality=85, noise=3.0), 1.5, mixed((CLEAN,), 0.4)),
        (Order(creativity=-2), Tier.STANDARD, Condition(), 2.0, Recipe((CLEAN,), None, 0.0)),
        (Order(creativity=-2), Tier.STANDARD, Condition(50), 2.0, mixed((DIRTY,), 0.5, 1.0)),
        (Order(creativity=2), Tier.STANDARD, Condition(), 2.0, mixed((), 1.0, 1.4)),
        (Order(creativity=2), Tier.FAST, Condition(), 2.0, Recipe((CLEAN,), None, 0.0)),
        (Order(creativity=1), Tier.MAX, Condition(), 2.0, mixed((CLEAN,), 0.4, 1.0, "x4plus")),
        (Order(creativity=-2), Tier.MAX, Condition(50), 2.0, mixed((DIRTY,), 0.35, 1.0, "x4plus")),
        (Order(creativity=None), Tier.FAST, Condition(50), 2.0, mixed((), 1.0, 1.0)),
        (Order(creativity=None), Tier.MAX, Condition(), 2.0, mixed((), 1.0, 1.0, "x4plus")),
    ],
)
def test_the_recipe_for_an_order(
    order: Order, tier: Tier, condition: Condition, factor: float, expected: Recipe
) -> None:
    """A network with no share does not run; a damaged source is cleaned once; None is the restoring network alone."""
    chosen = choose(order, tier, condition, factor)
    assert (expected.faithful, expected.restoring) == (chosen.faithful, chosen.restoring)
    assert (expected.share, expected.detail) == pytest.approx((chosen.share, chosen.detail))


def test_a_recipe_names_each_network_once() -> None:
    """Two passes of the same network are one name in the answer."""
    assert (CLEAN, "animevideov3") == Recipe((CLEAN, CLEAN), "animevideov3", 0.4).networks
