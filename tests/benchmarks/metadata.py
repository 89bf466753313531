"""What carrying metadata into a 10-MB result costs, told apart, beside ExifTool and a re-save by Pillow.

    python -m tests.benchmarks.metadata [JPEG SOURCE]

Without a source, ExifTool makes one with everything. Milliseconds of the processor, the best of many, and for fsync
those that the disk took. The columns are what carrying consists of where it is done when all of a result is there. The
rows below are what it adds to a job, which begins with its metadata while it is coming: the same result is downloaded,
made durable and published, once with its source's metadata and once with none; every pass over its bytes counts, but
for decoding it, which both do once. Promised: under 5 ms.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from tests.support.metadata import exif_block, photographers_source
from upscaled.api.transfer import DOWNLOAD_LIMIT, Incoming
from upscaled.files import durable
from upscaled.files.metadata import Beginning, Provenance, begun, carry, carrying, pieces, settled
from upscaled.files.metadata.model import Piece
from upscaled.files.structure.model import Reader

if TYPE_CHECKING:
    from upscaled.api.transfer import Begin

PROVENANCE = Provenance("upscaled", "model", dt.datetime(2026, 11, 22, tzinfo=dt.UTC), {"target_resolution": "4k"})


def best(function: Callable[[], object], *, clock: Callable[[], float] = time.process_time, rounds: int = 15) -> float:
    """Return the shortest time that a call takes, in milliseconds of a clock."""
    return min(_timed(function, clock) for _ in range(rounds))


def _timed(function: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    function()
    return (clock() - start) * 1000


def synced(path: Path) -> float:
    """Return how long the disk takes to have a file's bytes, in milliseconds."""
    data = path.read_bytes()
    times = []
    for _ in range(5):
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            times.append(_timed(lambda: os.fsync(file.fileno()), time.perf_counter))
    return min(times)


class Nowhere:
    """Takes bytes and drops them."""

    def write(self, _block: object) -> None:
        """Drop them."""


def result(directory: Path, kind: str) -> Path:
    """Make a result of about 10 MB."""
    noise = Image.effect_noise((1900, 1800), 90)
    image = Image.merge("RGB", (noise, noise.rotate(90, expand=False), noise.rotate(180)))
    path = directory / f"result.{kind}"
    image.save(path, quality=98 if kind == "jpeg" else 100, subsampling=0, compress_level=1, lossless=kind == "webp")
    return path


def plain_source(directory: Path) -> Path:
    """Make a source as most cameras write them: EXIF with MakerNotes, and nothing else."""
    path = directory / "plain.jpg"
    Image.effect_noise((640, 480), 60).save(path, exif=b"Exif\0\0" + exif_block(thumbnail=bytes(8000)))
    return path


def report(name: str, source: Path, made: Path, out: Path) -> None:
    """Measure one source and one result, and print a row."""
    with made.open("rb") as file:
        reader = Reader(file)

        def parts() -> list[Piece]:
            return carrying.parts_of(source, reader, "keep", PROVENANCE, 1, srgb=True)[0]

        def copy() -> None:
            with out.open("wb") as written:
                for block in pieces._blocks(file, all_parts):
                    written.write(block)

        all_parts = parts()
        metadata, copied = best(parts), best(copy)
        hashed = best(lambda: pieces._written(Nowhere(), pieces._blocks(file, all_parts)))  # type: ignore[arg-type]
    whole = best(lambda: carry(source, made, out, mode="keep", provenance=PROVENANCE, srgb=True))
    size = made.stat().st_size / 1e6
    print(f"{name:24} {size:5.1f} MB {metadata:9.2f} {copied:8.2f} {hashed:8.2f} {synced(out):8.2f} {whole:8.2f}")  # noqa: T201


def job(source: Path, data: bytes, directory: Path, *, carried: bool) -> tuple[float, float]:
    """Take a result from the network's hands to its name; return milliseconds of the processor and of the clock."""
    part, outbox = directory / "part", directory / "outbox"
    outbox.mkdir(exist_ok=True)

    async def begin(held: bytes, size: int | None) -> Beginning | None:
        return begun(source, held, size, mode="keep", provenance=PROVENANCE, srgb=True)

    start = time.process_time(), time.perf_counter()
    with durable.create_part(part) as file:
        digest = asyncio.run(_received(file, data, begin if carried else None))
        durable.sync(file)
    right = not carried or settled(part, mode="keep")
    durable.publish(part, outbox, "result", digest=digest, whole=True)
    took = (time.process_time() - start[0]) * 1000, (time.perf_counter() - start[1]) * 1000
    assert digest, "it did not begin with its metadata"
    assert right, "it began with its metadata too early"
    (outbox / "result").unlink()
    return took


async def _received(file: BinaryIO, data: bytes, begin: Begin | None) -> str:
    incoming = Incoming(file, DOWNLOAD_LIMIT, begin=begin, promised=len(data))
    for at in range(0, len(data), 1 << 16):
        await incoming.add(data[at : at + (1 << 16)])
    return (await incoming.end("")).fingerprint


def added(name: str, source: Path, made: Path, directory: Path) -> None:
    """Print what carrying adds to a job: the best of many, taken in turn."""
    data = made.read_bytes()
    pairs = [[job(source, data, directory, carried=carried) for carried in (False, True)] for _ in range(25)]
    (bare, bare_clock), (whole, whole_clock) = (
        tuple(min(pair[which][what] for pair in pairs) for what in (0, 1)) for which in (0, 1)
    )
    clock = whole_clock - bare_clock
    print(f"{name:24} {len(data) / 1e6:5.1f} MB {bare:9.2f} {whole:8.2f} {whole - bare:8.2f} {clock:8.2f}")  # noqa: T201


def peers(source: Path, made: Path, out: Path) -> None:
    """Print what others need for less."""

    def exiftool() -> None:
        shutil.copyfile(made, out)
        command = ["exiftool", "-q", "-m", "-overwrite_original", "-tagsFromFile", str(source), "-all:all", str(out)]
        subprocess.run(command, check=True)

    def resaved() -> None:
        with Image.open(source) as theirs, Image.open(made) as image:
            image.save(out, "JPEG", exif=theirs.info["exif"], quality=100, subsampling=0)

    if shutil.which("exiftool"):
        print(f"ExifTool -tagsFromFile: {best(exiftool, clock=time.perf_counter, rounds=3):8.0f} ms")  # noqa: T201
    print(f"Pillow, saved anew:     {best(resaved, clock=time.perf_counter, rounds=3):8.0f} ms, and other pixels")  # noqa: T201


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sources = {"a camera's": plain_source(directory)}
        if len(sys.argv) > 1:
            sources["the one given"] = Path(sys.argv[1])
        elif shutil.which("exiftool"):
            sources["everything"] = photographers_source(directory / "everything.jpg")
        print(f"{'milliseconds':33} {'metadata':>9} {'copy':>8} {'digest':>8} {'fsync':>8} {'all':>8}")  # noqa: T201
        for kind in ("jpeg", "png", "webp"):
            made = result(directory, kind)
            for what, source in sources.items():
                report(f"{what}, {kind}", source, made, directory / "out")
        print(f"{'milliseconds a job':33} {'none':>9} {'keep':>8} {'added':>8} {'clock':>8}")  # noqa: T201
        for kind in ("jpeg", "png", "webp"):
            for what, source in sources.items():
                added(f"{what}, {kind}", source, directory / f"result.{kind}", directory)
        peers(sources["a camera's"], directory / "result.jpeg", directory / "out.jpg")


if __name__ == "__main__":
    main()
