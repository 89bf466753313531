"""Everything at once: a service that misbehaves, a daemon that is killed at random, and the books at the end."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash import driver
from tests.support.house import House, digest
from tests.support.service import ApiProcess, Fault, Settings, serve_process

FAULTS = (
    Fault("submit", "drop", chance=0.06),
    Fault("submit", "create-drop", chance=0.06),
    Fault("submit", "create-drop-body", chance=0.04),
    Fault("submit", "create-504", chance=0.04),
    Fault("submit", "504", chance=0.04),
    Fault("submit", "create-200-no-id", chance=0.03),
    Fault("submit", "429", chance=0.05),
    Fault("submit", "500", chance=0.03),
    Fault("result", "503", chance=0.05),
    Fault("result", "drop", chance=0.03),
    Fault("result", "failed", chance=0.01, args={"code": 5000, "error": "internal"}),
    Fault("output", "short", chance=0.08),
    # Not by chance: two wrong results in a row for one picture are rightly held.
    Fault("output", "corrupt", nth=tuple(range(2, 1000, 25))),
    Fault("output", "html", nth=tuple(range(14, 1000, 25))),
    Fault("put", "drop", chance=0.03),
    Fault("history", "500", chance=0.1),
)


def killed_and_started_again(house: House, kills: int, moments: random.Random, log: Path) -> None:
    """Kill the daemon at random moments of its work, again and again; then let it finish."""
    for _ in range(kills):
        process = driver.CONTEXT.Process(target=driver.torture, args=(str(house.config), str(log)))
        process.start()
        process.join(moments.uniform(0.2, 1.6))
        process.kill()
        process.join()
    process = driver.CONTEXT.Process(target=driver.torture, args=(str(house.config), str(log)))
    process.start()
    process.join(240)
    assert process.exitcode in {0, 1}, log.read_text("utf-8")[-5000:]


def paid_by_job(stats: dict[str, Any]) -> Counter[str]:
    """Count the tasks that were charged and not refunded, by the job whose upload they were made of."""
    urls = (task["image"] for task in stats["tasks"] if not task["refunded"])
    return Counter(match[1] for url in urls if (match := re.search(r"/([0-9a-z]{10})-[0-9a-f]+\.", url)))


@pytest.mark.parametrize("listing", ["inputs", None])
def test_whatever_happens_each_picture_is_paid_once_and_the_books_agree_to_the_cent(
    tmp_path: Path, pytestconfig: pytest.Config, listing: str | None
) -> None:
    """Every job ends done, or held with a reason; with inputs in the history none is held."""
    count: int = pytestconfig.getoption("--torture")
    moments = random.Random(count)
    settings = Settings(latency=0.2, concurrency=6, listing_lag=0.2, listing_inputs=listing, targets={"2k": 256})
    with serve_process(tmp_path / "service", settings, FAULTS, seed=count) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key, "max_in_flight": 6})
        house.document["folders"][0]["max_new"] = "off"
        house.write()
        originals = {f"{n:03}.jpg": digest(house.drop(f"{n:03}.jpg", seed=n)) for n in range(count)}

        killed_and_started_again(house, max(6, count // 2), moments, tmp_path / "log")

        assert_books(house, server, originals, all_done=listing is not None)


def assert_books(house: House, server: ApiProcess, originals: dict[str, str], *, all_done: bool) -> None:
    """Assert that jobs, files, the ledger's spending and the service's account tell one story."""
    stats = server.stats()
    jobs = [job for job in house.ledger().jobs() if job.standing != "cancelled"]
    assert set(originals) == {job.source for job in jobs}
    assert {str(job.standing) for job in jobs} <= ({"done"} if all_done else {"done", "held"}), [
        job.reason for job in jobs if job.standing == "held"
    ]
    paid = paid_by_job(stats)
    for job in jobs:
        assert paid[job.id] <= 1, job
        assert job.standing != "done" or paid[job.id] == 1, job
        assert job.standing == "done" or job.reason
    assert sum(paid.values()) == stats["paid"]
    assert originals == {**house.files(house.archive), **house.files(house.inbox)}
    if all_done:
        spend = house.ledger().total("state IN ('completed', 'abandoned')")
        assert round(stats["charged"] - stats["refunded"], 6) == spend
        house.assert_whole(originals)
