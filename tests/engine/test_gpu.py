"""Graphics processors: refused unless real, right and fast; and what happens when one fails at a picture."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from upscaled import errors
from upscaled.engine import process, upscale
from upscaled.engine.gpu import Gpu, Verdict, hardware
from upscaled.engine.order import Order, Report
from upscaled.engine.process import Child, Died, Job
from upscaled.engine.upscale import Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"


@pytest.mark.parametrize("node", ["dev/dri/renderD128", "dev/nvidia0", "dev/dxg"])
def test_hardware_is_what_the_system_shows(tmp_path: Path, node: str) -> None:
    """Without any such device file the test is not even run."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert not hardware(tmp_path)
    (tmp_path / node).parent.mkdir(exist_ok=True)
    (tmp_path / node).touch()
    assert hardware(tmp_path)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import os; os.kill(os.getpid(), 11)", "its test failed: it was ended by SIGSEGV"),
        ("print('not JSON')", "its test failed: it ended with status 0"),
        ("import time; time.sleep(60)", "its test took longer than"),
    ],
)
async def test_a_driver_that_crashes_or_hangs_its_test_is_not_used(
    monkeypatch: pytest.MonkeyPatch, script: str, expected: str
) -> None:
    """Its crash is a process's of its own."""
    real = asyncio.create_subprocess_exec

    async def other(*_: str, **settings: Any) -> asyncio.subprocess.Process:
        return await real(sys.executable, "-c", script, **settings)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", other)
    monkeypatch.setattr(process, "TEST_LIMIT", 2.0)
    verdict = await process.verdict(forced=False)
    assert verdict.device is None
    assert verdict.why.startswith(expected)


class Unreliable:
    """Stands for a child process whose graphics processor fails at every picture."""

    started: list[int | None]
    trouble: Exception

    def __init__(self, device: int | None) -> None:
        self.device = device
        self.ready: Mapping[str, Any] = {}
        self.alive = True

    @classmethod
    async def start(cls, settings: Mapping[str, Any]) -> Unreliable:
        """Remember the device."""
        cls.started.append(settings["gpu"])
        return cls(settings["gpu"])

    async def make(self, *_: object) -> Report:
        """Fail on the graphics processor only."""
        if self.device is not None:
            raise self.trouble
        return Report(2, 1)

    async def kill(self) -> None:
        """End."""
        self.alive = False


@pytest.mark.parametrize("trouble", [Died("it was ended by SIGSEGV"), errors.EngineError("ncnn answers -100")])
async def test_a_picture_at_which_the_graphics_processor_fails_is_made_by_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Exception
) -> None:
    """One retry, and the next picture may have the graphics processor again."""

    async def found(**_: bool) -> Verdict:
        return Verdict(7, "a card", "it is fast")

    Unreliable.started, Unreliable.trouble = [], trouble
    monkeypatch.setattr(upscale, "Child", Unreliable)
    monkeypatch.setattr(upscale, "verdict", found)
    engine = Engine(gpu=Gpu.FORCE)
    await engine.start()
    for _ in range(2):
        assert Report(2, 1) == await engine.upscale(PHOTO, tmp_path / "out.jpg", Order())
    await engine.close()
    assert [7, None, 7, None] == Unreliable.started


async def test_without_a_graphics_processor_the_processor_fails_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing else could do better, so an error is not tried again."""
    Unreliable.started, Unreliable.trouble = [], errors.EngineError("memory is short")
    monkeypatch.setattr(Unreliable, "make", lambda *_: _raising(Unreliable.trouble))
    monkeypatch.setattr(upscale, "Child", Unreliable)
    engine = Engine(gpu=Gpu.OFF)
    await engine.start()
    with pytest.raises(errors.EngineError, match="memory is short"):
        await engine.upscale(PHOTO, tmp_path / "out.jpg", Order())
    await engine.close()
    assert [None] == Unreliable.started


async def _raising(trouble: Exception) -> Report:
    raise trouble


@pytest.mark.stress
async def test_vulkan_agrees_with_the_processor(tmp_path: Path) -> None:
    """Needs a Vulkan device; Mesa's lavapipe will do, which is software, and refused unless forced."""
    verdict = await process.verdict(forced=True)
    if verdict.device is None:
        pytest.skip(f"no Vulkan device: {verdict.why}")
    if "llvmpipe" in verdict.name:
        assert (await process.verdict(forced=False)).device is None
    with Image.open(PHOTO) as image:
        image.crop((150, 80, 182, 112)).save(tmp_path / "in.png")
    results = []
    for device in (None, verdict.device):
        settings = {"tier": "fast", "workers": 1, "edge": 256, "patience": None, "gpu": device, "limit": None}
        child = await Child.start(json.loads(json.dumps(settings)))
        await child.make(Job(tmp_path / "in.png", tmp_path / "out.png", Order(-2, 64, format="png")))
        await child.kill()
        with Image.open(tmp_path / "out.png") as image:
            results.append(np.asarray(image).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 4
