"""`upscaled demo`: the whole way of a picture in a temporary set of folders, on the built-in engine."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from upscaled import errors
from upscaled.engine.order import Tier
from upscaled.files.durable import identity_of_open
from upscaled.files.names import version
from upscaled.files.pictures import missing
from upscaled.files.structure import inspect
from upscaled.inbox.ignore import Ignore
from upscaled.job.readiness import LARGEST, Ready, Refuse, Rules, Track, content, quiet

CROP: Final = 640
"""Side of each half of a comparison, in pixels of the result."""

_BAR: Final = 36
"""Height of the line of labels, in pixels."""

FOLDERS: Final = ("inbox", "upscaled", "originals", "failed")

CONFIG: Final = """\
# Made by `upscaled demo`. Run it again with: upscaled once -c {directory}/upscaled.yaml
state_dir: {directory}/state
service:
  url: embedded
  poll_min: 200ms
engine:
  tier: {tier}
folders:
  - inbox: {directory}/inbox
    outbox: {directory}/upscaled
    archive: {directory}/originals
    failed: {directory}/failed
    settle: 1s
"""


def unfit(pictures: Sequence[Path]) -> dict[Path, str]:
    """Return the pictures that would not be upscaled, and why.

    In an inbox they would be waited for, left alone or moved away, which takes its time. Raises `errors.UsageError` for
    a picture that is not there.
    """
    for picture in pictures:
        if not picture.is_file():
            raise errors.UsageError(f"There is no picture {picture}", do="Give the path of a JPEG, PNG or WebP file.")
    return {picture: why for picture in pictures if (why := _unfit(picture))}


def _unfit(picture: Path) -> str:
    if pattern := Ignore().reason(picture.name):
        return f"files of such a name ({pattern}) are never looked at"
    # Nobody is still writing it, so there is nothing more of it to wait for.
    rules = Rules(settle=0.0, hold=0.0, grace=0.0, largest=LARGEST, missing=missing())
    try:
        with picture.open("rb") as file:
            track = Track(identity_of_open(file), first=0.0, since=0.0, seen=0.0, looks=2)
            verdict = quiet(track, rules) or content(picture.name, inspect(file), track, rules)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    match verdict:
        case Ready():
            return ""
        case Refuse(failure):
            return failure.what
    return verdict.reason


def prepare(pictures: Sequence[Path], tier: Tier = Tier.STANDARD) -> Path:
    """Make the folders and a config in a new temporary directory, drop the pictures in, and return the directory.

    Without pictures a sample is drawn.
    """
    directory = Path(tempfile.mkdtemp(prefix="upscaled-demo-"))
    for name in FOLDERS:
        (directory / name).mkdir()
    (directory / "upscaled.yaml").write_text(CONFIG.format(directory=directory, tier=tier), "utf-8")
    for picture in pictures:
        shutil.copy2(picture, _free(directory / "inbox" / picture.name))
    if not pictures:
        draw_sample(directory / "inbox" / "sample.jpg")
    return directory


def draw_sample(path: Path) -> None:
    """Draw a small landscape with edges, gradients and fine lines, the things an upscaler is judged by."""
    width, height = 480, 320
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge(
        "RGB", (sky.point(lambda v: 90 + v // 3), sky.point(lambda v: 140 + v // 4), sky.point(lambda v: 235 - v // 5))
    )
    draw = ImageDraw.Draw(picture)
    draw.ellipse((350, 40, 410, 100), fill=(255, 236, 170))
    draw.polygon([(0, 230), (130, 110), (230, 220), (320, 140), (480, 250), (480, 320), (0, 320)], fill=(70, 96, 88))
    draw.rectangle((0, 262, width, height), fill=(52, 84, 110))
    for offset in range(0, width, 9):
        draw.line((offset, 268 + offset % 40, offset + 30, 268 + offset % 40), fill=(120, 155, 180))
    for mast in (110, 190, 268):
        draw.polygon([(mast, 200), (mast, 268), (mast + 34, 268)], fill=(240, 236, 226))
        draw.line((mast - 2, 190, mast - 2, 276), fill=(60, 40, 30), width=2)
        draw.arc((mast - 26, 262, mast + 40, 288), 0, 180, fill=(60, 40, 30), width=4)
    picture.filter(ImageFilter.GaussianBlur(0.6)).save(path, quality=88)


def compare(original: Path, result: Path) -> Path:
    """Write a picture of both side by side, at the result's scale, and return where it is: beside the result.

    The left half is the original enlarged by Lanczos, as any picture viewer would; both show the same middle.
    """
    with Image.open(result) as image:
        after = image.convert("RGB")
    with Image.open(original) as image:
        before = ImageOps.exif_transpose(image).convert("RGB").resize(after.size, Image.Resampling.LANCZOS)
    width, height = (min(CROP, side) for side in after.size)
    left, top = (after.width - width) // 2, (after.height - height) // 2
    canvas = Image.new("RGB", (2 * width + 4, height + _BAR), "white")
    font = ImageFont.load_default(18)
    for index, (label, picture) in enumerate((("Lanczos", before), ("upscaled", after))):
        start = index * (width + 4)
        canvas.paste(picture.crop((left, top, left + width, top + height)), (start, _BAR))
        ImageDraw.Draw(canvas).text((start + 6, 6), label, fill="black", font=font)
    path = _free(result.with_name(f"{result.stem}-comparison.png"))
    canvas.save(path)
    return path


def _free(path: Path) -> Path:
    numbers = itertools.count(2)
    candidate = path
    while candidate.exists():
        candidate = path.with_name(version(path.name, next(numbers)))
    return candidate
