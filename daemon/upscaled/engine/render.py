"""The picture's way through the networks: block by block, on a pool of threads, straight into the result.

No enlarged intermediate of the whole picture ever exists: each block's share of the source is enlarged and resampled
right into its rectangle of the result, so memory depends on the result and the blocks, not on the factor. ncnn lets go
of Python's lock while it computes, and one-thread workers side by side beat ncnn's own threads on a shared machine.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from upscaled.engine import picture, recipe, tiles, tone
from upscaled.engine.memory import Share
from upscaled.engine.needs import BARE, share_within
from upscaled.engine.networks import NETWORKS, Loaded, Network, Pixels
from upscaled.engine.order import Order, PictureRefused, Report, Tier
from upscaled.engine.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from upscaled.engine.needs import Outline
    from upscaled.engine.picture import Bytes, Picture

EDGE: Final = 256
"""Side of a block in source pixels: larger ones waste less on overlap, smaller ones keep all workers busy."""

LARGEST: Final = 7680 * 7680
"""Largest result in pixels: a square at the highest resolution there is."""

_SAMPLE: Final = 128
"""Side of the piece that is timed, in pixels."""

_RESAMPLED: Final = "the source already has {} pixels on its long side; it was resampled to {} and no network ran"
_HURRIED: Final = (
    "the standard tier would take about {:.0f} s, longer than the {:g} s allowed; the fast one was used, "
    "in which creativity has no effect"
)

_LANCZOS: Final = 3
"""Reach of the resampling filter in pixels of the coarser side."""


class Renderer:
    """Makes pictures with ``workers`` threads; networks are loaded when first needed and stay.

    ``tier`` is for orders that name none. Where the standard tier would take longer than ``patience`` seconds, by what
    `measure` found, the fast one is used and the report says so. ``gpu`` is the number of a graphics processor to use.
    ``limit`` is how many bytes of memory we may use; a picture that takes more is refused before it is decoded.
    """

    def __init__(
        self,
        *,
        workers: int,
        tier: Tier = Tier.STANDARD,
        patience: float | None = None,
        gpu: int | None = None,
        edge: int = EDGE,
        limit: int | None = None,
    ) -> None:
        self.workers = workers
        self.pace: Pace | None = None
        self._tier = tier
        self._patience = patience
        self._gpu = gpu
        self._share = Share(workers, edge)
        self._limit = limit
        self._loaded: dict[str, Loaded] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="engine")

    def close(self) -> None:
        """Stop the threads; what they are at is finished first."""
        self._pool.shutdown(cancel_futures=True)

    def network(self, name: str) -> Loaded:
        """Return a network, loaded. Raises `errors.EngineError` when its files are missing."""
        if name not in self._loaded:
            self._loaded[name] = Loaded(NETWORKS[name], gpu=self._gpu)
        return self._loaded[name]

    def measure(self) -> dict[str, float]:
        """Time a small piece on the usual networks; return seconds a megapixel for each, and remember them."""
        rates = {}
        restoring = () if self._tier is Tier.FAST else (recipe.restoring(self._tier, gpu=self._gpu is not None),)
        for name in ("waifu2x-photo", *restoring):
            network = self.network(name)
            side = _SAMPLE + 2 * network.network.reach
            piece = np.full((3, side, side), 0.5, np.float32)
            network.enlarge(piece)  # the first run sets up what later ones reuse
            began = time.perf_counter()
            network.enlarge(piece)
            rates[name] = (time.perf_counter() - began) / (side * side / 1e6)
        self.pace = Pace(rates, self.workers)
        return rates

    def render(
        self,
        source: Path,
        output: Path,
        order: Order,
        *,
        progress: Callable[[float], None] = lambda _: None,
        estimated: Callable[[float], None] = lambda _: None,
    ) -> Report:
        """Do what `order.Upscaler.upscale` promises, in this thread and the pool's."""
        began = time.monotonic()
        share = self._share_for(picture.outline(source), order)
        original = picture.load(source)
        if order.format == "jpeg":
            original = original.on_white()
        target = _target(original.size, order)
        chosen, note = self._recipe(original, target, order)
        if self.pace is not None:
            estimated(self._estimate(chosen, original.size, target))
        pixels = self._enlarged(original, target, chosen, share, progress)
        alpha = None if original.alpha is None else picture.resampled(original.alpha, target)
        original = original.emptied()
        picture.save(pixels, alpha, original, output, order.format)
        progress(1.0)
        networks = () if chosen is None else chosen.networks
        return Report(target.width, target.height, networks, note, time.monotonic() - began)

    def _share_for(self, outline: Outline, order: Order) -> Share:
        """Return how to work on a picture. Raises `PictureRefused` when it takes more memory than it may."""
        if self._limit is None:
            return self._share
        target = _target(outline.size, order)
        tier = max(self._tier, order.tier or self._tier, key=BARE.__getitem__)  # our own one's networks stay loaded
        return share_within(self._limit, outline, target, order.format, tier=tier, share=self._share)

    def _recipe(self, original: Picture, target: tiles.Size, order: Order) -> tuple[recipe.Recipe | None, str]:
        """Return what to run, None for nothing, and what a person should know about that."""
        source = original.size
        if target.long_side <= source.long_side:
            return None, _RESAMPLED.format(source.long_side, target.long_side)
        factor = target.long_side / source.long_side
        tier = order.tier or self._tier
        chosen = recipe.choose(order, tier, original.condition, factor, gpu=self._gpu is not None)
        quicker = recipe.choose(order, Tier.FAST, original.condition, factor, gpu=self._gpu is not None)
        seconds = self._estimate(chosen, source, target)
        if tier is Tier.STANDARD and chosen != quicker and self._patience is not None and seconds > self._patience:
            return quicker, _HURRIED.format(seconds, self._patience)
        return chosen, ""

    def _estimate(self, chosen: recipe.Recipe | None, source: tiles.Size, target: tiles.Size) -> float:
        chosen = chosen or recipe.Recipe((), None, 0.0)
        scales = {name: network.scale for name, network in NETWORKS.items()}
        return 0.0 if self.pace is None else self.pace.estimate(chosen, source, target, scales)

    def _enlarged(
        self,
        original: Picture,
        target: tiles.Size,
        chosen: recipe.Recipe | None,
        share: Share,
        progress: Callable[[float], None],
    ) -> Bytes:
        if chosen is None:
            return picture.resampled(original.pixels, target)
        work = _Work(original.pixels, chosen, self.network)
        result = np.empty((target.height, target.width, 3), np.uint8)
        done = 0
        with self._workers(share) as pool:
            for block in _each(pool, work, tiles.blocks(original.size, target, share.edge), result):
                done += block.pixels
                progress(0.98 * done / target.pixels)
        tone.settle(result, original.pixels, self._pool.map)
        return result

    @contextmanager
    def _workers(self, share: Share) -> Iterator[ThreadPoolExecutor]:
        """Give the pool, or for a picture that would take too much memory in all of its threads, one of fewer."""
        if share.workers == self.workers:
            yield self._pool
            return
        with ThreadPoolExecutor(share.workers, thread_name_prefix="engine") as fewer:
            yield fewer


