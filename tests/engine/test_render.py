"""The networks themselves on tiny pictures: seams, sizes, formats, cancelling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from upscaled.engine import tiles
from upscaled.engine.order import Order, PictureRefused, Tier
from upscaled.engine.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    """One set of networks for all tests here."""
    renderer = Renderer(workers=2)
    yield renderer
    renderer.close()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The middle of the cat, 96 x 64 pixels."""
    with Image.open(PHOTOS / "cat.jpg") as cat:
        cat.crop((150, 80, 246, 144)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


def pixels(path: Path) -> npt.NDArray[np.float32]:
    """Read a result."""
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float32)


def psnr(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Return the likeness of two pictures in dB."""
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


@pytest.mark.parametrize("long_side", [150, 192, 250, 384, 500])
@pytest.mark.parametrize("creativity", [-2, 0, 2])
def test_blocks_meet_without_a_seam(
    small: Path, tmp_path: Path, renderer: Renderer, long_side: int, creativity: float
) -> None:
    """Many small blocks give what one large block gives, at whole and at crooked factors."""
    order = Order(creativity=creativity, long_side=long_side, format="png")
    renderer.render(small, tmp_path / "one.png", order)
    blocky = Renderer(workers=2, edge=32)
    blocky._loaded = renderer._loaded
    blocky.render(small, tmp_path / "many.png", order)
    blocky.close()
    difference = np.abs(pixels(tmp_path / "one.png") - pixels(tmp_path / "many.png"))
    assert difference.max() <= 2
    assert (difference > 0).mean() <= 0.01


@pytest.mark.parametrize("creativity", [-2, 0])
def test_the_result_is_nearer_to_the_truth_than_resampling(
    tmp_path: Path, renderer: Renderer, creativity: float
) -> None:
    """A photograph halved and enlarged again: the networks beat Lanczos, and nothing is shifted or tinted."""
    with Image.open(PHOTOS / "astronaut.webp") as image:
        truth = image.convert("RGB").crop((128, 0, 384, 256))
    halved = truth.resize((128, 128), Image.Resampling.BICUBIC)
    halved.save(tmp_path / "in.png")
    renderer.render(tmp_path / "in.png", tmp_path / "out.png", Order(creativity, 256, format="png"))
    original = np.asarray(truth).astype(np.float32)
    plain = np.asarray(halved.resize((256, 256), Image.Resampling.LANCZOS)).astype(np.float32)
    result = pixels(tmp_path / "out.png")
    assert psnr(result, original) > psnr(plain, original) + 0.5
    assert np.abs(result.mean(axis=(0, 1)) - original.mean(axis=(0, 1))).max() < 1.5


def test_a_source_at_its_target_is_resampled_and_the_report_says_so(
    tmp_path: Path, small: Path, renderer: Renderer
) -> None:
    """No network runs, and nobody is told that one did."""
    report = renderer.render(small, tmp_path / "out.jpg", Order(long_side=48))
    assert () == report.networks
    assert "no network ran" in report.note
    assert (48, 32) == (report.width, report.height)
    with Image.open(tmp_path / "out.jpg") as image:
        assert (48, 32) == image.size


def test_alpha_is_enlarged_for_png_and_flattened_for_jpeg(tmp_path: Path, renderer: Renderer) -> None:
    """A cut-out stays one where the format can show it."""
    image = Image.new("RGBA", (40, 40), (250, 10, 10, 0))
    image.paste((250, 10, 10, 255), (20, 0, 40, 40))
    image.save(tmp_path / "in.png")
    renderer.render(tmp_path / "in.png", tmp_path / "out.png", Order(-2, 80, format="png"))
    cut_out = pixels(tmp_path / "out.png")
    assert (0, 255) == (int(cut_out[40, 5, 3]), int(cut_out[40, 75, 3]))
    renderer.render(tmp_path / "in.png", tmp_path / "out.jpg", Order(-2, 80))
    assert pixels(tmp_path / "out.jpg")[40, 5].min() > 245


def test_a_grey_source_gives_a_grey_result(tmp_path: Path, renderer: Renderer) -> None:
    """The networks see three equal channels and may answer with three unequal ones."""
    Image.linear_gradient("L").resize((48, 48)).save(tmp_path / "in.png")
    renderer.render(tmp_path / "in.png", tmp_path / "out.png", Order(0, 96, format="png"))
    with Image.open(tmp_path / "out.png") as image:
        assert ("L", (96, 96)) == (image.mode, image.size)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (700, 2)])
def test_the_smallest_pictures_work(tmp_path: Path, renderer: Renderer, size: tuple[int, int]) -> None:
    """Narrower than any network's reach: the picture is mirrored as often as it takes."""
    Image.new("RGB", size, (80, 160, 240)).save(tmp_path / "in.png")
    report = renderer.render(tmp_path / "in.png", tmp_path / "out.png", Order(0, max(size) * 3, format="png"))
    expected = tiles.fitted(tiles.Size(*size), max(size) * 3)
    assert expected == tiles.Size(report.width, report.height)
    assert np.abs(pixels(tmp_path / "out.png").mean(axis=(0, 1)) - (80, 160, 240)).max() < 6


def test_a_scale_is_a_factor_and_has_a_limit(tmp_path: Path, small: Path, renderer: Renderer) -> None:
    """What would not fit in memory is refused before work begins."""
    report = renderer.render(small, tmp_path / "out.png", Order(2, scale=1.5, format="png"))
    assert (144, 96) == (report.width, report.height)
    with pytest.raises(PictureRefused, match="too large"):
        renderer.render(small, tmp_path / "out.png", Order(2, scale=200.0, format="png"))


def test_the_fast_tier_leaves_the_restoring_network_out(tmp_path: Path, small: Path, renderer: Renderer) -> None:
    """An order's own tier goes before the engine's."""
    report = renderer.render(small, tmp_path / "out.jpg", Order(2, 120, tier=Tier.FAST))
    assert ("waifu2x-photo",) == report.networks


def test_progress_rises_to_one(tmp_path: Path, small: Path, renderer: Renderer) -> None:
    """Each block is a step; the end is told once all is written."""
    told: list[float] = []
    blocky = Renderer(workers=2, edge=32)
    blocky._loaded = renderer._loaded
    blocky.render(small, tmp_path / "out.jpg", Order(-2, 150), progress=told.append)
    blocky.close()
    assert told == sorted(told)
    assert 7 == len(told)
    assert 1.0 == told[-1]


def test_a_picture_beyond_patience_is_made_fast_and_the_report_says_so(tmp_path: Path, small: Path) -> None:
    """The speed is measured at the start; what was hurried is not called standard."""
    hurried = Renderer(workers=1, patience=0.0)
    rates = hurried.measure()
    assert {"waifu2x-photo", "animevideov3"} == set(rates)
    assert all(rate > 0 for rate in rates.values())
    report = hurried.render(small, tmp_path / "out.jpg", Order(1, 120))
    assert ("waifu2x-photo",) == report.networks
    assert "the fast one was used" in report.note
    report = hurried.render(small, tmp_path / "out.jpg", Order(1, 120, tier=Tier.FAST))
    assert "" == report.note
    hurried.close()
