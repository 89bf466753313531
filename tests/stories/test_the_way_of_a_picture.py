from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.house import House, digest
from tests.support.quick import Quick
from tests.support.service import ApiServer
from upscaled import embedded


def test_a_picture_dropped_comes_out_upscaled_and_its_original_is_archived(house: House, server: ApiServer) -> None:
    """Drop a file, get a file."""
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})
    with Image.open(house.outbox / "a.jpg") as result:
        assert ("JPEG", 2048) == (result.format, result.width)
    assert 1 == server.stats()["paid"]


def test_subfolders_are_mirrored_everywhere(house: House) -> None:
    """A tree goes in and the same tree comes out."""
    originals = {name: digest(house.drop(name, seed=n)) for n, name in enumerate(["x/y/a.jpg", "x/b.jpg", "c.jpg"])}

    assert 0 == house.once()

    house.assert_whole(originals)


@pytest.mark.parametrize("upload", ["ticket", "binary"])
@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("base64", [False, True])
def test_every_way_of_asking_gives_the_same_picture(
    tmp_path: Path, server: ApiServer, upload: str, sync: bool, base64: bool
) -> None:
    """Upload by ticket or form, wait or poll, link or base64."""
    house = House(tmp_path, service={"url": server.url, "api_key": server.key, "upload": upload})
    house.document["profiles"]["default"] |= {"enable_sync_mode": sync, "enable_base64_output": base64}
    house.write()
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})
    assert 1 == server.stats()["paid"]
    assert sync == next(iter(server.world.tasks.values())).inputs.get("enable_sync_mode", False)
    assert base64 == next(iter(server.world.tasks.values())).inputs.get("enable_base64_output", False)


@pytest.mark.parametrize(("output_format", "name", "kind"), [("png", "a.png", "PNG"), ("webp", "a.webp", "WEBP")])
def test_the_result_has_the_format_asked_for(house: House, output_format: str, name: str, kind: str) -> None:
    """And a name that says so."""
    house.document["profiles"]["default"]["output_format"] = output_format
    house.write()
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original}, [name])
    with Image.open(house.outbox / name) as result:
        assert kind == result.format


def test_two_sources_that_map_to_one_name_both_get_a_result(house: House) -> None:
    """Nothing is overwritten: the second gets the next free name."""
    originals = {"a.jpg": digest(house.drop("a.jpg", seed=1)), "a.png": digest(house.drop("a.png", seed=2))}

    assert 0 == house.once()

    house.assert_whole(originals, ["a.jpg", "a~2.jpg"])


@pytest.mark.parametrize("name", ["-rf.jpg", "new\nline.jpg", " .jpg", "ä.JPG", "b\udcff.jpeg", "x" * 251 + ".jpg"])
def test_any_name_gets_its_result(house: House, name: str) -> None:
    """No name is too odd for a picture."""
    original = digest(house.drop(name))

    assert 0 == house.once()

    assert {name: original} == house.files(house.archive)
    assert 1 == len(house.files(house.outbox))


def test_the_same_name_dropped_again_overwrites_nothing(house: House) -> None:
    """Neither in the outbox nor in the archive."""
    first = digest(house.drop("a.jpg", seed=1))
    assert 0 == house.once()
    second = digest(house.drop("a.jpg", seed=2))
    assert 0 == house.once()

    house.assert_whole({"a.jpg": first, "a~2.jpg": second})


@pytest.mark.parametrize(("policy", "results"), [("overwrite", ["a.jpg"]), ("version", ["a.jpg", "a~2.jpg"])])
def test_a_collision_is_settled_as_the_folder_says(house: House, policy: str, results: list[str]) -> None:
    """Overwriting is for those who ask for it."""
    (house.outbox / "a.jpg").write_bytes(b"something else")
    house.document["folders"][0]["on_collision"] = policy
    house.write()
    house.drop("a.jpg")

    assert 0 == house.once()

    assert results == sorted(house.files(house.outbox))


def test_with_skip_a_name_that_is_taken_costs_nothing(house: House, server: ApiServer) -> None:
    """The result that is there stands; the original is archived."""
    (house.outbox / "a.jpg").write_bytes(b"an earlier result")
    house.document["folders"][0]["on_collision"] = "skip"
    house.write()
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    assert b"an earlier result" == (house.outbox / "a.jpg").read_bytes()
    assert {"a.jpg": original} == house.files(house.archive)
    assert 0 == server.stats()["paid"]


def test_with_fail_a_name_that_is_taken_costs_nothing_and_says_so(house: House, server: ApiServer) -> None:
    """The original goes to the failed folder with a note."""
    (house.outbox / "a.jpg").write_bytes(b"an earlier result")
    house.document["folders"][0]["on_collision"] = "fail"
    house.write()
    original = digest(house.drop("a.jpg"))

    assert 1 == house.once()

    assert original == house.files(house.failed)["a.jpg"]
    assert "a.jpg" in (house.failed / "a.jpg.error.txt").read_text("utf-8")
    assert 0 == server.stats()["paid"]


def test_what_is_no_picture_is_left_alone(house: House, server: ApiServer) -> None:
    """Foreign files are untouched, and nothing is asked of the service."""
    (house.inbox / "notes.txt").write_text("hello")
    (house.inbox / "Thumbs.db").write_bytes(b"\0" * 100)

    assert 0 == house.once()

    assert ["Thumbs.db", "notes.txt"] == sorted(house.files(house.inbox))
    assert [] == house.ledger().jobs()
    assert 0 == server.stats()["paid"]


def test_two_folders_with_different_profiles_do_not_mix(tmp_path: Path, server: ApiServer) -> None:
    """Each folder has its own parameters and its own places."""
    one = House(tmp_path / "one", service={"url": server.url, "api_key": server.key})
    two = House(tmp_path / "two", service={"url": server.url, "api_key": server.key})
    one.document["profiles"]["web"] = {"target_resolution": "4k", "output_format": "webp"}
    one.document["folders"].append({**two.document["folders"][0], "profile": "web"})
    one.write()
    originals = digest(one.drop("a.jpg", seed=1)), digest(two.drop("a.jpg", seed=2))

    assert 0 == one.once()

    one.assert_whole({"a.jpg": originals[0]})
    two.assert_whole({"a.jpg": originals[1]}, ["a.webp"])
    with Image.open(two.outbox / "a.webp") as result:
        assert 3840 == result.width


def test_a_rotated_photograph_is_not_taken_for_a_wrong_result(house: House) -> None:
    """The service may turn a picture upright as its EXIF says; its sides are then exchanged."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = house.inbox / "a.jpg"
    Image.linear_gradient("L").resize((64, 40)).save(path, exif=exif)
    original = digest(path)

    assert 0 == house.once()

    house.assert_whole({"a.jpg": original})


def test_what_the_built_in_engine_did_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as that it took another tier, as the usual one would have taken too long: in the log, and by `show`."""
    monkeypatch.setattr(embedded, "upscaler", lambda _: Quick())
    house = House(tmp_path, service={"url": "embedded"})
    house.drop("a.jpg")

    assert 0 == house.once()

    logged = capsys.readouterr().err
    assert "will take about 2 s" in logged
    assert "made quickly" in next(line for line in logged.splitlines() if "job.done" in line)
    (job,) = house.ledger().query("SELECT id FROM jobs")
    assert "made quickly" in house.command("show", job["id"])
