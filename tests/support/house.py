"""A set of folders with a config, for tests that run the whole program; and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
import yaml
from PIL import Image

from upscaled import app, building, config, logs
from upscaled.config import Settings
from upscaled.events import Subscriber
from upscaled.files import markers
from upscaled.ledger import Ledger
from upscaled.processes import Processes

P = ParamSpec("P")
T = TypeVar("T")

PHOTOS = Path(__file__).parents[1] / "photos"
COMMAND = Path(sys.executable).with_name("upscaled")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(path: Path, *, size: tuple[int, int] = (64, 48), seed: int = 0, **options: Any) -> Path:
    """Write a small picture that no other seed gives, in the format of its name."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.putpixel((seed % size[0], seed // size[0] % size[1]), (255, 0, seed % 256))
    image.save(path, **options)
    return path


class Threads(Processes):
    """Stands in for the worker processes, which would be most of a small test's time; `tests/e2e` has the real ones."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)


class House:
    """Folders under one directory, and the config that names them."""

    def __init__(self, root: Path, *, service: Mapping[str, Any], folder: Mapping[str, Any] | None = None) -> None:
        self.root = root
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.archive, self.failed = root / "archive", root / "failed"
        for directory in (self.inbox, self.outbox, self.archive, self.failed):
            directory.mkdir(parents=True, exist_ok=True)
        self.state = root / "state"
        self.config = root / "upscaled.yaml"
        self.document: dict[str, Any] = {
            "state_dir": str(self.state),
            "service": {"poll_min": "50ms", "timeout": "5s", **service},
            "profiles": {"default": {"target_resolution": "2k"}},
            "dashboard": {"listen": "off"},
            "folders": [
                {
                    "inbox": str(self.inbox),
                    "outbox": str(self.outbox),
                    "archive": str(self.archive),
                    "failed": str(self.failed),
                    "settle": "0s",
                    "sweep": "1s",
                    **(folder or {}),
                }
            ],
        }
        self.write()

    def write(self) -> None:
        """Write the config as the document now says."""
        self.config.write_text(yaml.safe_dump(self.document), "utf-8")

    def drop(self, name: str = "a.jpg", *, seed: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
        """Drop a small picture into the inbox."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return picture(path, seed=seed, size=size)

    def settings(self) -> Settings:
        """Load the config as the command does."""
        return config.load(self.config, environ={}, cwd=self.root)

    def once(self, *subscribers: Subscriber, listing_lag: float = 0.3, limit: float = 60.0) -> int:
        """Run the daemon in this process until nothing is left to do; return its exit code."""
        logs.configure(style="console", level="debug")

        async def work() -> int:
            patch.setattr(building, "Processes", Threads)
            running = app.run(self.settings(), once=True, subscribers=subscribers, listing_lag=listing_lag)
            return await asyncio.wait_for(running, limit)

        with pytest.MonkeyPatch.context() as patch:
            return asyncio.run(work())

    def command(self, *arguments: str, check: bool = True, environ: Mapping[str, str] | None = None) -> str:
        """Run the installed command with this config; return its standard output."""
        done = subprocess.run(
            [COMMAND, *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, **(environ or {})},
        )
        if check:
            assert 0 == done.returncode, done.stderr
        return done.stdout

    def jobs(self) -> list[dict[str, Any]]:
        """Return what `jobs --json` prints."""
        found: list[dict[str, Any]] = json.loads(self.command("jobs", "--json", "--limit", "0"))
        return found

    def ledger(self) -> Ledger:
        """Open the ledger for reading."""
        return Ledger.read(self.state)

    def standings(self) -> list[str]:
        """Return how each job stands, read from the ledger: cheap enough to be asked over and over."""
        return [str(job.standing) for job in self.ledger().jobs()]

    def files(self, directory: Path) -> dict[str, str]:
        """Return every file below a directory, hidden ones too but for the marker, with its digest.

        A file that a running daemon moves away meanwhile is not there any more, and left out.
        """
        found = {}
        for place, _, names in os.walk(directory):
            for path in (Path(place, name) for name in sorted(names) if name != markers.NAME):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        found[str(path.relative_to(directory))] = digest(path)
        return found

    def assert_whole(self, originals: Mapping[str, str], results: Sequence[str] | None = None) -> None:
        """Assert that every original is in the archive unchanged, every result is a whole picture, and nothing else."""
        assert {} == self.files(self.inbox)
        assert dict(originals) == self.files(self.archive)
        found = self.files(self.outbox)
        assert sorted(results if results is not None else originals) == sorted(found)
        for name in found:
            with Image.open(self.outbox / name) as image:
                image.load()
