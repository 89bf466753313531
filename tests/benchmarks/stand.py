"""What every measure stands on: pictures, a simulator and a daemon in processes of their own, and their gauges.

The daemon is the installed program, started as a user starts it. CPU is what the kernel counted for a process and
everything it started, read before and after, so that what it takes to start is left out as it is for its peers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self

from PIL import Image

PHOTO: Final = Path(__file__).parent.parent / "photos" / "coffee.jpg"

UP: Final = 500_000
"""Bytes of a source."""
DOWN: Final = 2_000_000
"""Bytes of a result."""

SOURCE_WIDTH: Final = 1920
RESULT_WIDTH: Final = 3840

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


# --- pictures --------------------------------------------------------------------------------------------------------


@cache
def jpeg(width: int, size: int) -> bytes:
    """Return the photograph as a JPEG of that width, at the quality that comes closest to ``size`` bytes."""
    with Image.open(PHOTO) as photo:
        scaled = photo.convert("RGB").resize((width, width * photo.height // photo.width), Image.Resampling.LANCZOS)
    encoded = cache(lambda quality: _encoded(scaled, quality))
    beyond = bisect_left(range(60, 99), size, key=lambda quality: len(encoded(quality))) + 60
    return min(map(encoded, (max(60, beyond - 1), beyond)), key=lambda data: abs(len(data) - size))


def _encoded(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def distinct(picture: bytes, number: int) -> bytes:
    """Return the same picture with bytes of its own: a comment after its first marker."""
    text = f"picture {number:08d}".encode()
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + picture[2:]


FOREIGN: Final = b"%PDF-1.7\n"
"""A file that is left alone once it was opened."""


def litter(directory: Path, count: int) -> None:
    """Put so many files into a directory that are no pictures."""
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / f"{number:05d}.pdf").write_bytes(FOREIGN)


def fill(directory: Path, picture: bytes, count: int, *, first: int = 0) -> None:
    """Put ``count`` distinct pictures into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (directory / f"{number:06d}.jpg").write_bytes(distinct(picture, number))


# --- processes -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Process:
    """A process and what the kernel knows of it and its children."""

    popen: subprocess.Popen[bytes]

    @property
    def cpu(self) -> float:
        """Seconds of CPU used so far by it and by all that it started."""
        return sum(_cpu(pid) for pid in self.pids())

    @property
    def main_resident(self) -> float:
        """Megabytes that the process itself has in memory now."""
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * _PAGE / 1e6

    def pss_mb(self) -> float:
        """Return the megabytes of it and its children, each shared page divided among those that share it."""
        return sum(_pss(pid) for pid in self.pids()) / 1e3

    def pids(self) -> list[int]:
        """Return it and its descendants."""
        found, pending = [], [self.popen.pid]
        while pending:
            found.append(pid := pending.pop())
            try:
                tasks = list(Path(f"/proc/{pid}/task").iterdir())
                pending += [int(child) for task in tasks for child in (task / "children").read_text().split()]
            except OSError:
                continue
        return found

    def end(self) -> None:
        """Ask it to stop, and see that it does."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(30)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.popen.wait()


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:"))


def wait_for(done: Callable[[], bool], *, seconds: float, every: float = 0.1, what: str = "it") -> None:
    """Return when ``done`` says so. Raises `TimeoutError`."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} took more than {seconds:.0f} s")
        time.sleep(every)


# --- the service -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Service:
    """A running simulator."""

    process: Process
    directory: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return (self.directory / "url").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client trust its certificate."""
        path = str(self.directory / "ca.pem")
        return {**os.environ, "SSL_CERT_FILE": path, "REQUESTS_CA_BUNDLE": path}

    def stats(self) -> dict[str, Any]:
        """Return what it was asked so far."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        with urllib.request.urlopen(f"{self.url}/stats", context=context, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def simulator(root: Path, result: bytes, *options: object) -> Iterator[Service]:
    """Run a simulator with these options of its command line."""
    directory = root / f"service-{time.monotonic_ns()}"
    directory.mkdir(parents=True)
    (directory / "result.jpg").write_bytes(result)
    arguments = [str(directory), "--result", str(directory / "result.jpg"), *map(str, options)]
    process = Process(subprocess.Popen([sys.executable, "-m", "tests.benchmarks.simulator", *arguments]))
    try:
        wait_for((directory / "url").exists, seconds=30, what="the simulator's start")
        yield Service(process, directory)
    finally:
        process.end()


# --- the daemon ------------------------------------------------------------------------------------------------------


