"""Uploads and downloads: once, whole, bounded, and harmless to a browser."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.suite import MODEL, PHOTO
from tests.engine.test_app import Time, serving
from tests.support.quick import Quick
from upscaled.api import wire
from upscaled.engine import disk, media
from upscaled.engine.app import create_app
from upscaled.engine.store import Store
from upscaled.engine.uploads import TICKET_LIFE, Uploads, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def files(directory: Path) -> list[str]:
    """Names of all uploaded contents and leftovers."""
    return [path.name for path in (directory / "uploads").rglob("*") if path.is_file() and path.suffix != ".json"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"filename": ""}, 400),
        ({"filename": 3}, 400),
        ({"filename": "a.jpg", "size": -1}, 400),
        ({"filename": "a.jpg", "size": "9"}, 400),
        ({"filename": "a.jpg", "size": True}, 400),
        ({"filename": "a.jpg", "size": wire.UPLOAD_LIMIT + 1}, 413),
        ({"filename": "a.jpg", "size": wire.UPLOAD_LIMIT}, 200),
        ({"filename": "a.jpg"}, 200),
    ],
)
async def test_a_ticket_is_given_for_a_name_and_a_size_within_the_limit(
    tmp_path: Path, body: dict[str, Any], status: int
) -> None:
    """The size may be unknown."""
    async with serving(tmp_path, Quick()) as service:
        assert status == (await service.client.post(f"{wire.PREFIX}/media/uploads", json=body)).status_code


async def test_a_wrong_or_old_leave_is_refused(tmp_path: Path) -> None:
    """Knowing where a file is read does not help to write it, and tickets end."""
    clock = Time()
    async with serving(tmp_path, Quick(), clock=clock) as service:
        ticket = await service.ticket()
        token = ticket.url.split("/")[-2]
        for url in (f"/storage/{token}/{'0' * 32}", f"/storage/{'0' * 32}/{'0' * 32}", "/storage/..%2F..%2Fx/é"):
            assert (await service.client.put(url, content=b"x")).status_code in {403, 404}
        clock.now += TICKET_LIFE + 1
        assert 403 == (await service.put(ticket, PHOTO.read_bytes())).status_code
    assert [] == files(tmp_path)


async def test_a_file_of_another_size_than_announced_is_refused(tmp_path: Path) -> None:
    """Half a file must not become a picture; the ticket can be used again."""
    async with serving(tmp_path, Quick()) as service:
        ticket = await service.ticket()
        assert 400 == (await service.put(ticket, PHOTO.read_bytes()[:-1])).status_code
        assert [] == files(tmp_path)
        assert 200 == (await service.put(ticket, PHOTO.read_bytes())).status_code
        assert PHOTO.read_bytes() == (await service.client.get(ticket.download_url)).content


@pytest.mark.parametrize("announced", [True, False])
async def test_too_large_a_file_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    """By what it announces, and by what really comes; by ticket and by form."""
    monkeypatch.setattr(wire, "UPLOAD_LIMIT", 1000)
    monkeypatch.setattr(media, "_FORM_EXTRA", 300)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    content: Any = b"x" * 2000 if announced else chunks()
    async with serving(tmp_path, Quick()) as service:
        ticket = await service.post(f"{wire.PREFIX}/media/uploads", {"filename": "a.jpg"})
        answer = await service.client.put(ticket["upload"]["url"], content=content)
        assert (413, 413) == (answer.status_code, answer.json()["code"])
        form = {"file": ("a.jpg", b"x" * 1500, "image/jpeg")}
        assert 413 == (await service.client.post(f"{wire.PREFIX}/media/upload/binary", files=form)).status_code
        form = {"file": ("a.jpg", b"x" * 1001, "image/jpeg")}
        assert 413 == (await service.client.post(f"{wire.PREFIX}/media/upload/binary", files=form)).status_code
    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b"bytes", "headers": {"Content-Type": "image/jpeg"}},
        {"content": b"bytes", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"bytes", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"files": {"picture": ("a.jpg", b"x", "image/jpeg")}},
        {"files": {"file": ("a.jpg", b"x"), "more": ("b.jpg", b"x")}},
    ],
)
async def test_a_form_without_its_file_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    """Whatever is wrong with it, it is the client's error."""
    async with serving(tmp_path, Quick()) as service:
        answer = await service.client.post(f"{wire.PREFIX}/media/upload/binary", **request_)
        assert (400, 400) == (answer.status_code, answer.json()["code"])


