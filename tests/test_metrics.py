"""The numbers for Prometheus: right, named as its own tool wants them, and all there for the Grafana dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.jobs import NOW, attempt, job, new_job
from upscaled.api.exchange import Asked
from upscaled.events import Event
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import IntakeSettings
from upscaled.job.budget import Limits
from upscaled.job.model import AttemptState, Cause, Effort, Stage, Standing, Step
from upscaled.ledger import Ledger
from upscaled.limits import Gate
from upscaled.metrics import Metrics, Standings

GRAFANA = Path(__file__).parents[1] / "systemd" / "grafana-dashboard.json"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=Path(sys.executable).parent)


class Nobody:
    """An admission that knows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: {}


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    """Give the numbers of a daemon with a ledger of three jobs and one swept folder."""
    ledger = Ledger.open(tmp_path / "state")
    ledger.admit([new_job(n, folder=str(tmp_path)) for n in range(3)])
    intake = Intake(IntakeSettings(tmp_path, largest=1000, watch="poll"), Nobody())
    intake.turn()
    found = Metrics()
    gate = Gate()
    gate.close(Cause.KEY, "no")
    limits, webhooks = Limits(per_day=2.0), {"taken": 5, "refused": 1}
    parts: dict[str, Any] = {"intakes": lambda: [intake], "limits": limits, "gate": gate, "webhooks": webhooks}
    found.read(Standings(ledger, **parts, now=lambda: NOW + 60))
    return found


def values(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name and labels as they are written."""
    lines = metrics.text().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_how_things_stand_is_read_when_somebody_asks(metrics: Metrics, tmp_path: Path) -> None:
    """Jobs, queue, money, folders."""
    found = values(metrics)

    expected = {
        'upscaled_jobs{standing="ready"}': 3,
        'upscaled_jobs{standing="done"}': 0,
        "upscaled_predictions_in_flight": 0,
        "upscaled_queue_age_seconds": 60,
        "upscaled_spent_dollars_total": 0,
        "upscaled_reserved_dollars": 0,
        'upscaled_budget_dollars{period="day"}': 2,
        'upscaled_period_spent_dollars{period="month"}': 0,
        'upscaled_service_blocked{cause="key"}': 1,
        'upscaled_webhooks_total{result="taken"}': 5,
        'upscaled_service_blocked{cause="credit"}': 0,
        f'upscaled_folder_up{{folder="{tmp_path}"}}': 1,
    }
    assert expected == {name: found.get(name) for name in expected}
    assert 0 <= found[f'upscaled_sweep_age_seconds{{folder="{tmp_path}"}}'] < 60
    assert 0 < found[f'upscaled_sweep_duration_seconds{{folder="{tmp_path}"}}'] < 60
    assert NOW < found[f'upscaled_last_sweep_timestamp_seconds{{folder="{tmp_path}"}}'] <= NOW + 60


async def test_money_is_counted_from_the_ledger(metrics: Metrics, tmp_path: Path) -> None:
    """So that a restart forgets nothing: what is under way is reserved and in flight."""
    ledger = Ledger.read(tmp_path / "state")
    writer = Ledger.join(tmp_path / "state")
    statement = "INSERT INTO attempts (job_id, state, upload_url, price, intended_at, prediction_id, settled_at)"
    rows = [
        (f"job{number:07d}", state, "https://u", 0.25, NOW, f"p{number}", settled)
        for number, (state, settled) in enumerate((("accepted", None), ("completed", NOW), ("failed", NOW)))
    ]
    writer.change(lambda c: c.executemany(f"{statement} VALUES (?, ?, ?, ?, ?, ?, ?)", rows).rowcount)
    writer.close()

    found = values(metrics)

    assert (0.25, 0.25) == (found["upscaled_spent_dollars_total"], found["upscaled_reserved_dollars"])
    assert 1 == found["upscaled_predictions_in_flight"] == ledger.query("SELECT 1 AS one")[0]["one"]


def test_events_and_requests_are_counted(metrics: Metrics) -> None:
    """Seconds by step, polls by prediction, endings, troubles by cause; requests by kind and status."""
    paid = job(stage=Stage.RENDERED, attempt=attempt(AttemptState.COMPLETED))
    metrics(Event(paid, Step.AWAIT, "await", "", Effort(12.0, 4)))
    waiting = job(standing=Standing.WAITING, cause=Cause.NETWORK, not_before=NOW)
    metrics(Event(waiting, Step.AWAIT, "waiting", "", Effort(0.2, 1)))
    metrics(Event(job(standing=Standing.DONE, stage=Stage.ARCHIVED), Step.ARCHIVE, "done", "", Effort(0.02, 1)))
    metrics.asked(Asked("submit", 200, 0.3))
    metrics.asked(Asked("submit", None, 10.0))

    found = values(metrics)

    expected = {
        'upscaled_step_duration_seconds_sum{step="await"}': 12.2,
        'upscaled_step_duration_seconds_bucket{le="30.0",step="await"}': 2,
        'upscaled_step_duration_seconds_count{step="archive"}': 1,
        "upscaled_polls_per_prediction_sum": 4,
        "upscaled_polls_per_prediction_count": 1,
        'upscaled_jobs_ended_total{standing="done"}': 1,
        'upscaled_jobs_ended_total{standing="failed"}': 0,
        'upscaled_troubles_total{cause="network"}': 1,
        'upscaled_requests_total{kind="submit",status="200"}': 1,
        'upscaled_requests_total{kind="submit",status="none"}': 1,
        'upscaled_request_duration_seconds_count{kind="submit"}': 2,
    }
    assert expected == {name: found.get(name) for name in expected}


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's prometheus")
def test_promtool_is_content(metrics: Metrics) -> None:
    """Names, units, types and helps are as Prometheus wants them."""
    metrics.asked(Asked("submit", 200, 0.3))
    assert PROMTOOL is not None

    done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics.text(), capture_output=True, check=False)

    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)


def test_every_number_that_the_grafana_dashboard_asks_for_exists(metrics: Metrics) -> None:
    """A renamed metric has to be renamed there too."""
    metrics.asked(Asked("submit", 200, 0.3))
    families = text_string_to_metric_families(metrics.text().decode())
    known = {sample.name for family in families for sample in family.samples}
    document = json.loads(GRAFANA.read_text("utf-8"))
    asked = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    names = {name for expression in asked for name in re.findall(r"\b(?:upscaled|process)_\w+", expression)}

    assert len(names) > 15
    assert set() == names - known


def test_the_grafana_dashboard_shows_every_number_of_ours(metrics: Metrics) -> None:
    """What is worth measuring is worth a look."""
    text = GRAFANA.read_text("utf-8")
    metrics.asked(Asked("submit", 200, 0.3))
    families = {family.name for family in text_string_to_metric_families(metrics.text().decode())}
    ours = {name for name in families if name.startswith("upscaled_") and not name.endswith("_created")}

    assert {"upscaled_sweep_age_seconds"} == {name for name in ours if name not in text}
