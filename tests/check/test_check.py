"""`upscaled check`: what it looks at, and that it leaves everything as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.configs import FOLDER, GOOD, load_text
from upscaled import check as module
from upscaled import errors
from upscaled.api import wire
from upscaled.check import Check, run_checks
from upscaled.config import make_folders
from upscaled.files.durable import disk_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from upscaled.config import Settings


class Answers:
    """A service that answers as it is told, and remembers what it was asked."""

    def __init__(
        self, *, balance: float | errors.ServiceError = 3.5, price: float | errors.ServiceError = 0.01
    ) -> None:
        self.balance_answer = balance
        self.price_answer = price
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def balance(self) -> float:
        """Answer or raise."""
        if isinstance(self.balance_answer, errors.ServiceError):
            raise self.balance_answer
        return self.balance_answer

    async def price(self, model: str, inputs: Mapping[str, Any]) -> wire.Price:
        """Answer or raise."""
        self.asked.append((model, inputs))
        if isinstance(self.price_answer, errors.ServiceError):
            raise self.price_answer
        return wire.Price(self.price_answer)


def prepared(directory: Path, text: str = GOOD, environ: Mapping[str, str] | None = None) -> Settings:
    """Return settings whose directories all exist."""
    settings = load_text(text + "state_dir: state\n", directory, environ)
    make_folders(settings)
    return settings


async def checked(settings: Settings, service: Answers | None = None, kind: str = "ext4") -> list[Check]:
    """Run the checks with every path on one kind of file system."""
    return await run_checks(
        settings, service or Answers(), filesystem_of=lambda _: kind, is_network=lambda kind: kind == "nfs4"
    )


def everything_in(directory: Path) -> dict[Path, int]:
    """Return every path below a directory with its inode."""
    return {path: path.lstat().st_ino for path in directory.rglob("*")}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory yet to be made on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    directory = memory / f"upscaled-{os.getpid()}"
    yield directory
    directory.rmdir()


def named(checks: list[Check], name: str) -> Check:
    """Return the check of a name; there has to be exactly one."""
    [found] = [check for check in checks if check.name == name]
    return found


async def test_everything_right_is_said_line_by_line(tmp_path: Path) -> None:
    """Every part of the configuration has its line, and none of them asks for anything."""
    settings = prepared(tmp_path)
    settings.state_dir.mkdir()

    checks = await checked(settings)

    assert [
        "config",
        "folders[0].inbox",
        "folders[0].outbox",
        "folders[0].archive",
        "folders[0].failed",
        "folders[0]",
        "state_dir",
        "space",
        "service",
        "price",
    ] == [check.name for check in checks]
    assert [] == [check for check in checks if check.ok is False or check.remedy]
    assert "1 folder, 1 profile, service embedded" in named(checks, "config").detail
    assert "(ext4)" in named(checks, "folders[0].inbox").detail
    assert "originals are moved to the archive by a rename" == named(checks, "folders[0]").detail


async def test_nothing_is_changed(tmp_path: Path) -> None:
    """No file stays, no directory is made, and pictures are as they were."""
    settings = prepared(tmp_path)
    picture = tmp_path / "in" / "a.jpg"
    picture.write_bytes(b"picture")
    settings.folders[0].failed.rmdir()
    before = everything_in(tmp_path)

    await checked(settings)

    assert before == everything_in(tmp_path)
    assert b"picture" == picture.read_bytes()


async def test_a_missing_directory_has_its_remedy_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    """One bad folder does not hide the others."""
    settings = prepared(tmp_path)
    (tmp_path / "out").rmdir()

    checks = await checked(settings)

    outbox = named(checks, "folders[0].outbox")
    assert (False, f"{tmp_path / 'out'} does not exist") == (outbox.ok, outbox.detail)
    assert "mkdir -p" in outbox.remedy
    assert named(checks, "folders[0].archive").ok
    assert named(checks, "price").ok


async def test_a_failed_folder_that_a_run_would_make_is_no_mistake(tmp_path: Path) -> None:
    """It is said, and not made."""
    settings = prepared(tmp_path)
    (tmp_path / "failed").rmdir()

    failed = named(await checked(settings), "folders[0].failed")

    assert (True, f"{tmp_path / 'failed'} will be made beside the inbox") == (failed.ok, failed.detail)
    assert not (tmp_path / "failed").exists()


async def test_a_failed_folder_that_no_run_can_make_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inbox is all that is ours there."""
    settings = prepared(tmp_path)
    (tmp_path / "failed").rmdir()
    real = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.parent == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)

    failed = named(await checked(settings), "folders[0].failed")

    assert (False, f"{tmp_path / 'failed'}: Permission denied") == (failed.ok, failed.detail)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError(13, "Permission denied"), "chown"),
        (OSError(30, "Read-only file system"), "read-only"),
        (OSError(28, "No space left on device"), "full"),
    ],
)
@pytest.mark.parametrize("name", ["in", "out", "arc", "failed"])
async def test_a_directory_that_cannot_be_written_is_found_by_trying(
    error: OSError, remedy: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permission bits promise what a read-only mount does not keep."""
    settings = prepared(tmp_path)
    real = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.parent == tmp_path / name:
            raise error
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)

    [bad] = [check for check in await checked(settings) if check.ok is False]

    assert bad.detail.endswith(f": {error.strerror}")
    assert remedy in bad.remedy


async def test_a_failed_rename_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in between, what was written is removed."""
    settings = prepared(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)

    checks = await checked(settings)

    assert [False] * 4 == [check.ok for check in checks if check.name.startswith("folders[0].")]
    assert [] == list((tmp_path / "out").iterdir())


async def test_an_inbox_whose_files_only_their_owners_may_remove_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sticky bit, every picture would be upscaled and then stay."""
    settings = prepared(tmp_path)
    (tmp_path / "in").chmod(0o1777)

    assert named(await checked(settings), "folders[0].inbox").ok
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    inbox = named(await checked(settings), "folders[0].inbox")

    assert (False, f"chmod -t {tmp_path / 'in'}") == (inbox.ok, inbox.remedy)


async def test_an_archive_on_another_file_system_is_said(tmp_path: Path, elsewhere: Path) -> None:
    """It works, by copying; that is worth knowing and no mistake."""
    checks = await checked(prepared(tmp_path, GOOD.replace(": arc", f": {elsewhere}")))

    move = named(checks, "folders[0]")
    assert move.ok is None
    assert "copied to the archive" in move.detail
    assert 2 == len([check for check in checks if check.name == "space"])


async def test_little_space_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a run, and not after 300 pictures."""
    settings = prepared(tmp_path)
    monkeypatch.setattr(module, "free_space", lambda _: 10**8)

    space = named(await checked(settings), "space")

    assert (False, f"100 MB free at {disk_of(tmp_path)}, and 1.0 GB are wanted") == (space.ok, space.detail)
    assert "Make room" in space.remedy


async def test_a_ledger_on_a_share_is_refused(tmp_path: Path) -> None:
    """SQLite's write-ahead log needs shared memory, which no share has."""
    state = named(await checked(prepared(tmp_path), kind="nfs4"), "state_dir")

    assert state.ok is False
    assert "nfs4" in state.detail
    assert "local disk" in state.remedy


async def test_a_state_directory_is_looked_at_where_it_would_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest directory that is there has to allow it."""
    settings = prepared(tmp_path)

    assert "to be made" in named(await checked(settings), "state_dir").detail
    monkeypatch.setattr(os, "access", lambda *_: False)
    state = named(await checked(settings), "state_dir")

    assert (False, f"{tmp_path}: no directory can be made there") == (state.ok, state.detail)


async def test_a_file_in_place_of_the_state_directory_is_found(tmp_path: Path) -> None:
    """Said as what it is."""
    settings = prepared(tmp_path)
    settings.state_dir.touch()

    state = named(await checked(settings), "state_dir")

    assert state.ok is False
    assert "Not a directory" in state.detail


async def test_the_key_is_accepted_with_the_balance(tmp_path: Path) -> None:
    """What a person wants to see before paying."""
    settings = prepared(tmp_path, FOLDER, {"WAVESPEED_API_KEY": "secret-key"})

    checks = await checked(settings, Answers(balance=12))

    service = named(checks, "service")
    assert "https://api.wavespeed.ai accepts the key; the balance is $12.00" == service.detail
    assert "secret-key" not in str(checks)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (wire.rejection(401, "no such key"), "key"),
        (errors.Unreachable("Cannot reach the service", why="the name is not known", sent=False), "service"),
        (errors.Trouble("The service is in trouble", why="502"), "service"),
    ],
)
async def test_a_service_that_does_not_answer_is_not_asked_again(
    error: errors.ServiceError, name: str, tmp_path: Path
) -> None:
    """One line with the reason, and the price is neither right nor wrong."""
    service = Answers(balance=error)

    checks = await checked(prepared(tmp_path), service)

    bad = named(checks, name)
    assert (False, f"{error.what}: {error.why}") == (bad.ok, bad.detail)
    assert bad.remedy
    assert named(checks, "price").ok is None
    assert [] == service.asked


async def test_every_kind_of_job_is_priced_once(tmp_path: Path) -> None:
    """By the parameters that folders use, not by profiles that none does."""
    text = GOOD + "    profile: p\n  - {inbox: in2, outbox: out, archive: arc, profile: p}\n"
    text += "  - {inbox: in3, outbox: out, archive: arc}\n"
    text += "profiles: {p: {model: a/b, params: {scale: 4}}, unused: {creativity: 1}}\n"
    service = Answers()

    checks = await checked(prepared(tmp_path, text), service)

    upscaler = ("wavespeed-ai/image-upscaler", {"target_resolution": "4k", "output_format": "jpeg"})
    assert [("a/b", {"scale": 4}), upscaler] == service.asked
    assert ["a/b (4): $0.01 a picture", "wavespeed-ai/image-upscaler (4k, jpeg): $0.01 a picture"] == [
        check.detail for check in checks if check.name == "price"
    ]


async def test_a_model_that_the_service_does_not_know_is_named(tmp_path: Path) -> None:
    """With what to correct."""
    service = Answers(price=wire.rejection(404, "model not found"))

    price = named(await checked(prepared(tmp_path), service), "price")

    assert price.ok is False
    assert "wavespeed-ai/image-upscaler: " in price.detail
    assert "profile's model" in price.remedy


def test_what_is_written_would_be_ignored_by_a_running_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is hidden and ends as unfinished files do."""
    seen: list[str] = []
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        seen.extend([path.name, target.name])
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)

    module._try_writing(tmp_path)

    assert 2 == len(seen)
    assert all(name.startswith(".") and name.endswith(".part") for name in seen)
    assert [] == list(tmp_path.iterdir())
