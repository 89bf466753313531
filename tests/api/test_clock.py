"""What an answer's date tells about the service's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.api.clock import PROMPT, ServiceClock

EPOCH = 1_790_000_000.0
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
"""It, as HTTP writes it."""


def clock_after(*, date: str | None, sent: float, received: float, before: float | None = None) -> ServiceClock:
    """Return a clock that saw one answer, or an earlier one with another skew first."""
    now = [EPOCH]
    clock = ServiceClock(lambda: now[0])
    if before is not None:
        now[0] = EPOCH - before
        clock.observe({"Date": DATE}, now[0])
    now[0] = received
    clock.observe({} if date is None else {"Date": date}, sent)
    return clock


def test_the_skew_is_measured_in_the_middle_of_the_exchange() -> None:
    """Half a second is added, for the date is cut to whole ones."""
    assert 100.5 == clock_after(date=DATE, sent=EPOCH - 101, received=EPOCH - 99).skew


@given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1), st.floats(0, PROMPT))
def test_the_skew_is_right_to_half_a_second_and_half_the_wait(
    skew: float, fraction: float, share: float, wait: float
) -> None:
    """Whenever in the exchange and in its second the service looked at its clock."""
    answered = EPOCH + fraction * 0.999 - skew
    sent = answered - share * wait

    found = clock_after(date=DATE, sent=sent, received=sent + wait)

    assert abs(found.skew - skew) <= 0.5 + wait / 2 + 1e-3


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Sep 2026 14:13:20 GMT"])
def test_an_answer_without_a_readable_date_teaches_nothing(date: str | None) -> None:
    """What was known stays."""
    assert 60.5 == clock_after(date=date, sent=EPOCH, received=EPOCH, before=60).skew


def test_a_slow_answer_does_not_spoil_what_is_known() -> None:
    """A synchronous one may take ninety seconds, and its date was written at the end."""
    assert 60.5 == clock_after(date=DATE, sent=EPOCH - 90, received=EPOCH, before=60).skew


def test_a_slow_answer_is_better_than_nothing() -> None:
    """If it is the first."""
    assert 45.5 == clock_after(date=DATE, sent=EPOCH - 90, received=EPOCH).skew


def test_a_clock_that_was_set_back_meanwhile_teaches_nothing() -> None:
    """Time cannot have passed backwards."""
    assert 60.5 == clock_after(date=DATE, sent=EPOCH + 10, received=EPOCH, before=60).skew
