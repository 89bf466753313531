from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.job.budget import LOOK_AGAIN, Limits, Used, dollars, judge, micro
from upscaled.job.calendar import Periods, month_of, periods
from upscaled.job.model import Cause

BERLIN = ZoneInfo("Europe/Berlin")
PERIODS = Periods(day=0.0, next_day=100.0, month=0.0, next_month=3000.0)


@pytest.mark.parametrize(
    ("limits", "price", "used", "until"),
    [
        (Limits(), 5.0, Used(10**9, 10**9), None),
        (Limits(), None, Used(), None),
        (Limits(per_day=0.10), 0.01, Used(90_000, 90_000), None),
        (Limits(per_day=0.10), 0.01, Used(90_001, 90_001), 100.0),
        (Limits(per_day=0.10), 0.01, Used(100_000, 100_000), 100.0),
        (Limits(per_day=0.0), 0.0, Used(), None),
        (Limits(per_day=0.0), 0.01, Used(), 100.0),
        (Limits(per_month=0.10), 0.01, Used(0, 100_000), 3000.0),
        (Limits(per_day=0.10, per_month=0.10), 0.01, Used(100_000, 100_000), 3000.0),
        (Limits(per_picture=0.01), 0.01, Used(), None),
        (Limits(per_picture=0.01), 0.0101, Used(), 10.0 + LOOK_AGAIN),
        (Limits(per_day=1.0), None, Used(), 10.0 + LOOK_AGAIN),
    ],
)
def test_a_price_is_within_every_limit_or_waits_until_the_period_ends(
    limits: Limits, price: float | None, used: Used, until: float | None
) -> None:
    """To the millionth of a dollar; the longer wait of two is the one that is told."""
    found = judge(limits, price, used, PERIODS, 10.0)

    assert until == (None if found is None else found.until)
    assert found is None or (found.cause is Cause.BUDGET and "$" in found.reason) or price is None


@given(price=st.integers(1, 400_000), limit=st.integers(0, 10_000_000))
def test_what_is_let_through_one_after_the_other_never_exceeds_the_limit(price: int, limit: int) -> None:
    """And it is used up as far as whole pictures go."""
    used = 0
    for _ in range(60):
        if judge(Limits(per_day=limit / 1e6), price / 1e6, Used(used, used), PERIODS, 0.0) is not None:
            assert used + price > limit
            break
        used += price
    assert used <= limit


@given(cents=st.integers(0, 100_000))
def test_cents_are_exact(cents: int) -> None:
    """However they are written in binary."""
    assert cents * 10_000 == micro(cents / 100)
    assert f"${cents // 100}.{cents % 100:02}" == dollars(cents / 100)


@pytest.mark.parametrize(
    ("now", "day", "next_day", "month", "next_month"),
    [
        ("2026-11-23T12:00", "2026-11-23", "2026-11-24", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59", "2026-12-31", "2027-01-01", "2026-12-01", "2027-01-01"),
        ("2026-03-29T12:00", "2026-03-29", "2026-03-30", "2026-03-01", "2026-04-01"),
        ("2026-10-25T00:00", "2026-10-25", "2026-10-26", "2026-10-01", "2026-11-01"),
        ("2028-02-29T08:00", "2028-02-29", "2028-03-01", "2028-02-01", "2028-03-01"),
    ],
)
def test_days_and_months_are_those_of_the_wall_calendar(
    now: str, day: str, next_day: str, month: str, next_month: str
) -> None:
    """Also where clocks change and a day has 23 or 25 hours."""

    def at(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()

    assert Periods(at(day), at(next_day), at(month), at(next_month)) == periods(at(now), BERLIN)
    year, number, _ = map(int, month.split("-"))
    assert (at(month), at(next_month)) == month_of(year, number, BERLIN)
