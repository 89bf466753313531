"""Sizes and blocks: pure arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.engine.tiles import Size, blocks, fitted, multiplied

sides = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("source", "long_side", "expected"),
    [
        (Size(640, 427), 3840, Size(3840, 2562)),
        (Size(427, 640), 3840, Size(2562, 3840)),
        (Size(1920, 1080), 3840, Size(3840, 2160)),
        (Size(1, 5000), 2048, Size(1, 2048)),
    ],
)
def test_the_long_side_is_met_and_the_aspect_kept(source: Size, long_side: int, expected: Size) -> None:
    """A target is a length in pixels, not a factor; no side ever vanishes."""
    assert expected == fitted(source, long_side)


def test_a_scale_multiplies_both_sides() -> None:
    """real-esrgan is asked for a factor."""
    assert Size(250, 125) == multiplied(Size(100, 50), 2.5)


@given(sides, sides, st.sampled_from([50, 256, 2048]), st.integers(8, 300))
def test_blocks_cover_the_result_exactly_once(width: int, height: int, long_side: int, edge: int) -> None:
    """Every pixel of the result belongs to one block, and no block is larger than asked for."""
    source, target = Size(width, height), fitted(Size(width, height), long_side)
    cut = blocks(source, target, edge)
    assert target.pixels == sum(block.pixels for block in cut)
    assert len(cut) == len({(block.across.start, block.down.start) for block in cut})
    assert all(0 <= block.across.start < block.across.stop <= target.width for block in cut)
    assert all(0 <= block.down.start < block.down.stop <= target.height for block in cut)


@given(sides, sides, st.integers(16, 300))
def test_a_block_comes_from_the_same_place_in_the_source(width: int, height: int, edge: int) -> None:
    """When enlarging, a block needs about `edge` source pixels a side, and its window holds them with the margin."""
    source, target = Size(width, height), multiplied(Size(width, height), 3)
    for block in blocks(source, target, edge):
        for span in (block.across, block.down):
            low, high = span.window(4)
            assert low <= span.low - 4 <= span.high + 4 <= high
            assert span.high - span.low <= edge + 1
            assert span.start / 3 == pytest.approx(span.low)
