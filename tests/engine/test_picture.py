"""Every oddity of file formats on the way in, and what is kept on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter, ImageOps

from upscaled.engine import picture
from upscaled.engine.order import PictureRefused
from upscaled.engine.tiles import Size

if TYPE_CHECKING:
    from pathlib import Path

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image: Image.Image, path: Path, **settings: object) -> Path:
    """Write a picture and return where."""
    image.save(path, **settings)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (200, 100, 50), "png", (200, 100, 50)),
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
        ("LA", (90, 255), "png", (90, 90, 90)),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(
    tmp_path: Path, mode: str, colour: int | tuple[int, ...], suffix: str, expected: tuple[int, ...]
) -> None:
    """Grey is remembered as grey, so that the result has no colour cast."""
    path = saved(Image.new(mode, (9, 5), colour), tmp_path / f"a.{suffix}")
    loaded = picture.load(path)
    assert expected == tuple(int(value) for value in loaded.pixels[2, 2])
    assert (mode in {"L", "LA", "1"}) == loaded.grey
    assert Size(9, 5) == loaded.size
    assert loaded.alpha is None


def as_a_whole(path: Path) -> tuple[picture.Bytes, picture.Bytes]:
    """Decode a picture without strips: its pixels, and its opacity."""
    with Image.open(path) as stored:
        image = ImageOps.exif_transpose(stored)
    if image.mode in {"I", "I;16", "F"}:
        values = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.clip(values * (255 / 65535) + 0.5, 0, 255).astype(np.uint8))
    clear = image.has_transparency_data
    pixels = np.asarray(image.convert("RGBA") if clear else image.convert("RGB").convert("RGBA"))
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    opacity, blur = Image.fromarray(alpha), ImageFilter.GaussianBlur(4)
    seen = Image.composite(Image.fromarray(rgb), Image.new("RGB", opacity.size), opacity).filter(blur)
    weight = np.asarray(opacity.filter(blur)).astype(np.float32)[..., None]
    colours = np.asarray(seen).astype(np.float32) * 255 / np.maximum(weight, 1)
    return np.where((alpha == 0)[..., None] & (weight > 0), np.clip(colours, 0, 255), rgb).astype(np.uint8), alpha


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[(mode, "png") for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "I;16")],
        *[(mode, "tif") for mode in ("RGB", "CMYK", "I;16", "F")],
        *[(mode, "jpg") for mode in ("L", "RGB", "CMYK")],
        ("RGBA", "webp"),
    ],
)
def test_strips_give_what_the_whole_picture_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, suffix: str, orientation: int
) -> None:
    """To the last bit, whatever the kind of pixel and however they lie in the file; and so on white."""
    random = np.random.default_rng(orientation)
    noise = random.integers(0, 256, (150, 97, 4), np.uint8)
    noise[20:60, 10:80, 3] = noise[100:] = 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    if mode in {"I;16", "F"}:
        image = Image.fromarray(
            random.integers(0, 65536, (150, 97)).astype(np.uint16 if mode == "I;16" else np.float32)
        )
    else:
        image = Image.fromarray(noise).convert(mode)
    hidden = {"transparency": 3} if mode == "P" else {}
    path = saved(image, tmp_path / f"a.{suffix}", exif=exif, **hidden)
    monkeypatch.setattr(picture, "_ROWS", 16)

    pixels, alpha = as_a_whole(path)
    loaded = picture.load(path)

    assert np.array_equal(pixels, loaded.pixels)
    assert np.array_equal(alpha, np.full_like(alpha, 255) if loaded.alpha is None else loaded.alpha)
    opacity = alpha[..., None].astype(np.float32) / 255
    white = (pixels * opacity + 255 * (1 - opacity) + 0.5).astype(np.uint8)
    assert np.array_equal(white, loaded.on_white().pixels)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    """Pillow's own conversion of 16-bit grey to 8 turns most of it white."""
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    loaded = picture.load(saved(Image.fromarray(values), tmp_path / f"a.{suffix}"))
    assert (0, 255) == (int(loaded.pixels.min()), int(loaded.pixels.max()))
    assert int(loaded.pixels.mean()) == pytest.approx(127, abs=1)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_pixels_are_read_by_their_range(tmp_path: Path, top: float) -> None:
    """TIFF knows no range for them; the three in use are told apart by the largest value."""
    values = np.linspace(0, top, 400, dtype=np.float32).reshape(20, 20)
    loaded = picture.load(saved(Image.fromarray(values), tmp_path / "a.tif"))
    assert 255 == int(loaded.pixels.max())
    assert int(loaded.pixels.mean()) == pytest.approx(127, abs=1)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    """A phone writes the sensor's pixels and says how to turn them."""
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show: the left of the file is the top of the picture
    loaded = picture.load(saved(image, tmp_path / "a.jpg", exif=exif))
    assert Size(20, 40) == loaded.size
    assert loaded.pixels[5, 10].min() > 200
    assert loaded.pixels[35, 10].max() < 50


