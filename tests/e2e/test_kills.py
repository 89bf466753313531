from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.house import House, digest
from tests.support.service import Settings, serve_process


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.stress)])
def test_killed_at_random_moments_every_picture_comes_out_and_is_paid_once(tmp_path: Path, kills: int) -> None:
    """The daemon is killed and started again, over and over, while twenty pictures are on their way."""
    moments = random.Random(kills)
    with serve_process(tmp_path / "service", settings=Settings(latency=0.5, concurrency=4)) as server:
        house = House(tmp_path / "house", service={"url": server.url, "api_key": server.key, "max_in_flight": 4})
        originals = {f"{n:02d}.jpg": digest(house.drop(f"{n:02d}.jpg", seed=n)) for n in range(20)}
        for _ in range(kills):
            log = tmp_path / "log"
            log.write_bytes(b"")
            with started("run", "-c", str(house.config), log=log) as daemon:
                # Killed while it starts, too, but mostly while it works.
                time.sleep(moments.uniform(0.3, 2.5))
                daemon.kill()
                daemon.wait()
        with started("run", "-c", str(house.config), log=tmp_path / "log") as daemon:
            wait_for(lambda: not house.files(house.inbox), limit=180)
            wait_for(lambda: set(house.standings()) == {"done"}, limit=60)

        house.assert_whole(originals)
        stats = server.stats()
        assert 20 == stats["paid"]
        assert [1] * 20 == list(stats["by_image"].values())
        assert {"done"} == {job["standing"] for job in house.jobs()}
