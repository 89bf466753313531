"""Jobs made up for tests."""

from __future__ import annotations

from typing import Any

from upscaled.job.model import Attempt, AttemptState, Identity, Job, Parameters, Stage, Standing
from upscaled.ledger.rows import NewJob

NOW = 1_790_000_000.0

PARAMS = Parameters("wavespeed-ai/image-upscaler", {"target_resolution": "4k", "output_format": "jpeg"})

IDENTITY = Identity(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)


def job(**fields: Any) -> Job:
    """Return a running job, freshly admitted but for ``fields``."""
    base: dict[str, Any] = {
        "id": "abcdefghjk",
        "folder": "/in",
        "source": "a/b.jpg",
        "profile": "default",
        "params": PARAMS,
        "stage": Stage.ADMITTED,
        "standing": Standing.RUNNING,
        "identity": IDENTITY,
        "admitted_at": NOW,
    }
    return Job(**(base | fields))


def attempt(state: AttemptState = AttemptState.INTENDED, **fields: Any) -> Attempt:
    """Return an attempt in a state."""
    base: dict[str, Any] = {
        "id": 1,
        "job_id": "abcdefghjk",
        "state": state,
        "upload_url": "https://files.example/u1",
        "price": 0.01,
        "intended_at": NOW,
    }
    return Attempt(**(base | fields))


def new_job(number: int = 0, **fields: Any) -> NewJob:
    """Return an admission of the ``number``-th source."""
    base: dict[str, Any] = {
        "id": f"job{number:07d}",
        "folder": "/in",
        "source": f"{number}.jpg",
        "profile": "default",
        "params": PARAMS,
        "identity": IDENTITY,
        "admitted_at": NOW + number,
        "format": "jpeg",
    }
    return NewJob(**(base | fields))
