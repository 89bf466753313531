"""The engine as an upscaler beside an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from upscaled import errors
from upscaled.api import wire
from upscaled.engine import memory
from upscaled.engine.child import Lines, serve
from upscaled.engine.order import Order, PictureRefused, Report
from upscaled.engine.render import Renderer
from upscaled.engine.upscale import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """An engine with one worker."""
    engine = Engine(workers=1)
    await engine.start()
    yield engine
    await engine.close()


async def test_a_photograph_is_enlarged_beside_the_event_loop(engine: Engine, tmp_path: Path) -> None:
    """The real networks, the real file, and progress told on the loop's own thread."""
    with Image.open(PHOTOS / "cat.jpg") as cat:
        cat.crop((150, 80, 214, 144)).save(tmp_path / "in.jpg", quality=95)
    told: list[tuple[float, bool]] = []
    estimates: list[float] = []
    here = threading.get_ident()
    report = await engine.upscale(
        tmp_path / "in.jpg",
        tmp_path / "out.jpg",
        Order(long_side=128),
        progress=lambda share: told.append((share, here == threading.get_ident())),
        estimated=estimates.append,
    )
    assert (128, 128) == (report.width, report.height)
    assert (1.0, True) == told[-1]
    assert [True] == [0 < seconds < 60 for seconds in estimates]
    with Image.open(tmp_path / "out.jpg") as image:
        assert (128, 128) == image.size


async def test_a_refused_picture_is_an_error_of_its_own(engine: Engine, tmp_path: Path) -> None:
    """The engine goes on afterwards."""
    (tmp_path / "in.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureRefused, match="cannot be read") as caught:
        await engine.upscale(tmp_path / "in.jpg", tmp_path / "out.jpg", Order())
    assert wire.CODE_MEDIA == caught.value.code


async def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing works without ncnn; starting says what is missing and what to install."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ncnn" else real(name))
    with pytest.raises(errors.EngineError, match=r"there is no ncnn\n.*pip install 'upscaled\[engine\]'"):
        await Engine().start()


def test_the_server_side_imports_nothing_of_the_extra() -> None:
    """Whoever uses another service need not have the engine."""
    script = (
        "import sys; sys.modules.update(ncnn=None, numpy=None)\nimport upscaled.engine.app, upscaled.engine.upscale"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


async def test_a_cancelled_call_ends_only_when_the_work_has_stopped(engine: Engine, tmp_path: Path) -> None:
    """Whoever cancels may reuse the output file at once, and the next picture is made."""
    started = asyncio.Event()
    whole = Order(-2, 1200)
    work = asyncio.ensure_future(
        engine.upscale(PHOTOS / "rocket.jpg", tmp_path / "out.jpg", whole, progress=lambda _: started.set())
    )
    await started.wait()
    child = engine._child
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert child is not None
    assert not child.alive
    report = await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(long_side=100))
    assert (100, 67) == (report.width, report.height)


async def test_a_process_that_dies_costs_a_picture_one_retry(engine: Engine, tmp_path: Path) -> None:
    """As a driver's crash or the system's shortage of memory would have it."""
    killed: list[int] = []

    def kill_once(_: float) -> None:
        if not killed and engine._child is not None:
            killed.append(engine._child._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    report = await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(-2, 700), progress=kill_once)
    assert 1 == len(killed)
    assert 700 == report.width


async def test_a_picture_that_kills_two_processes_is_given_up(engine: Engine, tmp_path: Path) -> None:
    """The server must not die trying; the message says what to look at."""

    def kill(_: float) -> None:
        if engine._child is not None:
            os.kill(engine._child._process.pid, signal.SIGKILL)

    with pytest.raises(errors.EngineError, match="ended by SIGKILL, as the system does when memory runs out"):
        await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(-2, 700), progress=kill)
    report = await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(long_side=100))
    assert 100 == report.width


