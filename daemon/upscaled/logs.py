"""Logs: how lines look, and which lines a job's life leaves.

One canonical line for each finished job, one line for each cause of trouble however many jobs meet it. Names of files
are printed so that no name can forge a line.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog

from upscaled.events import Event
from upscaled.files.names import printable
from upscaled.job.model import Cause, Job

log = structlog.get_logger()

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(*, style: str, level: str, stream: TextIO | None = None) -> None:
    """Send logs to ``stream`` (standard error) as ``console`` lines or ``json``; ``auto`` is console.

    Colours and no time stamps on a terminal; plain elsewhere. Under systemd the journal keeps the time.
    """
    out = stream or sys.stderr
    terminal = out.isatty()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=terminal, pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="iso" if style == "json" else "%Y-%m-%d %H:%M:%S", utc=style == "json"
            ),
            structlog.processors.format_exc_info if style == "json" else _pass,
            _printable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _pass(_logger: Any, _method: str, event: Any) -> Any:
    return event


def _printable(_logger: Any, _method: str, event: Any) -> Any:
    """Keep every value on one line and in valid UTF-8, whatever a file name holds; a traceback has its own lines."""
    return {
        key: printable(value) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
        if value is not None
    }


class JobLog:
    """Writes the lines of the jobs' lives, from events."""

    def __init__(self) -> None:
        self._said: set[tuple[str, Cause, str]] = set()

    def __call__(self, event: Event) -> None:
        """Write the line of an event, where it deserves one."""
        job, name = event.job, f"job.{event.kind}"
        match event.kind:
            case "done":
                self._over(job)
                log.info("job.done", **_facts(job), note=event.text or None, **_cost(job))
            case "failed":
                log.warning("job.failed", **_facts(job), reason=event.text, original=job.archived)
            case "held":
                log.error("job.held", **_facts(job), reason=event.text, do=f"upscaled show {job.id}")
            case "cancelled":
                log.info("job.cancelled", **_facts(job), reason=event.text)
            case "waiting":
                self._trouble(event)
            case "redo" | "refused" | "ambiguous":
                log.warning(name, **_facts(job), reason=event.text)
            case _:
                log.debug(name, **_facts(job))

    def _trouble(self, event: Event) -> None:
        """One line for each cause, and for each folder where the folder is the cause; jobs' own troubles each."""
        job, cause = event.job, event.job.cause
        if cause is None or cause is Cause.JOB:
            log.warning("job.waiting", **_facts(job), reason=event.text)
            return
        place = job.folder if cause is Cause.FOLDER else ""
        if (place, cause, event.text) in self._said:
            return
        self._said.add((place, cause, event.text))
        log.warning("jobs.waiting", cause=str(cause), folder=place or None, reason=event.text)

    def _over(self, job: Job) -> None:
        """A job that is done shows that nothing is in the way of its folder or the service any more."""
        self._said = {said for said in self._said if said[0] not in {"", job.folder}}


def _facts(job: Job) -> dict[str, Any]:
    return {"job": job.id, "source": job.source, "folder": job.folder}


def _cost(job: Job) -> dict[str, Any]:
    facts: dict[str, Any] = {"output": job.output, "profile": job.profile, "price": job.price}
    if job.finished_at is not None:
        facts["seconds"] = round(job.finished_at - job.admitted_at, 1)
    if job.result_width:
        facts["pixels"] = f"{job.result_width}x{job.result_height}"
    return {name: value for name, value in facts.items() if value is not None}
