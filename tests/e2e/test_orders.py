from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.conftest import started, wait_for
from tests.support.house import House, digest
from tests.support.service import Settings, serve

NOTICED = 5.0
"""Within a second, says the program; the tests' machine may be busy, in seconds."""


def standings(house: House) -> dict[str, str]:
    """Return how each source's newest job stands."""
    return {job.source: str(job.standing) for job in house.ledger().jobs()}


def test_a_running_daemon_heeds_pause_resume_release_and_retry(tmp_path: Path) -> None:
    """Written into the ledger by another process, and noticed without a signal or a restart."""
    with serve(Settings(latency=0.1)) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key}, folder={"max_new": 3})
        log = tmp_path / "log"
        with started("run", "-c", str(house.config), log=log):
            wait_for(lambda: "daemon.ready" in log.read_text("utf-8"))
            house.command("pause")
            first = digest(house.drop("a.jpg", seed=1))
            wait_for(lambda: "a.jpg" in standings(house))
            time.sleep(1.0)
            assert 0 == server.stats()["paid"]

            house.command("resume")
            wait_for(lambda: server.stats()["paid"] == 1, limit=NOTICED)
            wait_for(lambda: standings(house)["a.jpg"] == "done")

            crowd = {f"{n}.jpg": digest(house.drop(f"{n}.jpg", seed=10 + n)) for n in range(6)}
            wait_for(lambda: list(standings(house).values()).count("held") == 6)
            house.command("cancel", *[job.id for job in house.ledger().jobs() if job.source == "5.jpg"])
            house.command("release", str(house.inbox))
            wait_for(lambda: list(standings(house).values()).count("done") == 6)
            assert "cancelled" == standings(house)["5.jpg"]

            (cancelled,) = (job.id for job in house.ledger().jobs() if job.source == "5.jpg")
            house.command("retry", cancelled)
            wait_for(lambda: standings(house)["5.jpg"] == "done")
        house.assert_whole({"a.jpg": first} | crowd)
        assert 7 == server.stats()["paid"]
