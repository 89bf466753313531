"""Configurations for tests: a small right one to add mistakes to, and what comes of loading a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upscaled.config import Settings, load
from upscaled.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVICE = "service: {url: embedded}\n"
"""Line 1 of most configurations here: a service that needs no key."""

FOLDER = "folders:\n  - inbox: in\n    outbox: out\n    archive: arc\n"
"""Lines 2 to 5; what is added after it with four spaces is in the folder, from line 6."""

GOOD = SERVICE + FOLDER


def load_text(text: str | bytes, directory: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Load a configuration that consists of ``text`` and lies in ``directory``."""
    file = directory / "upscaled.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file, environ={"HOME": "/home/ann"} | dict(environ or {}), cwd=directory)


def problems_in(text: str | bytes, directory: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Return what is wrong with a configuration; nothing, if it loads."""
    try:
        load_text(text, directory, environ)
    except ConfigError as error:
        return list(error.problems)
    return []
