from __future__ import annotations

import json
import os
import shutil
from collections import Counter

from PIL import Image

from tests.support.house import House, picture
from tests.support.service import ApiServer


def fill(house: House) -> dict[str, str]:
    """Fill the inbox with fifty files of every kind; return what is right for each."""
    right: dict[str, str] = {}
    for n in range(30):
        house.drop(f"new-{n:02}.jpg", seed=n)
        right[f"new-{n:02}.jpg"] = "submit"
    for n in range(6):
        shutil.copyfile(house.inbox / f"new-{n:02}.jpg", house.inbox / f"twin-{n}.jpg")
        right[f"twin-{n}.jpg"] = "twin"
    for n in range(3):
        shutil.copyfile(house.archive / f"old-{n}.jpg", house.inbox / f"seen-{n}.jpg")
        right[f"seen-{n}.jpg"] = "reuse"
    for n in range(3):
        whole = (house.inbox / f"new-{n:02}.jpg").read_bytes()
        (house.inbox / f"cut-{n}.jpg").write_bytes(whole[: len(whole) // 2])
        right[f"cut-{n}.jpg"] = "wait"
    for n in range(2):
        picture(house.inbox / f"large-{n}.png", size=(2048, 16 + n))
        right[f"large-{n}.png"] = "copy"
    for n in range(2):
        (house.inbox / f"paper-{n}.jpg").write_bytes(b"%PDF-1.7\n%" + bytes(1000))
        right[f"paper-{n}.jpg"] = "leave"
    for n in range(2):
        frames = [Image.new("RGB", (40, 30), (shade, n, 0)) for shade in (0, 90, 200)]
        frames[0].save(house.inbox / f"moving-{n}.webp", save_all=True, append_images=frames[1:], duration=80)
        right[f"moving-{n}.webp"] = "refuse"
    os.truncate(picture(house.inbox / "huge.jpg", seed=77), 2_200_000_000)
    right["huge.jpg"] = "refuse"
    (house.inbox / "empty.jpg").touch()
    right["empty.jpg"] = "wait"
    return right


def test_a_plan_says_what_once_then_does_and_sends_nothing_that_costs(house: House, server: ApiServer) -> None:
    """Fifty files of every kind: the verdict on each, the price of all, and then exactly that."""
    house.document["folders"][0]["failed"] = str(house.failed)
    house.write()
    for n in range(3):
        house.drop(f"old-{n}.jpg", seed=1000 + n)
    assert 0 == house.once()
    right = fill(house)
    assert 50 == len(right)
    asked = len(server.stats()["requests"])

    found = json.loads(house.command("plan", "--json"))

    assert right == {file["source"]: file["verdict"] for file in found["files"]}
    assert dict(Counter(right.values())) == found["counts"]
    assert (0.30, 30) == (found["price"], found["counts"]["submit"])
    assert all(file["reason"] for file in found["files"])
    assert {"price"} == {request["kind"] for request in server.stats()["requests"][asked:]}
    assert "30 submit" in house.command("plan").splitlines()[-1]

    assert 1 == house.once()

    assert 3 + 30 == server.stats()["paid"]
    left = {name for name, verdict in right.items() if verdict in {"wait", "leave"}}
    assert left == set(house.files(house.inbox))
    refused = {name for name, verdict in right.items() if verdict == "refuse"}
    assert refused == {name for name in house.files(house.failed) if not name.endswith(".txt")}
    jobs = {job.source: job for job in house.ledger().jobs()}
    for name, verdict in right.items():
        if verdict in {"twin", "reuse", "copy"}:
            assert ("done", 0) == (str(jobs[name].standing), jobs[name].attempts), name
        elif verdict == "submit":
            assert ("done", 1) == (str(jobs[name].standing), jobs[name].attempts), name
