from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms

from tests.support import coded, icc, service_pictures
from upscaled.files import pictures
from upscaled.files.pictures import Wanted, colour
from upscaled.files.pictures.colour import Meaning

SCENE = Path(__file__).parents[2] / "photos" / "coffee.jpg"

SIZE = (192, 128)


def scene() -> icc.Bytes:
    """Return a photograph with strong colours, as sRGB pixels."""
    with Image.open(SCENE) as image:
        photo = image.convert("RGB").resize(SIZE)
    colours = Image.new("RGB", SIZE)
    for number, name in enumerate(("red", "lime", "blue", "orange", "teal", "white", "black", "purple")):
        colours.paste(name, (24 * number, 0, 24 * number + 24, 24))
    photo.paste(colours.crop((0, 0, SIZE[0], 24)), (0, 0))
    return np.asarray(photo)


def grey_scene() -> icc.Bytes:
    """Return the scene without its colours."""
    light = icc.srgb_decode(scene() / 255.0) @ icc.SRGB.to_xyz()[1]
    return np.repeat(np.round(icc.srgb_encode(light) * 255).astype(np.uint8)[..., None], 3, axis=-1)


def rgb_file(space: icc.Space, name: str) -> Callable[[Path], Path]:
    """Return what writes the scene in an RGB space."""

    def write(directory: Path) -> Path:
        image = Image.fromarray(space.from_srgb(scene()))
        options: dict[str, dict[str, Any]] = {
            ".jpg": {"quality": 98, "subsampling": 0},
            ".heic": {"quality": 98, "chroma": 444},
        }
        pillow_heif.register_heif_opener()
        image.save(directory / name, icc_profile=space.profile(), **options.get(Path(name).suffix, {}))
        return directory / name

    return write


def camera_file(index: str) -> Callable[[Path], Path]:
    """Return what writes the scene in Adobe RGB as cameras do: without a profile, and EXIF says it (DCF 2.0)."""

    def write(directory: Path) -> Path:
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ColorSpace: 65535, ExifTags.IFD.Interop: {1: index}})
        image = Image.fromarray(icc.ADOBE.from_srgb(scene()))
        image.save(directory / "_a.jpg", exif=exif, quality=98, subsampling=0)
        return directory / "_a.jpg"

    return write


