"""Pictures on pages: only the ledger's own, only below the configured directories, and only as pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest
from PIL import Image

from tests.support.desks import Desks, desks
from tests.support.house import picture
from upscaled.errors import BadPicture, FileTrouble
from upscaled.files import thumbnails
from upscaled.files.inside import open_inside
from upscaled.files.pictures import opening
from upscaled.files.thumbnails import Thumbnails

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """Give a desk on loopback."""
    with desks(tmp_path) as made:
        yield made


async def test_original_and_result_are_served_as_they_are(desk: Desks) -> None:
    """With a tag, so that a browser that has them asks for no bytes again."""
    job = desk.done()
    async with desk.client() as client:
        before, after = [await client.get(f"/jobs/{job}/{side}") for side in ("before", "after")]
        again = await client.get(f"/jobs/{job}/after", headers={"If-None-Match": after.headers["etag"]})

    assert (desk.house.archive / "a.jpg").read_bytes() == before.content
    assert (desk.house.outbox / "a.jpg").read_bytes() == after.content
    assert ("image/jpeg", "nosniff") == (after.headers["content-type"], after.headers["x-content-type-options"])
    assert "sandbox" in after.headers["content-security-policy"]
    assert (304, b"") == (again.status_code, again.content)


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/../../etc/passwd",
        "/jobs/..%2f..%2fetc%2fpasswd/after",
        "/jobs/job0000000/..%2f..%2f..%2fetc%2fpasswd",
        "/jobs/%2fetc%2fpasswd/after",
        "/jobs/job/after",
        "/jobs/%25/after",
        "/jobs/job000000_/after",
        "/jobs//after",
        "/static/..%2fdesk.py",
        "/static/%2fetc%2fpasswd",
        "/static/..%5c..%5cdesk.py",
    ],
)
async def test_no_path_of_a_request_leads_to_a_file(desk: Desks, path: str) -> None:
    """There is a job, and its id must be said whole: the beginning of one or a pattern is none."""
    desk.done()
    async with desk.client() as client:
        answer = await client.get(path)

    assert 404 == answer.status_code or answer.headers["content-type"] == "image/jpeg", answer.text
    assert "root:" not in answer.text
    assert "Desk" not in answer.text


@pytest.mark.parametrize("column", ["output", "archived"])
@pytest.mark.parametrize(
    "where", ["/etc/passwd", "{outbox}/../state/ledger.sqlite3", "{state}/ledger.sqlite3", "{root}"]
)
async def test_what_the_ledger_names_outside_the_folders_is_not_served(desk: Desks, column: str, where: str) -> None:
    """Whoever may write into the ledger could else read every file."""
    house = desk.house
    job = desk.done()
    desk.change(job, **{column: where.format(outbox=house.outbox, state=house.state, root=house.root)})
    side = "after" if column == "output" else "before"
    async with desk.client() as client:
        answers = [await client.get(f"/jobs/{job}/{what}") for what in (side, f"preview/{side}")]

    assert [404, 404] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("link", ["file", "directory"])
async def test_links_are_not_followed(desk: Desks, link: str) -> None:
    """Neither at the end nor on the way: somebody who may write into the outbox must not read what we may read."""
    secret = desk.house.root / "secret"
    secret.mkdir()
    picture(secret / "a.jpg", seed=5)
    job = desk.done("sub/a.jpg")
    target = desk.house.outbox / "sub"
    (target / "a.jpg").unlink()
    if link == "directory":
        target.rmdir()
        target.symlink_to(secret)
    else:
        (target / "a.jpg").symlink_to(secret / "a.jpg")
    async with desk.client() as client:
        answers = [await client.get(f"/jobs/{job}/{what}") for what in ("after", "preview/after")]

    assert [404, 404] == [answer.status_code for answer in answers]


def test_a_file_is_opened_below_its_directory_or_not_at_all(tmp_path: Path) -> None:
    """Whatever its name is made of; a pipe keeps nobody waiting."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a").write_bytes(b"a")
    (tmp_path / "outside").write_bytes(b"b")
    os.mkfifo(tmp_path / "root" / "pipe")
    with open_inside(tmp_path / "root", PurePath("sub/a")) as file:
        assert b"a" == file.read()

    for name in ("../outside", "sub/../../outside", str(tmp_path / "outside"), "", "sub", "pipe", "nothing", "a/b"):
        with pytest.raises(FileTrouble):
            open_inside(tmp_path / "root", PurePath(name))