async def test_how_the_type_of_a_form_is_written_does_not_matter(tmp_path: Path) -> None:
    """Types of media are the same in capitals."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nbytes\r\n--x--\r\n'
    headers = {"Content-Type": "Multipart/Form-Data; boundary=x"}
    async with serving(tmp_path, Quick()) as service:
        answer = await service.client.post(f"{wire.PREFIX}/media/upload/binary", content=body, headers=headers)
        assert (200, 5) == (answer.status_code, answer.json()["data"]["size"])


@pytest.mark.parametrize("full", ["issue", "keep"])
async def test_a_full_disk_is_said_in_the_apis_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, full: str
) -> None:
    """To a ticket, an upload, a form and a submit alike, in a line of the log; and nothing of it stays."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/path")

    async with serving(tmp_path, Quick()) as service:
        ticket = await service.ticket()
        monkeypatch.setattr(Uploads, full, refuse)
        form = {"file": ("a.jpg", b"x", "image/jpeg")}
        answers = [
            await service.client.post(f"{wire.PREFIX}/media/upload/binary", files=form),
            await service.client.post(MODEL, json={"image": "data:image/png;base64,AAAA"}),
            await service.client.post(f"{wire.PREFIX}/media/uploads", json={"filename": "a.jpg"})
            if full == "issue"
            else await service.put(ticket, PHOTO.read_bytes()),
        ]
    assert [(507, 507)] * 3 == [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert {"The server's disk refuses: No space left on device."} == {answer.json()["message"] for answer in answers}
    assert [] == files(tmp_path)
    assert 3 == caplog.text.count("the disk refuses")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/media/upload/binary", f"/{wire.IMAGE_UPSCALER}", "/predictions"])
async def test_a_client_that_is_gone_is_nothing_for_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """In the middle of its own request."""
    app = create_app(directory=tmp_path, upscaler=Quick())
    messages = iter([{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}])
    scope = {
        "type": "http",
        "method": "POST",
        "path": wire.PREFIX + path,
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }

    async def receive() -> Any:
        return next(messages)

    async def send(_: Any) -> None:
        pass

    await app(scope, receive, send)
    assert "" == caplog.text
    assert [] == files(tmp_path)


async def test_what_is_no_picture_is_never_shown_as_a_page(tmp_path: Path) -> None:
    """An uploaded page with a script would run on our own origin."""
    async with serving(tmp_path, Quick()) as service:
        body = b"<script>alert(1)</script>"
        for kind in ("text/html", "image/svg+xml"):
            ticket = await service.ticket("page.html", len(body), kind)
            await service.put(ticket, body)
            shown = await service.client.get(ticket.download_url)
            assert "application/octet-stream" == shown.headers["content-type"]
            assert "nosniff" == shown.headers["x-content-type-options"]


async def test_a_file_is_read_under_its_own_name_alone(tmp_path: Path) -> None:
    """No address leads anywhere else in the file system."""
    async with serving(tmp_path, Quick()) as service:
        url = await service.uploaded()
        finished = await service.finished((await service.submit(image=url)).id)
        assert 200 == (await service.client.get(url)).status_code
        for wrong in (
            url + "x",
            "/outputs/..%2Fpredictions%2F" + finished.id + ".json",
            "/outputs/%2Fetc%2Fpasswd",
            "/outputs/.",
            "/outputs/" + "a" * 300,
            f"/outputs/{finished.id}-" + "a" * 300,
            f"/media/{'0' * 32}/" + "a" * 300,
            f"/media/{'0' * 32}/cat.jpg",
            "/media/../cat.jpg",
        ):
            assert 404 == (await service.client.get(wrong)).status_code


async def test_a_result_can_be_read_in_parts(tmp_path: Path) -> None:
    """A download that broke off is resumed."""
    async with serving(tmp_path, Quick()) as service:
        finished = await service.finished((await service.submit(image=await service.uploaded())).id)
        whole = (await service.client.get(finished.outputs[0])).content
        rest = await service.client.get(finished.outputs[0], headers={"Range": "bytes=100-"})
        assert (206, whole[100:]) == (rest.status_code, rest.content)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\Katze (1).jpg", "Katze_1_.jpg"),
        ("Füße.png", "F_e.png"),
        ("...", "file"),
        ("写真.jpg", "file.jpg"),
        (".jpg", "file.jpg"),
        ("写真", "file"),
        ("写真 2.tar.gz", "2.tar.gz"),
        ("x" * 300 + ".jpg", "x" * 96 + ".jpg"),
    ],
)
def test_a_file_name_becomes_safe_in_an_address(name: str, expected: str) -> None:
    """The end stays, as it says what the file is."""
    assert expected == plain(name)


