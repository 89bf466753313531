from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import os
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pytest
from PIL import Image

from tests.support.jobs import job
from tests.support.metadata import exif_block
from upscaled.api import transfer
from upscaled.api.transfer import DOWNLOAD_LIMIT, Downloaded, Incoming
from upscaled.errors import BadPicture
from upscaled.files import results
from upscaled.files.finishing import begin, finish
from upscaled.files.metadata import Mode, settled
from upscaled.files.sources import identity_at
from upscaled.job.model import Done, Held, Job, Redo, Stage
from upscaled.steps import finishing
from upscaled.steps.download import download, verify
from upscaled.steps.ports import Folder, Ports
from upscaled.steps.publish import publish
from upscaled.steps.written import Written

if TYPE_CHECKING:
    from upscaled.api.transfer import Begin


def picture() -> bytes:
    """Return a JPEG that is not of one colour."""
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(file, "JPEG")
    return file.getvalue()


PICTURE = picture()


def sha(data: bytes) -> str:
    """Return the fingerprint of bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Dirs:
    """A folder; with ``metadata`` "none" and no provenance its results are published as they came."""

    root: Path
    metadata: str = "keep"
    provenance: bool = True
    name: str = "{stem}{ext}"
    on_collision: str = "version"
    review: str = "off"
    nsfw: str = "deliver"
    mode: int | None = None
    group: int | None = None

    def __getattr__(self, role: str) -> Path:
        """Return one of the directories."""
        path: Path = self.__dict__["root"] / role
        path.mkdir(exist_ok=True)
        return path


@dataclass
class Sender:
    """A service that has one output, and remembers which hashes were taken of it on its way."""

    picture: bytes = PICTURE
    hashes: list[str] = field(default_factory=list)

    async def download(self, _url: str, file: BinaryIO, *, begin: Begin | None) -> Downloaded:
        """Write the output as the client does."""
        incoming = Incoming(file, DOWNLOAD_LIMIT, begin=begin, promised=len(self.picture))
        for at in range(0, len(self.picture), 1000):
            await incoming.add(self.picture[at : at + 1000])
        got = await incoming.end("image/jpeg")
        self.hashes.append(got.fingerprint)
        return got


async def here(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Call it in this process."""
    return function(*args, **kwargs)


def world(folder: Dirs, sender: Sender | None = None) -> Ports:
    """Return what the steps are given."""
    return Ports(
        ledger=cast("Any", None),
        service=cast("Any", sender),
        folders={"/in": cast("Folder", folder)},
        price=cast("Callable[..., Awaitable[float | None]]", None),
        in_process=cast("Any", here),
        now=lambda: 0.0,
        polls=cast("Any", None),
    )


def rendered(**facts: object) -> Job:
    """Return a job whose result is ready."""
    return job(stage=Stage.RENDERED, output_url="https://service/a", prediction_id="p", submitted_at=1.0, **facts)


def with_source(folder: Dirs, *, exif: bytes = b"", **facts: object) -> Job:
    """Return a job whose result is ready and whose source is in the inbox."""
    source = folder.inbox / "a.jpg"
    Image.effect_noise((64, 48), 90).save(source, exif=exif)
    return rendered(folder="/in", source="a.jpg", identity=identity_at(source), **facts)


def after(at: Job, done: Done) -> Job:
    """Return a job with the facts of a step."""
    return replace(at, stage=done.stage, **done.facts)


def published(at: Job) -> bytes:
    """Return what a job's result holds."""
    assert at.output is not None
    return Path(at.output).read_bytes()


def part_of(done: Done) -> tuple[Path, bytes]:
    """Return the part that a fact names, and what it holds."""
    part = Path(done.facts["part"])
    return part, part.read_bytes()


def names(directory: Path) -> list[str]:
    """Return what lies in a directory."""
    return sorted(path.name for path in directory.iterdir())


def _touched(part: Path) -> None:
    os.utime(part, ns=(1, 1))


def _rewritten(part: Path) -> None:
    part.write_bytes(b"2" * part.stat().st_size)


def _another(part: Path) -> None:
    part.rename(part.with_name("away"))
    part.write_bytes(b"1")


# --- what is known of a part -----------------------------------------------------------------------------------------


def test_what_was_written_is_known_once(tmp_path: Path) -> None:
    """Who asks, publishes: nobody asks again."""
    part, written = tmp_path / "part", Written()
    part.write_bytes(b"1")
    found = identity_at(part)
    assert found is not None
    written.note(part, "aa", found)

    assert [True, False] == [written.is_still(part, "aa"), written.is_still(part, "aa")]


