from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from upscaled import errors
from upscaled.files import directories, durable, moves, names, notes, originals, sources, trouble
from upscaled.files.durable import FileTrouble, FolderOffline, NotAFile, PartMissing, Vanished
from upscaled.job.model import Identity

DATA = b"some picture" * 1000


def sha(data: bytes) -> str:
    """Return the fingerprint of bytes."""
    return hashlib.sha256(data).hexdigest()


def put(path: Path, data: bytes = DATA) -> Path:
    """Write a file."""
    path.write_bytes(data)
    return path


def in_directory(directory: Path) -> dict[str, bytes]:
    """Return what lies in a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Return an empty directory."""
    path = tmp_path / "outbox"
    path.mkdir()
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 1 MB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


# --- publish ---------------------------------------------------------------------------------------------------------


def test_a_part_gets_its_name(outbox: Path) -> None:
    """And is gone under its old one."""
    part = put(outbox / ".a.jpg.job-01.part")

    assert outbox / "a.jpg" == durable.publish(part, outbox, "a.jpg", digest=sha(DATA))
    assert {"a.jpg": DATA} == in_directory(outbox)


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        (["a.jpg"], "a.jpg", "a~2.jpg"),
        (["a.jpg", "a~2.jpg", "a~3.jpg"], "a.jpg", "a~4.jpg"),
        (["A.JPG"], "a.jpg", "a~2.jpg"),
        (["cafe\u0301.jpg"], "caf\u00e9.jpg", "caf\u00e9~2.jpg"),
        (["a.jpg", "A~2.jpg"], "a.jpg", "a~3.jpg"),
        (["b.jpg"], "a.jpg", "a.jpg"),
        (["caf\udce9.jpg"], "caf\udce9.jpg", "caf\udce9~2.jpg"),
        (["x" * 251 + ".jpg"], "x" * 251 + ".jpg", "x" * 249 + "~2.jpg"),
    ],
)
def test_a_name_that_is_taken_is_left_alone(outbox: Path, existing: list[str], wanted: str, expected: str) -> None:
    """The next free version is used; case and composition of letters do not make a name free."""
    for name in existing:
        put(outbox / name, name.encode("utf-8", "surrogateescape"))
    part = put(outbox / names.part_name(wanted, "job-01"))

    path = durable.publish(part, outbox, wanted, digest=sha(DATA))

    assert outbox / expected == path
    assert {name: name.encode("utf-8", "surrogateescape") for name in existing} | {expected: DATA} == in_directory(
        outbox
    )


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_a_name_may_be_taken_by_something_that_is_no_file(outbox: Path, kind: str) -> None:
    """It is not followed, opened or removed."""
    taken = outbox / "a.jpg"
    make: dict[str, Callable[[], object]] = {
        "directory": taken.mkdir,
        "link": lambda: taken.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(taken),
    }
    make[kind]()
    part = put(outbox / ".a.jpg.job-01.part")

    assert outbox / "a~2.jpg" == durable.publish(part, outbox, "a.jpg", digest=sha(DATA))
    assert taken.is_dir() or taken.is_symlink() or stat.S_ISFIFO(taken.stat().st_mode)


def test_a_part_that_is_gone_is_told_from_one_that_is_published(outbox: Path) -> None:
    """Its bytes decide, under any version of the name, even one behind a gap."""
    with pytest.raises(PartMissing, match="it is gone"):
        durable.publish(outbox / ".a.jpg.job-01.part", outbox, "a.jpg", digest=sha(DATA))
    put(outbox / "a~7.jpg")

    assert outbox / "a~7.jpg" == durable.publish(outbox / ".a.part", outbox, "a.jpg", digest=sha(DATA))


def test_a_part_with_other_bytes_is_not_published(outbox: Path) -> None:
    """A power cut may have left zeros of what was verified before it."""
    part = put(outbox / ".a.jpg.job-01.part", bytes(len(DATA)))

    with pytest.raises(PartMissing, match="other bytes"):
        durable.publish(part, outbox, "a.jpg", digest=sha(DATA))
    assert [part] == list(outbox.iterdir())