def test_of_two_uploads_to_one_address_the_first_stays(tmp_path: Path) -> None:
    """Both began before either had ended."""
    uploads = Uploads(tmp_path)
    upload = uploads.issue("a.jpg", 0.0)
    first, second = uploads.part(), uploads.part()
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    assert [True, False] == [uploads.keep(upload, first), uploads.keep(upload, second)]
    content = uploads.content(upload)
    assert content is not None
    assert b"first" == content.read_bytes()
    assert not second.exists()


def test_cleaning_up_leaves_a_ticket_that_is_just_being_issued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is there, its file not yet: that is no leftover of a killed process."""
    uploads = Uploads(tmp_path)
    real = disk.write

    def meanwhile(path: Path, content: bytes) -> None:
        uploads.expire(time.time())
        real(path, content)

    monkeypatch.setattr(disk, "write", meanwhile)
    upload = uploads.issue("a.jpg", time.time())
    assert upload == uploads.find(upload.token, time.time())
    uploads.expire(time.time() + wire.RETENTION + 60)
    assert [] == list((tmp_path / "uploads").iterdir())


def test_a_folder_without_a_ticket_is_a_leftover_after_its_time(tmp_path: Path) -> None:
    """A process was killed between making the folder and writing the ticket."""
    uploads = Uploads(tmp_path)
    (tmp_path / "uploads" / ("0" * 32)).mkdir()
    uploads.expire(time.time())
    assert 1 == len(list((tmp_path / "uploads").iterdir()))
    uploads.expire(time.time() + wire.RETENTION + 60)
    assert [] == list((tmp_path / "uploads").iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"7"])
def test_a_ticket_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """A power cut left it; it is deleted after its time like a folder without one."""
    uploads = Uploads(tmp_path)
    folder = tmp_path / "uploads" / ("0" * 32)
    folder.mkdir()
    (folder / "ticket.json").write_bytes(content)
    assert uploads.find(folder.name, time.time()) is None
    uploads.expire(time.time())
    assert folder.exists()
    uploads.expire(time.time() + wire.RETENTION + 60)
    assert not folder.exists()


def test_cleaning_up_passes_over_an_output_that_is_just_given_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed under its temporary name, which is gone when it is looked at."""
    store = Store(tmp_path)
    outputs = tmp_path / "outputs"
    (outputs / "old.jpeg").write_bytes(b"")
    monkeypatch.setattr(type(outputs), "iterdir", lambda _: iter([outputs / ".part-0123", outputs / "old.jpeg"]))
    store.expire(time.time() + wire.RETENTION + 60)
    assert not (outputs / "old.jpeg").exists()
