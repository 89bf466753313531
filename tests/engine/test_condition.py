"""Measuring damage: JPEG quality and noise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upscaled.engine.condition import jpeg_quality, noise

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.mark.parametrize("quality", [30, 50, 60, 75, 80, 92, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int) -> None:
    """Files of the Independent JPEG Group's encoder are estimated to within one."""
    file = io.BytesIO()
    Image.open(PHOTOS / "cat.jpg").save(file, "JPEG", quality=quality)
    tables = Image.open(file).quantization  # type: ignore[attr-defined]
    assert quality == pytest.approx(jpeg_quality(tables), abs=1)


def test_without_tables_there_is_no_quality() -> None:
    """A PNG has none."""
    assert jpeg_quality({}) is None


@pytest.mark.parametrize(("sigma", "low", "high"), [(0, 0.0, 2.0), (6, 3.5, 7.5), (12, 8.0, 15.0)])
def test_added_noise_is_found(sigma: float, low: float, high: float) -> None:
    """A clean photograph measures low; noise of a known strength measures near it."""
    pixels = np.asarray(Image.open(PHOTOS / "coffee.jpg").convert("RGB")).astype(np.float32)
    grain = np.random.default_rng(1).normal(0, sigma, (*pixels.shape[:2], 1))
    assert low <= noise(np.clip(pixels + grain, 0, 255).astype(np.uint8)) <= high


def test_a_picture_too_small_or_all_white_has_no_noise() -> None:
    """Where nothing can be measured nothing is claimed."""
    assert noise(np.full((20, 20, 3), 128, np.uint8)) == 0
    assert noise(np.full((200, 200, 3), 255, np.uint8)) == 0
