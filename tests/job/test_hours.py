from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.job import hours

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    """Return a moment in Berlin as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        ("", "2026-11-23T12:00", "2026-11-23T12:00"),
        ("22:00-06:00", "2026-11-23T12:00", "2026-11-23T22:00"),
        ("22:00-06:00", "2026-11-23T22:00", "2026-11-23T22:00"),
        ("22:00-06:00", "2026-11-23T05:59", "2026-11-23T05:59"),
        ("22:00-06:00", "2026-11-23T06:00", "2026-11-23T22:00"),
        ("08:00-10:00, 12:00-14:00", "2026-11-23T10:30", "2026-11-23T12:00"),
        ("08:00-10:00, 12:00-14:00", "2026-11-23T15:00", "2026-11-24T08:00"),
        ("mon-fri 22:00-06:00, sat,sun 00:00-24:00", "2026-11-28T12:00", "2026-11-28T12:00"),
        ("mon-fri 22:00-06:00, sat,sun 00:00-24:00", "2026-11-27T12:00", "2026-11-27T22:00"),
        ("mon-fri 22:00-06:00, sat,sun 00:00-24:00", "2026-11-30T00:30", "2026-11-30T22:00"),
        ("fri 22:00-06:00", "2026-11-28T05:00", "2026-11-28T05:00"),
        ("fri 22:00-06:00", "2026-11-28T06:00", "2026-12-04T22:00"),
        ("sat-mon 00:00-01:00", "2026-11-24T12:00", "2026-11-28T00:00"),
        ("SUN 1:00-2:00", "2026-11-23T12:00", "2026-11-29T01:00"),
        # The night on which clocks go forward (29 March) is an hour short, and 02:30 does not exist.
        ("02:30-03:30", "2026-03-29T01:00", "2026-03-29T03:30"),
        ("22:00-06:00", "2026-03-29T05:59", "2026-03-29T05:59"),
        ("22:00-06:00", "2026-03-29T06:01", "2026-03-29T22:00"),
        # And the one on which they go back (25 October) is an hour long.
        ("22:00-06:00", "2026-10-25T05:59", "2026-10-25T05:59"),
        ("00:00-24:00", "2026-10-25T23:59", "2026-10-25T23:59"),
    ],
)
def test_the_next_opening_is_now_or_the_next_beginning_of_a_window(text: str, now: str, opens: str) -> None:
    """Midnight, weekdays and clocks that change, one case each."""
    found = hours.parse(text).opening(at(now), BERLIN)

    if text == "02:30-03:30":
        assert at("2026-03-29T01:00") < found <= at("2026-03-29T03:30")
    else:
        assert (
            datetime.fromisoformat(opens).isoformat()
            == datetime.fromtimestamp(found, BERLIN).replace(tzinfo=None).isoformat()
        )


@pytest.mark.parametrize(
    "text", ["22", "22:00", "22:00-25:00", "24:00-06:00", "06:00-06:00", "mo 08:00-10:00", "fri", "8-10", "a:b-c:d"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """With words for a person, which the config shows."""
    with pytest.raises(ValueError, match=r"[a-z]"):
        hours.parse(text)


@given(now=st.floats(1.7e9, 1.9e9), begin=st.integers(0, 1439), length=st.integers(1, 1439))
def test_an_opening_is_never_in_the_past_nor_more_than_a_day_and_an_hour_away(
    now: float, begin: int, length: int
) -> None:
    """Of a window that comes every day, whatever the clocks do; and it is open at its opening."""
    end = (begin + length) % 1440
    window = hours.parse(f"{begin // 60}:{begin % 60:02}-{end // 60}:{end % 60:02}")

    found = window.opening(now, BERLIN)

    assert now <= found <= now + 25 * 3600
    assert found == window.opening(found, BERLIN)
