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


@pytest.mark.parametrize(("age", "wait"), [(0, 2.0), (30, 2.0), (100, 5.0), (200, 10.0), (90_000, 10.0)])
def test_polling_is_steady_at_first_and_slower_for_old_predictions(age: float, wait: float) -> None:
    """Exponential back-off would wait longest where completion is likeliest."""
    assert wait == pacing.poll_after(age, 2.0)


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
