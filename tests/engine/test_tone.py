"""Broad colours come back; everything finer stays."""

from __future__ import annotations

import numpy as np
import pytest

from upscaled.engine.tone import settle


@pytest.mark.parametrize("size", [(64, 96), (40, 33), (5, 3), (1, 1)])
@pytest.mark.parametrize("factor", [2, 4])
def test_a_tint_is_taken_off(size: tuple[int, int], factor: int) -> None:
    """A network's constant drift is gone, whatever the size and where a cell is cut by the edge."""
    source = np.random.default_rng(1).integers(40, 200, (*size, 3), np.uint8)
    source[:] = source.mean(axis=(0, 1))
    result = source.repeat(factor, 0).repeat(factor, 1)
    tinted = result + np.array([5, 0, 9], np.uint8) - np.array([0, 3, 0], np.uint8)
    settle(tinted, source)
    assert np.array_equal(result, tinted)


def test_detail_finer_than_a_cell_stays() -> None:
    """A pattern that only the network sees is kept, as its mean is right."""
    source = np.full((64, 64, 3), 100, np.uint8)
    result = np.indices((128, 128)).sum(axis=0)[..., None] % 2 * np.full(3, 40, np.uint8) + np.uint8(80)
    expected = result.astype(np.uint8)
    settled = expected.copy()
    settle(settled, source)
    assert np.array_equal(expected, settled)


def test_light_and_dark_do_not_wrap_round() -> None:
    """A correction beyond black or white ends there."""
    source = np.full((32, 32, 3), 255, np.uint8)
    result = np.full((64, 64, 3), 250, np.uint8)
    result[::2, ::2] = 255
    settle(result, source)
    assert result.min() >= 250


def test_parts_meet_without_a_seam() -> None:
    """A tall picture is corrected in parts, and a drift that changes over it is followed smoothly."""
    source = np.full((400, 32, 3), 120, np.uint8)
    drift = np.linspace(0, 20, 800).astype(np.uint8)[:, None, None]
    result = np.full((800, 64, 3), 120, np.uint8) - drift
    settle(result, source)
    assert np.abs(result.astype(int) - 120).max() <= 2
