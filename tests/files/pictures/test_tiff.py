"""TIFFs of kinds that Pillow reads in its own way; each is written here by hand, as TIFF 6.0 has it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from upscaled.errors import BadPicture
from upscaled.files import pictures
from upscaled.files.metadata.tiff import LONG, SHORT, Branch, ByteOrder, Field, build
from upscaled.files.pictures import Wanted

Samples = npt.NDArray[Any]

RAMP = np.linspace(0, 1, 64 * 48).reshape(48, 64)
"""From black to white."""


def tiff(path: Path, samples: Samples, photometric: int, *, order: ByteOrder = "little", planar: bool = False) -> Path:
    """Write samples uncompressed: rows of pixels, each of its channels, or (``planar``) one channel after the other."""
    height, width, channels = samples.shape
    bits = 8 * samples.itemsize
    planes = np.moveaxis(samples, -1, 0) if planar else samples[None]
    data = planes.astype(samples.dtype.newbyteorder("<" if order == "little" else ">")).tobytes()

    def field(tag: int, kind: int, *values: int) -> Field:
        size = 2 if kind == SHORT else 4
        return Field(tag, kind, len(values), b"".join(value.to_bytes(size, order) for value in values))

    def block(start: int) -> bytes:
        length = len(data) // len(planes)
        fields = (
            *(field(256, LONG, width), field(257, LONG, height), field(258, SHORT, *[bits] * channels)),
            *(field(259, SHORT, 1), field(262, SHORT, photometric), field(277, SHORT, channels)),
            field(273, LONG, *(start + number * length for number in range(len(planes)))),
            *(field(278, LONG, height), field(279, LONG, *[length] * len(planes))),
            *(field(284, SHORT, 2 if planar else 1), field(339, SHORT, 3 if samples.dtype.kind == "f" else 1)),
        )
        return build(order, Branch(fields))

    path.write_bytes(block(len(block(0))) + data)
    return path


def rendered(path: Path) -> Samples:
    """Return the samples that are uploaded for a TIFF."""
    pictures.render(path, path.with_suffix(".out"), Wanted())
    with Image.open(path.with_suffix(".out")) as image:
        return np.asarray(image).astype(float)


@pytest.mark.parametrize(("photometric", "kind"), list(product((0, 1), ("u1", "u2", "f4"))))
def test_grey_is_no_negative_whether_0_is_black_or_white(tmp_path: Path, photometric: int, kind: str) -> None:
    """Also of 16 bits and of fractions, which Pillow does not turn over."""
    white = 1 if kind == "f4" else 2 ** (8 * np.dtype(kind).itemsize) - 1
    values = RAMP if photometric else 1 - RAMP
    source = tiff(tmp_path / "a.tif", (values * white).astype(kind)[..., None], photometric)

    assert 1.0 >= np.abs(rendered(source) - RAMP * 255).max()


@pytest.mark.parametrize("order", ["little", "big"])
def test_channels_one_behind_the_other_are_refused_where_they_would_become_garbage(
    tmp_path: Path, order: ByteOrder
) -> None:
    """Before anything is paid, with a remedy."""
    deep = (np.stack([RAMP, 1 - RAMP, RAMP / 2], axis=-1) * 65535).astype("u2")
    source = tiff(tmp_path / "a.tif", deep, 2, order=order, planar=True)

    with pytest.raises(BadPicture, match=r"each channel by itself.*\n.*LZW"):
        pictures.render(source, tmp_path / "out", Wanted())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "planar", "order"), [("u1", True, "big"), ("u2", False, "little"), ("u2", False, "big")]
)
def test_others_are_not_refused(tmp_path: Path, kind: str, planar: bool, order: ByteOrder) -> None:
    """Eight bits in any order of channels, and more where they are interleaved."""
    scene = np.stack([RAMP, 1 - RAMP, RAMP / 2], axis=-1)
    white = 2 ** (8 * np.dtype(kind).itemsize) - 1
    source = tiff(tmp_path / "a.tif", (scene * white).astype(kind), 2, order=order, planar=planar)

    assert 1.0 >= np.abs(rendered(source) - scene * 255).max()
