from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import started, wait_for
from tests.support.house import COMMAND, PHOTOS, House, digest

NAMES = sorted(path for path in PHOTOS.iterdir() if path.suffix in {".jpg", ".png", ".webp"})


def photographs(directory: Path, count: int) -> list[Path]:
    """Cut ``count`` different pieces out of the real photographs, each in its photograph's format."""
    directory.mkdir()
    made = []
    for number in range(count):
        source = NAMES[number % len(NAMES)]
        left, top = 16 * number % 200, 9 * number % 120
        path = directory / f"{number:02d}-{source.name}"
        with Image.open(source) as image:
            image.crop((left, top, left + 72, top + 54)).save(path)
        made.append(path)
    return made


def write_slowly(source: Path, target: Path) -> None:
    """Write a file as a slow scanner or share would: 1 KB every 100 ms."""
    data = source.read_bytes()
    with target.open("wb", buffering=0) as file:
        for start in range(0, len(data), 1024):
            file.write(data[start : start + 1024])
            time.sleep(0.1)


@pytest.mark.parametrize("count", [8, pytest.param(20, marks=pytest.mark.stress)])
def test_photographs_dropped_in_every_way_come_out_of_the_right_folder(
    tmp_path: Path, serve: tuple[str, str], count: int
) -> None:
    """By cp, by mv, by a slow writer, and as a folder moved in whole, into two folders with profiles of their own."""
    url, key = serve
    one = House(tmp_path / "one", service={"url": url, "api_key": key, "poll_min": "100ms"}, folder={"settle": "1s"})
    two = House(tmp_path / "two", service={"url": url}, folder={"settle": "1s", "profile": "web"})
    one.document["profiles"]["web"] = {"target_resolution": "4k", "output_format": "webp"}
    one.document["folders"].append(two.document["folders"][0])
    one.write()
    made = photographs(tmp_path / "camera", count)
    copied, moved_in, in_tree, written = (made[start::4] for start in range(4))
    tree = tmp_path / "trip"
    (tree / "day 1" / "raw").mkdir(parents=True)
    for path in in_tree:
        path.rename(tree / "day 1" / "raw" / path.name)
    placed = {path: digest(path) for path in made if path.exists()}
    moved = {f"trip/day 1/raw/{path.name}": digest(path) for path in sorted(tree.rglob("*.*"))}

    with started("run", "-c", str(one.config), log=tmp_path / "log") as daemon:
        wait_for(lambda: "daemon.ready" in (tmp_path / "log").read_text("utf-8"))
        slow = threading.Thread(target=write_slowly, args=(copied[0], one.inbox / copied[0].name))
        slow.start()
        for path in copied[1:]:
            shutil.copy2(path, one.inbox / path.name)
        for path in moved_in:
            path.rename(two.inbox / path.name)
        tree.rename(two.inbox / "trip")
        for path in written:
            shutil.copyfile(path, one.inbox / path.name)
        slow.join()
        wait_for(lambda: one.standings() == ["done"] * len(made), limit=240)
        daemon.send_signal(signal.SIGTERM)
        assert 143 == daemon.wait(15)

    in_one = {path.name: placed[path] for path in (*copied, *written)}
    in_two = {path.name: placed[path] for path in moved_in} | moved
    one.assert_whole(in_one, [str(Path(name).with_suffix(suffix_of(name))) for name in in_one])
    two.assert_whole(in_two, [str(Path(name).with_suffix(".webp")) for name in in_two])
    for house, kind, side in ((one, "JPEG", 2048), (two, "WEBP", 3840)):
        for name in house.files(house.outbox):
            with Image.open(house.outbox / name) as result:
                assert (kind, side) == (result.format, max(result.size))
    jobs = one.jobs()
    assert {"done"} == {job["standing"] for job in jobs}
    assert in_one == {job["source"]: job["fingerprint"] for job in jobs if job["folder"] == str(one.inbox)}
    assert in_two == {job["source"]: job["fingerprint"] for job in jobs if job["folder"] == str(two.inbox)}
    assert all(digest(Path(job["archived"])) == job["fingerprint"] and Path(job["output"]).exists() for job in jobs)


def suffix_of(name: str) -> str:
    """Return the suffix of a JPEG result: a source's own where it says JPEG already."""
    return Path(name).suffix if Path(name).suffix in {".jpg", ".jpeg"} else ".jpg"


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """The first asks to stop, the second does not ask."""
    house = House(tmp_path, service={"url": "http://127.0.0.1:9", "api_key": "k"})
    house.drop()
    with started("run", "-c", str(house.config), log=tmp_path / "log") as daemon:
        wait_for(lambda: "jobs.waiting" in (tmp_path / "log").read_text("utf-8"))
        daemon.send_signal(signal.SIGINT)
        daemon.send_signal(signal.SIGINT)
        assert daemon.wait(5) in {130, 128 + signal.SIGINT}


def test_a_second_daemon_on_the_same_state_is_refused_with_its_own_exit_code(tmp_path: Path) -> None:
    """4 is for the state; a service manager must not try again and again."""
    house = House(tmp_path, service={"url": "http://127.0.0.1:9", "api_key": "k"})
    with started("run", "-c", str(house.config), log=tmp_path / "log"):
        wait_for(lambda: "daemon.ready" in (tmp_path / "log").read_text("utf-8"))
        second = subprocess.run(
            [COMMAND, "once", "-c", str(house.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        status = json.loads(house.command("status", "--json"))
    assert 4 == second.returncode
    assert "Another upscaled is at work" in second.stderr
    assert status["running"] is True
    assert "Traceback" not in second.stderr


def test_json_is_alone_on_standard_output(tmp_path: Path) -> None:
    """Scripts read it; logs and errors go elsewhere."""
    house = House(tmp_path, service={"url": "embedded"})
    house.command("once")

    status = json.loads(house.command("status", "--json"))

    assert {"running", "jobs", "folders", "spend", "in_flight"} <= status.keys()
    assert {"today", "month", "reserved"} == status["spend"].keys()
    assert [str(house.inbox)] == [folder["inbox"] for folder in status["folders"]]
    assert [] == house.jobs()
