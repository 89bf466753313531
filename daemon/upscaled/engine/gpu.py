"""Is there a graphics processor worth using? ``python -m upscaled.engine.gpu`` finds out, in a process of its own.

A process of its own because drivers crash. Vulkan also offers software that only poses as a graphics processor, many
times slower than the processor itself, and some drivers answer with black or garbage. So a device is used when it is
real, when it gives what the processor gives (over 40 dB alike), and when it is faster.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class Gpu(StrEnum):
    """When to use a graphics processor."""

    AUTO = "auto"
    """When one passes the test."""
    OFF = "off"
    FORCE = "force"
    """Even one that is software or slow, but never one that answers wrongly: for testing this program."""


ALIKE: Final = 40.0
"""Likeness, in dB, from which two results are the same to the eye; half-precision arithmetic gives 55."""

_SIDE: Final = 64
_SOFTWARE: Final = 3
"""Vulkan's VK_PHYSICAL_DEVICE_TYPE_CPU."""

_NODES: Final = ("dev/dri/renderD*", "dev/nvidia[0-9]*", "dev/dxg")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The device to use (None: the processor), its name, and why."""

    device: int | None
    name: str
    why: str


def hardware(root: Path = Path("/")) -> bool:
    """Does the system show any graphics device? Asking is quick, and without one the test is not worth a second."""
    return any(True for pattern in _NODES for _ in root.glob(pattern))


def test(*, forced: bool) -> Verdict:
    """Return the first device that passes, or why none does."""
    import ncnn  # noqa: PLC0415 -- the extra may be missing, and this module is imported without it

    count = ncnn.get_gpu_count()
    verdict = Verdict(None, "", "Vulkan finds no device")
    for device in range(count):
        info = ncnn.get_gpu_info(device)
        if info.type() == _SOFTWARE and not forced:
            verdict = Verdict(None, info.device_name(), "it is software that only poses as a graphics processor")
            continue
        verdict = _compared(device, info.device_name(), forced=forced)
        if verdict.device is not None:
            break
    return verdict


def _compared(device: int, name: str, *, forced: bool) -> Verdict:
    """Run a small piece on the device and on the processor, and judge the device by both."""
    import numpy as np  # noqa: PLC0415 -- as above

    from upscaled.engine.networks import NETWORKS, Loaded  # noqa: PLC0415 -- as above

    piece = np.random.default_rng(0).random((3, _SIDE, _SIDE), np.float32)
    slower = 0.0
    for network in ("waifu2x-photo", "animevideov3"):
        results, seconds = [], []
        for loaded in (Loaded(NETWORKS[network]), Loaded(NETWORKS[network], gpu=device)):
            loaded.enlarge(piece)  # the first run compiles and caches
            began = time.perf_counter()
            results.append(np.clip(loaded.enlarge(piece), 0, 1))
            seconds.append(time.perf_counter() - began)
        error = float(np.mean((results[0] - results[1]) ** 2))
        likeness = 10 * math.log10(1 / error) if error > 0 else math.inf
        if not likeness > ALIKE:
            return Verdict(None, name, f"its results are wrong ({likeness:.0f} dB like the processor's)")
        slower = max(slower, seconds[1] / seconds[0])
    if slower >= 1 and not forced:
        return Verdict(None, name, f"it takes {slower:.1f} times as long as the processor")
    return Verdict(device, name, f"it takes {slower:.2f} of the processor's time")


def main() -> None:
    """Print the verdict as JSON; whatever drivers print goes to standard error."""
    output = os.dup(1)
    os.dup2(2, 1)
    verdict = test(forced="--force" in sys.argv[1:])
    os.write(output, json.dumps(asdict(verdict)).encode())
    sys.stdout.flush()
    # Tearing Vulkan down has crashed processes that had done their work.
    os._exit(0)


if __name__ == "__main__":
    main()
