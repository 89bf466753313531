"""Lines of the log: all about a finished job in one, trouble once with a count, and no secret in any."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support.jobs import NOW, attempt, job
from upscaled import logs
from upscaled.events import Event
from upscaled.job.model import AttemptState, Cause, Effort, Identity, Stage, Standing, Step
from upscaled.logs import JobLog

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Lines:
    """Send logs to memory; gives the lines that are new since the last call."""
    stream = io.StringIO()
    logs.configure(style="json", level="info", stream=stream, secrets=["s3cr3t-key", "abc"])

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        return found

    return read


def waiting(number: int, cause: Cause, text: str, **fields: Any) -> Event:
    """Return the event of a job that has to wait."""
    stood = job(id=f"job{number:07d}", standing=Standing.WAITING, cause=cause, not_before=NOW, reason=text, **fields)
    return Event(stood, Step.UPLOAD, "waiting", text, Effort(0.1, 1))


def done(**fields: Any) -> Event:
    """Return the event of a job that is done."""
    ended = {"standing": Standing.DONE, "stage": Stage.ARCHIVED, "finished_at": NOW + 20, "output": "/out/b.jpg"}
    return Event(job(**(ended | fields)), Step.ARCHIVE, "done", "", Effort(0.02, 1))


def test_a_finished_job_is_one_line_with_all_its_facts(lines: Lines) -> None:
    """Seconds per step, polls, price, sizes, the prediction."""
    log = JobLog()
    paid = attempt(AttemptState.COMPLETED)
    facts: dict[str, Any] = {
        "attempt": paid,
        "attempts": 1,
        "price": 0.01,
        "prediction_id": "p1",
        "inference_ms": 4200,
        "identity": Identity(1, 2, 1000, 4, 5),
        "width": 640,
        "height": 480,
        "result_size": 5000,
        "result_width": 2048,
        "result_height": 1536,
    }
    for step, effort in ((Step.UPLOAD, Effort(0.25, 1)), (Step.AWAIT, Effort(5.0, 4)), (Step.AWAIT, Effort(1.5, 2))):
        log(Event(job(), step, str(step), "", effort))
    log(done(**facts))

    (line,) = lines()
    expected = {
        "event": "job.done",
        "level": "info",
        "job": "abcdefghjk",
        "source": "a/b.jpg",
        "folder": "/in",
        "output": "/out/b.jpg",
        "profile": "default",
        "model": "wavespeed-ai/image-upscaler",
        "prediction": "p1",
        "attempts": 1,
        "polls": 6,
        "price": 0.01,
        "bytes": 1000,
        "result_bytes": 5000,
        "source_pixels": "640x480",
        "pixels": "2048x1536",
        "inference": 4.2,
        "steps": {"upload": 0.25, "await": 6.5, "archive": 0.02},
        "seconds": 20.0,
    }
    del line["timestamp"]
    assert expected == line
    assert {} == log._stories


def test_a_cause_that_many_jobs_meet_is_said_with_a_count(lines: Lines) -> None:
    """At the first, the tenth, the hundredth; and once more when it is over, however the sentences differ."""
    log = JobLog()
    for number in range(123):
        log(waiting(number, Cause.BUDGET, f"The day's budget of $1.00 is used up (${number}.50 spent)."))
    before = lines()
    log(done())
    after = lines()

    assert [None, 10, 100] == [line.get("count") for line in before]
    assert {("jobs.waiting", "budget")} == {(line["event"], line["cause"]) for line in before}
    assert [("jobs.go_on", 123), ("job.done", None)] == [(line["event"], line.get("waited")) for line in after]


def test_a_folders_trouble_is_said_for_each_folder_and_each_kind(lines: Lines) -> None:
    """A full disk is not a missing one; which file met it does not matter."""
    log = JobLog()
    for number in range(5):
        log(waiting(number, Cause.FOLDER, f"No space is left: /out/{number}.jpg."))
        log(waiting(number, Cause.FOLDER, f"/out/{number}.jpg is read-only."))
        log(waiting(number, Cause.FOLDER, f"No space is left: /other/{number}.jpg.", folder="/in2"))

    said = [(line["folder"], line["reason"].split(":")[0]) for line in lines()]
    assert [("/in", "No space is left"), ("/in", "/out/0.jpg is read-only."), ("/in2", "No space is left")] == said


def test_a_jobs_own_trouble_is_counted_too(lines: Lines) -> None:
    """One job that is tried a thousand times is four lines."""
    log = JobLog()
    for _ in range(1000):
        log(waiting(1, Cause.JOB, "A defect."))

    assert [None, 10, 100, 1000] == [line.get("count") for line in lines()]


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_secret_gets_into_a_line(style: str) -> None:
    """Wherever in a line it stands, in a traceback and what is in its variables, and from libraries too."""
    stream = io.StringIO()
    logs.configure(style=style, level="debug", stream=stream, secrets=["s3cr3t-key"])
    log = structlog.get_logger()
    secret = "s3cr3t-key"
    log.info("one", reason=f"Bearer {secret}", where=["https://x/y?sig=signature-1", {"key": secret}])
    log.error("two", exc_info=RuntimeError(f"{secret} at https://x/y?sig=signature-2"))
    logging.getLogger("some.library").warning("GET https://x/y?sig=signature-3 with %s", secret)
    logging.getLogger("some.library").info("quiet")
    logging.getLogger("upscaled.engine.upscale").debug("quiet")

    text = stream.getvalue()
    assert "RuntimeError" in text
    assert "some.library" in text
    assert ([], False) == ([word for word in (secret, "signature-") if word in text], "quiet" in text)


@pytest.mark.parametrize(
    ("style", "journal", "stamped"),
    [("console", True, False), ("console", False, True), ("json", True, True), ("json", False, True)],
)
def test_a_line_has_one_time(
    style: str, journal: bool, stamped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal keeps its own; a file that a variable of systemd's is not about has ours, as has JSON everywhere."""
    with (tmp_path / "log").open("w") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + (not journal)}")
        logs.configure(style=style, level="info", stream=stream)
        structlog.get_logger().info("daemon.ready")
    structlog.reset_defaults()

    (line,) = (tmp_path / "log").read_text("utf-8").splitlines()
    assert "daemon.ready" in line
    assert stamped == bool(re.search(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", line))


def test_what_the_engine_tells_is_a_line(lines: Lines) -> None:
    """How long a picture will take is told at its beginning; libraries are heard only when something is wrong."""
    logging.getLogger("upscaled.engine.runner").info("prediction %s will take about %.0f s", "p1", 40)
    logging.getLogger("upscaled.engine.runner").warning("prediction %s failed", "p1")

    told = [(line["event"], line["level"], line["message"]) for line in lines()]
    expected = [("engine", "info", "prediction p1 will take about 40 s"), ("engine", "warning", "prediction p1 failed")]
    assert expected == told


def test_what_was_said_of_a_results_making_stands_in_its_line(lines: Lines) -> None:
    """Beside what was said at the end."""
    log = JobLog()
    log(Event(job(), Step.AWAIT, "await", "The fast tier was used.", Effort(1.0, 1)))
    log(done())

    assert ["The fast tier was used."] == [line["note"] for line in lines()]


def test_short_words_are_no_secrets(lines: Lines) -> None:
    """A token of three letters would take holes into words."""
    structlog.get_logger().info("abcdef", text="abc")

    assert ["abc"] == [line["text"] for line in lines()]
