"""Pictures of every kind, from the inbox to the outbox."""

from __future__ import annotations

import grp
import io
import json
import os
import stat
import sys
import time
import zlib
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from tests.support.house import House, digest
from tests.support.service import ApiServer, Fault, Settings, serve
from tests.support.service_pictures import Result
from upscaled import commands
from upscaled.ledger import Ledger


def uploads(server: ApiServer) -> list[bytes]:
    """Return what the service was given."""
    return list(server.world._bytes.values())


def photo(path: Path, *, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> str:
    """Write a picture with something to see on it, and return its digest."""
    image = Image.linear_gradient("L").resize(size).convert(mode)
    image.save(path, **options)
    return digest(path)


def deep(path: Path) -> str:
    """Write a grey picture of 16 bits, and return its digest."""
    values = Image.linear_gradient("L").resize((64, 48)).convert("I").point(lambda value: value * 257)
    values.convert("I;16").save(path)
    return digest(path)


def configure(house: House, *, folder: dict[str, Any] | None = None, hooks: dict[str, Any] | None = None) -> None:
    """Change the configuration."""
    house.document["folders"][0] |= folder or {}
    if hooks:
        house.document["hooks"] = hooks
    house.write()


def hook(path: Path, body: str, *arguments: str) -> list[str]:
    """Write a hook in Python, which has its arguments in ``argv`` and the job in ``job``; return its command."""
    path.write_text(f"import json, sys, time, os\nargv, job = sys.argv[1:], json.load(sys.stdin)\n{body}\n")
    return [sys.executable, str(path), *arguments]


def events(house: House, kind: str) -> list[str]:
    """Return the texts of a kind of events, oldest first."""
    rows = house.ledger().query("SELECT text FROM events WHERE kind = ? ORDER BY id", kind)
    return [row["text"] for row in rows]


# --- what is uploaded ---


def test_a_plain_jpeg_is_uploaded_byte_for_byte(house: House, server: ApiServer) -> None:
    """And leaves nothing in the state directory."""
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    assert [(house.archive / "a.jpg").read_bytes()] == uploads(server)
    house.assert_whole({"a.jpg": original})
    assert {} == house.files(house.state / "renditions")


def test_what_the_service_could_misunderstand_is_uploaded_as_it_is_meant_to_be_seen(
    house: House, server: ApiServer
) -> None:
    """Turned, and of formats that the service does not take; the originals are archived as they were."""
    exif = Image.Exif()
    exif[0x0112] = 6
    originals = {
        "turned.jpg": photo(house.inbox / "turned.jpg", exif=exif),
        "b.tif": photo(house.inbox / "b.tif", mode="CMYK"),
        "c.bmp": photo(house.inbox / "c.bmp"),
        "d.avif": photo(house.inbox / "d.avif"),
        "e.png": deep(house.inbox / "e.png"),
        "f.gif": photo(house.inbox / "f.gif", mode="L"),
    }

    assert 0 == house.once()

    house.assert_whole(originals, ["turned.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"])
    for data in uploads(server):
        with Image.open(io.BytesIO(data)) as sent:
            assert ("PNG", True) == (sent.format, sent.mode in {"RGB", "L"})
    with Image.open(house.outbox / "turned.jpg") as result:
        assert (1536, 2048) == result.size
    assert "It is uploaded as PNG: turned upright." in events(house, "upload")
    assert {} == house.files(house.state / "renditions")


@pytest.mark.parametrize(("form", "kept"), [("jpeg", False), ("png", True)])
def test_transparency_is_kept_where_the_result_can_hold_it_and_else_it_is_said(
    house: House, server: ApiServer, form: str, *, kept: bool
) -> None:
    """On white, as on paper."""
    house.document["profiles"]["default"]["output_format"] = form
    house.write()
    image = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (8, 8, 40, 40))
    image.save(house.inbox / "a.png")

    assert 0 == house.once()

    (sent,) = uploads(server)
    with Image.open(io.BytesIO(sent)) as picture:
        assert kept == (picture.mode == "RGBA")
        assert (255, 255, 255) == picture.convert("RGB").getpixel((0, 0)) or kept
    assert kept == ("put on white" not in " ".join(events(house, "upload")))