@pytest.mark.parametrize("change", [_touched, _rewritten, _another, Path.unlink])
def test_a_part_that_is_another_by_now_is_not_known(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """It is read then, and may turn out to be the same after all."""
    part, written = tmp_path / "part", Written()
    part.write_bytes(b"1")
    found = identity_at(part)
    assert found is not None
    written.note(part, "aa", found)

    change(part)

    assert not written.is_still(part, "aa")


# --- from the download to the name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "early", "taken"), [("none", True, True), ("keep", True, True), ("keep", False, False)]
)
async def test_the_hash_is_taken_once_of_what_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, early: bool, taken: bool
) -> None:
    """As it comes, with its metadata or none, or as it is written with it later; and the part is not read again."""
    sender, folder = Sender(), Dirs(tmp_path, metadata, provenance=False)
    ports, at = world(folder, sender), with_source(folder)
    ports = ports if early else replace(ports, in_process=without(begin))

    for step in (download, publish):
        if step is publish:
            monkeypatch.setattr(results, "fingerprint", lambda _file: pytest.fail("it is read again"))
        outcome = await step(at, ports)
        assert isinstance(outcome, Done)
        at = after(at, outcome)

    assert [at.result_hash if taken else ""] == sender.hashes
    assert sha(published(at)) == at.result_hash
    assert (metadata == "keep") == (b"ICC_PROFILE" in published(at))
    assert [Path(at.output or "").name] == names(folder.outbox)


def without(refused: Callable[..., object]) -> Any:
    """Call everything in this process but one thing, which finds its picture bad."""

    async def chosen(function: Callable[..., object], *args: object) -> object:
        return await (refusing if function is refused else here)(function, *args)

    return chosen


async def refusing(*_: object, **__: object) -> object:
    """Find every picture bad."""
    raise BadPicture("no")


async def test_what_is_finished_at_once_is_one_fact(tmp_path: Path) -> None:
    """The result is known to be right with it, and a look of the verify step is saved."""
    got = await download(rendered(folder="/in", source="a.jpg"), world(Dirs(tmp_path), Sender()))

    assert isinstance(got, Done)
    assert {"part", "result_hash", "result_size", "result_width", "result_height"} == set(got.facts)
    assert sha(part_of(got)[1]) == got.facts["result_hash"]


@pytest.mark.parametrize("metadata", ["none", "keep"])
async def test_what_cannot_be_finished_is_durable_before_it_is_a_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    """The verify step must find it, to judge it, whatever happens in between (I4)."""
    folder, synced = Dirs(tmp_path, metadata, provenance=False), []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))

    got = await download(
        rendered(folder="/in", source="a.jpg"), replace(world(folder, Sender()), in_process=cast("Any", refusing))
    )

    assert isinstance(got, Done)
    assert "result_width" not in got.facts
    part, held = part_of(got)
    assert PICTURE == held
    assert part in synced


async def test_what_has_its_metadata_and_could_not_be_looked_at_is_durable_and_comes_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows for certain what it was given (I6); as the service made it, it can be judged."""
    folder, synced = Dirs(tmp_path), []
    ports, at = world(folder, Sender()), with_source(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
        got = await download(at, replace(ports, in_process=without(finish)))
    assert isinstance(got, Done)
    part, held = part_of(got)
    assert part in synced
    assert sha(held) == got.facts["result_hash"]
    assert PICTURE != held

    found = await verify(after(at, got), ports)

    assert isinstance(found, Redo)
    assert (Stage.RENDERED, True) == (found.stage, found.wrong)


@pytest.mark.parametrize("when", ["while it is downloaded", "before it is verified"])
async def test_a_place_that_is_not_wanted_any_more_goes_although_the_download_began_with_it(
    tmp_path: Path, when: str
) -> None:
    """The folder says `strip-gps` since a reload: what the result got before that is not believed to be right."""
    folder = Dirs(tmp_path)
    sender = Sender()
    at = with_source(folder, exif=b"Exif\0\0" + exif_block())
    ports = world(folder, sender)

    async def reloading(function: Callable[..., object], *args: object, **kwargs: object) -> object:
        done = function(*args, **kwargs)
        if function is (begin if when == "while it is downloaded" else finish):
            folder.metadata = "strip-gps"
        if function is finish and when == "before it is verified":
            raise BadPicture("no")
        return done

    got = await download(at, replace(ports, in_process=cast("Any", reloading)))
    assert isinstance(got, Done)
    at = after(at, got)
    if when == "before it is verified":
        assert at.result_hash
        assert has_place(got)
        assert isinstance(await verify(at, ports), Redo)
        got = await download(replace(at, wrong=1), ports)
        assert isinstance(got, Done)

    assert not has_place(got)
    assert sha(part_of(got)[1]) == got.facts["result_hash"]


def has_place(done: Done) -> bool:
    """Does the EXIF of a part say where its picture was taken?"""
    with Image.open(part_of(done)[0]) as image:
        return 0x8825 in image.getexif()


PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="1,2N"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@functools.cache
def late_text() -> bytes:
    """Return a PNG that has XMP behind its pixels."""
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).save(file, "PNG")
    content = b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET
    chunk = len(content).to_bytes(4, "big") + b"iTXt" + content + zlib.crc32(b"iTXt" + content).to_bytes(4, "big")
    return file.getvalue()[:-12] + chunk + file.getvalue()[-12:]


PNG = replace(job().params, inputs={"output_format": "png"})


@pytest.mark.parametrize("metadata", ["keep", "strip-gps"])
async def test_what_must_not_stand_behind_the_pixels_is_found_when_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: Mode
) -> None:
    """Then the metadata is carried into all of it, and it is not downloaded again for that."""
    monkeypatch.setattr(transfer, "HELD", 1000)
    folder, sender = Dirs(tmp_path, metadata), Sender(late_text())

    got = await download(with_source(folder, params=PNG), world(folder, sender))

    assert isinstance(got, Done)
    part, held = part_of(got)
    assert settled(part, mode=metadata)
    assert (metadata == "keep") == (b"GPSLatitude" in held)
    assert 1 == held.count(b"XML:com.adobe.xmp")
    assert (1, sha(held)) == (len(sender.hashes), got.facts["result_hash"])


async def test_what_began_too_early_and_is_found_out_late_is_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and then nothing is begun: it is judged as the service made it."""
    monkeypatch.setattr(transfer, "HELD", 1000)
    folder = Dirs(tmp_path)
    ports, at = world(folder, Sender(late_text())), with_source(folder, params=PNG)
    got = await download(at, replace(ports, in_process=without(finish)))
    assert isinstance(got, Done)

    found = await verify(after(at, got), ports)
    assert isinstance(found, Redo)
    assert found.wrong
    again = await download(replace(at, wrong=1), replace(ports, in_process=without(finish)))

    assert isinstance(again, Done)
    assert ("", late_text()) == (again.facts["result_hash"], part_of(again)[1])