@dataclass
class Daemon:
    """A running daemon with its folders."""

    process: Process
    root: Path

    @property
    def inbox(self) -> Path:
        """Where pictures are dropped."""
        return self.root / "inbox"

    @cached_property
    def _ledger(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.root}/state/ledger.sqlite3?mode=ro", uri=True, check_same_thread=False)

    def count(self, where: str = "1") -> int:
        """Return how many jobs there are."""
        found: int = self._ledger.execute(f"SELECT count(*) FROM jobs WHERE {where}").fetchone()[0]
        return found

    def judged(self, count: int) -> bool:
        """Have so many files been opened and left alone?"""
        seen = [json.loads(row[0]) for row in self.ask("SELECT seen FROM folders")]
        return sum(sum(folder.get("left_alone", {}).values()) for folder in seen) >= count

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of its ledger."""
        return self._ledger.execute(query).fetchall()

    def wait_done(self, count: int, *, seconds: float = 300.0) -> None:
        """Wait until so many jobs are done."""
        wait_for(lambda: self.count("standing = 'done'") >= count, seconds=seconds, what=f"{count} jobs")

    def drop(self, pictures: Path) -> None:
        """Move every file of a directory into the inbox, as a program on the same disk would."""
        for picture in sorted(pictures.iterdir()):
            picture.rename(self.inbox / picture.name)


def config(root: Path, service: Mapping[str, object], folder: Mapping[str, object], inboxes: int = 1) -> Path:
    """Write the configuration of a daemon with one folder, or more, and make their directories."""
    folders = []
    for number in range(inboxes):
        suffix = f"-{number}" if number else ""
        places = {role: str(root / f"{role}{suffix}") for role in ("inbox", "outbox", "archive", "failed")}
        for place in places.values():
            Path(place).mkdir(parents=True, exist_ok=True)
        folders.append({**places, "settle": "0s", "max_new": "off", **folder})
    # JSON is YAML.
    text = json.dumps({"state_dir": str(root / "state"), "service": dict(service), "folders": folders})
    path = root / "upscaled.yaml"
    path.write_text(text)
    return path


@contextmanager
def daemon(
    root: Path,
    service: Service,
    *,
    inboxes: int = 1,
    folder: Mapping[str, object] | None = None,
    watched: bool = False,
    **settings: object,
) -> Iterator[Daemon]:
    """Run the program against a simulator; its log goes to ``root/log``, how late its loop is to ``root/lateness``."""
    root.mkdir(parents=True, exist_ok=True)
    wanted = {"url": service.url, "api_key": "measured", **settings}
    path = config(root, wanted, folder or {}, inboxes)
    program = "tests.benchmarks.watched" if watched else "upscaled"
    command = [sys.executable, "-m", program, "run", "-c", str(path)]
    environment = {**service.environment, "WATCHED": str(root / "lateness")}
    with (root / "log").open("wb") as log:
        process = Process(subprocess.Popen(command, env=environment, stderr=log, stdout=log))
    try:
        ready = lambda: b"daemon.ready" in (root / "log").read_bytes() or process.popen.poll() is not None  # noqa: E731
        wait_for(ready, seconds=60, what="the daemon's start")
        if process.popen.poll() is not None:
            raise RuntimeError((root / "log").read_text())
        yield Daemon(process, root)
    finally:
        process.end()


@contextmanager
def idle(root: Path) -> Iterator[Path]:
    """Run a loop that does nothing but note how late it is; give where it notes that when it has ended."""
    noted = root / "idle-lateness"
    command = [sys.executable, "-m", "tests.benchmarks.watched", "idle"]
    process = Process(subprocess.Popen(command, env={**os.environ, "WATCHED": str(noted)}))
    try:
        yield noted
    finally:
        process.end()


def peer(kind: str, service: Service, pictures: Path, *, concurrency: int, poll: float, warm_up: int) -> dict[str, Any]:
    """Run another client over a directory of pictures; return what it printed."""
    options = ["--concurrency", concurrency, "--poll", poll, "--warm-up", warm_up]
    command = [sys.executable, "-m", "tests.benchmarks.peers", kind, service.url, str(pictures), *map(str, options)]
    done = subprocess.run(command, env=service.environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def forget(path: Path) -> None:
    """Remove a directory that a measure used."""
    shutil.rmtree(path, ignore_errors=True)


class Gauge(threading.Thread):
    """Samples the memory of a process twice a second, and keeps the largest values: itself, and with its children."""

    def __init__(self, process: Process) -> None:
        super().__init__(daemon=True)
        self.alone = 0.0
        self.together = 0.0
        self._process = process
        self._over = threading.Event()

    def run(self) -> None:
        """Sample until told to stop."""
        while not self._over.wait(0.5):
            with suppress(OSError):
                self.alone = max(self.alone, self._process.main_resident)
                self.together = max(self.together, self._process.pss_mb())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
