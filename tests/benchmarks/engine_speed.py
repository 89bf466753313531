"""How fast is the engine? Processor seconds against a bare loop over the same network, and one worker against two.

    python -m tests.benchmarks.engine_speed [PICTURE]

Promised: at most 10 % above the loop, which runs the same pieces with nothing around them; and with two workers at
least 1.3 times the speed of one, on a machine that has nothing else to do.

The three take turns, and the median of what the rounds say is judged: where neighbours share the machine, the same work
takes a third more processor seconds in one minute than in the next, and kinds that run one after the other are told
apart by that.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from upscaled.engine import picture, tiles
from upscaled.engine.order import Order, Tier
from upscaled.engine.render import EDGE, Renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

PHOTO: Final = Path(__file__).parents[1] / "photos" / "rocket.jpg"
ORDERS: Final = {"waifu2x-photo": Order(tier=Tier.FAST), "animevideov3": Order(None)}
"""Each network alone, by what asks for it."""

ROUNDS: Final = 7


def timed(work: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Return the wall and processor seconds of some work."""
    wall, processor = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - wall, time.process_time() - processor


def loop(renderer: Renderer, source: Path, name: str, target: tiles.Size) -> None:
    """Run the network over the same pieces, and drop what comes out."""
    loaded, size = renderer.network(name), picture.load(source).size
    for block in tiles.blocks(size, target, EDGE):
        reach = loaded.network.reach + 3
        width, height = (span.window(reach)[1] - span.window(reach)[0] for span in (block.across, block.down))
        loaded.enlarge(np.full((3, height, width), 0.5, np.float32))


def turns(renderers: list[Renderer], source: Path, name: str, target: tiles.Size) -> npt.NDArray[np.float64]:
    """Return wall and processor seconds x bare loop and each renderer x rounds."""
    order = replace(ORDERS[name], long_side=target.long_side)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.jpg"
        for renderer in renderers:
            renderer.render(source, output, order)
        rounds = [
            [timed(loop, renderers[0], source, name, target)]
            + [timed(renderer.render, source, output, order) for renderer in renderers]
            for _ in range(ROUNDS)
        ]
    return np.array(rounds).T


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description="Speed of the built-in engine.")
    parser.add_argument("picture", type=Path, nargs="?", default=PHOTO)
    source = parser.parse_args().picture
    size = picture.load(source).size
    target = tiles.multiplied(size, 2)
    megapixels = size.pixels / 1e6
    renderers = [Renderer(workers=1), Renderer(workers=2)]
    broken = False
    for name in ORDERS:
        (_, one, two), (bare, whole, _) = turns(renderers, source, name, target)
        overhead = float(np.median(whole / bare)) - 1
        sys.stdout.write(
            f"{name:14} bare {np.median(bare) / megapixels:5.2f}, whole {np.median(whole) / megapixels:5.2f} "
            f"processor s/MP ({100 * overhead:+.1f} %); 2 workers {np.median(one / two):.2f} times as fast as 1\n"
        )
        broken |= overhead > 0.1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"peak memory {peak:.0f} MB\n")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