@pytest.mark.parametrize(("days", "expected"), [(6, Redo), (8, Held)])
async def test_a_wrong_result_is_not_given_up_for_one_that_the_service_has_deleted(
    tmp_path: Path, days: int, expected: type
) -> None:
    """`retry` may come late; the file that is kept is all there is then."""
    folder = Dirs(tmp_path)
    at = with_source(folder, params=PNG)
    got = await download(at, world(folder, Sender(b"no picture")))
    assert isinstance(got, Done)

    found = await verify(after(at, got), replace(world(folder), now=lambda: days * 86400.0))

    assert isinstance(found, expected)
    assert b"no picture" == part_of(got)[1]


async def test_a_download_does_not_wait_long_for_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes may be busy; then it is carried later."""
    monkeypatch.setattr(finishing, "_PATIENCE", 0.5)

    async def busy(function: Callable[..., object], *args: object) -> object:
        if function is begin:
            await asyncio.Event().wait()
        return function(*args)

    folder, sender = Dirs(tmp_path), Sender()
    got = await download(with_source(folder), replace(world(folder, sender), in_process=cast("Any", busy)))

    assert isinstance(got, Done)
    assert [""] == sender.hashes
    assert b"ICC_PROFILE" in part_of(got)[1]


@pytest.mark.parametrize("early", [True, False])
async def test_what_is_missing_from_a_result_is_said_with_it(tmp_path: Path, early: bool) -> None:
    """Whenever its metadata came into it."""
    ports = world(Dirs(tmp_path), Sender())

    got = await download(
        rendered(folder="/in", source="gone.jpg"), ports if early else replace(ports, in_process=without(begin))
    )

    assert isinstance(got, Done)
    assert finishing.CHANGED == got.note


async def test_a_folder_that_carries_nothing_any_more_takes_the_hash_late(tmp_path: Path) -> None:
    """Its settings changed between download and verification."""
    folder = Dirs(tmp_path)
    at = rendered(folder="/in", source="a.jpg")
    got = await download(at, replace(world(folder, Sender()), in_process=cast("Any", refusing)))
    assert isinstance(got, Done)
    assert "" == got.facts["result_hash"]
    folder.metadata, folder.provenance = "none", False

    found = await verify(after(at, got), world(folder))

    assert isinstance(found, Done)
    assert sha(PICTURE) == found.facts["result_hash"]


async def test_a_part_that_was_changed_before_it_was_published_is_downloaded_again(tmp_path: Path) -> None:
    """It is another version than the one that was hashed, so it is read."""
    folder = Dirs(tmp_path, "none", provenance=False)
    ports, at = world(folder, Sender()), rendered(folder="/in", source="a.jpg")
    got = await download(at, ports)
    assert isinstance(got, Done)
    _rewritten(Path(got.facts["part"]))

    outcome = await publish(after(at, got), ports)

    assert isinstance(outcome, Redo)
    assert [] == [name for name in names(folder.outbox) if not name.startswith(".")]


async def test_what_was_made_of_a_result_that_is_not_wanted_goes(tmp_path: Path) -> None:
    """Both what was downloaded and what was made of it; nothing else."""
    folder = Dirs(tmp_path)
    at = rendered(folder="/in", source="a.jpg")
    outcome = await download(at, replace(world(folder, Sender()), in_process=without(begin)))
    assert isinstance(outcome, Done)
    at = after(at, outcome)
    (folder.outbox / "a.jpg").write_bytes(b"another's")
    assert 3 == len(names(folder.outbox))

    finishing.forget(at)

    assert ["a.jpg"] == names(folder.outbox)