@pytest.mark.parametrize("content", [SVG, HTML, b"%PDF-1.7", b"plain text", b""])
async def test_what_is_no_picture_is_never_served(desk: Desks, content: bytes) -> None:
    """Whatever it is called: a script in it would be ours in the browser's eyes."""
    job = desk.done()
    (desk.house.outbox / "a.jpg").write_bytes(content)
    async with desk.client() as client:
        answers = [await client.get(f"/jobs/{job}/{what}") for what in ("after", "preview/after")]

    assert [415, 404] == [answer.status_code for answer in answers]
    assert all(b"<" not in answer.content for answer in answers)


async def test_thumbnails_are_small_upright_and_made_once(desk: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time they come from the state directory, and a browser need not ask again."""
    job = desk.done()
    image = Image.linear_gradient("L").resize((900, 300)).convert("RGB")
    exif = image.getexif()
    exif[274] = 6
    image.save(desk.house.archive / "a.jpg", exif=exif)
    async with desk.client() as client:
        first = await client.get(f"/jobs/{job}/thumb?v=1")
        monkeypatch.setattr(thumbnails, "make", None)
        second = await client.get(f"/jobs/{job}/thumb?v=1")

    (made,) = (desk.house.state / "thumbs").iterdir()
    with Image.open(made) as thumb:
        assert ("WEBP", (107, 320)) == (thumb.format, thumb.size)
    assert first.content == second.content
    assert "immutable" in first.headers["cache-control"]


async def test_what_cannot_be_decoded_is_tried_once(desk: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file remembers it."""
    job = desk.done()
    for directory in (desk.house.archive, desk.house.outbox):
        (directory / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    async with desk.client() as client:
        first = await client.get(f"/jobs/{job}/thumb")
        monkeypatch.setattr(thumbnails, "make", None)
        second = await client.get(f"/jobs/{job}/thumb")

    assert (404, 404) == (first.status_code, second.status_code)


def test_a_picture_of_absurd_size_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its header, before memory is taken for it."""
    picture(tmp_path / "a.png", size=(40, 30))
    monkeypatch.setattr(thumbnails, "MOST_PIXELS", 40 * 30 - 1)

    with pytest.raises(BadPicture, match="absurd size"):
        thumbnails.make(tmp_path, PurePath("a.png"), tmp_path / "t.webp", 16)

    assert not (tmp_path / "t.webp").exists()


@pytest.mark.parametrize(("fmt", "suffix"), [("TIFF", "tif"), ("HEIF", "heic"), ("AVIF", "avif"), ("GIF", "gif")])
def test_what_browsers_do_not_show_has_a_thumbnail_too(tmp_path: Path, fmt: str, suffix: str) -> None:
    """Whatever the daemon takes."""
    opening._register_heif()
    Image.linear_gradient("L").resize((200, 100)).convert("RGB").save(tmp_path / f"a.{suffix}", fmt)

    thumbnails.make(tmp_path, PurePath(f"a.{suffix}"), tmp_path / "t.webp", 50)

    with Image.open(tmp_path / "t.webp") as made:
        assert (50, 25) == made.size


def test_the_cache_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    """By bytes; what was made last stays."""
    cache = Thumbnails(tmp_path / "thumbs", largest=100_000)
    for number in range(30):
        path = cache.room(f"{number}.webp")
        path.write_bytes(bytes(10_000))
        os.utime(path, (number, number))

    left = sorted(int(path.stem) for path in (tmp_path / "thumbs").iterdir())
    assert 110_000 >= 10_000 * len(left) >= 80_000
    assert 29 == left[-1]
    assert left == list(range(left[0], 30))


async def test_a_folder_that_is_not_configured_any_more_shows_nothing(desk: Desks) -> None:
    """Its directories are not ours to read."""
    job = desk.done(folder="/elsewhere/inbox")
    async with desk.client() as client:
        answers = [await client.get(f"/jobs/{job}/{what}") for what in ("before", "after", "thumb")]
        page = await client.get(f"/jobs/{job}")

    assert [404, 404, 404] == [answer.status_code for answer in answers]
    assert 200 == page.status_code
