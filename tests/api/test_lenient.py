"""Reading what a stranger sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.api import lenient


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (1.5, 1.5), (0, 0.0), (True, None), ("1", None), (None, None), (float("inf"), None), (10**400, None)],
)
def test_a_number_is_finite_and_no_boolean(value: object, expected: float | None) -> None:
    """Python's JSON reader knows more numbers than JSON."""
    assert expected == lenient.number(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(7, 7), (7.9, 7), ("7", 7), ("-7", None), ("\u0667", None), ("9" * 10, None), (None, None)]
)
def test_a_whole_number_may_be_written_as_a_string(value: object, expected: int | None) -> None:
    """Codes were seen so."""
    assert expected == lenient.integer(value)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("see https://a/b?x=1&y=2 there", "see https://a/b?… there"),
        ("{'url': 'https://a/b?x=1'}", "{'url': 'https://a/b?…'}"),
        ('"http://a/b?x" "HTTPS://c/d?y"', '"http://a/b?…" "HTTPS://c/d?…"'),
        ("what? https://a/b", "what? https://a/b"),
    ],
)
def test_queries_are_cut_off(message: str, expected: str) -> None:
    """Of every address in a sentence."""
    assert expected == lenient.without_queries(message)


@given(st.binary(max_size=2000) | st.text(max_size=2000))
def test_an_excerpt_is_one_short_line(value: object) -> None:
    """Whatever it is made of."""
    shown = lenient.excerpt(value, 40)

    assert "\n" not in shown
    assert len(shown) <= 4 * 40 + 2


def test_an_excerpt_of_nothing_says_so() -> None:
    """Empty quotes do not read well."""
    assert "nothing" == lenient.excerpt(b" \n ")


def test_a_text_can_always_be_written_down() -> None:
    """JSON may escape half a character, which neither a ledger nor a log can hold."""
    assert "a?b" == lenient.text("a\ud800b")


@pytest.mark.parametrize("value", [10**30, -(10**30), 1e300, 2.0**63])
def test_a_whole_number_fits_into_63_bits(value: float) -> None:
    """A ledger's integers are no larger."""
    assert lenient.integer(value) is None
