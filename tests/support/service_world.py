"""What the test service knows: its account, its tasks, its files. No HTTP here, and no clock of its own.

It is the witness in tests about money: `World.stats` counts what was charged, by its own rules and independent of the
program under test.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.support.service_faults import Fault, Script
from tests.support.service_pictures import Result, render

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MICRO = 1_000_000
"""Money is counted in millionths of a dollar, so that sums are exact."""


class Refusal(Exception):
    """A request is refused with an HTTP status, a sentence, and perhaps headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the service behaves when it behaves. Times in seconds, money in dollars."""

    key: str = "test-key"
    price: float = 0.01
    balance: float = 100.0
    latency: float | Mapping[str, float] = 0.0
    """Of one task once it runs: seconds, or ``{"median": s, "sigma": x}`` of a lognormal law."""
    concurrency: int | None = None
    """Tasks that run at once; more wait in a queue, as at the real service."""
    max_in_flight: int | None = None
    """Unfinished tasks beyond which a submit is refused with 429."""
    max_per_minute: int | None = None
    """Tasks in a ``window`` beyond which a submit is refused with 429."""
    window: float = 60.0
    retry_after: str | None = None
    """In the service's own 429s: None, ``seconds`` or ``date``."""
    listing_lag: float = 0.0
    """How long a new task is missing from the history."""
    listing_inputs: str | None = "inputs"
    """The key under which the history shows a task's inputs: ``inputs``, ``input``, or not at all."""
    nsfw: list[bool] | str | None = None
    """``has_nsfw_contents``: a list, null, or ``absent``."""
    ticket_life: float = 3600.0
    sync_limit: float = 90.0
    models: tuple[str, ...] | list[str] = ("wavespeed-ai/image-upscaler", "wavespeed-ai/real-esrgan")
    targets: Mapping[str, int] = field(default_factory=lambda: {"2k": 2048, "4k": 3840, "8k": 7680})
    """Long sides in pixels; smaller ones make long tests quick."""


@dataclass(slots=True)
class Task:
    """One prediction. ``ended`` is how it ended if not by completing: a status with a code and a sentence."""

    id: str
    model: str
    inputs: dict[str, Any]
    created: float
    starts: float
    finishes: float
    price: int
    image: str
    sha256: str
    ended: str = ""
    code: int = 0
    error: str = ""
    refunded: bool = False
    gone: bool = False
    """Deleted by its owner; it was paid for all the same."""


@dataclass(slots=True)
class Blob:
    """An uploaded file, or a ticket for one that has not come yet (``sha256`` empty)."""

    token: str
    name: str
    size: int
    content_type: str
    signature: str
    expires: float
    sha256: str = ""


