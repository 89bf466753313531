"""Stories of files and moments, told to an intake without a thread and with a clock that stands still in between."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

import pytest
from PIL import Image

from tests.support.inbox_world import World, picture
from tests.support.somebody import ordinary, public_directory
from upscaled.errors import LedgerUnavailable
from upscaled.files.durable import open_source
from upscaled.files.structure import Structure, inspect
from upscaled.inbox.model import Condition, Note
from upscaled.inbox.mounts import Mount
from upscaled.inbox.opening import Opener
from upscaled.inbox.root import Root

if TYPE_CHECKING:
    from pathlib import Path

    from upscaled.inbox.model import FolderState


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    return inbox


@pytest.fixture
def world(inbox: Path) -> World:
    """A local folder, looked after with the usual numbers."""
    return World(inbox)


def animation() -> bytes:
    """Return a WebP of two frames."""
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


# --- the way in ------------------------------------------------------------------------------------------------------


def test_a_dropped_picture_is_taken_when_it_has_settled(world: World) -> None:
    """A tenth of a second for the bell, five to settle; and the candidate carries what is known of it."""
    world.wait(1)
    world.drop("holiday/a.jpg")
    world.wait(5.0)
    assert [] == world.taken
    assert not world.intake.idle

    world.wait(0.2)

    job = world.books.jobs["holiday/a.jpg"]
    assert (str(world.inbox), "holiday/a.jpg", "jpeg", 64, 48, None) == (
        *(job.folder, job.source, job.format, job.width, job.height, job.failure),
    )
    assert world.identity("holiday/a.jpg") == job.identity
    assert world.intake.idle


@pytest.mark.parametrize(("kind", "fmt"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")])
def test_the_three_formats_are_taken_whatever_they_are_called(world: World, kind: str, fmt: str) -> None:
    """The content decides."""
    world.drop("a.dat", picture(kind))
    world.wait(10)

    assert fmt == world.books.jobs["a.dat"].format


def test_an_unanswered_bell_is_not_idle(world: World) -> None:
    """Nor while its followers are waited for: whoever stops when nothing is left to do would miss a file."""
    world.wait(1)
    idle = [world.intake.idle]
    world.drop("a.jpg")
    idle.append(world.intake.idle)
    world.intake.turn()
    idle.append(world.intake.idle)

    assert [True, False, False] == idle


def test_without_any_bell_the_timer_finds_the_file(world: World) -> None:
    """The watcher may be deaf; the sweep is what discovers."""
    world.wait(1)
    (world.inbox / "a.jpg").write_bytes(picture())
    world.wait(58.9)
    assert 0 == world.intake.state.waiting.get("settling", 0)

    world.wait(6)

    assert ["a.jpg"] == world.taken


def test_what_lies_there_at_the_start_passes_the_same_gate(world: World) -> None:
    """A daemon that starts while a copy is under way must not take the half."""
    world.drop("a.jpg")
    world.intake.turn()
    assert [] == world.taken

    world.wait(5)

    assert ["a.jpg"] == world.taken


def test_a_moved_a_linked_and_a_copied_file_are_all_found(world: World, tmp_path: Path) -> None:
    """However they come in, they are two names and one sweep to us."""
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(picture())
    (world.inbox / "linked.jpg").hardlink_to(outside)
    other = tmp_path / "other.jpg"
    other.write_bytes(picture("PNG"))
    other.rename(world.inbox / "moved.jpg")
    (world.inbox / "symlink.jpg").symlink_to(outside)
    world.wait(10)

    assert ["linked.jpg", "moved.jpg"] == world.taken
    assert {"a symbolic link": 1} == world.intake.state.left_alone


def test_a_folder_that_is_moved_in_and_then_written_into_is_taken_whole(world: World, tmp_path: Path) -> None:
    """Both what it brought and what came later."""
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.jpg").write_bytes(picture())
    world.wait(1)
    (tmp_path / "trip").rename(world.inbox / "trip")
    world.intake.ring()
    world.wait(3)
    world.drop("trip/b.jpg")
    world.wait(10)

    assert ["trip/a.jpg", "trip/b.jpg"] == world.taken


def test_a_deep_tree_made_at_once_is_found(world: World) -> None:
    """Where event watchers lose their way."""
    names = [f"{'x/' * depth}{depth}.jpg" for depth in range(40)]
    for name in names:
        world.drop(name)
    world.wait(10)

    assert set(names) == set(world.taken)


def test_undecodable_names_are_taken_and_shown_safely(world: World) -> None:
    """The ledger gets the name as it is; people get escapes."""
    world.drop("caf\udce9.jpg")
    world.drop("no\udcff\n.txt", b"a note, and longer than any signature " * 3)
    world.wait(40)

    assert ["caf\udce9.jpg"] == world.taken
    assert (Note("no\\xff\\x0a.txt", "not a picture"),) == world.intake.state.notes


def test_many_files_are_handed_over_in_batches(world: World) -> None:
    """Each batch is durable before the next file is opened."""
    for number in range(450):
        world.drop(f"{number:03}.jpg")
    world.wait(10)

    assert [200, 200, 50] == [len(batch) for batch in world.books.batches]
    assert sorted(world.taken) == world.taken


# --- not too early ---------------------------------------------------------------------------------------------------


def test_a_slow_copy_with_stalls_is_taken_once_and_whole(world: World) -> None:
    """Some bytes, a stall shorter than the window, some more, and so on for a minute."""
    data = picture()
    step = len(data) // 12
    for end in range(step, len(data), step):
        world.drop("a.jpg", data[:end])
        world.wait(4.5)
        assert [] == world.taken
    world.drop("a.jpg", data)
    world.wait(6)

    assert ["a.jpg"] == world.taken
    assert len(data) == world.books.jobs["a.jpg"].identity.size


def test_a_copy_that_stalls_for_minutes_is_waited_for(world: World) -> None:
    """The window is long over, but the picture does not reach its end."""
    data = picture()
    world.drop("a.jpg", data[: len(data) // 2])
    world.wait(300)
    assert [] == world.taken
    assert {"incomplete": 1} == world.intake.state.waiting

    world.drop("a.jpg", data)
    world.wait(6)

    assert world.books.jobs["a.jpg"].failure is None


def test_a_preallocated_file_is_taken_when_it_is_filled(world: World) -> None:
    """Its size is right from the beginning, its content is not."""
    data = picture()
    path = world.drop("a.jpg", bytes(len(data)))
    world.wait(60)
    assert {"incomplete": 1} == world.intake.state.waiting

    with path.open("r+b") as file:
        file.write(data)
    world.intake.ring()
    world.wait(6)

    assert ["a.jpg"] == world.taken
    assert world.books.jobs["a.jpg"].failure is None


def test_a_scanner_that_opens_and_closes_five_times_is_served_once(world: World) -> None:
    """Each write restarts the window."""
    data = picture()
    for part in range(1, 6):
        world.drop("scan.jpg", data[: len(data) * part // 5])
        world.wait(3)
        assert [] == world.taken
    world.wait(10)

    assert [["scan.jpg"]] == world.books.batches


def test_a_file_replaced_while_it_settles_settles_again(world: World) -> None:
    """Another inode of the same size and date is another picture."""
    path = world.drop("a.jpg")
    world.wait(4)
    (world.inbox.parent / "new").write_bytes(picture())
    os.utime(world.inbox.parent / "new", ns=(path.stat().st_mtime_ns,) * 2)
    (world.inbox.parent / "new").rename(path)
    world.wait(3)
    assert [] == world.taken

    world.wait(6)

    assert world.identity("a.jpg") == world.books.jobs["a.jpg"].identity


def test_a_file_that_vanishes_while_it_settles_is_forgotten(world: World) -> None:
    """Nobody needs to hear of it."""
    path = world.drop("a.jpg")
    world.wait(3)
    assert {"settling": 1} == world.intake.state.waiting

    path.unlink()
    world.wait(3)

    assert {} == world.intake.state.waiting
    assert world.intake.idle


@pytest.mark.parametrize("date", [0, 4_102_444_800, -86_400])
def test_the_date_of_a_file_means_nothing(world: World, date: int) -> None:
    """Copies keep old dates, cameras live in the future."""
    path = world.drop("a.jpg")
    os.utime(path, (date, date))
    world.wait(4.9)
    assert [] == world.taken

    world.wait(0.2)

    assert ["a.jpg"] == world.taken


def test_settle_zero_takes_a_whole_picture_at_once_and_a_half_one_not(inbox: Path) -> None:
    """For pipelines that rename into the inbox: the structure alone decides."""
    world = World(inbox, settle=0.0)
    world.drop("whole.jpg")
    half = world.drop("half.jpg", picture()[:-100])
    world.wait(0.5)
    assert ["whole.jpg"] == world.taken

    half.write_bytes(picture())
    world.wait(1.1)

    assert ["whole.jpg", "half.jpg"] == world.taken


def test_a_hold_keeps_a_settled_file_back(inbox: Path) -> None:
    """Time for a person to take it out again."""
    world = World(inbox, hold=600.0)
    world.drop("a.jpg")
    world.wait(590)
    assert {"holding": 1} == world.intake.state.waiting
    assert [] == world.taken

    world.wait(15)

    assert ["a.jpg"] == world.taken


def test_an_empty_file_waits_for_its_bytes(world: World) -> None:
    """However long that takes; and it does not keep anybody from going home."""
    path = world.drop("a.jpg", b"")
    world.wait(86_400)
    assert {"empty": 1} == world.intake.state.waiting
    assert world.intake.idle

    path.write_bytes(picture())
    world.wait(70)

    assert ["a.jpg"] == world.taken


# --- not ours, or not whole ------------------------------------------------------------------------------------------


def test_a_picture_that_stays_incomplete_is_refused_after_its_grace(world: World) -> None:
    """With the byte at which it stops, and nothing spent."""
    data = picture()[:-2]
    world.drop("a.jpg", data)
    world.wait(590)
    assert [] == world.taken

    world.wait(20)

    failure = world.books.failure("a.jpg")
    assert "incomplete" in failure.what
    assert f"{len(data):,}" in failure.what


def test_a_picture_that_stays_incomplete_is_submitted_where_the_folder_says_so(inbox: Path) -> None:
    """Old webcams never wrote an end marker."""
    world = World(inbox, incomplete="submit")
    world.drop("a.jpg", picture()[:-2])
    world.wait(620)

    assert world.books.jobs["a.jpg"].failure is None


def test_an_animation_is_refused_before_anything_is_spent(world: World) -> None:
    """The service takes still pictures."""
    world.drop("a.webp", animation())
    world.wait(10)

    assert world.books.failure("a.webp").what.startswith("animated")


def test_a_picture_above_the_service_s_limit_is_refused(inbox: Path) -> None:
    """The number comes from whoever knows the wire."""
    world = World(inbox, largest=1000)
    world.drop("a.png", picture("PNG"))
    world.wait(10)

    assert world.books.failure("a.png").what.startswith("too large")


def test_what_is_no_picture_stays_where_it_is_with_a_reason(world: World) -> None:
    """Counted, named, and never opened again while it does not change."""
    opened: list[str] = []

    def opening(path: Path) -> BinaryIO:
        opened.append(path.name)
        return open_source(path)

    world = World(world.inbox, opener=Opener(open=opening))
    world.drop("report.jpg", b"%PDF-1.7\n" + bytes(1000))
    world.drop("notes.txt", b"nothing to see here, but more than a few bytes of it\n" * 3)
    world.wait(3600)

    assert {"PDF, not a picture, though named .jpg": 1, "not a picture": 1} == world.intake.state.left_alone
    assert ["notes.txt", "report.jpg"] == [note.source for note in world.intake.state.notes]
    # Once more after the longer window of what is of no known format.
    assert ["notes.txt", "report.jpg", "notes.txt"] == opened
    assert world.intake.idle

    world.drop("report.jpg")
    world.wait(10)

    assert ["report.jpg"] == world.taken


def test_ignored_files_are_counted_and_nothing_else(world: World) -> None:
    """Downloads under way, and other programs' droppings."""
    world.drop("a.jpg.crdownload")
    world.drop("@eaDir/a.jpg")
    world.wait(10)

    assert ([], 2, {}) == (world.taken, world.intake.state.ignored, world.intake.state.left_alone)


