"""A service to measure against: cheap, in a process of its own, with latencies that are the same for every client.

    python -m tests.benchmarks.simulator DIRECTORY [--latency 8 --p95 20 --concurrency 30 ...]

It writes ``DIRECTORY/url`` once it listens, with TLS by a certificate that ``DIRECTORY/ca.pem`` vouches for, and keeps
only counts. The n-th submit has the n-th latency of a seeded law, whoever sends it, so that a schedule without any
overhead can be computed from the same numbers (`ideal`). It is no test double: `tests.support.service` is, and knows
far more of the API.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import random
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme
from aiohttp import web

Z95: Final = 1.6448536269514722
"""The 95th percentile of the standard normal law."""


@dataclass(frozen=True, slots=True)
class Law:
    """Log-normal latencies by their median and 95th percentile, in seconds; constant where the two are the same.

    None is longer than ``longest``, so that a measure need not wait for the last of them.
    """

    median: float
    p95: float
    longest: float = math.inf

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.log(self.p95 / self.median) / Z95

    def draws(self, seed: int) -> Iterator[float]:
        """Yield latencies, the same ones for the same seed."""
        chance = random.Random(seed)
        while True:
            yield min(self.longest, self.median * math.exp(self.sigma * chance.gauss(0.0, 1.0)))


def ideal(law: Law, seed: int, count: int, concurrency: int) -> float:
    """Return how long ``count`` predictions take with all places always full and nothing else to do, in seconds."""
    draws = law.draws(seed)
    places = [0.0] * concurrency
    for _ in range(count):
        heapq.heapreplace(places, places[0] + next(draws))
    return max(places)


@dataclass(slots=True)
class Task:
    """One prediction: when it was asked for, and when it is over; seconds of this process's clock."""

    created: float
    finishes: float
    polls: int = 0
    seen: float | None = None
    """When a client was first told that it is completed."""
    fetched: float | None = None


