"""Measure: what the ledger costs a job, all of its writes included, each durable when it returns.

python -m tests.benchmarks.ledger
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks.table import Row
from upscaled.job.machine import Change
from upscaled.job.model import AttemptState, Identity, Job, Parameters, Stage, Standing
from upscaled.ledger import Ledger
from upscaled.ledger.rows import NewJob

JOBS: Final = 1000
AT_ONCE: Final = 50
BOUND: Final = 4.0
"""Milliseconds of CPU a job."""

PARAMS: Final = Parameters("wavespeed-ai/image-upscaler", {"target_resolution": "4k", "output_format": "jpeg"})

WAY: Final = (
    Change({"fingerprint": "f" * 64}, None, "prepare"),
    Change({"stage": Stage.UPLOADED, "upload_url": "https://x/1", "uploaded_at": 1.0}, None, "upload"),
    None,
    Change({"stage": Stage.SUBMITTED, "prediction_id": "", "submitted_at": 2.0}, AttemptState.ACCEPTED, "submit"),
    Change({"stage": Stage.RENDERED, "output_url": "https://x/2"}, AttemptState.COMPLETED, "await"),
    Change(
        {
            "stage": Stage.DOWNLOADED,
            "part": "/p",
            "result_hash": "e" * 64,
            "result_size": 2,
            "result_width": 4,
            "result_height": 3,
        },
        None,
        "download",
    ),
    Change({"stage": Stage.PUBLISHED, "output": "/o"}, None, "publish"),
    Change({"stage": Stage.ARCHIVED, "standing": Standing.DONE, "archived": "/a", "finished_at": 3.0}, None, "done"),
)
"""What is written for a job, in order; None stands for the intent."""


async def _one(ledger: Ledger, job: Job, places: asyncio.Semaphore) -> None:
    async with places:
        for change in WAY:
            if change is None:
                found = await ledger.intend(job, price=0.01, now=1.0)
                assert isinstance(found, Job)
                job = found
                continue
            facts = {**change.fields, "fingerprint": job.id} if change.event == "prepare" else dict(change.fields)
            if change.event == "submit":
                facts["prediction_id"] = f"p-{job.id}"
            job = await ledger.commit(job, Change(facts, change.attempt, change.event), now=2.0)


async def _all(ledger: Ledger) -> None:
    places = asyncio.Semaphore(AT_ONCE)
    jobs = await ledger.take(JOBS, folders=["/in"], now=1.0, submitting=True, ahead=JOBS)
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_one(ledger, job, places))


def measure(root: Path) -> Iterator[Row]:
    """Yield the row."""
    ledger = Ledger.open(root / "state")
    identity = Identity(1, 2, 3, 4, 5)
    new = [NewJob(f"j{n:09d}", "/in", f"{n}.jpg", "default", PARAMS, identity, float(n)) for n in range(JOBS)]
    cpu, began = time.process_time(), time.monotonic()
    ledger.admit(new)
    asyncio.run(_all(ledger))
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    done = ledger.query("SELECT count(*) AS n FROM jobs WHERE standing = 'done'")[0]["n"]
    ledger.close()
    assert done == JOBS
    told = f"{JOBS * (len(WAY) + 1) / took:,.0f} durable facts a second, {AT_ONCE} jobs at once"
    yield Row("CPU of the ledger a job", 1000 * cpu / JOBS, BOUND, "ms", told)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ledger-") as directory:
        for row in measure(Path(directory)):
            sys.stdout.write(f"{row}\n")
