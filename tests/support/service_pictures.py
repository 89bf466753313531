"""The test service's upscaler: a plain resize, so that results are real pictures of the right size and format."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Result:
    """A finished picture."""

    data: bytes
    format: str

    @property
    def content_type(self) -> str:
        """Its media type."""
        return FORMATS[self.format]

    @property
    def base64(self) -> str:
        """It as the service writes it into an answer: bare."""
        return base64.b64encode(self.data).decode()


def render(
    source: bytes, inputs: Mapping[str, Any], targets: Mapping[str, int], *, aspect: float = 1.0, kind: str = ""
) -> Result:
    """Upscale a picture as ``inputs`` ask; raises OSError when it is none. ``aspect`` and ``kind`` make it wrong."""
    with Image.open(io.BytesIO(source)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    scale = float(inputs["scale"]) if "scale" in inputs else _scale(picture, inputs, targets)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale * aspect))
    wanted = kind or str(inputs.get("output_format", "jpeg"))
    made = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR).save(made, wanted)
    return Result(made.getvalue(), wanted)


def _scale(picture: Image.Image, inputs: Mapping[str, Any], targets: Mapping[str, int]) -> float:
    return targets[str(inputs.get("target_resolution", "4k"))] / max(picture.size)