def _each(pool: ThreadPoolExecutor, work: _Work, blocks: list[tiles.Block], result: Bytes) -> Iterator[tiles.Block]:
    def make(block: tiles.Block) -> tiles.Block:
        rows = slice(block.down.start, block.down.stop)
        result[rows, block.across.start : block.across.stop] = work.block(block)
        return block

    futures = [pool.submit(make, block) for block in blocks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


class _Work:
    """One picture with its networks: makes any block of the result, from any thread."""

    def __init__(self, pixels: Bytes, chosen: recipe.Recipe, network: Callable[[str], Loaded]) -> None:
        restoring = () if chosen.restoring is None else (chosen.restoring,)
        layers = (
            (1 - chosen.detail, ()),  # the source resampled: taking it off strengthens what networks add to it
            (chosen.detail * (1 - chosen.share), chosen.faithful),
            (chosen.detail * chosen.share, restoring),
        )
        self._pixels = pixels
        self._layers = [(weight, [network(name) for name in passes]) for weight, passes in layers if weight]

    def block(self, block: tiles.Block) -> Bytes:
        (weight, passes), *others = self._layers
        first = self._layer(block, passes)
        if not others:
            return first
        mixed = first * np.float32(weight)
        for weight, passes in others:
            mixed += self._layer(block, passes) * np.float32(weight)
        mixed += np.float32(0.5)
        return np.clip(mixed, 0, 255, out=mixed).astype(np.uint8)

    def _layer(self, block: tiles.Block, passes: list[Loaded]) -> Bytes:
        """Enlarge the block's window of the source by these networks and resample it into the block's size."""
        margin = _margin([loaded.network for loaded in passes], block)
        left, right = block.across.window(margin)
        top, bottom = block.down.window(margin)
        pixels = _window(self._pixels, top, bottom, left, right)
        offset, scale = 0, 1
        for loaded in passes:
            pixels = loaded.enlarge(pixels)
            offset, scale = (offset + loaded.network.reach) * loaded.network.scale, scale * loaded.network.scale
        box = (
            (block.across.low - left) * scale - offset,
            (block.down.low - top) * scale - offset,
            (block.across.high - left) * scale - offset,
            (block.down.high - top) * scale - offset,
        )
        image = Image.fromarray(_levels(pixels))
        size = (block.across.length, block.down.length)
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box))


def _margin(passes: list[Network], block: tiles.Block) -> int:
    """Source pixels needed around a block: what each network looks at, and what resampling after them does."""
    needed, scale = 0.0, 1
    for network in passes:
        needed += network.reach / scale
        scale *= network.scale
    coarsest = max((span.high - span.low) / span.length for span in (block.across, block.down))
    return math.ceil(needed + _LANCZOS * max(coarsest, 1 / scale)) + 1


def _window(pixels: Bytes, top: int, bottom: int, left: int, right: int) -> Pixels:
    """Return a part of the source as the networks want it; beyond its edges the picture is mirrored."""
    rows, columns = _mirrored(top, bottom, pixels.shape[0]), _mirrored(left, right, pixels.shape[1])
    return pixels[rows[:, None], columns].transpose(2, 0, 1).astype(np.float32) / np.float32(255)


def _levels(pixels: Pixels) -> Bytes:
    """Return what a network answered as eight bits; in place, as its answers are the largest things there are."""
    np.clip(pixels, 0, 1, out=pixels)
    pixels *= 255
    pixels += 0.5
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(1, 2, 0))


def _mirrored(start: int, stop: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    indices = np.arange(start, stop) % (2 * length)
    return np.where(indices < length, indices, 2 * length - 1 - indices)


def _target(source: tiles.Size, order: Order) -> tiles.Size:
    if order.scale is None:
        return tiles.fitted(source, order.long_side)
    target = tiles.multiplied(source, order.scale)
    if target.pixels > LARGEST:
        raise PictureRefused(
            "The result would be too large",
            why=f"{order.scale:g} times {source.width} x {source.height} is {target.width} x {target.height} pixels",
            do=f"Ask for a smaller scale: the result may have {LARGEST // 1_000_000} megapixels.",
            code=1401,
        )
    return target
