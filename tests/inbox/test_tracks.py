from __future__ import annotations

from upscaled.inbox.tracks import Tracks
from upscaled.job.model import Identity
from upscaled.job.readiness import LeaveAlone, Rules, Wait, Waiting

FILE = Identity(device=1, inode=2, size=100, mtime_ns=1, ctime_ns=1)
RULES = Rules(settle=5, hold=0, grace=600, largest=1000)


def settled(path: str = "a.jpg") -> Tracks:
    """Return tracks with one file that has just become quiet, at 5 s."""
    tracks = Tracks()
    tracks.see(path, FILE, 0.0)
    tracks.see(path, FILE, 5.0)
    return tracks


def test_a_quiet_file_is_ripe_to_be_opened() -> None:
    """No sooner than the gate says."""
    tracks = Tracks()
    tracks.see("a.jpg", FILE, 0.0)
    assert [] == tracks.ripe(RULES, 0.0)
    assert tracks.any_settling()

    tracks.see("a.jpg", FILE, 5.0)

    assert ["a.jpg"] == tracks.ripe(RULES, 5.0)


def test_ripe_files_come_in_the_order_of_their_names() -> None:
    """A folder of numbered photographs is worked off in its order."""
    tracks = Tracks()
    for now in (0.0, 5.0):
        for name in ("b.jpg", "c.jpg", "a.jpg"):
            tracks.see(name, FILE, now)

    assert ["a.jpg", "b.jpg", "c.jpg"] == tracks.ripe(RULES, 5.0)


def test_a_file_that_is_not_ours_is_opened_once() -> None:
    """The verdict stays until the file changes."""
    tracks = settled()
    tracks.leave_alone("a.jpg", LeaveAlone("PDF, not a picture"))
    tracks.see("a.jpg", FILE, 1000.0)
    assert [] == tracks.ripe(RULES, 1000.0)
    assert {"PDF, not a picture": 1} == dict(tracks.left_alone())

    changed = FILE._replace(ctime_ns=2)
    tracks.see("a.jpg", changed, 1001.0)
    tracks.see("a.jpg", changed, 1006.0)

    assert ["a.jpg"] == tracks.ripe(RULES, 1006.0)
    assert {} == dict(tracks.left_alone())


def test_an_incomplete_file_is_opened_again_when_its_grace_is_over() -> None:
    """Not at every look: the same bytes would say the same."""
    tracks = settled()
    tracks["a.jpg"].verdict = Wait(Waiting.INCOMPLETE, "incomplete", until=600.0)
    tracks.see("a.jpg", FILE, 599.0)
    assert [] == tracks.ripe(RULES, 599.0)

    tracks.see("a.jpg", FILE, 600.0)

    assert ["a.jpg"] == tracks.ripe(RULES, 600.0)


def test_an_unreadable_file_is_tried_again_with_growing_pauses() -> None:
    """And at once when somebody changes its rights, as that changes its identity."""
    tracks = settled()
    tracks.unreadable("a.jpg", "no permission", 5.0)
    assert 10.0 == tracks.next_until()
    assert [] == tracks.ripe(RULES, 9.9)
    assert ["a.jpg"] == tracks.ripe(RULES, 10.0)

    tracks.unreadable("a.jpg", "no permission", 10.0)
    assert 20.0 == tracks.next_until()

    tracks.see("a.jpg", FILE._replace(ctime_ns=9), 11.0)
    tracks.see("a.jpg", FILE._replace(ctime_ns=9), 16.0)
    assert ["a.jpg"] == tracks.ripe(RULES, 16.0)
    assert 0 == tracks["a.jpg"].tries


def test_a_settling_file_that_cannot_even_be_looked_at_backs_off_too() -> None:
    """Otherwise a failing disk would be asked in a tight loop."""
    tracks = Tracks()
    tracks.see("a.jpg", FILE, 0.0)
    tracks.ripe(RULES, 0.0)
    tracks.unreadable("a.jpg", "input/output error", 5.0)

    assert [] == tracks.ripe(RULES, 5.0)
    assert [] == tracks.to_look_at(6.0, all_restless=True)
    assert ["a.jpg"] == tracks.to_look_at(10.0, all_restless=False)


def test_only_what_may_change_any_moment_is_looked_at_every_second() -> None:
    """Files that are not ours and files that have been empty for long cost nothing between sweeps."""
    tracks = Tracks()
    for name in ("settling", "empty", "incomplete", "foreign", "held"):
        tracks.see(name, FILE._replace(size=0) if name == "empty" else FILE, 0.0)
    tracks.ripe(RULES, 0.0)
    tracks["incomplete"].verdict = Wait(Waiting.INCOMPLETE, "", until=600.0)
    tracks.leave_alone("foreign", LeaveAlone(""))
    tracks["held"].verdict = Wait(Waiting.HOLDING, "", until=90.0)

    assert ["settling", "empty", "incomplete"] == tracks.to_look_at(1.0, all_restless=True)
    assert [] == tracks.to_look_at(1.0, all_restless=False)
    assert ["settling", "held"] == tracks.to_look_at(90.0, all_restless=True)
    assert tracks.any_restless(90.0)


def test_what_a_whole_sweep_did_not_find_is_forgotten() -> None:
    """It was moved away or deleted."""
    tracks = settled("a.jpg")
    tracks.see("c.jpg", FILE, 5.0)
    tracks.sweeping()
    tracks.see("b.jpg", FILE, 5.0)
    tracks.forget_absent(lambda path: path == "c.jpg")

    assert ["c.jpg", "b.jpg"] == [path for path, _ in tracks.items()]


def test_waits_are_counted_by_what_they_wait_for() -> None:
    """A file that was not judged yet counts as settling."""
    tracks = settled()
    tracks.see("b.jpg", FILE._replace(size=0), 5.0)
    tracks.ripe(RULES, 5.0)
    tracks.see("c.jpg", FILE, 5.0)

    assert {"settling": 2, "empty": 1} == dict(tracks.waiting())