def test_a_transparent_palette_keeps_its_transparency(tmp_path: Path) -> None:
    """A GIF's transparent colour becomes alpha."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 10])
    image.paste(0, (0, 0, 4, 8))
    loaded = picture.load(saved(image, tmp_path / "a.gif", transparency=0))
    assert loaded.alpha is not None
    assert (0, 255) == (int(loaded.alpha[4, 0]), int(loaded.alpha[4, 7]))


def test_full_opacity_is_no_transparency(tmp_path: Path) -> None:
    """An alpha channel without effect is not carried along."""
    loaded = picture.load(saved(Image.new("RGBA", (8, 8), (1, 2, 3, 255)), tmp_path / "a.png"))
    assert loaded.alpha is None


def test_hidden_colours_do_not_bleed_into_an_edge(tmp_path: Path) -> None:
    """Black under full transparency takes the colour of the visible pixels beside it."""
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((200, 40, 40, 255), (0, 0, 16, 32))
    loaded = picture.load(saved(image, tmp_path / "a.png"))
    assert 200 == pytest.approx(int(loaded.pixels[16, 17, 0]), abs=8)


def test_on_white_a_transparent_pixel_is_white(tmp_path: Path) -> None:
    """JPEG knows no transparency, so it is shown as it would look on paper."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 128), (4, 0, 8, 8))
    flat = picture.load(saved(image, tmp_path / "a.png")).on_white()
    assert flat.alpha is None
    assert (255, 127) == (int(flat.pixels[4, 0, 0]), int(flat.pixels[4, 7, 0]))


@pytest.mark.parametrize(
    ("mode", "profile", "expected"),
    [("RGB", SRGB, SRGB), ("L", SRGB, None), ("RGB", b"short", None), ("CMYK", SRGB, None), ("RGB", None, None)],
)
def test_a_profile_is_kept_only_where_it_describes_the_pixels(
    tmp_path: Path, mode: str, profile: bytes | None, expected: bytes | None
) -> None:
    """Pixel values are not converted, so a fitting profile stays true; any other would be a lie."""
    path = saved(Image.new(mode, (8, 8)), tmp_path / "a.tif", icc_profile=profile)
    assert expected == picture.load(path).profile


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jpg", b""),
        ("b.jpg", b"<html>no picture</html>"),
        ("c.png", b"\x89PNG\r\n\x1a\n garbage"),
        ("d.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    """The message says what to send, and does not show where the server keeps its files."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PictureRefused, match="cannot be read") as caught:
        picture.load(path)
    assert str(tmp_path) not in str(caught.value)


def test_half_a_picture_is_refused(tmp_path: Path) -> None:
    """A truncated upload must not become a picture that is grey in its lower half."""
    path = saved(Image.effect_noise((200, 200), 50), tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureRefused, match="cannot be read"):
        picture.load(path)


@pytest.mark.parametrize("side", [9000, 20000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    """A few kilobytes that unfold to hundreds of megabytes."""
    path = saved(Image.new("1", (side, side)), tmp_path / "a.png")
    with pytest.raises(PictureRefused, match="too large to be decoded safely"):
        picture.load(path)


@pytest.mark.parametrize(("form", "magic"), [("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")])
def test_each_format_is_written_with_grey_and_profile(tmp_path: Path, form: str, magic: bytes) -> None:
    """A colour picture keeps its profile; a grey one is written without colour where the format can."""
    like = picture.Picture(np.full((6, 9, 3), 99, np.uint8), profile=SRGB)
    picture.save(like.pixels, None, like, tmp_path / "out", form)
    assert (tmp_path / "out").read_bytes().startswith(magic)
    with Image.open(tmp_path / "out") as image:
        assert SRGB == image.info["icc_profile"]
        assert (9, 6) == image.size
    like = picture.Picture(like.pixels, grey=True)
    picture.save(like.pixels, None, like, tmp_path / "out", form)
    with Image.open(tmp_path / "out") as image:
        assert ("RGB" if form == "webp" else "L") == image.mode


@pytest.mark.parametrize("form", ["png", "webp"])
def test_alpha_is_written(tmp_path: Path, form: str) -> None:
    """Formats with transparency get it back."""
    like = picture.Picture(np.full((6, 9, 3), 99, np.uint8))
    alpha = np.zeros((6, 9), np.uint8)
    picture.save(like.pixels, alpha, like, tmp_path / "out", form)
    with Image.open(tmp_path / "out") as image:
        assert ("RGBA", (0, 0)) == (image.mode, image.getchannel("A").getextrema())


def test_resampling_averages_what_becomes_too_fine_to_show() -> None:
    """A pattern of single pixels becomes grey; picking pixels would give black, white or waves."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = picture.resampled(board, Size(20, 20))
    assert (20, 20) == small.shape
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 20


@pytest.mark.parametrize("how", [Image.Resampling.LANCZOS, Image.Resampling.BOX])
def test_resampling_by_channels_gives_what_all_at_once_gives(how: Image.Resampling) -> None:
    """To the last bit."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8)
    for size in (Size(40, 33), Size(200, 170)):
        whole = np.asarray(Image.fromarray(noise).resize((size.width, size.height), how))
        assert np.array_equal(whole, picture.resampled(noise, size, how))