def test_overwriting_replaces_one_name_only(outbox: Path) -> None:
    """Neither its versions nor a name that differs in case."""
    put(outbox / "a.jpg", b"old")
    put(outbox / "A.jpg", b"other")
    put(outbox / "a~2.jpg", DATA)
    part = put(outbox / ".a.jpg.job-01.part")

    path = durable.publish(part, outbox, "a.jpg", digest=sha(DATA), overwrite=True)

    assert {"a.jpg": DATA, "A.jpg": b"other", "a~2.jpg": DATA} == in_directory(outbox)
    assert outbox / "a.jpg" == path


def test_an_outbox_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """A share that is not mounted says nothing about the part on it (I6)."""
    with pytest.raises(FolderOffline, match="There is no directory"):
        durable.publish(tmp_path / "gone" / ".p", tmp_path / "gone", "a.jpg", digest=sha(DATA))


def test_only_what_may_hold_the_result_is_read(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand pictures of one name are not read for every new one."""
    for number in range(2, 50):
        put(outbox / f"a~{number}.jpg", b"x" * number)
    read: list[object] = []
    monkeypatch.setattr(sources, "fingerprint", read.append)
    part = put(outbox / ".a.jpg.job-01.part")

    durable.publish(part, outbox, "a.jpg", digest=sha(DATA))

    assert [] == read


# --- set_aside -------------------------------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Return an original in an inbox."""
    (tmp_path / "inbox").mkdir()
    return put(tmp_path / "inbox" / "a.jpg")


def aside(original: Path, directory: Path, *, identity: Identity | None = None, read: bool = True) -> durable.SetAside:
    """Set an original aside as it is now, or as it was."""
    identity = identity or sources.identity_of(original.stat())
    return durable.set_aside(original, directory, "a.jpg", identity=identity, digest=sha(DATA) if read else None)


def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as the system does between two file systems."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(originals, "rename_new", refuse)
    monkeypatch.setattr(os, "link", refuse)


def test_a_copy_keeps_what_an_original_has(original: Path, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times to the nanosecond, permissions and owner."""
    other_disk(monkeypatch)
    original.chmod(0o640)
    os.utime(original, ns=(1_111_111_111_111_111_111, 1_222_222_222_222_222_222))
    before = original.stat()

    path = aside(original, outbox).path

    assert path is not None
    after = path.stat()
    assert (before.st_mtime_ns, before.st_mode, before.st_uid) == (after.st_mtime_ns, after.st_mode, after.st_uid)
    assert DATA == path.read_bytes()
    assert [] == list(original.parent.iterdir())


@pytest.mark.parametrize("way", ["rename", "copy"])
@pytest.mark.parametrize("read", [True, False])
def test_an_original_that_was_replaced_is_left_alone(
    original: Path, outbox: Path, monkeypatch: pytest.MonkeyPatch, *, way: str, read: bool
) -> None:
    """It is somebody's new picture."""
    if way == "copy":
        other_disk(monkeypatch)
    identity = sources.identity_of(original.stat())
    put(original, b"new" * 4000)

    moved = aside(original, outbox, identity=identity, read=read)

    assert durable.SetAside(None, originals.REPLACED) == moved
    assert {"a.jpg": b"new" * 4000} == in_directory(original.parent)
    assert {} == in_directory(outbox)


def test_an_original_that_was_only_touched_is_moved(original: Path, outbox: Path) -> None:
    """Another time, the same bytes: a program has rewritten or copied it."""
    identity = sources.identity_of(original.stat())
    os.utime(original, ns=(5, 5))

    assert outbox / "a.jpg" == aside(original, outbox, identity=identity).path


def test_an_original_that_is_gone_is_reported(original: Path, outbox: Path) -> None:
    """Nothing was there to move, and nothing is made up."""
    identity = sources.identity_of(original.stat())
    original.unlink()

    for read in (True, False):
        assert durable.SetAside(None, originals.GONE) == aside(original, outbox, identity=identity, read=read)


def test_an_original_replaced_by_a_link_is_left_alone(original: Path, outbox: Path) -> None:
    """What it points to is not ours to move."""
    identity = sources.identity_of(original.stat())
    target = original.rename(original.with_name("elsewhere"))
    original.symlink_to(target)

    assert aside(original, outbox, identity=identity).path is None
    assert original.is_symlink()


def test_an_archive_that_is_the_inbox_is_refused(original: Path) -> None:
    """What looks like the original's copy would be the original."""
    with pytest.raises(FileTrouble, match="the same directory"):
        aside(original, original.parent)
    assert DATA == original.read_bytes()


def test_an_archive_that_is_the_inbox_under_another_mount_is_refused(
    original: Path, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mounts of one share differ in every number, so a file written into one is looked for in the other."""
    mounted = subprocess.run(["mount", "--bind", original.parent, outbox], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    monkeypatch.setattr(originals, "_require_apart", lambda _task: None)
    try:
        with pytest.raises(FileTrouble, match="the same directory"):
            aside(original, outbox)
        assert {"a.jpg": DATA} == in_directory(original.parent)
    finally:
        subprocess.run(["umount", outbox], check=True)


def test_a_copy_that_differs_is_thrown_away(original: Path, outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or cable that damages bytes must not cost the original."""
    other_disk(monkeypatch)

    def damage(file: object, copy: object, _block: int) -> None:
        copy.write(bytes(len(DATA)))  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "copyfileobj", damage)

    with pytest.raises(FileTrouble, match="holds other bytes"):
        aside(original, outbox)
    assert DATA == original.read_bytes()
    assert {} == in_directory(outbox)


def test_an_original_reappears_if_its_copy_does_not_exist_after_all(original: Path, outbox: Path) -> None:
    """A run that died has hidden it, and somebody has emptied the archive since: it is moved again."""
    identity = sources.identity_of(original.stat())
    task = originals._Task(original, outbox, "a.jpg", identity)
    original.rename(task.leaving)

    assert outbox / "a.jpg" == aside(original, outbox, identity=identity).path
    assert {} == in_directory(original.parent)


# --- full, read-only -------------------------------------------------------------------------------------------------


def test_a_full_disk_costs_nothing(original: Path, small_disk: Path) -> None:
    """Neither the original nor the space: what was copied so far is removed, and the error says what to do."""
    put(original, bytes(3_000_000))
    identity = sources.identity_of(original.stat())

    with pytest.raises(durable.DiskFull, match="No space left on device") as caught:
        durable.set_aside(original, small_disk, "a.jpg", identity=identity, digest=sha(bytes(3_000_000)))

    assert f"The disk at {small_disk} is full" == caught.value.what
    assert "Free some space" in caught.value.do
    assert caught.value.transient
    assert [] == list(small_disk.iterdir())
    assert 3_000_000 == original.stat().st_size
    assert 900_000 < durable.free_space(small_disk) <= 1 << 20


def test_a_full_disk_does_not_spoil_a_note(small_disk: Path) -> None:
    """The old note stays as it was."""
    path = durable.write_note(small_disk / "a.jpg.error.txt", "old")
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        put(small_disk / "filler", bytes(1 << 21))

    with pytest.raises(durable.DiskFull):
        durable.write_note(path, "x" * 100_000)
    assert before == path.read_bytes()


def test_a_read_only_disk_is_named(original: Path, small_disk: Path) -> None:
    """Nothing is lost, and it is tried again."""
    part = put(small_disk / ".a.jpg.job-01.part")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(durable.ReadOnly):
        durable.publish(part, small_disk, "a.jpg", digest=sha(DATA))
    with pytest.raises(durable.ReadOnly):
        aside(original, small_disk)
    with pytest.raises(durable.ReadOnly):
        durable.make_directories(small_disk, PurePosixPath("sub"))
    assert DATA == original.read_bytes()


# --- directories -----------------------------------------------------------------------------------------------------


def test_subfolders_are_mirrored(outbox: Path) -> None:
    """As often as they are asked for."""
    for _ in range(2):
        assert outbox / "a" / "b" == durable.make_directories(outbox, PurePosixPath("a/b"))
    assert outbox == durable.make_directories(outbox, PurePosixPath())
    assert (outbox / "a" / "b").is_dir()


def test_a_root_is_never_made(tmp_path: Path) -> None:
    """What would be made is a directory on the wrong disk, under a share that is not mounted."""
    with pytest.raises(FolderOffline):
        durable.make_directories(tmp_path / "share", PurePosixPath("a"))
    put(tmp_path / "share")
    with pytest.raises(FolderOffline):
        durable.require_directory(tmp_path / "share")
    assert (tmp_path / "share").is_file()


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/x"])
def test_nothing_is_made_outside_a_root(outbox: Path, relative: str) -> None:
    """A relative path comes from a walk; one that leads out is a mistake of ours."""
    with pytest.raises(ValueError, match="does not lie below"):
        durable.make_directories(outbox, PurePosixPath(relative))


def test_every_level_is_made_durable(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was there: the run that made it may have been killed before it came to that."""
    synced: list[Path] = []
    monkeypatch.setattr(directories, "sync_directory", synced.append)
    (outbox / "a").mkdir()

    durable.make_directories(outbox, PurePosixPath("a/b"))

    assert [outbox, outbox / "a"] == synced


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_directories_is_accepted(
    outbox: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CIFS says so of every directory; a real error still counts."""

    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    directories.sync_directory(outbox)
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        directories.sync_directory(outbox)


@pytest.mark.parametrize(
    ("existing", "name", "expected"),
    [
        ([], "a.jpg", None),
        (["A.JPG"], "a.jpg", "A.JPG"),
        (["A.JPG", "a.jpg"], "a.jpg", "a.jpg"),
        (["b.jpg"], "a.jpg", None),
    ],
)
def test_a_name_counts_as_taken_in_any_case(outbox: Path, existing: list[str], name: str, expected: str | None) -> None:
    """The exact name goes before one that only some systems take for it."""
    for entry in existing:
        put(outbox / entry)

    assert (outbox / expected if expected else None) == durable.taken(outbox, name)


# --- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "device"])
def test_only_regular_files_are_opened(outbox: Path, kind: str) -> None:
    """Neither does a pipe keep us waiting, nor does a link lead anywhere."""
    path = Path("/dev/null") if kind == "device" else outbox / "a.jpg"
    make: dict[str, Callable[[], object]] = {
        "directory": path.mkdir,
        "link": lambda: path.symlink_to(put(outbox / "target")),
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: None,
    }
    make[kind]()

    with pytest.raises(NotAFile) as caught:
        durable.open_source(path)
    assert caught.value.missing
    assert durable.identity_at(path) is None


def test_a_file_that_is_gone_is_told_from_a_folder_that_is_away(outbox: Path) -> None:
    """The one cancels a job, the other makes it wait (I6)."""
    with pytest.raises(Vanished) as vanished:
        durable.open_source(outbox / "a.jpg")
    with pytest.raises(FolderOffline) as offline:
        durable.open_source(outbox / "away" / "a.jpg")

    assert (True, False) == (vanished.value.missing, offline.value.missing)
    assert durable.identity_at(outbox / "away" / "a.jpg") is None


def test_a_fingerprint_is_of_the_whole_file(outbox: Path) -> None:
    """Wherever the file was read to before."""
    with durable.open_source(put(outbox / "a.jpg")) as file:
        file.read(100)

        assert sha(DATA) == durable.fingerprint(file)
        assert durable.identity_at(outbox / "a.jpg") == durable.identity_of_open(file)


# --- parts and notes -------------------------------------------------------------------------------------------------


def test_a_part_never_writes_into_a_published_file(outbox: Path) -> None:
    """A run that died between giving the new name and taking the old one away has left two names of one file."""
    part = put(outbox / ".a.jpg.job-01.part")
    os.link(part, outbox / "a.jpg")

    with durable.create_part(part) as file:
        file.write(b"again")
        durable.sync(file)

    assert {"a.jpg": DATA, part.name: b"again"} == in_directory(outbox)


def test_only_our_own_strays_are_swept(outbox: Path) -> None:
    """Below the directory too; what a job will come back for is kept, and so is everything of other people's."""
    (outbox / "sub").mkdir()
    strays = [put(outbox / ".a.jpg.job-01.part"), put(outbox / "sub" / ".b.jpg.job-01.part")]
    kept = [
        put(outbox / name)
        for name in (".c.jpg.job-02.part", ".d.jpg.part", "e.jpg.job-01.part", ".f.jpg.job-01.leaving")
    ]
    (outbox / ".dir.job-01.part").mkdir()

    removed = durable.sweep_parts(outbox, keep=lambda name: names.job_of_part(name) == "job-02")

    assert sorted(strays) == sorted(removed)
    assert all(path.exists() for path in kept)
    assert (outbox / ".dir.job-01.part").is_dir()


def test_a_sweep_of_a_directory_that_is_away_says_so(tmp_path: Path) -> None:
    """Nothing was swept."""
    with pytest.raises(FolderOffline):
        durable.sweep_parts(tmp_path / "away", keep=lambda _name: False)


def test_a_note_replaces_only_a_note_of_ours(outbox: Path) -> None:
    """Somebody else's file of that name is left alone."""
    wanted = outbox / "a.jpg.error.txt"
    first = durable.write_note(wanted, "first\n")
    second = durable.write_note(wanted, "second \udce9")
    assert wanted == first == second
    assert f"second \\udce9\n\n{notes.MARK}" == wanted.read_text()
    put(wanted, b"somebody's own list of errors")

    third = durable.write_note(wanted, "third")

    assert outbox / "a.jpg.error~2.txt" == third
    assert {wanted.name, third.name} == set(in_directory(outbox))


def test_a_note_for_a_long_name_is_cut(outbox: Path) -> None:
    """The name of the picture gives way."""
    path = durable.write_note(outbox / ("x" * 251 + ".jpg.error.txt"), "text")

    assert 255 == len(path.name)
    assert path.name.endswith(".error.txt")


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, errors.Vanished),
        (errno.ESTALE, errors.FolderOffline),
        (errno.ENOTCONN, errors.FolderOffline),
        (errno.ENOSPC, errors.DiskFull),
        (errno.EDQUOT, errors.DiskFull),
        (errno.EROFS, errors.ReadOnly),
        (errno.EACCES, errors.NoPermission),
        (errno.EPERM, errors.NoPermission),
        (errno.EBUSY, errors.Busy),
        (errno.ENAMETOOLONG, errors.NameRefused),
        (errno.EILSEQ, errors.NameRefused),
        (errno.ELOOP, errors.NotAFile),
        (errno.EIO, errors.FileTrouble),
    ],
)
def test_every_error_of_the_disk_is_for_a_person(tmp_path: Path, code: int, kind: type[FileTrouble]) -> None:
    """What was tried with which file, why it did not work, and what to do."""
    path = tmp_path / "caf\udce9\n.jpg"
    found = trouble.translate(OSError(code, os.strerror(code)), path, "write")

    assert kind is type(found)
    assert path == found.path
    if kind is errors.DiskFull:
        # A person must clear the disk, whatever was being written.
        assert f" at {durable.disk_of(tmp_path)} is " in found.what
        assert f"{os.strerror(code)}, writing in {tmp_path}" == found.why
    else:
        assert f"Cannot write {tmp_path}/caf\\xe9\\x0a.jpg" == found.what
        assert os.strerror(code) == found.why
    assert found.do
    str(found).encode()


def test_a_way_of_moving_is_given_up_only_where_it_does_not_exist(
    outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real error of the disk is reported, not worked around."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(moves, "rename_new", fail)
    part = put(outbox / ".a.jpg.job-01.part")

    with pytest.raises(FileTrouble, match="Input/output error"):
        durable.publish(part, outbox, "a.jpg", digest=sha(DATA))
    assert {part.name: DATA} == in_directory(outbox)
