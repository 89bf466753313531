from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.job import space
from upscaled.job.model import Parameters

MB = 10**6


def params(**inputs: object) -> Parameters:
    """Return what a profile asks for."""
    return Parameters("m", inputs)


@pytest.mark.parametrize(
    ("asked", "about", "low", "high"),
    [
        (params(target_resolution="4k", output_format="jpeg"), (3840, "jpeg", (1200, 800), 1), 4 * MB, 6 * MB),
        (params(target_resolution="4k", output_format="png"), (3840, "jpeg", (1200, 800), 1), 20 * MB, 30 * MB),
        (params(target_resolution="8k", output_format="png"), (7680, "jpeg", (1000, 1000), 1), 120 * MB, 170 * MB),
        (params(target_resolution="8k", output_format="webp"), (7680, None, None, 1), 15 * MB, 30 * MB),
        (params(scale=2), (None, "jpeg", (1000, 1000), 1), 1 * MB, 3 * MB),
        (params(scale=4), (None, "png", (1000, 1000), 1), 30 * MB, 50 * MB),
        (params(), (None, "webp", (1000, 1000), 1), 4 * MB, 8 * MB),
        (params(scale=True), (None, "heif", (1000, 1000), 1), 30 * MB, 50 * MB),
        (params(), (None, None, None, 7 * MB), 7 * MB, 7 * MB),
    ],
)
def test_a_result_s_size_follows_from_target_format_and_source(
    asked: Parameters,
    about: tuple[int | None, str | None, tuple[int, int] | None, int],
    low: int,
    high: int,
) -> None:
    """Roughly: three of it are asked for."""
    side, fmt, pixels, size = about

    found = space.expected(asked, side=side, fmt=fmt, pixels=pixels, size=size)

    assert low <= found <= high


@given(
    st.integers(1, 8000), st.integers(1, 8000), st.sampled_from(["jpeg", "png", "webp", None]), st.integers(0, 10**9)
)
def test_no_result_is_expected_to_be_smaller_than_its_source(
    width: int, height: int, fmt: str | None, size: int
) -> None:
    """Whatever the picture, and however it lies."""
    asked = params(target_resolution="4k")
    upright, across = (
        space.expected(asked, side=3840, fmt=fmt, pixels=pixels, size=size)
        for pixels in ((width, height), (height, width))
    )

    assert size <= upright == across


@pytest.mark.parametrize(
    ("floor", "expected", "need"),
    [(10**9, 5 * MB, 10**9), (10**9, 400 * MB, 1200 * MB), (1, 5 * MB, 15 * MB), (None, 400 * MB, 0)],
)
def test_what_must_be_free_is_the_floor_or_three_results(floor: int | None, expected: int, need: int) -> None:
    """The larger of the two; off means that nothing is asked for."""
    assert need == space.needed(floor, expected)


def test_a_lack_names_the_disk_and_both_numbers() -> None:
    """And enough is no lack."""
    assert "" == space.lacking("/mnt/nas", 10**9, 10**9)

    lack = space.lacking("/mnt/nas", 12_345_678, 1_200_000_000)

    assert "The disk at /mnt/nas has 12 MB free, and 1.2 GB must be free" in lack


@pytest.mark.parametrize(("size", "text"), [(0, "0 KB"), (16_000, "16 KB"), (999_999_999, "999 MB"), (10**9, "1.0 GB")])
def test_sizes_read_easily(size: int, text: str) -> None:
    """In the unit that a person would take."""
    assert text == space.spelled(size)