class World:
    """The service's memory. ``state`` makes it outlive its process."""

    def __init__(
        self,
        settings: Settings | None = None,
        faults: Iterable[Fault] = (),
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        state: Path | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.faults = Script(faults, seed)
        self.now = clock
        self.sleep = sleep
        self.url = "http://service.test"
        self.files_url = "http://files.test"
        self.tasks: dict[str, Task] = {}
        self.blobs: dict[str, Blob] = {}
        self.requests: list[dict[str, Any]] = []
        self.peak_in_flight = 0
        self.refused_429 = 0
        self._bytes: dict[str, bytes] = {}
        self._results: dict[str, Result] = {}
        self._state = state
        if state is not None and state.exists():
            self._load(state)

    # --- steering ----------------------------------------------------------------------------------------------------

    def script(self, *faults: Fault, seed: int = 0) -> None:
        """Replace the faults in force; counting starts anew."""
        self.faults = Script(faults, seed)

    def set(self, **changes: Any) -> None:
        """Change some settings."""
        self.settings = replace(self.settings, **changes)

    # --- files -------------------------------------------------------------------------------------------------------

    def ticket(self, name: str, size: int, content_type: str, *, expired: bool = False) -> Blob:
        """Give leave to upload one file."""
        token = uuid.uuid4().hex
        life = -1.0 if expired else self.settings.ticket_life
        blob = Blob(token, name, size, content_type, uuid.uuid4().hex, self.now() + life)
        self.blobs[token] = blob
        return blob

    def store(self, blob: Blob, data: bytes) -> None:
        """Take the bytes of a file."""
        blob.sha256 = hashlib.sha256(data).hexdigest()
        blob.size = len(data)
        self._bytes[blob.token] = data
        if self._state is not None:
            directory = self._state.with_suffix(".files")
            directory.mkdir(exist_ok=True)
            (directory / blob.token).write_bytes(data)
        self.save()

    def url_of(self, blob: Blob) -> str:
        """Return the address an uploaded file is read from."""
        return f"{self.files_url}/inputs/{blob.token}/{quote(blob.name)}"

    def read(self, url: str) -> tuple[Blob, bytes] | None:
        """Return the uploaded file behind an address of ours."""
        found = re.search(r"/inputs/([0-9a-f]{32})/", url)
        blob = self.blobs.get(found[1]) if found else None
        if blob is None or not blob.sha256:
            return None
        return blob, self._bytes[blob.token]

    # --- tasks -------------------------------------------------------------------------------------------------------

    def submit(self, model: str, inputs: dict[str, Any]) -> Task:
        """Create a task and charge for it, or raise `Refusal`."""
        self._admit()
        now = self.now()
        starts = self._start(now)
        found = self.read(str(inputs["image"]))
        task = Task(
            id=uuid.uuid4().hex,
            model=model,
            inputs=inputs,
            created=now,
            starts=starts,
            finishes=starts + self._latency(),
            price=round(self.settings.price * MICRO),
            image=str(inputs["image"])[:500],
            sha256=found[0].sha256 if found else "",
        )
        self.tasks[task.id] = task
        self.peak_in_flight = max(self.peak_in_flight, len(self.in_flight()))
        self.save()
        return task

    def in_flight(self) -> list[Task]:
        """Return the tasks that are not finished."""
        return [task for task in self.tasks.values() if not task.ended and task.finishes > self.now()]

    def status(self, task: Task) -> str:
        """Return a task's status as of now."""
        if task.ended:
            return task.ended
        if self.now() < task.starts:
            return "created"
        return "processing" if self.now() < task.finishes else "completed"

    def end(self, task: Task, status: str, code: int, error: str) -> None:
        """Let a task end otherwise than completed; its price is refunded."""
        task.ended, task.code, task.error = status, code, error
        task.refunded = task.refunded or status != "deleted"
        self.save()

    def find(self, prediction_id: str) -> Task | None:
        """Return a task, unless there is none or it was deleted."""
        task = self.tasks.get(prediction_id)
        return None if task is None or task.gone else task

    def delete(self, ids: Iterable[str]) -> int:
        """Delete tasks and their outputs; return how many there were."""
        known = [task for task in map(self.find, ids) if task is not None]
        for task in known:
            task.gone = True
        self.save()
        return len(known)

    def finish(self, task: Task) -> Result | None:
        """Return a completed task's picture; a task without a readable one fails here."""
        if self.status(task) != "completed":
            return None
        if task.id not in self._results:
            found = self.read(task.image)
            try:
                source = _data_uri(str(task.inputs["image"])) if found is None else found[1]
                self._results[task.id] = render(source, task.inputs, self.settings.targets)
            except (OSError, ValueError):
                self.end(task, "failed", 1402, "Failed to download image from the provided URL.")
                return None
        return self._results[task.id]

    def history(self, wanted: Mapping[str, Any]) -> list[Task]:
        """Return the tasks that the history shows by now, newest first."""
        latest = self.now() - self.settings.listing_lag
        visible = [task for task in reversed(self.tasks.values()) if task.created <= latest and not task.gone]
        after, before = _moment(wanted.get("created_after")), _moment(wanted.get("created_before"))
        return sorted(
            (
                task
                for task in visible
                if wanted.get("model") in (None, "", task.model)
                and wanted.get("status") in (None, "", self.status(task))
                and (after is None or task.created >= after)
                and (before is None or task.created <= before)
            ),
            key=lambda task: -task.created,
        )

    # --- account -----------------------------------------------------------------------------------------------------

    @property
    def balance(self) -> float:
        """Dollars left."""
        spent = sum(task.price for task in self.tasks.values() if not task.refunded)
        return (round(self.settings.balance * MICRO) - spent) / MICRO

    def bills(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what was charged and refunded between two times, oldest first."""
        after, before = _moment(wanted.get("start_time")), _moment(wanted.get("end_time"))
        tasks = [t for t in self.tasks.values() if (after or 0) <= t.created < (before or math.inf)]
        lines = [(task, "deduct") for task in tasks] + [(task, "refund") for task in tasks if task.refunded]
        return [
            {
                "uuid": f"{task.id}-{kind}",
                "billing_type": kind,
                "price": task.price / MICRO,
                "prediction": {"uuid": task.id, "model_uuid": task.model, "status": self.status(task)},
            }
            for task, kind in lines
        ]

    @property
    def paid(self) -> int:
        """Number of tasks that were charged and not refunded."""
        return sum(1 for task in self.tasks.values() if not task.refunded)

    def stats(self) -> dict[str, Any]:
        """Return everything a test may ask, as JSON has it."""
        tasks = list(self.tasks.values())
        return {
            "tasks": [{**asdict(task), "price": task.price / MICRO, "status": self.status(task)} for task in tasks],
            "paid": self.paid,
            "charged": sum(task.price for task in tasks) / MICRO,
            "refunded": sum(task.price for task in tasks if task.refunded) / MICRO,
            "balance": self.balance,
            "by_image": Counter(task.sha256 for task in tasks),
            "by_url": Counter(task.image for task in tasks),
            "peak_in_flight": self.peak_in_flight,
            "peak_per_window": max(Counter(int(t.created // self.settings.window) for t in tasks).values(), default=0),
            "refused_429": self.refused_429,
            "requests": list(self.requests),
        }

    # --- limits ------------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        rules = self.settings
        if rules.max_in_flight is not None and len(self.in_flight()) >= rules.max_in_flight:
            raise self.too_many("Too many concurrent predictions.", 1.0)
        this = self.now() // rules.window
        recent = sum(1 for task in self.tasks.values() if task.created // rules.window == this)
        if rules.max_per_minute is not None and recent >= rules.max_per_minute:
            raise self.too_many("Rate limit exceeded.", (this + 1) * rules.window - self.now())
        if self.balance < rules.price:
            raise Refusal(402, "Insufficient credits. Please top up.")

    def too_many(self, message: str, seconds: float) -> Refusal:
        """Return a 429, with Retry-After as the settings have it."""
        self.refused_429 += 1
        how = self.settings.retry_after
        value = self.http_date(seconds) if how == "date" else str(math.ceil(seconds))
        return Refusal(429, message, {"Retry-After": value} if how else {})

    def http_date(self, seconds: float = 0.0) -> str:
        """Return a moment ``seconds`` from now as HTTP writes it."""
        return datetime.fromtimestamp(math.ceil(self.now() + seconds), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")

    def _start(self, now: float) -> float:
        busy = sorted(task.finishes for task in self.in_flight())
        slots = self.settings.concurrency
        return now if slots is None or len(busy) < slots else busy[len(busy) - slots]

    def _latency(self) -> float:
        law = self.settings.latency
        if isinstance(law, Mapping):
            return self.faults.random.lognormvariate(math.log(law["median"]), law["sigma"])
        return float(law)

    # --- outliving the process ---------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the state, where it is kept at all."""
        if self._state is None:
            return
        kept = {
            "tasks": [asdict(task) for task in self.tasks.values()],
            "blobs": [asdict(blob) for blob in self.blobs.values()],
        }
        part = self._state.with_suffix(".part")
        part.write_text(json.dumps(kept))
        part.replace(self._state)

    def _load(self, state: Path) -> None:
        kept = json.loads(state.read_text())
        self.tasks = {task["id"]: Task(**task) for task in kept["tasks"]}
        self.blobs = {blob["token"]: Blob(**blob) for blob in kept["blobs"]}
        for token in self.blobs:
            with contextlib.suppress(FileNotFoundError):
                self._bytes[token] = (state.with_suffix(".files") / token).read_bytes()


def _moment(value: object) -> float | None:
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) and value else None


def _data_uri(url: str) -> bytes:
    if not url.startswith("data:"):
        raise ValueError(url)
    return base64.b64decode(url.partition("base64,")[2], validate=True)
