from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.job.model import Identity
from upscaled.job.readiness import (
    LeaveAlone,
    Ready,
    Refuse,
    Rules,
    Shape,
    Track,
    Wait,
    Waiting,
    content,
    observe,
    quiet,
    unreadable,
)

FILE = Identity(device=1, inode=2, size=5_000_000, mtime_ns=10, ctime_ns=10)
RULES = Rules(settle=5, hold=0, grace=600, largest=200_000_000)


@dataclass(frozen=True)
class Found:
    """What a structure check would say; a whole JPEG unless told otherwise."""

    kind: str | None = "jpeg"
    complete: bool = True
    problem: str = ""
    width: int | None = 1200
    height: int | None = 800
    orientation: int | None = 6
    animated: bool = False
    raw: bool = False


WHOLE = Found()
CUT = Found(complete=False, problem="JPEG has no end marker: the file stops at byte 1,234")


def seen(*looks: tuple[float, Identity]) -> Track:
    """Return the track of these looks."""
    track = None
    for now, identity in looks:
        track = observe(track, identity, now)
    assert track is not None
    return track


def unchanged(seconds: float, file: Identity = FILE) -> Track:
    """Return the track of a file that was seen to stay the same for so long."""
    return seen((100.0, file), (100.0 + seconds, file))


def test_a_first_look_starts_every_clock() -> None:
    """The window and the hold begin with the first look."""
    assert Track(FILE, first=7.0, since=7.0, seen=7.0, looks=1) == observe(None, FILE, 7.0)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5_000_001},
        {"mtime_ns": 11},
        {"ctime_ns": 11},
        {"inode": 3},
        {"device": 9},
        {"mtime_ns": 9_999_999_999_999_999_999},
        {"mtime_ns": -1},
    ],
)
def test_any_change_of_identity_restarts_the_window_and_not_the_hold(change: dict[str, int]) -> None:
    """Size, times, inode and device all count, whatever date the file claims."""
    other = FILE._replace(**change)

    assert Track(other, first=1.0, since=4.0, seen=4.0, looks=1) == seen((1.0, FILE), (3.0, FILE), (4.0, other))


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([0.0], "unchanged for 0.0 of 5 s"),
        ([0.0, 3.14], "unchanged for 3.1 of 5 s"),
        ([0.0, 4.99], "unchanged for 5.0 of 5 s"),
        ([0.0, 5.0], None),
        ([0.0, 1.0, 2.0, 5.0], None),
        ([0.0, 86_400.0], None),
    ],
)
def test_a_file_settles_when_it_was_seen_the_same_over_the_whole_window(
    looks: list[float], expected: str | None
) -> None:
    """The window ends with the last look; being there for long without a look proves nothing."""
    wait = quiet(seen(*((look, FILE) for look in looks)), RULES)

    assert expected == (wait.reason if wait else None)


def test_a_settling_file_says_when_to_look_again() -> None:
    """The wait names the moment at which the window is over."""
    wait = quiet(seen((100.0, FILE), (102.0, FILE)), RULES)

    assert wait is not None
    assert (Waiting.SETTLING, 105.0) == (wait.on, wait.until)


def test_one_look_is_never_a_window() -> None:
    """However short the window is, a file must have been seen twice."""
    wait = quiet(Track(FILE, first=0.0, since=0.0, seen=9.0, looks=1), RULES)

    assert wait is not None
    assert Waiting.SETTLING == wait.on


def test_settle_zero_trusts_the_structure_alone() -> None:
    """Pipelines that rename into the inbox need no window."""
    assert quiet(seen((0.0, FILE)), replace(RULES, settle=0)) is None


def test_an_empty_file_waits_for_bytes_however_long_it_takes() -> None:
    """Only a change of the file can help it, so no time is named."""
    wait = quiet(unchanged(1e6, FILE._replace(size=0)), RULES)

    assert wait is not None
    assert (Waiting.EMPTY, None) == (wait.on, wait.until)


def test_a_hold_runs_from_the_first_look_and_through_changes() -> None:
    """Holding is about the path, settling about the version."""
    rules = replace(RULES, hold=60)
    changed = FILE._replace(size=9)

    held = quiet(seen((0.0, FILE), (20.0, changed), (30.0, changed)), rules)

    assert held is not None
    assert (Waiting.HOLDING, 60.0) == (held.on, held.until)
    assert "held for 30 of 60 s since it was first seen" == held.reason
    assert quiet(seen((0.0, FILE), (20.0, changed), (60.0, changed)), rules) is None


