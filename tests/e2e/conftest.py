"""Processes of the installed command, as a person or systemd would start them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.house import COMMAND


def wait_for(true: Callable[[], bool], *, limit: float = 120.0) -> None:
    """Return as soon as something is true; fail when it is not within ``limit`` seconds."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.05)


@contextmanager
def started(*arguments: str, log: Path, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in the background, its output going to ``log``; end it, if it has not ended, at the end."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [COMMAND, *arguments], stdout=stream, stderr=stream, env={**os.environ, **(environ or {})}
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run `upscaled serve` with the real engine; give its address and key."""
    root = tmp_path_factory.mktemp("serve")
    log = root / "log"
    key = "upk-for-the-tests"
    environ = {"UPSCALED_SERVE_KEY": key}
    with started(
        "serve", "--listen", "127.0.0.1:0", "--state-dir", str(root / "state"), log=log, environ=environ
    ) as process:
        wait_for(lambda: "Serving on http" in log.read_text("utf-8") or process.poll() is not None, limit=60)
        line = next(line for line in log.read_text("utf-8").splitlines() if "Serving on http" in line)
        yield line.split("Serving on ")[1].split()[0], key
