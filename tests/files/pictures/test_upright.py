from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from tests.support import service_pictures
from upscaled.files import pictures
from upscaled.files.finishing import Check, Finish, finish
from upscaled.files.pictures import Wanted

SCENE = Path(__file__).parents[2] / "photos" / "coffee.jpg"

STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera held like that stores the scene: the inverse of what makes it upright (EXIF 2.32, 4.6.4)."""

SOURCES = {"jpeg": ("a.jpg", {"quality": 95}), "tiff": ("a.tif", {}), "heic": ("a.heic", {"quality": 95})}


def scene() -> Image.Image:
    """Return a scene of which every turn and every mirror image is another picture."""
    with Image.open(SCENE) as image:
        return image.convert("RGB").resize((96, 64))


def stored(directory: Path, kind: str, orientation: int) -> Path:
    """Write the scene as a camera does that was held like that."""
    name, options = SOURCES[kind]
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    pillow_heif.register_heif_opener()
    image = scene() if turn is None else scene().transpose(turn)
    image.save(directory / name, exif=exif.tobytes(), **options)  # type: ignore[arg-type]
    return directory / name


def seen(path: Path) -> Image.Image:
    """Return what a viewer shows that honours orientation."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return by how many of 255 levels two pictures differ on average; 255 where their sizes do."""
    if one.size != other.size:
        return 255.0
    return float(np.mean(ImageStat.Stat(ImageChops.difference(one, other)).mean))


@pytest.mark.parametrize(("kind", "orientation", "form"), list(product(SOURCES, STORED, ("jpeg", "png", "webp"))))
def test_a_result_shows_its_scene_upright_however_the_camera_was_held(
    tmp_path: Path, kind: str, orientation: int, form: str
) -> None:
    """And unmirrored, in every viewer that honours orientation; with its source's metadata in it."""
    source, uploaded, part, result = (
        stored(tmp_path, kind, orientation),
        *(tmp_path / name for name in ("up", "part", "result")),
    )
    made = pictures.render(source, uploaded, Wanted())
    data = source.read_bytes() if made.digest is None else uploaded.read_bytes()
    rendered = service_pictures.render(data, {"target_resolution": "small", "output_format": form}, {"small": 192})
    part.write_bytes(rendered.data)

    finish(part, source, result, Check(form, (made.width, made.height)), Finish("carry"))

    reference = scene().resize((192, 128), Image.Resampling.BILINEAR)
    assert 6.0 > apart(seen(source), scene()), "the source itself shows the scene"
    assert 6.0 > apart(seen(result), reference)
    with Image.open(result) as image:
        assert ("Maker", 1) == (image.getexif().get(0x010F), image.getexif().get(0x0112, 1))
        assert (192, 128) == image.size


def test_the_comparison_tells_every_wrong_turn() -> None:
    """Or the table would prove nothing."""
    turns = [turn for turn in STORED.values() if turn is not None]

    assert all(apart(scene().transpose(turn), scene()) > 20 for turn in turns)


def test_an_upright_jpeg_goes_byte_for_byte_and_a_turned_one_does_not(tmp_path: Path) -> None:
    """The one is not even decoded."""
    upright = pictures.render(stored(tmp_path, "jpeg", 1), tmp_path / "out", Wanted())
    turned = pictures.render(stored(tmp_path, "jpeg", 8), tmp_path / "out", Wanted())

    assert (None, ()) == (upright.digest, upright.done)
    assert (96, 64, ("turned upright",)) == (turned.width, turned.height, turned.done)


def test_a_rendition_carries_no_metadata(tmp_path: Path) -> None:
    """Neither a place nor a name goes to the service with it."""
    pictures.render(stored(tmp_path, "jpeg", 8), tmp_path / "out", Wanted())

    with Image.open(tmp_path / "out") as image:
        assert {} == dict(image.getexif())
        assert set() == set(image.info) & {"exif", "icc_profile", "xmp", "comment"}
