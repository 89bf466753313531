from __future__ import annotations

from pathlib import Path

from tests.support.house import House
from tests.support.service import Settings, serve


def test_a_folder_that_was_used_before_may_be_away_at_the_start(tmp_path: Path) -> None:
    """A share that comes later than the daemon is waited for; the others go on without it."""
    with serve(Settings()) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key})
        house.drop("a.jpg")
        house.command("once")
        away = house.root / "away"
        house.inbox.rename(away)

        house.command("once", check=False)

        assert "offline" == house.ledger().query("SELECT state FROM folders")[0]["state"]
        assert not house.inbox.exists()
        away.rename(house.inbox)
        house.drop("b.jpg", seed=1)
        house.command("once")
        assert {"a.jpg", "b.jpg"} == set(house.files(house.archive))
