from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.jobs import NOW, new_job
from upscaled import status
from upscaled.ledger import Ledger


@pytest.mark.parametrize(("running", "counts"), [(True, (0, 1)), (False, (1, 0))])
async def test_nothing_is_said_to_run_when_nobody_runs_it(
    tmp_path: Path, running: bool, counts: tuple[int, int]
) -> None:
    """A killed daemon leaves rows that say running; `status` knows better."""
    ledger = Ledger.open(tmp_path)
    try:
        ledger.admit([new_job()])
        await ledger.take(1, folders=["/in"], now=NOW, submitting=True, ahead=1)

        jobs = status.summary(ledger, inboxes=[], now=NOW, running=running)["jobs"]
    finally:
        ledger.close()

    assert counts == (jobs["ready"], jobs["running"])
