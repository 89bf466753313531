"""Small pictures of pictures, for pages: made in a worker process, kept in a directory of ours with a bounded size.

Separate from `upscaled.files.pictures`, which decides about originals and results: nothing here decides anything, and
what is kept may be deleted at any time. Killed at any instant, it leaves a file under a temporary name, which counts
for the size and goes like any other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from PIL import Image, ImageOps

from upscaled.errors import DiskFull
from upscaled.files.directories import free_space
from upscaled.files.inside import open_inside
from upscaled.files.pictures.opening import opened
from upscaled.files.structure.kinds import HEAD, kind_of

LARGEST: Final = 256 << 20
"""How much is kept, in bytes: some ten thousand thumbnails, or a few hundred previews."""

SPARE: Final = 256 << 20
"""How much must stay free on the disk, in bytes: the ledger lies there too."""

MOST_PIXELS: Final = 120_000_000
"""Pictures with more pixels are not decoded for a page, unless they are JPEG, which can be decoded small."""

MOST_JPEG_PIXELS: Final = 400_000_000

SHOWN: Final = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}
"""What browsers show as it is, and its media type. Nothing else is ever served: SVG and HTML can hold scripts."""


def media_type(head: bytes) -> str | None:
    """Return the media type of a file by its first bytes, whatever it is called; None for what is not to be served."""
    return SHOWN.get(kind_of(head[:HEAD]) or "")


def make(root: Path, relative: PurePath, target: Path, edge: int) -> None:
    """Write a WebP of a picture to ``target``, its longer side ``edge`` pixels at most, upright.

    To be run in a worker process. Raises `BadPicture` when it cannot be decoded, `FileTrouble` when it cannot be read.
    """
    with open_inside(root, relative) as file:
        kind = kind_of(file.read(HEAD))
        most = MOST_JPEG_PIXELS if kind == "jpeg" else MOST_PIXELS
        with opened(file, kind, most) as image:
            small = _small(image, edge)
    part = target.with_suffix(f".{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        part.unlink()
    small.save(part, "WEBP", quality=82, method=2, icc_profile=small.info.get("icc_profile"))
    part.replace(target)


def _small(image: Image.Image, edge: int) -> Image.Image:
    image.draft("RGB", (2 * edge, 2 * edge))
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    # Shrunk before it is turned and converted: those cost as much as there are pixels.
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    upright = ImageOps.exif_transpose(image)
    small = upright.convert("RGBA" if "A" in upright.getbands() or "transparency" in upright.info else "RGB")
    small.info = {"icc_profile": profile} if profile else {}
    return small


class Thumbnails:
    """The directory. All of it is called in threads; two may be at work at once."""

    def __init__(self, directory: Path, *, largest: int = LARGEST) -> None:
        self._directory = directory
        self._largest = largest

    def find(self, name: str) -> Path | None:
        """Return the picture of that name, if it was made."""
        path = self._directory / name
        return path if path.is_file() else None

    def room(self, name: str) -> Path:
        """Return where a picture of that name may be written; the oldest are removed where they are too many.

        Raises `DiskFull` when the disk has none left for such things.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if free_space(self._directory) < SPARE:
            raise DiskFull(f"{self._directory} has no room for thumbnails", path=self._directory)
        self._prune()
        return self._directory / name

    def refuse(self, name: str) -> None:
        """Remember that no picture can be made, so that it is not tried each time: an empty file says so."""
        with suppress(OSError):
            (self._directory / name).touch()

    def _prune(self) -> None:
        found = []
        for entry in os.scandir(self._directory):
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                # Each takes a block at least, also an empty one.
                found.append((status.st_mtime_ns, max(status.st_size, 4096), Path(entry.path)))
        excess = sum(size for _, size, _ in found) - self._largest
        if excess <= 0:
            return
        # A tenth more than must be, so that the next one does not look again.
        excess += self._largest // 10
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            with suppress(OSError):
                path.unlink()
                excess -= size
