"""The whole program, whose directories come and go, or are somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.house import House, digest
from tests.support.service import ApiServer
from upscaled import errors
from upscaled.files import markers
from upscaled.job import pacing
from upscaled.job.model import Cause
from upscaled.ledger import Ledger


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let back-off be a matter of milliseconds; its real numbers are tested where they are."""
    monkeypatch.setattr(pacing, "BACKOFF", dict.fromkeys(Cause, (0.05, 0.2)))


ROLES = ("inbox", "outbox", "archive", "failed")


def marker(house: House, role: str) -> Path:
    """Return where a directory's marker lies."""
    directory: Path = getattr(house, role)
    return directory / markers.NAME


def state(house: House) -> tuple[str, str]:
    """Return the folder's state and reason, as the last run left them in the ledger."""
    row = house.ledger().query("SELECT state, reason FROM folders")[0]
    return row["state"], row["reason"]


def test_a_run_marks_the_four_directories_once(house: House) -> None:
    """And the markers are nobody's pictures: they are not taken, moved or counted."""
    assert 0 == house.once()
    before = {role: markers.read(getattr(house, role)) for role in ROLES}
    original = digest(house.drop())
    assert 0 == house.once()

    assert 4 == len({found.id for found in before.values() if found})
    after = {role: markers.read(getattr(house, role)) for role in ROLES}
    assert [found and found.id for found in before.values()] == [found and found.id for found in after.values()]
    house.assert_whole({"a.jpg": original})


@pytest.mark.parametrize("role", ROLES)
def test_with_a_marker_gone_nothing_is_noticed_and_nothing_forgotten(
    house: House, server: ApiServer, role: str
) -> None:
    """The picture that lies there may be a stranger's; back with the marker, it is taken as if nothing had been."""
    assert 0 == house.once()
    kept = marker(house, role).read_bytes()
    marker(house, role).unlink()
    original = digest(house.drop())

    assert 1 == house.once()

    condition, reason = state(house)
    assert "offline" == condition
    assert f"upscaled init --adopt '{marker(house, role).parent}'" in reason
    assert [] == house.ledger().jobs()
    assert 0 == server.stats()["paid"]
    assert not marker(house, role).exists()
    marker(house, role).write_bytes(kept)
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})


def test_another_marker_is_said_to_be_a_misconfiguration(house: House, server: ApiServer) -> None:
    """Two shares in each other's place."""
    assert 0 == house.once()
    marker(house, "outbox").write_bytes(marker(house, "archive").read_bytes())
    house.drop()

    assert 1 == house.once()

    condition, reason = state(house)
    assert "misconfigured" == condition
    assert (getattr(house.ledger().place(str(house.outbox)), "marker", "?")) in reason
    assert 0 == server.stats()["paid"]


def test_adopting_is_one_command(house: House) -> None:
    """The one that the message names."""
    assert 0 == house.once()
    marker(house, "archive").unlink()
    original = digest(house.drop())
    assert 1 == house.once()

    said = house.command("init", "--adopt", str(house.archive))

    assert f"{house.archive} has its marker" in said
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})


def test_only_a_directory_of_the_configuration_can_be_adopted(house: House) -> None:
    """A typing error must not mark a stranger's directory."""
    assert 0 == house.once()

    house.command("init", "--adopt", str(house.root), check=False)

    assert not (house.root / markers.NAME).exists()


def test_a_result_waits_while_its_outbox_is_a_bare_mount_point(house: House, server: ApiServer) -> None:
    """Paid, it is not put where the share will hide it; nor is the original taken for archived."""
    original = digest(house.drop())
    kept: dict[str, bytes] = {}

    def pull_out(_event: object) -> None:
        for role in ("outbox", "archive"):
            if server.stats()["paid"] and role not in kept:
                kept[role] = marker(house, role).read_bytes()
                marker(house, role).unlink()

    assert 1 == house.once(pull_out, limit=100)

    assert {} == house.files(house.outbox)
    assert {} == house.files(house.archive)
    assert {"a.jpg": original} == house.files(house.inbox)
    for role, content in kept.items():
        marker(house, role).write_bytes(content)
    assert 0 == house.once()
    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]


def test_a_second_daemon_on_the_same_inbox_refuses_and_names_the_first(house: House, server: ApiServer) -> None:
    """It has another state directory, so its lock alone would not keep it away."""
    assert 0 == house.once()
    first = Ledger.open(house.state)
    second = House(house.root, service={"url": server.url, "api_key": server.key})
    second.document["state_dir"] = str(house.root / "state2")
    second.write()

    with pytest.raises(errors.Locked, match="Another upscaled looks after") as caught:
        second.once()

    assert f"with state_dir {house.state}" in caught.value.why
    first.close()
    original = digest(house.drop())
    assert 0 == second.once()
    house.assert_whole({"a.jpg": original})


