"""The engine as an upscaler beside an event loop."""

from __future__ import annotations

import asyncio
import builtins
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from upscaled import errors
from upscaled.engine import memory
from upscaled.engine.order import Order, PictureRefused, Report
from upscaled.engine.upscale import Engine

PHOTOS = Path(__file__).parents[1] / "photos"


async def test_a_photograph_is_enlarged_beside_the_event_loop(tmp_path: Path) -> None:
    """The real networks, the real file, and progress told on the loop's own thread."""
    with Image.open(PHOTOS / "cat.jpg") as cat:
        cat.crop((150, 80, 214, 144)).save(tmp_path / "in.jpg", quality=95)
    told: list[tuple[float, bool]] = []
    here = threading.get_ident()
    engine = Engine(workers=2)
    await engine.start()
    report = await engine.upscale(
        tmp_path / "in.jpg",
        tmp_path / "out.jpg",
        Order(long_side=128),
        lambda share: told.append((share, here == threading.get_ident())),
    )
    await asyncio.sleep(0)
    await engine.close()
    assert (128, 128) == (report.width, report.height)
    assert (1.0, True) == told[-1]
    with Image.open(tmp_path / "out.jpg") as image:
        assert (128, 128) == image.size


async def test_a_refused_picture_is_an_error_of_its_own(tmp_path: Path) -> None:
    """The engine goes on afterwards."""
    (tmp_path / "in.jpg").write_bytes(b"no picture")
    engine = Engine(workers=1)
    with pytest.raises(PictureRefused):
        await engine.upscale(tmp_path / "in.jpg", tmp_path / "out.jpg", Order())
    await engine.close()


async def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing works without ncnn; starting says what to install."""
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "ncnn":
            raise ModuleNotFoundError("No module named 'ncnn'")
        return real(name, *rest)

    for module in [name for name in sys.modules if name.startswith(("upscaled.engine.render", "upscaled.engine.netw"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(errors.EngineError, match=r"pip install 'upscaled\[engine\]'"):
        await Engine().start()


async def test_a_cancelled_call_ends_only_when_the_work_has_stopped(tmp_path: Path) -> None:
    """Whoever cancels may reuse the output file at once."""
    engine = Engine(workers=1)
    await engine.start()
    threads = threading.active_count()
    work = asyncio.ensure_future(engine.upscale(PHOTOS / "rocket.jpg", tmp_path / "out.jpg", Order()))
    await asyncio.sleep(0.3)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not (tmp_path / "out.jpg").exists()
    assert threading.active_count() <= threads + 2
    report = await engine.upscale(PHOTOS / "cat.jpg", tmp_path / "out.jpg", Order(long_side=100))
    await engine.close()
    assert Report(100, 67) == Report(report.width, report.height)


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


def test_little_memory_means_one_worker() -> None:
    """There is always one."""
    assert 1 == memory.workers(100)
