"""How much memory a picture takes, and what happens when that is too much."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from upscaled.engine import memory, picture
from upscaled.engine.needs import Outline, needed, share_within
from upscaled.engine.order import Order, PictureRefused, Tier
from upscaled.engine.render import Renderer
from upscaled.engine.tiles import Size

GB = 1_000_000_000
BIG = Outline(Size(9000, 6666), 9, clear=True)
HUGE = Size(7680, 5120)
SMALL = Outline(Size(1200, 800), 9, clear=False)


@pytest.mark.parametrize(
    ("outline", "long_side", "form", "how", "peak"),
    [
        (BIG, 2048, "jpeg", (Tier.STANDARD, 128), 0.77),
        (Outline(BIG.size, 10, clear=False), 2048, "jpeg", (Tier.STANDARD, 128), 0.84),
        (Outline(BIG.size, 20, clear=True), 2048, "jpeg", (Tier.STANDARD, 128), 1.42),
        (SMALL, 3840, "jpeg", (Tier.STANDARD, 128), 0.73),
        (SMALL, 3840, "jpeg", (Tier.STANDARD, 256), 0.82),
        (SMALL, 3840, "jpeg", (Tier.FAST, 128), 0.63),
        (Outline(Size(300, 200), 9, clear=False), 2048, "jpeg", (Tier.MAX, 128), 1.23),
        (Outline(Size(300, 200), 9, clear=False), 7680, "webp", (Tier.STANDARD, 128), 0.99),
        (Outline(Size(9600, 8333), 9, clear=True), 2048, "jpeg", (Tier.STANDARD, 128), 0.93),
        (Outline(Size(7700, 5703), 9, clear=False), 7680, "webp", (Tier.FAST, 128), 0.73),
        (Outline(Size(7700, 5703), 9, clear=True), 7680, "webp", (Tier.FAST, 128), 1.59),
    ],
)
def test_needs_are_what_was_measured_and_a_little_more(
    outline: Outline, long_side: int, form: str, how: tuple[Tier, int], peak: float
) -> None:
    """Peaks of the engine's process, in GB, with one worker: what is told must cover them, and refuse no more than it
    has to.
    """
    target = Size(long_side, round(long_side * outline.size.height / outline.size.width))
    tier, edge = how
    told = needed(outline, target, form, tier, memory.Share(1, edge)) / GB
    assert peak <= told <= 1.25 * peak


@pytest.mark.parametrize(
    ("limit", "workers", "expected"),
    [
        (2.0, 2, memory.Share(2, 256)),
        (1.4, 2, memory.Share(2, 128)),
        (1.1, 2, memory.Share(1, 128)),
        (1.3, 1, memory.Share(1, 256)),
    ],
)
def test_blocks_become_smaller_and_then_fewer_before_a_picture_is_refused(
    limit: float, workers: int, expected: memory.Share
) -> None:
    """So what fits with one worker is not refused where there is memory for two."""
    share = memory.Share(workers, 256)
    assert expected == share_within(int(limit * GB), SMALL, HUGE, "jpeg", tier=Tier.STANDARD, share=share)


def test_a_refusal_tells_the_limit_and_its_key() -> None:
    """And what the picture takes at least."""
    with pytest.raises(PictureRefused, match=r"up to 0\.97 GB, and engine\.memory \(--memory\) allows 0\.80 GB"):
        share_within(8 * GB // 10, SMALL, HUGE, "jpeg", tier=Tier.STANDARD, share=memory.Share(2, 128))


@pytest.mark.parametrize("tier", list(Tier))
def test_a_limit_below_the_engine_s_own_needs_refuses_no_ordinary_picture(tier: Tier) -> None:
    """It is kept as nearly as can be."""
    target, share = Size(3840, 2560), memory.Share(1, 128)
    assert share == share_within(GB // 2, SMALL, target, "jpeg", tier=tier, share=share)


def test_what_does_not_fit_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From what the file's head says."""
    Image.new("L", (8900, 8900)).save(tmp_path / "a.png")
    monkeypatch.setattr(picture, "load", None)
    renderer = Renderer(workers=1, tier=Tier.FAST, limit=500_000_000)
    with pytest.raises(PictureRefused, match="more memory than the engine may use"):
        renderer.render(tmp_path / "a.png", tmp_path / "b.jpg", Order(long_side=2048))
    renderer.close()


@pytest.mark.parametrize(
    ("name", "mode", "progressive", "decoding"),
    [("a.png", "RGBA", False, 9), ("a.jpg", "RGB", False, 9), ("a.jpg", "RGB", True, 10), ("a.webp", "RGB", False, 20)],
)
def test_a_file_tells_what_decoding_it_takes(
    tmp_path: Path, name: str, mode: str, progressive: bool, decoding: int
) -> None:
    """Decoders that keep all of a picture take more."""
    Image.new(mode, (40, 30)).save(tmp_path / name, progressive=progressive)
    assert Outline(Size(40, 30), decoding, clear=mode == "RGBA") == picture.outline(tmp_path / name)