def test_of_two_folders_one_that_is_somebody_else_s_leaves_the_other_at_work(house: House, server: ApiServer) -> None:
    """Its state says whose it is."""
    other = House(house.root / "other", service={"url": server.url, "api_key": server.key})
    assert 0 == other.once()
    owner = Ledger.open(other.state)
    house.document["folders"].append(other.document["folders"][0])
    house.write()
    original = digest(house.drop("a.jpg", seed=1))
    theirs = digest(other.drop("b.jpg", seed=2))

    assert 1 == house.once()

    owner.close()
    house.assert_whole({"a.jpg": original})
    assert {"b.jpg": theirs} == house.files(other.inbox)
    states = {row["inbox"]: row["state"] for row in house.ledger().query("SELECT inbox, state FROM folders")}
    assert {str(house.inbox): "online", str(other.inbox): "owned"} == states


# --- originals: keep -------------------------------------------------------------------------------------------------


@pytest.fixture
def keeping(house: House) -> House:
    """Give a house whose originals stay."""
    house.document["folders"][0]["originals"] = "keep"
    house.write()
    return house


def test_a_kept_original_is_never_taken_twice(keeping: House, server: ApiServer) -> None:
    """It stays, and the next sweep knows it."""
    original = digest(keeping.drop())

    assert 0 == keeping.once()
    assert 0 == keeping.once()

    assert {"a.jpg": original} == keeping.files(keeping.inbox)
    assert {} == keeping.files(keeping.archive)
    assert ["a.jpg"] == list(keeping.files(keeping.outbox))
    assert 1 == server.stats()["paid"]
    assert ["done"] == keeping.standings()


def test_touching_a_kept_original_costs_nothing(keeping: House, server: ApiServer) -> None:
    """The ledger knows its bytes; nor does it make a second result."""
    path = keeping.drop()
    assert 0 == keeping.once()
    path.touch()

    assert 0 == keeping.once()
    assert 0 == keeping.once()

    assert 1 == server.stats()["paid"]
    assert ["a.jpg"] == list(keeping.files(keeping.outbox))
    assert 2 == len(keeping.ledger().jobs())


def test_a_kept_original_that_is_another_picture_by_now_is_a_new_one(keeping: House, server: ApiServer) -> None:
    """Its name alone says nothing."""
    keeping.drop(seed=1)
    assert 0 == keeping.once()
    keeping.drop(seed=2)

    assert 0 == keeping.once()

    assert ["a.jpg", "a~2.jpg"] == list(keeping.files(keeping.outbox))
    assert 2 == server.stats()["paid"]


def test_remounting_does_not_make_kept_originals_new(keeping: House, server: ApiServer) -> None:
    """A share gets other device and inode numbers each time; no job is made for it, let alone paid."""
    keeping.drop()
    assert 0 == keeping.once()
    ledger = Ledger.open(keeping.state)
    ledger.change(lambda c: c.execute("UPDATE jobs SET device = device + 7, inode = inode + 7"))
    ledger.close()

    assert 0 == keeping.once()

    assert 1 == len(keeping.ledger().jobs())
    assert 1 == server.stats()["paid"]


def test_what_cannot_be_done_of_kept_originals_leaves_a_note_and_the_file(keeping: House, server: ApiServer) -> None:
    """And is not tried again for nothing."""
    (keeping.outbox / "a.jpg").write_bytes(b"an earlier result")
    keeping.document["folders"][0]["on_collision"] = "fail"
    keeping.write()
    original = digest(keeping.drop())

    assert 1 == keeping.once()
    assert 0 == keeping.once()

    assert {"a.jpg": original} == keeping.files(keeping.inbox)
    assert ["a.jpg.error.txt"] == list(keeping.files(keeping.failed))
    assert "still in" in (keeping.failed / "a.jpg.error.txt").read_text("utf-8")
    assert 1 == len(keeping.ledger().jobs())
    assert 0 == server.stats()["paid"]


# --- sidecars --------------------------------------------------------------------------------------------------------


def test_sidecars_go_to_the_archive_with_their_picture(house: House) -> None:
    """And cost nothing."""
    original = digest(house.drop("x/a.jpg"))
    sidecars = {}
    for name in ("x/a.xmp", "x/a.jpg.xmp", "x/a.aae"):
        (house.inbox / name).write_text(name)
        sidecars[name] = digest(house.inbox / name)

    assert 0 == house.once()

    assert {} == house.files(house.inbox)
    assert {"x/a.jpg": original, **sidecars} == house.files(house.archive)


def test_sidecars_go_to_the_failed_folder_with_their_picture(house: House) -> None:
    """So that moving it back brings back all of it."""
    (house.outbox / "a.jpg").write_bytes(b"an earlier result")
    house.document["folders"][0]["on_collision"] = "fail"
    house.write()
    house.drop()
    (house.inbox / "a.xmp").write_text("edits")

    assert 1 == house.once()

    assert ["a.jpg", "a.jpg.error.txt", "a.xmp"] == list(house.files(house.failed))
