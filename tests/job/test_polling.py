from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.polling import simulate, steady
from tests.benchmarks.simulator import Law as Service
from upscaled.job import polling
from upscaled.job.polling import Law, between, gap, law_of, together

NORMAL = NormalDist()


def learned(median: float, sigma: float, count: int = 200) -> Law:
    """Return the law after many log-normal latencies."""
    chance = random.Random(3)
    return law_of(median * math.exp(sigma * chance.gauss(0, 1)) for _ in range(count))


@pytest.mark.parametrize(
    ("law", "most"), [(Service(8, 20), 4.1), (Service(8, 12), 2.5)], ids=["8/20 seconds", "8/12 seconds"]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_questions_times_waiting_come_near_the_optimum(law: Service, most: float, seed: int) -> None:
    """At the default floor, what it costs to know nothing at first included.

    The optimum is 3.7 and 1.8, asking every second 5.4 and 4.8.
    """
    assert most >= simulate(law, seed=seed).product


@pytest.mark.parametrize("law", [Service(4, 8), Service(8, 20), Service(30, 60)], ids=str)
def test_fewer_questions_than_every_second_make_nobody_wait_longer(law: Service) -> None:
    """Than the official SDK's, at the default floor."""
    ours, theirs = simulate(law), steady(law)

    assert (True, True) == (ours.polls < theirs.polls, ours.added <= theirs.added)


@given(
    latencies=st.lists(st.floats(0, 1e5), max_size=40),
    age=st.floats(0, 1e6),
    floor=st.floats(0.01, 60),
)
def test_a_gap_is_never_below_the_floor_nor_above_the_ceiling(latencies: list[float], age: float, floor: float) -> None:
    """Whatever was seen, however absurd, and however old the prediction is."""
    law = law_of(latencies)
    # What has not begun to be likely is waited for in one go.
    longest = max(floor, polling.CEILING) + law.start

    assert floor <= gap(law, age, floor) <= longest


def test_nothing_is_asked_before_something_can_be_over() -> None:
    """Predictions of 30 seconds are not asked for after one."""
    law = learned(30.0, 0.1)

    assert 20.0 < gap(law, 0.0, 0.5) < 30.0


def test_the_gap_is_shortest_where_completion_is_likeliest() -> None:
    """An exponential back-off does the opposite."""
    law = learned(8.0, 0.25)

    assert gap(law, 8.0, 0.1) < gap(law, 4.0, 0.1)
    assert gap(law, 8.0, 0.1) < gap(law, 60.0, 0.1)


def test_a_prediction_that_is_far_too_old_is_asked_for_seldom() -> None:
    """Ever less often, and at least every ten seconds; a little beyond what is usual not less often than before."""
    law = learned(4.0, 0.2)
    at, a_little_later = gap(law, law.far, 0.5), gap(law, law.far + 0.1, 0.5)

    assert 0.1 > abs(a_little_later - at)
    assert 4.0 < gap(law, 24.0, 0.5) < 6.0
    assert polling.CEILING == gap(law, 500.0, 0.5)


def test_a_prediction_whose_place_is_waited_for_is_asked_for_more_often() -> None:
    """Four times as often where it is likeliest to be over, and never more often than the floor allows."""
    law = learned(8.0, 0.25)
    likeliest = 14.0

    assert math.isclose(gap(law, likeliest, 0.1) / 4, gap(law, likeliest, 0.1, pressed=True), rel_tol=0.1)
    assert 0.5 == gap(law, likeliest, 0.5, pressed=True)


def test_a_finished_picture_waits_as_long_as_is_wanted_whatever_the_law() -> None:
    """Half of the gap that it ends in, on average: for broad laws and for narrow ones."""
    for median, sigma in ((8.0, 0.56), (8.0, 0.25), (30.0, 0.42)):
        law = learned(median, sigma)
        ages = [law.median * math.exp(law.sigma * NORMAL.inv_cdf((n + 0.5) / 200)) for n in range(200)]
        waits = [gap(law, age, 0.01) / 2 for age in ages]

        assert math.isclose(polling.WAITING, sum(waits) / len(waits), rel_tol=0.12)


def test_questions_for_many_predictions_are_asked_together() -> None:
    """Whenever each was submitted; the nearest of the common moments is taken."""
    dues = {together(1000.0 + n / 7, 1.0, 0.5) for n in range(140)}

    assert 20 * 10 + 1 >= len(dues)
    assert all(abs(together(n / 7, 1.0, 0.5) - (n / 7 + 1.0)) <= 0.05 + 1e-9 for n in range(140))


def test_few_questions_are_asked_at_a_time() -> None:
    """With many predictions the moments lie closer together."""
    dues = {together(n / 700, 3.0, 0.5, 300) for n in range(2100)}

    assert 3.0 / 0.05 <= len(dues) <= 3.0 / 0.05 + 1


@pytest.mark.parametrize("gap_", [0.05, 0.5, 0.6, 3.0])
def test_to_be_asked_together_is_no_reason_to_ask_too_soon(gap_: float) -> None:
    """The floor holds; and where no gap is wanted, there is none."""
    assert all(n / 97 + min(gap_, 0.5) <= together(n / 97, gap_, min(gap_, 0.5)) for n in range(200))
    assert all(together(n / 97, gap_, 0.0) - (n / 97 + gap_) <= gap_ / 8 + 1e-9 for n in range(200))
    assert 5.0 == together(5.0, 0.0, 0.0)


def test_with_nothing_known_each_question_waits_half_the_age() -> None:
    """So that a quick service is found to be quick."""
    assert [0.05, 1.0, 4.0] == [gap(Law(), age, 0.05) for age in (0.0, 2.0, 8.0)]


def test_a_service_that_changes_its_speed_is_followed() -> None:
    """The law forgets what was long ago."""
    law = learned(4.0, 0.2)
    for _ in range(150):
        law = law.learned(20.0)

    assert 16.0 < law.median < 21.0


@pytest.mark.parametrize(
    ("asked", "found", "told", "expected"),
    [(4.0, 6.0, None, 5.0), (4.0, 6.0, 4.5, 4.5), (4.0, 6.0, 1.0, 5.0), (4.0, 6.0, 7.0, 5.0)],
)
def test_the_services_own_figure_is_taken_where_it_is_possible(
    asked: float, found: float, told: float | None, expected: float
) -> None:
    """It may leave out the time in a queue; then the middle is the best guess."""
    assert expected == between(asked, found, told)