def test_a_picture_that_cannot_be_decoded_costs_nothing(house: House, server: ApiServer) -> None:
    """Its frame is whole, what is in it is not; nobody found that out before it was turned."""
    exif = Image.Exif()
    exif[0x0112] = 3
    photo(house.inbox / "a.png", exif=exif)
    data = (house.inbox / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    rubbish = b"IDAT" + bytes(length)
    damaged = length.to_bytes(4, "big") + rubbish + zlib.crc32(rubbish).to_bytes(4, "big")
    (house.inbox / "a.png").write_bytes(data[:at] + damaged + data[at + 12 + length :])

    assert 1 == house.once()

    assert "cannot be upscaled" in (house.failed / "a.png.error.txt").read_text()
    assert [] == uploads(server)
    assert 0 == server.stats()["paid"]


def test_a_rare_format_that_is_large_enough_is_delivered_as_results_are(house: House, server: ApiServer) -> None:
    """A JPEG stays as it is, a TIFF becomes one; neither is paid."""
    originals = {
        "a.tif": photo(house.inbox / "a.tif", size=(2100, 1000)),
        "b.png": photo(house.inbox / "b.png", size=(2100, 1000)),
    }

    assert 0 == house.once()

    house.assert_whole(originals, ["a.jpg", "b.png"])
    assert originals["b.png"] == digest(house.outbox / "b.png")
    with Image.open(house.outbox / "a.jpg") as result:
        assert ("JPEG", (2100, 1000)) == (result.format, result.size)
    assert 0 == server.stats()["paid"]


# --- what comes back ---


def test_a_wrong_result_is_downloaded_once_more_and_then_held_with_the_file_kept(
    house: House, server: ApiServer
) -> None:
    """A person may want to see what was paid for."""
    server.script(Fault("output", "wrong-aspect"))
    house.drop("a.jpg")

    assert 1 == house.once()

    (job,) = house.ledger().jobs()
    assert ("held", 1) == (str(job.standing), job.wrong)
    assert job.part is not None
    assert Path(job.part).exists()
    assert 1 == len(events(house, "redo"))
    assert house.files(house.inbox)


def test_a_held_result_is_fetched_once_more_by_retry_free(house: House, server: ApiServer) -> None:
    """The service may have mended it; the reason says so."""
    server.script(Fault("output", "wrong-aspect"))
    house.drop("a.jpg")
    assert 1 == house.once()
    (job,) = house.ledger().jobs()
    assert f"`upscaled retry {job.id}` fetches it once more, free" in job.reason

    server.script()
    ledger = Ledger.join(house.state)
    commands.retry(ledger, [job], now=time.time())
    ledger.close()
    assert 0 == house.once()

    (job,) = house.ledger().jobs()
    assert "done" == str(job.standing)
    assert 1 == server.stats()["paid"]
    assert ["a.jpg"] == sorted(house.files(house.outbox))


def test_a_source_above_the_target_that_is_to_be_submitted_comes_back_as_large_as_the_target(
    house: House, server: ApiServer
) -> None:
    """That is what was asked for, so it is not held for being smaller than its source."""
    configure(house, folder={"large_enough": "submit"})
    photo(house.inbox / "a.jpg", size=(2400, 1801))

    assert 0 == house.once()

    with Image.open(house.outbox / "a.jpg") as result:
        assert 2048 == max(result.size)
    assert 1 == server.stats()["paid"]


def test_a_result_of_a_single_colour_is_held(house: House, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models fail like that."""

    def blank(*_: object, **__: object) -> object:
        file = io.BytesIO()
        Image.new("RGB", (2048, 1536), "black").save(file, "JPEG")
        return Result(file.getvalue(), "jpeg")

    monkeypatch.setattr("tests.support.service_world.render", blank)
    house.drop("a.jpg")

    assert 1 == house.once()

    (job,) = house.ledger().jobs()
    assert "single colour" in job.reason


def test_a_picture_of_a_single_colour_may_have_a_result_of_one(house: House) -> None:
    """A blue wall stays a blue wall."""
    Image.new("RGB", (64, 48), "navy").save(house.inbox / "a.png")

    assert 0 == house.once()


def test_a_result_has_the_time_of_its_source_and_the_rights_of_its_folder(house: House) -> None:
    """So that the folder's people can work with it, and sort it."""
    group = grp.getgrgid(os.getegid()).gr_name
    configure(house, folder={"mode": "0640", "group": group})
    os.utime(house.drop("a.jpg"), (1_000_000_000, 1_234_567_890))

    assert 0 == house.once()

    found = (house.outbox / "a.jpg").stat()
    assert (1_234_567_890, 0o640, os.getegid()) == (int(found.st_mtime), stat.S_IMODE(found.st_mode), found.st_gid)


def test_a_flagged_result_is_put_aside_with_its_original_beside_it(tmp_path: Path) -> None:
    """Not into the outbox, where everybody looks; the same picture later comes out as the first did."""
    name = "a.jpg"
    with serve(Settings(latency=0.05, nsfw=[True])) as server:
        house = House(tmp_path, service={"url": server.url, "api_key": server.key}, folder={"nsfw": "quarantine"})
        original = digest(house.drop(f"sub/{name}"))
        assert 0 == house.once()

        found = house.files(house.failed)
        assert ["flagged/sub/a.upscaled.jpg", f"flagged/sub/{name}"] == sorted(found, key=len, reverse=True)
        assert original == found[f"flagged/sub/{name}"]
        (job,) = house.jobs()
        assert (True, "done") == (job["has_nsfw_contents"], job["standing"])

        (house.inbox / "again.jpg").write_bytes((house.failed / "flagged" / "sub" / name).read_bytes())
        assert 0 == house.once()
        assert {} == house.files(house.outbox)
        assert {} == house.files(house.inbox)
        assert 1 == server.stats()["paid"]


def test_a_result_delivered_again_has_the_metadata_that_its_own_folder_asks_for(
    house: House, server: ApiServer
) -> None:
    """What one folder may know, another may not."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 5.0), 3: "E", 4: (11.0, 34.0, 0.0)})
    photo(house.inbox / "a.jpg", exif=exif)
    assert 0 == house.once()
    configure(house, folder={"metadata": "strip-gps"})
    (house.inbox / "again.jpg").write_bytes((house.archive / "a.jpg").read_bytes())

    assert 0 == house.once()

    places = {}
    for name in ("a.jpg", "again.jpg"):
        with Image.open(house.outbox / name) as result:
            assert "Maker" == result.getexif().get(0x010F)
            places[name] = bool(result.getexif().get_ifd(0x8825))
    assert {"a.jpg": True, "again.jpg": False} == places
    assert 1 == server.stats()["paid"]


# --- hooks ---


def test_a_raw_file_is_developed_by_the_hook(house: House, server: ApiServer, tmp_path: Path) -> None:
    """What it makes is prepared like any source; the raw file itself is archived."""
    body = (
        "from PIL import Image; Image.linear_gradient('L').resize((60, 40)).save(argv[1]);"
        "assert job['hook'] == 'convert'"
    )
    configure(house, hooks={"convert": hook(tmp_path / "develop.py", body, "{in}", "{out}")})
    (house.inbox / "a.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    original = digest(house.inbox / "a.CR2")

    assert 0 == house.once()

    house.assert_whole({"a.CR2": original}, ["a.jpg"])
    assert 1 == server.stats()["paid"]
    assert {} == house.files(house.state / "hooks")


@pytest.mark.parametrize(
    ("body", "reason"),
    [("print('no lens profile'); sys.exit(3)", "no lens profile"), ("pass", "made no picture")],
)
def test_a_raw_file_that_cannot_be_developed_is_refused_unpaid(
    house: House, server: ApiServer, tmp_path: Path, body: str, reason: str
) -> None:
    """With what the program said last."""
    configure(house, hooks={"convert": hook(tmp_path / "develop.py", body, "{in}", "{out}")})
    (house.inbox / "a.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))

    assert 1 == house.once()

    assert reason in (house.failed / "a.CR2.error.txt").read_text()
    assert 0 == server.stats()["paid"]


def test_a_raw_file_beside_its_jpeg_goes_along_with_it(house: House, server: ApiServer) -> None:
    """They are one picture; the sidecar is of both."""
    house.drop("a.JPG")
    (house.inbox / "a.NEF").write_bytes(b"II*\0raw")
    (house.inbox / "a.xmp").write_text("<x/>")

    assert 0 == house.once()

    assert ["a.JPG", "a.NEF", "a.xmp"] == sorted(house.files(house.archive))
    assert 1 == server.stats()["paid"]


def test_the_hook_before_a_submit_may_object(house: House, server: ApiServer, tmp_path: Path) -> None:
    """Its last line is the reason; nothing was uploaded or paid."""
    body = "print('asked about', argv[0]); print('too dark for that'); sys.exit(1)"
    configure(
        house, hooks={"before_submit": hook(tmp_path / "veto.py", body, "{in}")}, folder={"metadata": "strip-gps"}
    )
    house.drop("a.jpg")

    assert 1 == house.once()

    assert "hooks.before_submit objects: too dark for that" in (house.failed / "a.jpg.error.txt").read_text()
    assert [] == uploads(server)
    assert {} == house.files(house.state / "renditions")


def test_the_hook_before_a_submit_may_put_another_picture_in_place(
    house: House, server: ApiServer, tmp_path: Path
) -> None:
    """That one is uploaded, byte for byte where it can be."""
    body = (
        "from PIL import Image; Image.open(argv[0]).rotate(180).save(argv[1], 'WEBP', lossless=True);"
        f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
    )
    configure(house, hooks={"before_submit": hook(tmp_path / "other.py", body, "{in}", "{out}")})
    original = digest(house.drop("a.jpg"))

    assert 0 == house.once()

    (sent,) = uploads(server)
    with Image.open(io.BytesIO(sent)) as picture:
        assert "WEBP" == picture.format
    assert "x" == (tmp_path / "count").read_text()
    house.assert_whole({"a.jpg": original})


_FIND_A_PLACE: Final = (
    "from PIL import Image; picture = Image.new('RGB', (60, 40), 'red'); picture.putpixel((1, 1), (0, 0, 255));"
    "exif = Image.Exif(); exif.get_ifd(0x8825)[1] = 'N'; picture.save(argv[1] + '.jpg', exif=exif);"
    "os.rename(argv[1] + '.jpg', argv[1])"
)


@pytest.mark.parametrize(("name", "which"), [("a.jpg", "before_submit"), ("a.CR2", "convert")])
@pytest.mark.parametrize("metadata", ["keep", "strip-gps"])
def test_a_place_that_a_hook_puts_into_a_picture_is_not_uploaded_either(
    name: str, which: str, metadata: str, house: House, server: ApiServer
) -> None:
    """A preview that is taken out of a raw file has all that the raw file has."""
    command = hook(house.root / "find.py", _FIND_A_PLACE, "{in}", "{out}")
    configure(house, hooks={which: command}, folder={"metadata": metadata})
    if which == "convert":
        (house.inbox / name).write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    else:
        house.drop(name)

    assert 0 == house.once()

    (sent,) = uploads(server)
    with Image.open(io.BytesIO(sent)) as picture:
        assert ("JPEG", (60, 40)) == (picture.format, picture.size)
        assert (metadata == "keep") == (0x8825 in picture.getexif())


@pytest.mark.parametrize("which", ["before_submit", "convert"])
def test_a_hook_that_always_crashes_is_no_hook_for_ever(
    which: str, house: House, server: ApiServer, tmp_path: Path
) -> None:
    """It is tried again at first: memory may have run out."""
    count = tmp_path / "count"
    body = f"open({str(count)!r}, 'a').write('x'); os.kill(os.getpid(), 11)"
    configure(house, hooks={which: hook(tmp_path / "crash.py", body)})
    name = "a.CR2" if which == "convert" else "a.jpg"
    if which == "convert":
        (house.inbox / name).write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    else:
        house.drop(name)

    assert 1 == house.once()

    assert "xxxx" == count.read_text()
    assert "it was ended by SIGSEGV" in (house.failed / f"{name}.error.txt").read_text()
    assert 0 == server.stats()["paid"]


def test_a_hook_whose_picture_is_none_is_named(house: House, server: ApiServer, tmp_path: Path) -> None:
    """Not the source, which has nothing wrong with it."""
    body = "open(argv[1], 'w').write('Sorry.')"
    configure(house, hooks={"before_submit": hook(tmp_path / "other.py", body, "{in}", "{out}")})
    house.drop("a.jpg")

    assert 1 == house.once()

    told = (house.failed / "a.jpg.error.txt").read_text()
    assert "hooks.before_submit made no picture that can be used: the file is no picture" in told
    assert "Mend the program" in told
    assert 0 == server.stats()["paid"]


def test_the_hooks_afterwards_are_told_where_everything_is(house: House, server: ApiServer, tmp_path: Path) -> None:
    """Once each; what goes wrong with them stands in the story and changes nothing."""
    told = tmp_path / "told"
    body = f"open({str(told)!r}, 'a').write(json.dumps([job, argv]) + chr(10)); print('no disk'); sys.exit(4)"
    after = hook(tmp_path / "after.py", body, "{archived}", "{source}")
    configure(house, hooks={"after_publish": after, "after_failure": after})
    house.drop("a.jpg")
    (house.inbox / "b.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))

    assert 1 == house.once()

    lines = {record["source"]: (record, argv) for record, argv in map(json.loads, told.read_text().splitlines())}
    done, failed = lines["a.jpg"], lines["b.CR2"]
    assert ("after_publish", str(house.outbox / "a.jpg")) == (done[0]["hook"], done[0]["output"])
    assert [str(house.archive / "a.jpg"), "a.jpg"] == done[1]
    assert ("after_failure", [str(house.failed / "b.CR2"), "b.CR2"]) == (failed[0]["hook"], failed[1])
    assert 2 == len(told.read_text().splitlines())
    assert "hooks.after_publish: no disk." in " ".join(events(house, "done"))
