"""Pictures that mean harm, or were harmed: made from small whole ones, always the same for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image

from tests.support import icc
from upscaled.errors import BadPicture, FileTrouble
from upscaled.files import pictures
from upscaled.files.pictures import Wanted

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF")

SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".heic", ".avif", "")


@cache
def whole(form: str, *, profile: bytes = b"", exif: bytes = b"") -> bytes:
    """Return a small picture with something to see on it."""
    pillow_heif.register_heif_opener()
    image = Image.linear_gradient("L").resize((48, 32)).convert("RGB")
    file = io.BytesIO()
    beside: dict[str, Any] = {"icc_profile": profile or icc.ADOBE.profile(), "exif": exif or turned()}
    options: dict[str, dict[str, Any]] = {"BMP": {}, "GIF": {}, "AVIF": {**beside, "speed": 10}}
    image.save(file, form, **options.get(form, beside))
    return file.getvalue()


def turned() -> bytes:
    """Return EXIF of a camera that was held upright."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Maker", "Model"
    return exif.tobytes()


def fuzzed(data: bytes, chance: random.Random, *, start: int = 0, end: int | None = None) -> bytes:
    """Return a file with some wrong bytes in a range."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(start, min(end or len(data), len(data)))
        changed[at] = chance.choice((0, 255, 0x7F, 0x80, chance.randrange(256)))
    return bytes(changed)


def spliced(data: bytes, chance: random.Random) -> bytes:
    """Return a file of which a piece is missing, doubled or moved."""
    first, second = sorted(chance.sample(range(len(data)), 2))
    return chance.choice(
        (data[:first] + data[second:], data[:second] + data[first:], data[:first] + data[second:] + data[first:second])
    )


def bombs() -> Iterator[bytes]:
    """Yield files of a few bytes that promise gigabytes of pixels."""
    for side in (65_500, 30_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        data = zlib.compress(bytes(1_000_000), 9)
        yield b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (b"IHDR", b"IDAT", b"IEND"), (header, data, b"")))
        for form in ("JPEG", "BMP", "GIF", "TIFF", "WEBP"):
            yield _claiming(whole(form), form, side)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _claiming(data: bytes, form: str, side: int) -> bytes:
    """Return a picture whose header says that it has so many pixels along each side."""
    match form:
        case "JPEG":
            at = data.index(b"\xff\xc0") + 5
            return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]
        case "BMP":
            return data[:18] + struct.pack("<ii", side, side) + data[26:]
        case "GIF":
            return data[:6] + struct.pack("<HH", side, side) + data[10:]
        case "WEBP":
            at = data.index(b"VP8X") + 12
            return data[:at] + (side - 1).to_bytes(3, "little") * 2 + data[at + 6 :]
        case _:
            for tag in (256, 257):
                at = data.index(struct.pack("<HH", tag, 3)) if struct.pack("<HH", tag, 3) in data else -1
                if at >= 0:
                    data = data[: at + 8] + struct.pack("<H", side) + data[at + 10 :]
            return data


MAKERS: dict[str, Callable[[str, random.Random], bytes]] = {
    "fuzzed header": lambda form, chance: fuzzed(whole(form), chance, end=200),
    "fuzzed": lambda form, chance: fuzzed(whole(form), chance),
    "truncated": lambda form, chance: whole(form)[: chance.randrange(1, len(whole(form)))],
    "spliced": lambda form, chance: spliced(whole(form), chance),
    "profile": lambda form, chance: whole(form, profile=fuzzed(icc.ink_profile()[:4000], chance, end=300)),
    "profile of inks": lambda form, chance: whole(form, profile=fuzzed(icc.ADOBE.profile(), chance)),
    "EXIF": lambda form, chance: whole(form, exif=fuzzed(turned(), chance, start=6)),
}

KINDS = (*MAKERS, "bomb")


def cases(kind: str, count: int) -> Iterator[bytes]:
    """Yield so many files of a kind, of all formats in turn."""
    if kind == "bomb":
        yield from bombs()
        return
    for number in range(count):
        form = FORMATS[number % len(FORMATS)]
        try:
            yield MAKERS[kind](form, random.Random(f"{kind} {form} {number}"))
        except (ValueError, OSError, RuntimeError, SyntaxError, struct.error):
            yield whole(form)[:-5]  # the encoder itself refuses such metadata


def survived(directory: str, kind: str, count: int) -> tuple[int, int, list[str]]:
    """Prepare and judge so many files of a kind; return how many there were, how many were refused, what went wrong.

    Run in a worker process, which a decoder may take down with it.
    """
    tried, refused, wrong = 0, 0, []
    for number, data in enumerate(cases(kind, count)):
        tried += 1
        source = Path(directory, f"{number}{SUFFIXES[number % len(SUFFIXES)]}")
        source.write_bytes(data)
        out = Path(directory, "out")
        for wanted in (Wanted(), Wanted(as_they_are=(), encodings=("jpeg",))):
            try:
                pictures.render(source, out, wanted)
                out.unlink(missing_ok=True)
            except (BadPicture, FileTrouble):
                refused += 1
                if out.exists():
                    wrong.append(f"{source.name}: it left a file behind")
            except Exception as error:  # noqa: BLE001 - each of them is a defect, and told as one
                wrong.append(f"{source.name}: {error!r}")
        try:
            pictures.verify(source, expected_format=None, source_size=(48, 32), source=source)
        except (BadPicture, FileTrouble):
            refused += 1
        except Exception as error:  # noqa: BLE001
            wrong.append(f"{source.name}: {error!r}")
        source.unlink()
    wrong += [path.name for path in Path(directory).iterdir()]
    return tried, refused, wrong
