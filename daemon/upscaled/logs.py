"""Logs: how lines look, and which lines a job's life leaves.

One canonical line for each finished job, with all its facts; one line for each cause of trouble, with a count, however
many jobs meet it. No name of a file can forge a line, and no secret gets into one.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import structlog

from upscaled.events import Event
from upscaled.files.names import printable
from upscaled.job.model import TERMINAL, Cause, Job, Step

log = structlog.get_logger()

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(*, style: str, level: str, stream: TextIO | None = None, secrets: Iterable[str] = ()) -> None:
    """Send logs to ``stream`` (standard error) as ``console`` lines or ``json``; ``auto`` is console.

    Colours on a terminal, plain elsewhere. Each line has its time, but for console lines that go to the journal, which
    keeps it itself. None of the ``secrets`` is ever printed, nor the query of any address; what libraries log goes the
    same way.
    """
    out = stream or sys.stderr
    terminal = out.isatty()
    stamps = [] if style != "json" and to_journal(out, os.environ) else [_stamper(style)]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *stamps,
            # As plain text, whatever the style: a prettier one would show the values of variables.
            structlog.processors.format_exc_info,
            Cleaner(secrets),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _bridge()


def _stamper(style: str) -> structlog.processors.TimeStamper:
    if style == "json":
        return structlog.processors.TimeStamper(fmt="iso", utc=True)
    return structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)


def to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Does what is written go to systemd's journal? ``$JOURNAL_STREAM`` names its device and inode (systemd.exec(5)).

    The variable alone proves nothing: a program that the service starts inherits it, whatever its output goes to.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def hide(secrets: Iterable[str]) -> None:
    """Print none of these either, from now on: a configuration that is read again may have others."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, Cleaner):
            processor.hide(secrets)


