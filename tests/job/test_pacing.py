from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.job import pacing
from upscaled.job.model import Cause


@pytest.mark.parametrize("cause", Cause)
@given(tries=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_a_back_off_stays_between_its_first_and_its_longest_wait(cause: Cause, tries: int, jitter: float) -> None:
    """However long trouble lasts, the next try comes within minutes, and never at once."""
    first, longest = pacing.BACKOFF[cause]

    assert first * 0.875 <= pacing.backoff(tries, cause, jitter) <= longest * 1.125


@given(
    start=st.floats(0, 1e9),
    gaps=st.lists(st.floats(0, 30), max_size=60),
    per_minute=st.integers(1, 7),
)
def test_no_minute_holds_more_submits_than_allowed(start: float, gaps: list[float], per_minute: int) -> None:
    """Whatever moments submits are wanted at, every sliding window of a minute stays within the limit."""
    sent: list[float] = []
    now = start
    for gap in gaps:
        now += gap
        now += pacing.submit_after(sent, per_minute, now)
        sent.append(now)

    for index in range(per_minute, len(sent)):
        assert sent[index] - sent[index - per_minute] >= pacing.RATE_WINDOW - 1e-5


def test_a_service_without_a_rate_is_not_paced() -> None:
    """The embedded engine has no limit by the minute."""
    assert 0.0 == pacing.submit_after([0.0] * 1000, None, 0.0)


@pytest.mark.parametrize("allowed", [2.0, 500.0, None])
def test_a_pace_that_was_too_fast_is_halved_and_comes_back(allowed: float | None) -> None:
    """Never to a standstill, and never beyond what is allowed."""
    pace = pacing.Pace(allowed).refused(sent=40)
    slow = pace.rate
    assert slow is not None
    assert pacing.LEAST <= slow <= 20.0
    for _ in range(200):
        before, pace = pace.rate, pace.accepted()
        assert pace.rate is None or before is None or before <= pace.rate
    assert pacing.Pace(allowed) == pace


@given(refusals=st.integers(0, 50), sent=st.integers(0, 5000), allowed=st.floats(1, 5000))
def test_however_often_it_is_refused_a_pace_stays_between_one_and_what_is_allowed(
    refusals: int, sent: int, allowed: float
) -> None:
    """A service that always refuses is still asked once a minute."""
    pace = pacing.Pace(allowed)
    for _ in range(refusals):
        pace = pace.refused(sent)

    assert pace.rate is not None
    assert pacing.LEAST <= pace.rate <= allowed
