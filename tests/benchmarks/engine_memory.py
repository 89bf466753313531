"""Ten 12-megapixel pictures submitted at once: do all finish, and how much memory does that take?

    python -m tests.benchmarks.engine_memory [--limit 2GB] [--pictures N] [--tier fast] [--address-space]

With ``--limit`` the server and its children run in a memory control group of that size (as root), or, with
``--address-space``, under RLIMIT_AS. Beyond a control group's limit the kernel ends a process. The exit code is 1
when a picture does not come out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
from PIL import Image

from upscaled.api import wire
from upscaled.config.values import read_bytes

PHOTO: Final = Path(__file__).parents[1] / "photos" / "rocket.jpg"
SIZE: Final = (4000, 3000)
KEY: Final = "upk-benchmark"
GROUPS: Final = Path("/sys/fs/cgroup")


def large(path: Path) -> Path:
    """Write a picture of 12 megapixels."""
    with Image.open(PHOTO) as image:
        image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=92)
    return path


@contextlib.contextmanager
def group(limit: int | None) -> Iterator[Path | None]:
    """Make a control group with a limit, in bytes, and remove it again."""
    if limit is None:
        yield None
        return
    second = (GROUPS / "cgroup.controllers").exists()
    folder = (GROUPS if second else GROUPS / "memory") / f"upscaled-benchmark-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(limit))
        yield folder
    finally:
        folder.rmdir()


@contextlib.contextmanager
def server(directory: Path, tier: str, folder: Path | None, address_space: int | None) -> Iterator[str]:
    """Run the installed `upscaled serve` under the limits; give its address."""

    def limited() -> None:
        if folder is not None:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    command = [sys.executable, "-m", "upscaled", "serve", "--listen", "127.0.0.1:0", "--tier", tier]
    log = directory / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "--state-dir", str(directory / "state")],
            env={**os.environ, "UPSCALED_SERVE_KEY": KEY},
            stdout=stream,
            stderr=stream,
            preexec_fn=limited,  # noqa: PLW1509 -- nothing else runs in this process
        )
    try:
        while "Serving on " not in (text := log.read_text()):
            if process.poll() is not None:
                sys.exit(text)
            time.sleep(0.1)
        yield text.split("Serving on ")[1].split()[0]
    finally:
        process.terminate()
        process.wait()
        sys.stdout.write("".join(line for line in log.read_text().splitlines(keepends=True) if "GET /" not in line))


def submitted(client: httpx.Client, picture: Path, count: int) -> list[str]:
    """Upload the picture and submit it so many times at once."""
    files = {"file": (picture.name, picture.read_bytes(), "image/jpeg")}
    image = client.post(f"{wire.PREFIX}/media/upload/binary", files=files).json()["data"]["download_url"]
    inputs = {"image": image, "target_resolution": "8k"}
    path = f"{wire.PREFIX}/{wire.IMAGE_UPSCALER}"
    return [client.post(path, json=inputs).json()["data"]["id"] for _ in range(count)]


def awaited(client: httpx.Client, task: str) -> str:
    """Return a prediction's last status, once it has one."""
    while True:
        try:
            data = client.get(f"{wire.PREFIX}/predictions/{task}").json()["data"]
        except httpx.TransportError as error:
            sys.stdout.write(f"asked again, as the line broke: {error!r}\n")  # busy for longer than it is kept open
            continue
        if data["status"] in wire.TERMINAL:
            sys.stdout.write(f"{task} {data['status']} {data['error']} {data['timings']} {data['engine']}\n")
            sys.stdout.flush()
            return str(data["status"])
        time.sleep(0.5)


def peak_of(folder: Path) -> int:
    """Return the most that a control group ever used, in bytes; 0 where the kernel does not tell."""
    names = ("memory.peak", "memory.max_usage_in_bytes")
    return max((int((folder / name).read_text()) for name in names if (folder / name).exists()), default=0)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description="Many large pictures, with and without a limit of memory.")
    parser.add_argument("--limit", type=read_bytes)
    parser.add_argument("--address-space", action="store_true", help="limit addresses instead of memory")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--tier", default="standard")
    options = parser.parse_args()
    began = time.monotonic()
    in_group, addresses = (None, options.limit) if options.address_space else (options.limit, None)
    with tempfile.TemporaryDirectory() as name, group(in_group) as folder:
        directory = Path(name)
        picture = large(directory / "large.jpg")
        with (
            server(directory, options.tier, folder, addresses) as address,
            httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client,
        ):
            ends = [awaited(client, task) for task in submitted(client, picture, options.pictures)]
        if folder is not None:
            sys.stdout.write(f"peak of the group {peak_of(folder) / 1e6:.0f} MB, with caches\n")
    peak_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    done = ends.count("completed")
    sys.stdout.write(
        f"{done} of {len(ends)} finished in {time.monotonic() - began:.0f} s; largest process {peak_child:.0f} MB\n"
    )
    return int(done < len(ends))


if __name__ == "__main__":
    sys.exit(main())
