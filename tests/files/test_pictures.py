from __future__ import annotations

import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from PIL import Image

from upscaled.errors import BadPicture, FileTrouble, Flaw, Vanished
from upscaled.files import pictures
from upscaled.files.pictures import Picture

PHOTOS = Path(__file__).parent.parent / "photos"


def saved(path: Path, size: tuple[int, int], name: str = "JPEG", mode: str = "RGB", **options: object) -> Path:
    """Write a picture with something to see on it."""
    image = Image.linear_gradient("L").resize(size).convert(mode)
    image.save(path, name, **options)
    return path


def flaw_of(path: Path, **options: object) -> Flaw:
    """Return in which way a result is refused."""
    judge = partial(pictures.verify, expected_format=None, source_size=None)
    with pytest.raises(BadPicture) as caught:
        judge(path, **options)  # type: ignore[arg-type]
    assert caught.value.what
    return caught.value.flaw


@pytest.mark.parametrize("path", sorted(PHOTOS.glob("*.[jpw][pne]*")), ids=lambda path: path.name)
def test_photographs_are_probed_and_verified(path: Path) -> None:
    """Header and pixels agree."""
    with Image.open(path) as image:
        expected = Picture((image.format or "").lower(), image.width, image.height, image.mode)

    assert expected == pictures.probe(path)
    assert expected == pictures.verify(path, expected_format=expected.format, source_size=image.size)
    assert expected.format == pictures.format_of(path)


def test_an_8k_result_is_verified(tmp_path: Path) -> None:
    """The largest that the service makes; a square one has 59 million pixels."""
    path = saved(tmp_path / "a.jpg", (7680, 7680), mode="L")

    assert 7680 == pictures.verify(path, expected_format="jpeg", source_size=(500, 500)).width


