"""The first configuration, as `upscaled init` writes it: four folders and a file that a photographer can read.

Paths in it are relative to the file, so that the whole directory can be moved. Without a key in the environment the
file chooses the built-in engine: it works at once and costs nothing, and the comment beside it says how to change that.
With a key, its owner has already chosen.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from upscaled.config.directories import make_directory, make_folders
from upscaled.config.loading import LOCAL_FILE, load
from upscaled.config.schema import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE: Final = Path(__file__).parents[1] / "config.example.yaml"
"""Every setting with its default and a comment. It comes with the program, so where it lies may change with that."""

FOLDERS: Final = ("inbox", "upscaled", "originals", "failed")

_TEXT: Final = """\
# What upscaled does here. Start it in this directory with: upscaled run
# All settings with their defaults: `upscaled init`, run again, says where.

service:
{service}

profiles:
  default:
    target_resolution: 4k    # how large: 2k, 4k or 8k
    output_format: jpeg      # jpeg, png or webp

folders:
  - inbox: inbox             # drop pictures here
    outbox: upscaled         # the larger pictures appear here
    archive: originals       # your own pictures are moved here afterwards, unchanged
    failed: failed           # what could not be done, each with a note that says why
"""

_EMBEDDED: Final = """\
  url: embedded              # the built-in engine: on this computer, free, and slower
  # To use WaveSpeedAI instead, remove the line above and set {variable} in the environment."""

_KEYED: Final = """\
  url: https://api.wavespeed.ai   # paid by the picture, with the key in {variable}
  tier: bronze                    # your account's level: bronze, silver, gold or ultra
  # To use the built-in engine instead, which is free and slower, write `url: embedded` alone."""


def starter(*, keyed: bool) -> str:
    """Return the text of a first configuration; ``keyed``: is there a key for WaveSpeedAI in the environment?"""
    service = _KEYED if keyed else _EMBEDDED
    return _TEXT.format(service=service.format(variable=KEY_VARIABLE))


def initialise(directory: Path, *, environ: Mapping[str, str]) -> list[Path]:
    """Make the folders and the configuration in a directory, and return what was made.

    A configuration that is there is left as it is, and the folders that are missing are made as it names them. The file
    comes last and whole, so that a crash before it leaves nothing that would keep the next try from finishing. Raises
    OSError, and `errors.ConfigError` for a configuration that is there and wrong.
    """
    directory = directory.absolute()
    config = directory / LOCAL_FILE
    if os.path.lexists(config):
        return make_folders(load(config, environ=environ, cwd=directory))
    created = [made for name in FOLDERS for made in make_directory(directory / name)]
    if _write_new(config, starter(keyed=bool(environ.get(KEY_VARIABLE, "").strip()))):
        created.append(config)
    return created


def _write_new(path: Path, text: str) -> bool:
    """Write a file that appears complete or not at all. False if somebody else's appeared first, which is kept."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return _publish(part, path, text)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _publish(part: Path, path: Path, text: str) -> bool:
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        # exFAT and some shares have no hard links. There a crash may leave a file that is cut short, and the next
        # command names its line.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return True
