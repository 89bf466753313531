"""Names that some system stumbles over and things that are no files, all dropped at once."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.support.house import House, digest, picture
from tests.support.service import ApiServer
from upscaled.files import names

ODD = (
    *(
        "-rf.jpg",
        "--help.jpg",
        "new\nline.jpg",
        "tab\t.jpg",
        "b\udcff.jpg",
        "esc\x1b[31m.jpg",
        "quote'\".jpg",
        "$(x).jpg",
    ),
    *("a.jpg", "A.JPG", "a.png", "a.jpeg", "\u00e4.jpg", "a\u0308.jpg", "dot..jpg", "space .jpg", " .jpg", "end.jpg."),
    *("end.jpg ", "end.jpg", "x" * 251 + ".jpg", "\u6f22" * 83 + ".jpg", "noextension", "con.jpg", "a~2.jpg"),
)


def test_every_name_ends_as_a_result_with_a_safe_name_and_none_collides(house: House, server: ApiServer) -> None:
    """No original is lost; results have names that every system can open, and each its own."""
    originals = {}
    for seed, name in enumerate(ODD):
        path = house.inbox / name
        made = picture(house.root / "made.jpg", seed=seed)
        made.replace(path)
        originals[name] = digest(path)

    assert 0 == house.once(limit=120)

    assert sorted(originals.values()) == sorted(house.files(house.archive).values())
    results = sorted(house.files(house.outbox))
    assert len(ODD) == len(results) == len({names.fold(name) for name in results})
    for name in results:
        assert name == names.safe(name)
        assert 255 >= len(os.fsencode(name))
        assert not name.startswith("-")
        assert name == name.rstrip(". ")
    assert len(ODD) == server.stats()["paid"]


def test_no_name_breaks_a_line_of_the_log_or_of_the_json(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    """Logs stay readable: no newline, no escape sequence of a file's name reaches them."""
    for seed, name in enumerate(ODD[:8]):
        picture(house.root / "made.jpg", seed=seed).replace(house.inbox / name)

    assert 0 == house.once()

    log = "".join(capfd.readouterr())
    assert "\x1b[31m.jpg" not in log
    assert "new\nline" not in log
    assert set(ODD[:8]) == {job["source"] for job in json.loads(house.command("jobs", "--json"))}


def test_no_odd_thing_blocks_a_sweep_and_each_has_a_reason(house: House, tmp_path: Path) -> None:
    """A picture beside them is taken as ever; nothing is opened that could hang."""
    (house.inbox / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    os.mkfifo(house.inbox / "pipe.jpg")
    (house.inbox / "folder.jpg").mkdir()
    (house.inbox / "empty.jpg").touch()
    (house.inbox / "text.jpg").write_text("hello")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(house.inbox)  # a socket's path may only have about 100 bytes
    listener.bind("socket.jpg")
    os.chdir(here)
    linked = picture(tmp_path / "linked.jpg", seed=1)
    (house.inbox / "hard.jpg").hardlink_to(linked)
    inside = digest(picture(house.inbox / "folder.jpg" / "a.jpg", seed=2))
    original = digest(linked)

    assert house.once() in {0, 1}

    listener.close()
    assert {"folder.jpg/a.jpg": inside, "hard.jpg": original} == house.files(house.archive)
    assert original == digest(linked)
    seen = json.loads(house.ledger().query("SELECT seen FROM folders")[0]["seen"])
    reasons = {note["source"]: note["reason"] for note in seen["notes"]}
    assert "a symbolic link" == reasons["link.jpg"]
    assert "a named pipe" == reasons["pipe.jpg"]
    assert "a socket" == reasons["socket.jpg"]
    assert {"empty.jpg", "text.jpg"} <= set(reasons)