@dataclass(slots=True)
class Simulator:
    """The account's limits, the tasks, and the handlers."""

    result: bytes
    law: Law
    seed: int = 0
    concurrency: int | None = None
    rejects: bool = False
    """Whether what exceeds ``concurrency`` is refused (429) or waits for a place."""
    per_minute: int | None = None
    round_trip: float = 0.0
    at_once: int = 0
    """So many predictions are over at once, before those whose latencies follow the law: for warming up."""
    url: str = ""
    tasks: list[Task] = field(default_factory=list)
    refused: int = 0
    requests: int = 0
    _places: list[float] = field(default_factory=list)
    _recent: deque[float] = field(default_factory=deque)
    _draws: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        self._draws = self.law.draws(self.seed)

    def app(self) -> web.Application:
        """Return the server."""
        app = web.Application(client_max_size=1 << 30, middlewares=[self._far_away])
        api = "/api/v3"
        app.router.add_post(f"{api}/media/uploads", self.ticket)
        app.router.add_put("/inputs/{name}", self.take)
        app.router.add_get(f"{api}/predictions/{{id}}/result", self.poll)
        app.router.add_get("/outputs/{id}.jpg", self.output)
        app.router.add_post(f"{api}/model/price", self.price)
        app.router.add_get(f"{api}/balance", self.balance)
        app.router.add_get("/stats", self.stats)
        app.router.add_post(f"{api}/{{owner}}/{{model}}", self.submit)
        return app

    @web.middleware
    async def _far_away(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests += 1
        if self.round_trip:
            await asyncio.sleep(self.round_trip)
        answer: web.StreamResponse = await handler(request)
        return answer

    # --- the API ---

    async def ticket(self, request: web.Request) -> web.Response:
        """Give leave to upload one file."""
        name = (await request.json())["filename"]
        where = f"{self.url}/inputs/{len(self.tasks)}-{self.requests}-{name}"
        upload = {"method": "PUT", "url": where, "headers": {"Content-Type": "image/jpeg"}}
        return _answer({"download_url": where, "upload": upload})

    async def take(self, request: web.Request) -> web.Response:
        """Read an upload to its end."""
        async for _ in request.content.iter_chunked(1 << 18):
            pass
        return web.Response()

    async def submit(self, request: web.Request) -> web.Response:
        """Make a prediction, or refuse to."""
        await request.read()
        now = time.monotonic()
        if (why := self._too_many(now)) is not None:
            self.refused += 1
            return web.json_response({"code": 429, "message": why}, status=429)
        self._recent.append(now)
        starts = now
        if self.concurrency is not None and len(self._places) >= self.concurrency:
            starts = max(now, heapq.heappop(self._places))
        finishes = starts + (next(self._draws) if len(self.tasks) >= self.at_once else 0.0)
        if self.concurrency is not None:
            heapq.heappush(self._places, finishes)
        self.tasks.append(Task(now, finishes))
        return _answer(self._prediction(len(self.tasks) - 1, now))

    async def poll(self, request: web.Request) -> web.Response:
        """Tell how a prediction is getting on."""
        number, now = int(request.match_info["id"][1:]), time.monotonic()
        task = self.tasks[number]
        task.polls += 1
        if task.finishes <= now and task.seen is None:
            task.seen = now
        return _answer(self._prediction(number, now))

    async def output(self, request: web.Request) -> web.Response:
        """Give a picture."""
        task = self.tasks[int(request.match_info["id"][1:])]
        task.fetched = time.monotonic()
        return web.Response(body=self.result, content_type="image/jpeg")

    async def price(self, request: web.Request) -> web.Response:
        """Tell what a prediction costs."""
        await request.read()
        return _answer({"price": 0.01, "discounted_price": 0.01, "currency": "USD"})

    async def balance(self, _request: web.Request) -> web.Response:
        """Tell what is left on the account."""
        return _answer({"balance": 1000.0})

    async def stats(self, _request: web.Request) -> web.Response:
        """Tell what was asked so far; not part of the API."""
        rows = [(task.created, task.finishes, task.polls, task.seen, task.fetched) for task in self.tasks]
        return web.json_response(
            {"now": time.monotonic(), "tasks": rows, "refused": self.refused, "requests": self.requests}
        )

    # --- inside ---

    def _too_many(self, now: float) -> str | None:
        while self._recent and self._recent[0] <= now - 60.0:
            self._recent.popleft()
        if self.per_minute is not None and len(self._recent) >= self.per_minute:
            return "Rate limit exceeded."
        if self.rejects and self.concurrency is not None:
            while self._places and self._places[0] <= now:
                heapq.heappop(self._places)
            if len(self._places) >= self.concurrency:
                return "Too many concurrent predictions."
        return None

    def _prediction(self, number: int, now: float) -> dict[str, Any]:
        task = self.tasks[number]
        over = task.finishes <= now
        return {
            "id": f"p{number:08d}",
            "model": "wavespeed-ai/image-upscaler",
            "status": "completed" if over else "processing",
            "outputs": [f"{self.url}/outputs/p{number:08d}.jpg"] if over else [],
            "urls": {"get": f"{self.url}/api/v3/predictions/p{number:08d}/result"},
            "has_nsfw_contents": [False] if over else [],
            "created_at": "2026-01-01T00:00:00.000Z",
            "error": "",
            "timings": {"inference": round(1000 * (task.finishes - task.created)) if over else 0},
        }


def _answer(data: Any) -> web.Response:
    return web.Response(
        body=json.dumps({"code": 200, "message": "success", "data": data}).encode(), content_type="application/json"
    )


async def _serve(options: argparse.Namespace) -> None:
    directory: Path = options.directory
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    simulator = Simulator(
        result=options.result.read_bytes(),
        law=Law(options.latency, options.p95, options.longest),
        seed=options.seed,
        concurrency=options.concurrency,
        rejects=options.rejects,
        per_minute=options.per_minute,
        round_trip=options.round_trip,
        at_once=options.at_once,
    )
    runner = web.AppRunner(simulator.app(), access_log=None, keepalive_timeout=300.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=4096)
    await site.start()
    simulator.url = f"https://localhost:{runner.addresses[0][1]}"
    (directory / "url.part").write_text(simulator.url)
    (directory / "url.part").rename(directory / "url")
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=1.0, help="median, seconds")
    parser.add_argument("--p95", type=float, default=1.0, help="seconds")
    parser.add_argument("--longest", type=float, default=math.inf, help="seconds")
    parser.add_argument("--at-once", type=int, default=0, help="so many first predictions take no time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--rejects", action="store_true")
    parser.add_argument("--per-minute", type=int)
    parser.add_argument("--round-trip", type=float, default=0.0, help="seconds")
    options = parser.parse_args()
    with suppress(ImportError):
        import uvloop

        uvloop.install()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