LINEAR = icc.Space("linear sRGB", icc.SRGB.primaries, icc.SRGB.white, 1.0)
BT2020 = icc.Space("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), icc.SRGB.white, None)


def png_file(space: icc.Space, *chunks: bytes) -> Callable[[Path], Path]:
    """Return what writes the scene in an RGB space as a PNG that tells it by chunks."""

    def write(directory: Path) -> Path:
        Image.fromarray(space.from_srgb(scene())).save(directory / "a.png")
        return coded.with_chunks(directory / "a.png", *chunks)

    return write


def coded_file(space: icc.Space, name: str, primaries: int) -> Callable[[Path], Path]:
    """Return what writes the scene as a HEIC or AVIF that tells its space by code points alone."""

    def write(directory: Path) -> Path:
        pillow_heif.register_heif_opener()
        image = Image.fromarray(space.from_srgb(scene()))
        options: dict[str, dict[str, Any]] = {".heic": {"chroma": 444}, ".avif": {"subsampling": "4:4:4"}}
        image.save(directory / name, quality=98, **options[Path(name).suffix])
        return coded.recoded(directory / name, primaries, 13)

    return write


def cmyk_file(directory: Path) -> Path:
    """Write the scene in inks."""
    image = Image.fromarray(icc.inks(scene()), "CMYK")
    image.save(directory / "a.tif", icc_profile=icc.ink_profile())
    return directory / "a.tif"


def cmyk_jpeg(directory: Path) -> Path:
    """Write the scene in inks as Photoshop does, upside down."""
    image = Image.fromarray(icc.inks(scene()), "CMYK")
    image.save(directory / "a.jpg", icc_profile=icc.ink_profile(), quality=98, subsampling=0)
    return directory / "a.jpg"


def lab_file(directory: Path) -> Path:
    """Write the scene as L*a*b*, eight bits each; no profile is needed to say what that means."""
    lab = icc.lab_of(scene() / 255.0)
    stored = np.round(lab * (2.55, 1, 1)).astype(np.int16).astype(np.uint8)
    Image.frombytes("LAB", SIZE, stored.tobytes()).save(directory / "a.tif")
    return directory / "a.tif"


def grey_file(directory: Path) -> Path:
    """Write the scene in greys of another curve."""
    light = icc.srgb_decode(grey_scene()[..., 0] / 255.0)
    image = Image.fromarray(np.round(light ** (1 / 1.4) * 255).astype(np.uint8))
    image.save(directory / "a.png", icc_profile=icc.grey_profile(1.4))
    return directory / "a.png"


SPACES: dict[str, tuple[Callable[[Path], Path], Callable[[], icc.Bytes]]] = {
    "sRGB": (rgb_file(icc.SRGB, "a.png"), scene),
    "Adobe RGB": (rgb_file(icc.ADOBE, "a.png"), scene),
    "Adobe RGB as JPEG": (rgb_file(icc.ADOBE, "a.jpg"), scene),
    "Adobe RGB by EXIF": (camera_file("R03"), scene),
    "Display P3": (rgb_file(icc.P3, "a.png"), scene),
    "Display P3 as HEIC": (rgb_file(icc.P3, "a.heic"), scene),
    "Display P3 by cICP": (png_file(icc.P3, coded.cicp(12, 13)), scene),
    "BT.2020 by cICP": (png_file(BT2020, coded.cicp(9, 14)), scene),
    "Display P3 by nclx in HEIC": (coded_file(icc.P3, "a.heic", 12), scene),
    "Display P3 by nclx in AVIF": (coded_file(icc.P3, "a.avif", 12), scene),
    "Adobe RGB by cHRM and gAMA": (png_file(icc.ADOBE, coded.chrm(icc.ADOBE), coded.gama(45470)), scene),
    "linear by gAMA": (png_file(LINEAR, coded.gama(100000)), scene),
    "ProPhoto": (rgb_file(icc.PROPHOTO, "a.tif"), scene),
    "CMYK": (cmyk_file, scene),
    "CMYK as JPEG": (cmyk_jpeg, scene),
    "Lab": (lab_file, scene),
    "grey": (grey_file, grey_scene),
}


def as_uploaded(source: Path, tmp_path: Path, *, prepared: bool) -> bytes:
    """Return the bytes that a source is uploaded as."""
    out = tmp_path / "out"
    made = pictures.render(source, out, Wanted()) if prepared else None
    return source.read_bytes() if made is None or made.digest is None else out.read_bytes()


def difference(uploaded: bytes, expected: icc.Bytes) -> float:
    """Return how far the result of a service that ignores profiles is from the scene, on average (CIEDE2000)."""
    result = service_pictures.render(uploaded, {"target_resolution": "small", "output_format": "png"}, {"small": 384})
    with Image.open(io.BytesIO(result.data)) as image:
        assert (384, 256) == image.size
        found = np.asarray(image.convert("RGB")) / 255.0
    reference = np.asarray(Image.fromarray(expected).resize((384, 256), Image.Resampling.BILINEAR)) / 255.0
    return float(icc.delta_e(icc.lab_of(found), icc.lab_of(reference)).mean())


@pytest.mark.parametrize("name", SPACES)
def test_a_scene_keeps_its_colours_whatever_space_it_is_in(tmp_path: Path, name: str) -> None:
    """Within a mean CIEDE2000 of 1, through a service that ignores profiles."""
    write, expected = SPACES[name]
    source = write(tmp_path)

    assert difference(as_uploaded(source, tmp_path, prepared=True), expected()) <= 1.0


@pytest.mark.parametrize(
    "name",
    [
        *("Adobe RGB", "Adobe RGB by EXIF", "ProPhoto", "CMYK", "grey"),
        *("Display P3 by cICP", "BT.2020 by cICP", "Adobe RGB by cHRM and gAMA", "linear by gAMA"),
    ],
)
def test_unprepared_the_same_scene_would_lose_them(tmp_path: Path, name: str) -> None:
    """Or the test above would prove nothing."""
    write, expected = SPACES[name]

    assert difference(as_uploaded(write(tmp_path), tmp_path, prepared=False), expected()) > 1.0


@pytest.mark.parametrize("index", ["R98", "THM", ""])
def test_colours_that_nothing_is_said_of_are_srgb(tmp_path: Path, index: str) -> None:
    """That they are not sRGB says not what they are."""
    source = camera_file(index)(tmp_path)

    assert source.read_bytes() == as_uploaded(source, tmp_path, prepared=True)


def test_the_difference_of_colours_is_that_of_the_paper() -> None:
    """Rows of the table that Sharma, Wu and Dalal published to test implementations with."""
    pairs = [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, other, expected in pairs:
        assert expected == pytest.approx(float(icc.delta_e(np.array(one), np.array(other))), abs=1e-4)


@pytest.mark.parametrize(
    ("profile", "mode", "expected"),
    [
        (icc.SRGB.profile(), "RGB", Meaning.SRGB),
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "RGB", Meaning.SRGB),
        (icc.ADOBE.profile(), "RGB", Meaning.OTHER),
        (icc.P3.profile(), "RGB", Meaning.OTHER),
        (icc.grey_profile(1.4), "L", Meaning.OTHER),
        (icc.ink_profile(), "CMYK", Meaning.OTHER),
        (icc.ink_profile(), "RGB", Meaning.NONSENSE),
        (icc.SRGB.profile()[:200], "RGB", Meaning.NONSENSE),
        (b"not a profile", "RGB", Meaning.NONSENSE),
        (b"", "RGB", Meaning.NONSENSE),
    ],
)
def test_a_profile_is_judged_by_what_it_does(profile: bytes, mode: str, expected: Meaning) -> None:
    """Not by what it calls itself."""
    assert expected == colour.meaning(profile, mode)


def test_a_picture_in_srgb_by_another_name_goes_byte_for_byte(tmp_path: Path) -> None:
    """It is not even decoded."""
    source = rgb_file(icc.SRGB, "a.jpg")(tmp_path)

    made = pictures.render(source, tmp_path / "out", Wanted())

    assert ("jpeg", None) == (made.format, made.digest)
    assert not (tmp_path / "out").exists()


def test_what_was_done_to_the_colours_is_said(tmp_path: Path) -> None:
    """With the name that the profile gives itself."""
    made = pictures.render(rgb_file(icc.ADOBE, "a.png")(tmp_path), tmp_path / "out", Wanted())

    assert ("colours converted from Adobe RGB (1998) to sRGB",) == made.done