# --- files that cannot be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY, errno.EIO, errno.EPERM, errno.ETXTBSY, errno.ESTALE])
def test_a_file_that_cannot_be_opened_is_tried_again_for_ever(inbox: Path, code: int) -> None:
    """It is waiting, not failed, and says why; the pauses grow to five minutes."""
    tries: list[float] = []

    def opening(path: Path) -> BinaryIO:
        tries.append(waiting.clock.now)
        if len(tries) < 9:
            raise OSError(code, os.strerror(code), str(path))
        return open_source(path)

    waiting = World(inbox, opener=Opener(open=opening))
    waiting.drop("a.jpg")
    waiting.wait(400)
    assert {"unreadable": 1} == waiting.intake.state.waiting
    assert os.strerror(code) in waiting.intake.state.notes[0].reason

    waiting.wait(1200)

    gaps = [round(later - earlier) for earlier, later in pairwise(tries)]
    assert [5, 10, 20, 40, 80, 160, 300, 300] == gaps
    assert ["a.jpg"] == waiting.taken


def test_another_user_s_file_is_taken_when_its_owner_lets_us_read_it() -> None:
    """The reason has the numbers that a person needs to mend it, and the files beside it go on."""
    with public_directory() as inbox:
        world = World(inbox)
        path = world.drop("a.jpg")
        path.chmod(0)
        world.drop("mine.jpg")
        with ordinary():
            world.wait(30)
        reason = world.intake.state.notes[0].reason
        before = world.taken
        path.chmod(0o644)
        with ordinary():
            world.wait(70)

    assert f"mode 0000, owner {os.getuid()}" in reason
    assert (["mine.jpg"], ["mine.jpg", "a.jpg"]) == (before, world.taken)