class Cleaner:
    """Makes every value fit to be printed: no secret, no query of an address, one line, valid UTF-8.

    Names of files may hold anything, and messages of libraries whole addresses. A traceback keeps its own lines.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets: list[str] = []
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Print none of these either, from now on."""
        wanted = {secret for secret in secrets if len(secret) >= SHORTEST}
        self._secrets = sorted(wanted.union(self._secrets), key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line's values, without those that are None."""
        return {
            key: self.text(value) if key == "exception" else self.value(value)
            for key, value in event.items()
            if value is not None
        }

    def value(self, value: Any) -> Any:
        """Return a value, and whatever is in it, clean."""
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return printable(self.text(str(value)))

    def text(self, text: str) -> str:
        """Return a text without secrets and queries."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return _QUERY.sub(r"\1?…", text)


SHORTEST: Final = 6
"""A secret of fewer characters is no secret, and would be taken out of the middle of words."""

_QUERY: Final = re.compile(r"(\w+://[^\s?\"'<>]*)\?[^\s\"'<>]+")


class _Bridge(logging.Handler):
    """Hands what others log to our own logs: warnings and worse of libraries, and what the built-in engine tells."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Is it a line for us?"""
        return record.levelno >= (logging.INFO if _of_engine(record) else logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Log it as a line of ours."""
        log.log(
            max(record.levelno, logging.INFO),
            "engine" if _of_engine(record) else "library",
            name=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or None,
        )


_ENGINE: Final = "upscaled.engine"


def _of_engine(record: logging.LogRecord) -> bool:
    return record.name.startswith(f"{_ENGINE}.")


def _bridge() -> None:
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(old)
    root.addHandler(_Bridge())
    logging.getLogger(_ENGINE).setLevel(logging.INFO)


@dataclass(slots=True)
class _Story:
    """What a job took in this process: seconds by step, and how often its predictions were asked for.

    ``note`` is what was said of how its result was made.
    """

    steps: dict[str, float] = field(default_factory=dict)
    polls: int = 0
    note: str = ""

    def add(self, event: Event) -> None:
        """Take a step's effort in."""
        step = str(event.step)
        self.steps[step] = round(self.steps.get(step, 0.0) + event.effort.seconds, 3)
        if event.step is Step.AWAIT:
            self.polls += event.effort.runs
            self.note = event.text if event.kind == step else ""


REMEMBERED: Final = 10_000
"""Of how many jobs and troubles something is remembered, the latest."""


class JobLog:
    """Writes the lines of the jobs' lives, from events."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, Cause, str], int] = OrderedDict()
        self._stories: OrderedDict[str, _Story] = OrderedDict()

    def __call__(self, event: Event) -> None:
        """Write the line of an event, where it deserves one."""
        job, name = event.job, f"job.{event.kind}"
        story = self._story(event)
        match event.kind:
            case "done":
                self._over(job)
                note = " ".join(filter(None, (story.note, event.text)))
                log.info("job.done", **_facts(job), note=note or None, **_canonical(job, story))
            case "failed":
                log.warning(
                    "job.failed", **_facts(job), reason=event.text, original=job.archived, **_canonical(job, story)
                )
            case "held":
                log.error("job.held", **_facts(job), reason=event.text, do=f"upscaled show {job.id}")
            case "cancelled":
                log.info("job.cancelled", **_facts(job), reason=event.text)
            case "waiting":
                self._trouble(event)
            case "redo" | "refused" | "ambiguous":
                log.warning(name, **_facts(job), reason=event.text)
            case _:
                log.debug(name, **_facts(job), seconds=round(event.effort.seconds, 3))

    def _story(self, event: Event) -> _Story:
        """Take an event into its job's story, and forget the story of a job that is over."""
        job = event.job
        story = self._stories.pop(job.id, None) or _Story()
        story.add(event)
        if job.standing not in TERMINAL:
            self._stories[job.id] = story
            _bound(self._stories)
        return story

    def _trouble(self, event: Event) -> None:
        """One line for each cause, with a count at the 10th, the 100th and so on, however many jobs meet it."""
        job, cause = event.job, event.job.cause or Cause.JOB
        place = job.id if cause is Cause.JOB else job.folder if cause is Cause.FOLDER else ""
        # Names and numbers differ from job to job, and the trouble is the same.
        key = (place, cause, _OWN.sub("#", event.text))
        count = self._said[key] = self._said.pop(key, 0) + 1
        _bound(self._said)
        if str(count).strip("0") != "1":
            return
        facts: dict[str, Any] = {"cause": str(cause), "folder": place or None, "count": count if count > 1 else None}
        if cause is Cause.JOB:
            log.warning("job.waiting", **_facts(job), reason=event.text, count=facts["count"])
        else:
            log.warning("jobs.waiting", **facts, reason=event.text)

    def _over(self, job: Job) -> None:
        """A job that is done shows that nothing is in the way of its folder or the service any more."""
        for key in [key for key in self._said if key[0] in {"", job.folder, job.id}]:
            count = self._said.pop(key)
            if count > 1:
                log.info("jobs.go_on", cause=str(key[1]), folder=key[0] or None, waited=count)


_OWN: Final = re.compile(r"/[^\s:;,]+|\$?\d[\d.,:-]*")


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _facts(job: Job) -> dict[str, Any]:
    return {"job": job.id, "source": job.source, "folder": job.folder}


def _canonical(job: Job, story: _Story) -> dict[str, Any]:
    """Return all that is known of a job that is over. What an earlier process did for it is in the ledger alone."""
    facts: dict[str, Any] = {
        "output": job.output,
        "profile": job.profile,
        "model": job.params.model,
        "prediction": job.prediction_id,
        "attempts": job.attempts,
        "polls": story.polls,
        "price": job.price,
        "reuse": job.reuse,
        "bytes": job.identity.size,
        "result_bytes": job.result_size,
        "source_pixels": f"{job.width}x{job.height}" if job.width else None,
        "pixels": f"{job.result_width}x{job.result_height}" if job.result_width else None,
        "inference": None if job.inference_ms is None else job.inference_ms / 1000,
        "steps": story.steps,
    }
    if job.finished_at is not None:
        facts["seconds"] = round(job.finished_at - job.admitted_at, 1)
    return {name: value for name, value in facts.items() if value is not None}