def test_a_slow_copy_with_stalls_shorter_than_the_window_is_never_quiet() -> None:
    """A byte a second with stalls of four seconds keeps restarting the window."""
    track = None
    size = 1
    for second in range(120):
        if second % 5 == 0:
            size += 1
        track = observe(track, FILE._replace(size=size), float(second))
        assert quiet(track, RULES) is not None


def test_a_scanner_that_opens_and_closes_five_times_restarts_the_window_each_time() -> None:
    """Closed is not finished: the fifth write counts, not the first close."""
    looks = [(10.0 * n, FILE._replace(mtime_ns=n)) for n in range(5)]

    assert Track(looks[-1][1], first=0.0, since=40.0, seen=40.0, looks=1) == seen(*looks)


def test_a_ready_picture_brings_its_shape() -> None:
    """What the structure check knows travels on."""
    assert Ready(Shape("jpeg", 1200, 800, 6)) == content("a.jpg", WHOLE, unchanged(5), RULES)


def test_the_content_decides_and_not_the_name() -> None:
    """A PNG named .jpg is a PNG."""
    assert Ready(Shape("png", 10, 20, None)) == content(
        "a.jpg", Found(kind="png", width=10, height=20, orientation=None), unchanged(5), RULES
    )


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a.psd", "psd", "PSD is not taken by the service; convert it to JPEG, PNG or WebP"),
        ("a.jpg", "pdf", "PDF, not a picture, though named .jpg"),
        ("A.JPEG", "pdf", "PDF, not a picture, though named .jpeg"),
        ("a.pdf", "pdf", "PDF, not a picture"),
        ("notes.txt", None, "not a picture"),
        ("a.png", None, "named .png, but its content is no picture"),
    ],
)
def test_what_is_no_picture_of_ours_stays_where_it_is(name: str, kind: str | None, reason: str) -> None:
    """Foreign files are never moved, and each has a reason."""
    assert LeaveAlone(reason) == content(name, Found(kind=kind), unchanged(5), RULES)


def test_a_foreign_file_is_left_alone_even_when_it_is_too_large() -> None:
    """A film in the inbox must not be moved to the failed folder."""
    film = unchanged(5, FILE._replace(size=10**10))

    assert LeaveAlone("MP4, not a picture") == content("a.mp4", Found(kind="mp4"), film, RULES)


@pytest.mark.parametrize(("size", "refused"), [(200_000_000, False), (200_000_001, True)])
def test_a_picture_above_the_limit_is_refused(size: int, *, refused: bool) -> None:
    """It bounds the work; the reason names both numbers."""
    verdict = content("a.jpg", WHOLE, unchanged(5, FILE._replace(size=size)), RULES)

    assert refused == isinstance(verdict, Refuse)
    if isinstance(verdict, Refuse):
        assert verdict.failure.what == "too large: 200,000,001 bytes, and no more than 200,000,000 are taken"


@pytest.mark.parametrize(
    ("name", "found", "kind"),
    [
        ("a.NEF", Found(kind="tiff"), "nef"),
        ("a.tif", Found(kind="tiff", raw=True), "raw"),
        ("a.cr2", Found(kind="cr2"), "cr2"),
        ("a.raf", Found(kind="raf"), "raf"),
    ],
)
def test_a_raw_file_is_taken_where_something_develops_it_and_else_refused(name: str, found: Found, kind: str) -> None:
    """Its thumbnail must not be upscaled for it."""
    refused = content(name, found, unchanged(5), RULES)
    taken = content(name, found, unchanged(5), replace(RULES, develops=True))

    assert isinstance(refused, Refuse)
    assert "hooks.convert" in refused.failure.do
    assert isinstance(taken, Ready)
    assert kind == taken.shape.format


@pytest.mark.parametrize("kind", ["tiff", "bmp", "gif", "heif", "avif"])
def test_what_the_service_does_not_take_is_taken_to_be_converted(kind: str) -> None:
    """As long as something here can decode it."""
    taken = content("a", Found(kind=kind), unchanged(5), RULES)
    left = content("a", Found(kind=kind), unchanged(5), replace(RULES, missing={kind: "pip install it"}))

    assert isinstance(taken, Ready)
    assert LeaveAlone(f"{kind.upper()} cannot be decoded here; pip install it") == left


def test_a_tiff_of_several_pages_is_refused() -> None:
    """Which of them was meant?"""
    verdict = content("a.tif", Found(kind="tiff", animated=True), unchanged(5), RULES)

    assert isinstance(verdict, Refuse)
    assert verdict.failure.what.startswith("several pages")


