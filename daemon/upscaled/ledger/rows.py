"""Jobs and attempts as rows, and back.

Separate so that the order and encoding of columns is known in one place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Final

from upscaled.job.model import (
    Attempt,
    AttemptState,
    Cause,
    Failure,
    Identity,
    Job,
    Parameters,
    Review,
    Stage,
    Standing,
)
from upscaled.ledger.database import bind, slot, unsigned

_PLAIN: Final = (
    "id",
    "folder",
    "source",
    "profile",
    "priority",
    "admitted_at",
    "not_before",
    "reason",
    "tries",
    "redos",
    "finished_at",
    "format",
    "width",
    "height",
    "orientation",
    "fingerprint",
    "upload_url",
    "uploaded_at",
    "prediction_id",
    "submitted_at",
    "output_url",
    "inference_ms",
    "part",
    "result_hash",
    "result_size",
    "result_width",
    "result_height",
    "output",
    "archived",
    "reuse",
    "wish",
    "rendition",
    "rendition_hash",
    "wrong",
)

SELECT: Final = """
SELECT jobs.*, last.id AS attempt_id, last.state AS attempt_state, last.upload_url AS attempt_upload_url,
       last.price AS attempt_price, last.intended_at AS attempt_intended_at,
       last.prediction_id AS attempt_prediction_id, last.looked_at AS attempt_looked_at,
       last.skew AS attempt_skew,
       (SELECT count(*) FROM attempts WHERE attempts.job_id = jobs.id) AS attempt_count
FROM jobs
LEFT JOIN attempts AS last ON last.id = (SELECT max(id) FROM attempts WHERE attempts.job_id = jobs.id)
"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is admitted: a source that passed the gate, with its folder's parameters.

    ``failure`` is set for a source that is refused: it gets a row like any other, and goes to the failed folder.
    """

    id: str
    folder: str
    source: str
    profile: str
    params: Parameters
    identity: Identity
    admitted_at: float
    priority: int = 0
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    failure: Failure | None = None
    held: str = ""
    """Why it must wait for a person, if it must: too many came at once."""


def job_of(found: sqlite3.Row) -> Job:
    """Return the job of a row that `SELECT` gave."""
    # A row looks each name up anew among all of its columns, and there are sixty.
    row = dict(zip(found.keys(), found, strict=True))
    failure = json.loads(row["failure"]) if row["failure"] else None
    return Job(
        **{name: row[name] for name in _PLAIN},
        params=_parameters(row["model"], row["inputs"]),
        stage=Stage(row["stage"]),
        standing=Standing(row["standing"]),
        cause=Cause(row["cause"]) if row["cause"] else None,
        review=Review(row["review"]) if row["review"] else None,
        identity=identity_of(row),
        failure=Failure(**failure) if failure else None,
        nsfw=bool(row["nsfw"]),
        forced=bool(row["forced"]),
        vetted=bool(row["vetted"]),
        attempt=_attempt_of(row),
        attempts=row["attempt_count"],
        price=row["attempt_price"],
    )


_SEEN: Final = frozenset(each.name for each in fields(Job))
_FLAGS: Final = frozenset({"nsfw", "forced", "vetted"})


def changed(job: Job, columns: Mapping[str, Any]) -> Job:
    """Return the job that `job_of` would give after these columns of its row were written."""
    seen: dict[str, Any] = {
        name: bool(value) if name in _FLAGS else value for name, value in columns.items() if name in _SEEN
    }
    return replace(job, **seen)


@lru_cache(maxsize=64)
def _parameters(model: str, inputs: str) -> Parameters:
    """Remembered, as nearly all jobs have the same few."""
    return Parameters(model, json.loads(inputs))


def identity_of(row: Mapping[str, Any] | sqlite3.Row) -> Identity:
    """Return the source's identity in a row of ``jobs``."""
    return Identity(unsigned(row["device"]), unsigned(row["inode"]), row["size"], row["mtime_ns"], row["ctime_ns"])


def identities(found: Iterable[sqlite3.Row]) -> dict[str, Identity]:
    """Return identities by source, from rows of source, device, inode, size and the two times: a backlog's worth."""
    return {
        source: Identity(unsigned(device), unsigned(inode), size, mtime_ns, ctime_ns)
        for source, device, inode, size, mtime_ns, ctime_ns in found
    }


def _attempt_of(row: Mapping[str, Any]) -> Attempt | None:
    if row["attempt_id"] is None:
        return None
    return Attempt(
        id=row["attempt_id"],
        job_id=row["id"],
        state=AttemptState(row["attempt_state"]),
        upload_url=row["attempt_upload_url"],
        price=row["attempt_price"],
        intended_at=row["attempt_intended_at"],
        skew=row["attempt_skew"],
        prediction_id=row["attempt_prediction_id"],
        looked_at=row["attempt_looked_at"],
    )


def columns_of(new: NewJob) -> dict[str, Any]:
    """Return the columns of a job that is to be admitted."""
    return {
        "id": new.id,
        "folder": new.folder,
        "source": new.source,
        "profile": new.profile,
        "model": new.params.model,
        "inputs": canonical(new.params.inputs),
        "priority": new.priority,
        "admitted_at": new.admitted_at,
        "stage": Stage.ADMITTED,
        "standing": Standing.HELD if new.held else Standing.READY,
        "reason": new.held,
        "cause": Cause.MASS if new.held else None,
        "format": new.format,
        "width": new.width,
        "height": new.height,
        "orientation": new.orientation,
        "failure": encode(new.failure),
        **new.identity._asdict(),
    }


def canonical(inputs: Mapping[str, Any]) -> str:
    """Return parameters as text that is equal exactly when they are."""
    return json.dumps(inputs, sort_keys=True, separators=(",", ":"))


def encode(value: Any) -> Any:
    """Return a job's field as its column takes it."""
    return json.dumps(asdict(value)) if isinstance(value, Failure) else value


def insert(table: str, values: Mapping[str, Any], *, otherwise: str = "") -> tuple[str, list[Any]]:
    """Return an INSERT statement and its arguments. Column names come from this package alone."""
    return _insert(table, tuple(values), tuple(map(slot, values.values())), otherwise), list(map(bind, values.values()))


def update(table: str, values: Mapping[str, Any], key: str, of: Any) -> tuple[str, list[Any]]:
    """Return an UPDATE statement of one row and its arguments. Column names come from this package alone."""
    encoded = list(map(encode, values.values()))
    return _update(table, tuple(values), tuple(map(slot, encoded)), key, slot(of)), [*map(bind, encoded), bind(of)]


@lru_cache(maxsize=256)
def _insert(table: str, names: tuple[str, ...], slots: tuple[str, ...], otherwise: str) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(slots)}) {otherwise}"  # noqa: S608


@lru_cache(maxsize=256)
def _update(table: str, names: tuple[str, ...], slots: tuple[str, ...], key: str, of: str) -> str:
    assignments = ", ".join(f"{name} = {place}" for name, place in zip(names, slots, strict=True))
    return f"UPDATE {table} SET {assignments} WHERE {key} = {of}"  # noqa: S608