def test_another_user_s_folder_in_the_inbox_is_named_and_the_rest_goes_on() -> None:
    """What cannot be listed is said, with the folder; nothing in it is taken for deleted."""
    with public_directory() as inbox:
        world = World(inbox)
        world.drop("private/a.jpg")
        world.drop("mine.jpg")
        (inbox / "private").chmod(0)
        with ordinary():
            world.wait(70)
        state, taken = world.intake.state, world.taken
        (inbox / "private").chmod(0o755)
        with ordinary():
            world.wait(130)

    assert (Condition.PARTIAL, ["mine.jpg"]) == (state.state, taken)
    assert "private cannot be read: Permission denied" == state.reason
    assert ["mine.jpg", "private/a.jpg"] == world.taken


def test_a_file_of_no_known_format_has_a_window_of_its_own(world: World) -> None:
    """Half a minute: a writer may fill in the beginning last, and a picture must not be taken for something else."""
    world.drop("a.jpg", b"not the beginning of a picture, as yet" * 10)
    world.wait(20)
    assert {"settling": 1} == world.intake.state.waiting
    assert {} == world.intake.state.left_alone

    world.drop("a.jpg")
    world.wait(6)

    assert ["a.jpg"] == world.taken


def test_the_reason_for_a_refused_permission_has_the_numbers_to_mend_it(inbox: Path) -> None:
    """Whose file it is, what its rights are, and who asks."""

    def opening(path: Path) -> BinaryIO:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    world = World(inbox, opener=Opener(open=opening))
    world.drop("a.jpg").chmod(0o600)
    world.wait(10)

    numbers = f"(mode 0600, owner {os.getuid()}; upscaled runs as {os.geteuid()})"
    assert numbers in world.intake.state.notes[0].reason