def test_an_animated_picture_is_refused_before_anything_is_spent() -> None:
    """The service takes still pictures."""
    verdict = content("a.webp", Found(kind="webp", animated=True), unchanged(5), RULES)

    assert isinstance(verdict, Refuse)
    assert verdict.failure.what.startswith("animated")
    assert verdict.failure.cost == "Nothing was spent."


def test_an_incomplete_picture_has_its_grace() -> None:
    """A writer that stalls for longer than the settle window is not punished for it."""
    verdict = content("a.jpg", CUT, unchanged(599.9), RULES)

    assert verdict == Wait(
        Waiting.INCOMPLETE,
        "incomplete: JPEG has no end marker: the file stops at byte 1,234; refused after 600 s without a change",
        until=700.0,
    )


def test_an_incomplete_picture_is_refused_after_its_grace() -> None:
    """The reason names the byte at which it stops."""
    verdict = content("a.jpg", CUT, unchanged(600), RULES)

    assert isinstance(verdict, Refuse)
    assert verdict.failure.what == "incomplete: JPEG has no end marker: the file stops at byte 1,234"


def test_an_incomplete_picture_is_submitted_after_its_grace_where_the_folder_says_so() -> None:
    """Some cameras never write an end marker; but even they need time to write."""
    rules = replace(RULES, submit_incomplete=True)

    assert isinstance(content("a.jpg", CUT, unchanged(10), rules), Wait)
    assert Ready(Shape("jpeg", 1200, 800, 6)) == content("a.jpg", CUT, unchanged(600), rules)


def test_bytes_that_mean_nothing_yet_wait_like_an_incomplete_picture() -> None:
    """A preallocated file begins with zeros; only after the grace is it somebody else's file."""
    zeros = Found(kind=None, complete=False, problem="begins with zeros")

    waiting = content("a.jpg", zeros, unchanged(5), RULES)

    assert isinstance(waiting, Wait)
    assert (Waiting.INCOMPLETE, 700.0) == (waiting.on, waiting.until)
    assert LeaveAlone("named .jpg, but its content is no picture") == content("a.jpg", zeros, unchanged(600), RULES)


@pytest.mark.parametrize(
    ("kind", "seconds", "waits"),
    [(None, 5, True), (None, 29.9, True), (None, 30, False), ("pdf", 5, False), ("mp4", 5, False)],
)
def test_what_is_of_no_known_format_settles_for_longer(kind: str | None, seconds: float, *, waits: bool) -> None:
    """Its beginning may be what is written last; a format that is known, ours or not, was there from the start."""
    rules = replace(RULES, unknown=30.0)

    verdict = content("a.jpg", Found(kind=kind), unchanged(seconds), rules)

    assert waits == isinstance(verdict, Wait)
    if isinstance(verdict, Wait):
        assert (Waiting.SETTLING, 130.0) == (verdict.on, verdict.until)
        assert f"of no known format so far; unchanged for {seconds:.1f} of 30 s" == verdict.reason
    else:
        assert isinstance(verdict, LeaveAlone)


@pytest.mark.parametrize(
    ("tries", "pause"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (8, 300), (10_000_000, 300)]
)
def test_a_file_that_cannot_be_read_is_tried_again_for_ever(tries: int, pause: float) -> None:
    """The pauses double up to five minutes and there is no last attempt."""
    wait = unreadable("locked", tries, 1000.0)

    assert (Waiting.UNREADABLE, 1000.0 + pause) == (wait.on, wait.until)
    assert f"locked; attempt {tries}, the next in {pause} s" == wait.reason


moments = st.lists(st.floats(min_value=0, max_value=30, allow_nan=False), min_size=1, max_size=30)


@given(gaps=moments, sizes=st.lists(st.integers(1, 2), min_size=30, max_size=30), settle=st.floats(0.1, 20))
def test_a_quiet_file_was_seen_unchanged_for_the_whole_window(
    gaps: list[float], sizes: list[int], settle: float
) -> None:
    """Whatever the looks are, quiet means: two looks at least `settle` apart, and every look between them the same."""
    now = 0.0
    history: list[tuple[float, int]] = []
    track = None
    for gap, size in zip(gaps, sizes, strict=False):
        now += gap
        history.append((now, size))
        track = observe(track, FILE._replace(size=size), now)
    assert track is not None

    is_quiet = quiet(track, replace(RULES, settle=settle)) is None

    last = history[-1][1]
    run = []
    for when, size in reversed(history):
        if size != last:
            break
        run.append(when)
    assert is_quiet == (len(run) >= 2 and run[0] >= run[-1] + settle)