async def test_without_work_the_process_is_let_go(tmp_path: Path) -> None:
    """A server that waits for pictures all day holds no networks in memory meanwhile."""
    engine = Engine(workers=1, idle=0.0)
    await engine.start()
    child = engine._child
    assert child is not None
    await child._process.wait()
    report = await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(long_side=100))
    assert 100 == report.width
    await engine.close()


async def test_a_full_disk_is_the_servers_trouble(engine: Engine, tmp_path: Path) -> None:
    """It is no fault of the picture, and arrives as what it is."""
    with pytest.raises(OSError, match="No such file or directory"):
        await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "nowhere" / "out.jpg", Order(long_side=100))


class Broken(Renderer):
    """Fails at every picture in a way that nobody foresaw."""

    def render(self, *_: object, **__: object) -> Report:
        """Fail."""
        raise ZeroDivisionError("inside")


class Kept(Lines):
    """Keeps what is said to the server."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def say(self, **message: Any) -> None:
        """Keep it."""
        self.said.append(message)


def test_the_process_answers_even_where_it_fails_in_an_unforeseen_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The server waits for every picture's answer; the trace is for its log."""
    orders: queue.Queue[dict[str, Any] | None] = queue.Queue()
    for order in ({"source": "in", "output": "out", "order": asdict(Order())}, None):
        orders.put(order)
    renderer, lines = Broken(workers=1), Kept()
    serve(renderer, lines, orders)
    renderer.close()
    assert ["The engine failed at this picture"] == [said["failed"]["what"] for said in lines.said]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_process_ends_with_its_server(tmp_path: Path) -> None:
    """A server that is killed leaves nothing running."""
    script = (
        "import asyncio, os, signal\n"
        "from upscaled.engine.upscale import Engine\n"
        "async def main():\n"
        "    engine = Engine(workers=1)\n"
        "    await engine.start()\n"
        "    print(engine._child._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert -signal.SIGKILL == done.returncode
    child = int(done.stdout)
    with contextlib.suppress(ProcessLookupError):
        poll = select.poll()
        poll.register(os.pidfd_open(child), select.POLLIN)
        assert poll.poll(20_000)


def test_memory_is_the_least_that_anyone_allows(tmp_path: Path) -> None:
    """Machine and container both have a say; a machine without either is not limited."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    assert memory.available(tmp_path) is None
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2000 kB\n")
    assert 2_048_000 == memory.available(tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1500000\n")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text("500000\n")
    assert 1_000_000 == memory.available(tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert 2_048_000 == memory.available(tmp_path)


@pytest.mark.parametrize(
    ("membership", "group", "limit", "used"),
    [
        ("0::/system.slice/upscaled.service", "system.slice/upscaled.service", "memory.max", "memory.current"),
        ("0::/system.slice/upscaled.service", "system.slice", "memory.max", "memory.current"),
        ("5:cpu:/\n4:memory:/docker/1", "memory/docker/1", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("4:memory:/elsewhere", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_the_limit_of_any_control_group_around_us_counts(
    tmp_path: Path, membership: str, group: str, limit: str, used: str
) -> None:
    """Of a unit or its slice, of either version, and inside a container that shows another path than there is."""
    folder = tmp_path / "sys/fs/cgroup" / group
    folder.mkdir(parents=True)
    (folder / limit).write_text("1500000\n")
    (folder / used).write_text("500000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{membership}\n")
    assert 1_000_000 == memory.available(tmp_path)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (100, memory.Share(1, 128)),
        (1_200_000_000, memory.Share(1, 128)),
        (1_400_000_000, memory.Share(1, 256)),
        (2_000_000_000, memory.Share(1, 256)),
        (10**12, memory.Share(2, 256)),
    ],
)
def test_little_memory_means_fewer_and_then_smaller_blocks(
    monkeypatch: pytest.MonkeyPatch, limit: int, expected: memory.Share
) -> None:
    """There is always one worker, and never more than cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(memory, "available", lambda: None)
    assert expected == memory.share(limit)