def test_a_file_that_changes_while_it_is_read_settles_again(inbox: Path) -> None:
    """The structure was that of something in between."""

    def opening(path: Path) -> BinaryIO:
        file = open_source(path)
        if not touched:
            touched.append(path)
            os.utime(path, (1, 1))
        return file

    touched: list[Path] = []
    world = World(inbox, opener=Opener(open=opening))
    world.drop("a.jpg")
    world.wait(8)
    assert [] == world.taken

    world.wait(5)

    assert world.identity("a.jpg") == world.books.jobs["a.jpg"].identity


def test_a_file_that_changes_after_it_was_read_settles_again(inbox: Path) -> None:
    """A writer that comes in between the first byte and the last."""

    def inspecting(file: BinaryIO) -> Structure:
        structure = inspect(file)
        if not touched:
            touched.append(file.name)
            os.utime(file.name, (1, 1))
        return structure

    touched: list[str] = []
    world = World(inbox, opener=Opener(inspect=inspecting))
    world.drop("a.jpg")
    world.wait(8)
    assert [] == world.taken

    world.wait(5)

    assert world.identity("a.jpg") == world.books.jobs["a.jpg"].identity


def test_a_file_that_vanishes_at_the_last_second_is_no_error(inbox: Path) -> None:
    """Between the last look and the opening."""

    def opening(path: Path) -> BinaryIO:
        path.unlink()
        return open_source(path)

    world = World(inbox, opener=Opener(open=opening))
    world.drop("a.jpg")
    world.wait(10)

    assert ({}, ()) == (world.intake.state.waiting, world.intake.state.notes)


# --- what the ledger knows -------------------------------------------------------------------------------------------


def test_a_source_with_an_unfinished_job_is_passed_over(world: World) -> None:
    """In every later sweep, and after a restart, whose first sweep meets the same ledger."""
    world.drop("a.jpg")
    world.wait(600)
    after_restart = World(world.inbox)
    after_restart.books = world.books
    after_restart.intake._admission = world.books
    after_restart.wait(100)

    assert [["a.jpg"]] == world.books.batches
    assert 1 == after_restart.intake.state.jobs


def test_a_source_changed_after_its_admission_is_left_to_its_job_first(world: World) -> None:
    """The worker finds the change and cancels; then the new version is a new source."""
    world.drop("a.jpg")
    world.wait(10)
    world.drop("a.jpg", picture("PNG"))
    world.wait(100)
    assert {"changed": 1} == world.intake.state.waiting
    assert [["a.jpg"]] == world.books.batches

    del world.books.jobs["a.jpg"]
    world.wait(70)

    assert "png" == world.books.jobs["a.jpg"].format