@pytest.mark.parametrize(
    ("source", "result", "orientation", "expected"),
    [
        ((400, 300), (3840, 2880), None, None),
        ((400, 300), (2880, 3840), None, Flaw.SHAPE),
        ((400, 300), (2880, 3840), 1, Flaw.SHAPE),
        ((400, 300), (2880, 3840), 6, None),
        ((400, 300), (3840, 2880), 6, None),
        ((400, 300), (3840, 2940), None, Flaw.SHAPE),
        ((400, 300), (3840, 2912), None, Flaw.SHAPE),
        ((400, 300), (3840, 2908), None, None),
        ((1920, 1080), (3840, 2176), None, None),
        ((333, 251), (999, 754), None, None),
        ((333, 7), (666, 16), None, Flaw.SHAPE),
        ((1000, 3), (2000, 7), None, None),
        ((1000, 3), (2000, 8), None, Flaw.SHAPE),
        ((400, 300), (400, 300), None, None),
        ((400, 300), (396, 297), None, Flaw.SMALLER),
        ((400, 300), (297, 396), 8, Flaw.SMALLER),
        ((1, 1), (2048, 2048), None, None),
    ],
)
def test_a_result_has_the_shape_of_its_source(
    tmp_path: Path, source: tuple[int, int], result: tuple[int, int], orientation: int | None, expected: Flaw | None
) -> None:
    """Within 1 % or a row of pixels, upright or not where the source was turned, and never smaller."""
    path = saved(tmp_path / "a.png", result, "PNG", "L")

    if expected is None:
        pictures.verify(path, expected_format="png", source_size=source, orientation=orientation)
    else:
        assert expected == flaw_of(path, source_size=source, orientation=orientation)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_result_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    """What was asked for is what is paid for."""
    path = saved(tmp_path / "a", (40, 30), name)
    other = "png" if name == "JPEG" else "jpeg"

    assert Flaw.FORMAT == flaw_of(path, expected_format=other)
    assert name.lower() == pictures.verify(path, expected_format=name.lower(), source_size=None).format


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_result_is_refused(tmp_path: Path, name: str, share: float) -> None:
    """With the byte at which it stops."""
    path = saved(tmp_path / "a", (400, 300), name)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    assert Flaw.TRUNCATED == flaw_of(path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>", "a web page"),
        (b'{"code": 500, "message": "internal"}', "no picture"),
        (b"", "no picture"),
        (bytes(5000), "no picture"),
        (b"%PDF-1.7 ...........", "no picture"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, data: bytes, text: str) -> None:
    """A gateway's page is told from a broken picture."""
    path = tmp_path / "a.jpg"
    path.write_bytes(data)

    with pytest.raises(BadPicture, match=text):
        pictures.verify(path, expected_format="jpeg", source_size=None)
    with pytest.raises(BadPicture):
        pictures.probe(path)
    assert pictures.format_of(path) in {None, "html", "pdf"}


def test_pixels_that_cannot_be_decoded_are_refused(tmp_path: Path) -> None:
    """The frame of the file is whole, and what is in it is not."""
    path = saved(tmp_path / "a.jpg", (64, 64))
    data = path.read_bytes()
    at = data.index(b"\xff\xc4")
    path.write_bytes(data[: at + 5] + b"\xff" * 16 + data[at + 21 :])

    assert Flaw.UNREADABLE == flaw_of(path)


def test_a_picture_of_absurd_size_is_not_decoded(tmp_path: Path) -> None:
    """A few bytes may claim gigabytes of pixels."""
    path = saved(tmp_path / "a.png", (3000, 2000), "PNG", "1")

    assert Flaw.ABSURD == flaw_of(path, max_pixels=5_000_000)
    with pytest.raises(BadPicture, match="3,000 x 2,000"):
        pictures.probe(path, max_pixels=5_000_000)
    pictures.verify(path, expected_format="png", source_size=None, max_pixels=6_000_000)


def test_frames_and_orientation_are_probed(tmp_path: Path) -> None:
    """What the intake and the metadata want to know."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 8
    turned = saved(tmp_path / "a.jpg", (20, 10), exif=exif)

    assert 2 == pictures.probe(tmp_path / "a.webp").frames
    assert 8 == pictures.probe(turned).orientation


def test_a_jpeg_with_more_pictures_behind_it_is_a_jpeg(tmp_path: Path) -> None:
    """Cameras and phones write them (MPO)."""
    first, second = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])

    assert Picture("jpeg", 20, 10, "RGB") == pictures.verify(
        tmp_path / "a.jpg", expected_format="jpeg", source_size=None
    )


def test_a_part_that_is_gone_is_no_bad_picture(tmp_path: Path) -> None:
    """It is downloaded again, not judged."""
    with pytest.raises(Vanished):
        pictures.verify(tmp_path / "gone", expected_format=None, source_size=None)
    assert pictures.format_of(tmp_path / "gone") is None


def test_verifying_works_in_a_worker_process(tmp_path: Path) -> None:
    """Function, result and errors cross over whole."""
    good = saved(tmp_path / "a.jpg", (40, 30))
    bad = tmp_path / "b.jpg"
    bad.write_bytes(good.read_bytes()[:-9])
    judge = partial(pictures.verify, expected_format="jpeg", source_size=(40, 30))

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert Picture("jpeg", 40, 30, "RGB") == pool.submit(judge, good).result()
        with pytest.raises(BadPicture, match="incomplete") as caught:
            pool.submit(judge, bad).result()
        with pytest.raises(Vanished) as gone:
            pool.submit(judge, tmp_path / "gone").result()

    assert Flaw.TRUNCATED == caught.value.flaw
    assert tmp_path / "gone" == gone.value.path


def test_every_trouble_can_be_pickled() -> None:
    """With all that it says."""
    error = FileTrouble("what", why="why", do="do", path=Path("/a"))
    again = pickle.loads(pickle.dumps(error))

    assert (str(error), error.path) == (str(again), again.path)


def test_odd_metadata_is_not_held_against_a_picture(tmp_path: Path) -> None:
    """Pillow warns of it; the pixels are there."""
    path = tmp_path / "a.jpg"
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xee" * 60
    Image.new("RGB", (20, 10)).save(path, exif=exif)
    with pytest.warns(UserWarning, match="EXIF"):
        Image.open(path).close()

    assert pictures.verify(path, expected_format="jpeg", source_size=(20, 10)).orientation is None


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_damaged_jpeg_is_refused_exactly_where_decoding_all_of_its_pixels_refuses_it(
    tmp_path: Path, progressive: bool
) -> None:
    """Verifying works out fewer pixels than that, from all of the bytes."""
    data = saved(tmp_path / "whole.jpg", (400, 300), progressive=progressive, quality=95).read_bytes()
    chance = random.Random(11)
    path = tmp_path / "a.jpg"
    agreed = []
    for _ in range(60):
        damaged = bytearray(data)
        at = chance.randrange(200, len(data) - 40)
        damaged[at : at + 30] = chance.choice((b"", bytes(30), chance.randbytes(30), b"\xff\xd9" * 15))
        path.write_bytes(damaged)
        whole = _decodes(path)
        try:
            pictures.verify(path, expected_format="jpeg", source_size=None)
        except BadPicture as error:
            # The structure is looked at before, and may find more.
            agreed.append(not whole or error.flaw is not Flaw.UNREADABLE)
        else:
            agreed.append(whole)

    assert [True] * 60 == agreed


def _decodes(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


def test_a_result_of_colours_that_are_equally_bright_is_not_blank(tmp_path: Path) -> None:
    """Only brightness is worked out at first; where that is the same all over, the colours are looked at."""
    source = saved(tmp_path / "source.png", (64, 64), "PNG")
    halves = Image.new("YCbCr", (64, 64), (128, 90, 128))
    halves.paste((128, 160, 128), (0, 0, 64, 32))
    result = tmp_path / "result.jpg"
    halves.save(result, quality=95, subsampling=0)

    found = pictures.verify(result, expected_format="jpeg", source_size=(64, 64), source=source)

    assert (64, 64) == (found.width, found.height)


def test_what_is_on_a_result_only_between_its_coarsest_pixels_is_on_it(tmp_path: Path) -> None:
    """A pattern so fine that every block of it has the same mean is no blank picture."""
    source = saved(tmp_path / "source.png", (64, 64), "PNG")
    fine = Image.new("L", (64, 64))
    fine.putdata([255 * ((x + y) % 2) for y in range(64) for x in range(64)])
    result = tmp_path / "result.jpg"
    fine.convert("RGB").save(result, quality=95, subsampling=0)

    found = pictures.verify(result, expected_format="jpeg", source_size=(64, 64), source=source)

    assert (64, 64) == (found.width, found.height)
