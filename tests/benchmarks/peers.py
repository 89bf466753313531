"""Other clients, each doing the least that gets a picture upscaled: upload, submit, poll, download. Nothing else.

    python -m tests.benchmarks.peers KIND URL DIRECTORY --concurrency 50 --poll 2

``sdk`` is the service's official Python SDK in a pool of threads, ``httpx`` one plain `httpx.AsyncClient` with a
semaphore around each job, ``client`` this program's own HTTP client without the daemon. Every picture in DIRECTORY is
one job. The first few warm up; what the others cost is printed as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MODEL: Final = "wavespeed-ai/image-upscaler"
INPUTS: Final[dict[str, Any]] = {"target_resolution": "4k", "output_format": "jpeg"}
KEY: Final = "measured"


@dataclass(frozen=True, slots=True)
class Task:
    """What a client is to do: the batches one after the other, the meter read before the last one."""

    url: str
    batches: Sequence[Sequence[Path]]
    out: Path
    concurrency: int
    poll: float
    meter: Meter


@dataclass(slots=True)
class Meter:
    """CPU and time since it was last read, in seconds; children's CPU included."""

    cpu: float = 0.0
    began: float = 0.0

    def read(self) -> tuple[float, float]:
        """Return what was used since the last time."""
        cpu, now = _cpu(), time.monotonic()
        used = cpu - self.cpu, now - self.began
        self.cpu, self.began = cpu, now
        return used


def sdk(task: Task) -> None:
    """Run every job in a thread of its own, ``concurrency`` at once."""
    import requests
    from wavespeed import Client

    client = Client(api_key=KEY, base_url=task.url)

    def job(picture: Path) -> None:
        image = client.upload(str(picture))
        while True:
            try:
                answer = client.run(MODEL, {"image": image, **INPUTS}, poll_interval=task.poll)
                break
            except RuntimeError as error:
                if "429" not in str(error):
                    raise
                time.sleep(1.0)
        part = task.out / f".{picture.name}"
        with requests.get(answer["outputs"][0], stream=True, timeout=60) as response, part.open("wb") as file:
            response.raise_for_status()
            for block in response.iter_content(1 << 18):
                file.write(block)
        part.rename(task.out / picture.name)

    for batch in task.batches:
        task.meter.read()
        with ThreadPoolExecutor(task.concurrency) as pool:
            for _ in pool.map(job, batch):
                pass


async def plain_httpx(task: Task) -> None:
    """Run every job as a task that holds a semaphore from its upload to its download."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    own = {"Authorization": f"Bearer {KEY}"}

    async with httpx.AsyncClient(timeout=120.0, limits=limits) as client:

        async def job(picture: Path) -> None:
            body = picture.read_bytes()
            wanted = {"filename": picture.name, "size": len(body), "content_type": "image/jpeg"}
            ticket = (await client.post(f"{task.url}/api/v3/media/uploads", json=wanted, headers=own)).json()["data"]
            await client.put(ticket["upload"]["url"], content=body, headers=ticket["upload"]["headers"])
            while True:
                asked = {"image": ticket["download_url"], **INPUTS}
                submitted = await client.post(f"{task.url}/api/v3/{MODEL}", json=asked, headers=own)
                if submitted.status_code != 429:
                    break
                await asyncio.sleep(1.0)
            where = submitted.json()["data"]["urls"]["get"]
            while True:
                found = (await client.get(where, headers=own)).json()["data"]
                if found["status"] == "completed":
                    break
                await asyncio.sleep(task.poll)
            part = task.out / f".{picture.name}"
            part.write_bytes((await client.get(found["outputs"][0])).content)
            part.rename(task.out / picture.name)

        await _all(task, job)


async def own_client(task: Task) -> None:
    """Run every job with the daemon's HTTP client, its limits on transfers and its common moments for questions.

    Nothing of the rest of it. It asks as often as the SDK, or up to a tenth of a second later, at a common moment.
    """
    from upscaled.api.client import Service
    from upscaled.job.model import Parameters
    from upscaled.job.polling import together

    up, down = asyncio.Semaphore(8), asyncio.Semaphore(8)
    params = Parameters(MODEL, INPUTS)
    async with Service(task.url, api_key=KEY) as service:

        async def job(picture: Path) -> None:
            async with up:
                sent = await service.upload(picture, name=picture.name, content_type="image/jpeg")
            prediction = await service.submit(params, sent.url)
            while True:
                found = await service.result(prediction.id)
                if found.terminal:
                    break
                now = time.monotonic()
                await asyncio.sleep(together(now, task.poll, task.poll) - now)
            part = task.out / f".{picture.name}"
            async with down:
                with part.open("wb") as file:
                    await service.download(found.outputs[0], file)
            part.rename(task.out / picture.name)

        await _all(task, job)


async def _all(task: Task, job: Callable[[Path], Awaitable[None]]) -> None:
    place = asyncio.Semaphore(task.concurrency)

    async def placed(picture: Path) -> None:
        async with place:
            await job(picture)

    for batch in task.batches:
        task.meter.read()
        async with asyncio.TaskGroup() as group:
            for picture in batch:
                group.create_task(placed(picture))


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    """Run one client over a directory of pictures, and print what it cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["sdk", "httpx", "client"])
    parser.add_argument("url")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--poll", type=float, default=1.0)
    parser.add_argument("--warm-up", type=int, default=0)
    options = parser.parse_args()
    out = options.directory.parent / f"out-{options.kind}-{os.getpid()}"
    out.mkdir()
    pictures = sorted(options.directory.glob("*.jpg"))
    batches = [batch for batch in (pictures[: options.warm_up], pictures[options.warm_up :]) if batch]
    task = Task(options.url, batches, out, options.concurrency, options.poll, meter := Meter())
    with redirect_stdout(sys.stderr):
        match options.kind:
            case "sdk":
                sdk(task)
            case "httpx":
                asyncio.run(plain_httpx(task))
            case _:
                asyncio.run(own_client(task))
    cpu, wall = meter.read()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = len(list(out.glob("*.jpg")))
    shutil.rmtree(out)
    print(json.dumps({"jobs": len(batches[-1]), "done": done, "cpu": cpu, "wall": wall, "peak_mb": peak}))  # noqa: T201


if __name__ == "__main__":
    main()