def test_a_ledger_that_refuses_loses_nothing(world: World) -> None:
    """A full disk under it: the folder says so, and everything is admitted when it works again."""
    world.drop("a.jpg")
    world.wait(3)
    world.books.trouble = LedgerUnavailable("The ledger cannot be written", why="no space left on device")
    world.wait(60)
    assert (Condition.TROUBLE, "The ledger cannot be written: no space left on device") == (
        *(world.condition(), world.intake.state.reason),
    )
    assert not world.intake.idle

    world.books.trouble = None
    world.wait(6)

    assert [["a.jpg"]] == world.books.batches
    assert Condition.ONLINE == world.condition()


def test_a_state_is_published_when_it_changes_and_now_and_then(world: World) -> None:
    """An idle folder does not write to the ledger every second."""
    world.wait(600)

    assert 11 == len(world.books.published)


# --- a share that is not there ---------------------------------------------------------------------------------------


def test_a_removed_inbox_is_offline_and_by_itself_back(world: World) -> None:
    """What was admitted stays admitted, and what comes into the new directory is found."""
    world.drop("a.jpg")
    world.wait(10)
    away = world.inbox.rename(world.inbox.parent / "away")
    world.wait(70)
    assert Condition.OFFLINE == world.condition()
    assert "No such file or directory" in world.intake.state.reason
    assert not world.intake.idle

    away.rename(world.inbox)
    world.drop("b.jpg")
    world.wait(12)

    assert Condition.ONLINE == world.condition()
    assert [["a.jpg"], ["b.jpg"]] == world.books.batches


def test_an_inbox_that_is_missing_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """A share may come up after the daemon."""
    world = World(tmp_path / "inbox")
    world.wait(3600)
    assert Condition.OFFLINE == world.condition()

    world.inbox.mkdir()
    world.drop("a.jpg")
    world.wait(12)

    assert ["a.jpg"] == world.taken


def test_files_under_an_unmounted_share_are_not_taken(inbox: Path) -> None:
    """The bare mount point belongs to another file system, whatever lies in it."""
    share = Mount("/", "cifs", "//nas/photos", "/")
    mounts = [share]
    world = World(inbox, root=Root(inbox, mounts=lambda: tuple(mounts)))
    world.wait(1)
    mounts[:] = [replace(share, kind="ext4", source="/dev/sda1")]
    world.drop("somebody-elses.jpg")
    world.wait(3600)
    assert (Condition.OFFLINE, []) == (world.condition(), world.taken)

    mounts[:] = [share]
    world.wait(40)

    assert Condition.ONLINE == world.condition()


def test_a_share_that_goes_away_during_a_sweep_is_not_believed(inbox: Path) -> None:
    """What the walk saw may be what lay under it."""
    share = Mount("/", "cifs", "//nas/photos", "/")
    other = replace(share, source="/dev/sda1")
    answers = [share, share, share, other]
    world = World(inbox, root=Root(inbox, mounts=lambda: (answers.pop(0) if len(answers) > 1 else answers[0],)))
    world.wait(1)
    world.drop("a.jpg")
    world.wait(600)

    assert (Condition.OFFLINE, []) == (world.condition(), world.taken)


def test_a_network_share_gets_the_longer_numbers(inbox: Path) -> None:
    """Attributes are cached there, and no event tells what other machines write."""
    world = World(inbox, root=Root(inbox, mounts=lambda: (Mount("/", "nfs4", "nas:/p", "/"),)))
    world.wait(1)
    (inbox / "a.jpg").write_bytes(picture())
    world.wait(28)
    assert [] == world.taken

    world.wait(3)

    assert ["a.jpg"] == world.taken


def test_a_subfolder_that_cannot_be_read_is_reported_and_the_rest_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is not seen for that reason is not forgotten, unlike what is not seen because it is gone."""
    world.drop("locked/a.jpg", b"")
    world.drop("open/b.jpg")
    gone = world.drop("open/c.jpg", b"")
    world.wait(1)
    scandir = os.scandir

    def scan(path: str) -> object:
        if path.endswith("/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert {"settling": 1, "empty": 2} == world.intake.state.waiting
    world.wait(70)
    gone.unlink()
    world.wait(70)

    assert ["open/b.jpg"] == world.taken
    state: FolderState = world.intake.state
    assert (Condition.PARTIAL, "locked cannot be read: Permission denied") == (state.state, state.reason)
    assert {"empty": 1} == state.waiting
