from __future__ import annotations

import pytest

from upscaled.inbox.schedule import Schedule


def local(now: float = 100.0) -> Schedule:
    """Return the timetable of a local folder, new at this moment."""
    return Schedule(sweep=60, look=1, now=now)


def test_the_first_sweep_is_due_at_once() -> None:
    """What was dropped while the daemon was down is found by the same sweep as everything else."""
    assert local().next_sweep == 100.0


def test_a_sweep_is_due_an_interval_after_the_last_one_ended() -> None:
    """From end to start, so that slow sweeps never overlap."""
    schedule = local()
    schedule.swept(100.0, 100.5)

    assert schedule.next_sweep == 160.5


def test_a_slow_sweep_takes_a_tenth_of_the_time_at_most() -> None:
    """Ten times its own duration pass before the next."""
    schedule = local()
    schedule.swept(100.0, 130.0)

    assert schedule.next_sweep == 430.0


def test_a_ring_is_answered_after_a_moment_that_takes_in_its_followers() -> None:
    """A burst of events costs one sweep, counted from its first event."""
    schedule = local()
    schedule.swept(100.0, 100.0)
    schedule.rang(110.0)
    schedule.rang(110.4)

    assert schedule.next_sweep == 110.1
    assert schedule.pending


def test_a_bell_that_never_stops_cannot_make_slow_sweeps_run_back_to_back() -> None:
    """The rest after a sweep holds for rings too."""
    schedule = local()
    schedule.swept(100.0, 102.0)
    schedule.rang(102.1)

    assert schedule.next_sweep == 122.0


def test_a_ring_during_a_sweep_asks_for_another_one() -> None:
    """The file may have come behind the walk's back."""
    schedule = local()
    schedule.rang(100.0)
    schedule.sweeping()
    assert not schedule.pending

    schedule.rang(100.25)
    schedule.swept(100.0, 100.5)

    assert schedule.next_sweep == 105.5


def test_a_sweep_counts_as_a_look() -> None:
    """It has just seen every settling file."""
    schedule = local()
    schedule.swept(100.0, 100.1)

    assert schedule.next_look == 101.1


def test_looks_at_very_many_files_come_less_often() -> None:
    """Forty thousand settling files may take half a second to look at."""
    schedule = local()
    schedule.looked(100.0, 100.5)

    assert schedule.next_look == 105.5


def test_a_failed_sweep_is_tried_again_soon() -> None:
    """A share that is back is noticed within seconds; rings meanwhile change nothing."""
    schedule = local()
    schedule.postpone(200.0)
    schedule.rang(200.1)

    assert schedule.next_sweep == 205.0


@pytest.mark.parametrize(
    ("took", "rings", "after"), [(0.1, True, 100.0), (0.1, False, 60.0), (0.01, True, 60.0), (2.0, True, 300.0)]
)
def test_where_events_ring_a_long_sweep_is_not_repeated_every_minute(took: float, rings: bool, after: float) -> None:
    """Ten folders of 10,000 files would keep a NAS's processor and its disks from resting."""
    schedule = local()
    schedule.swept(1000.0 - took, 1000.0, rings=rings)

    assert 1000.0 + after == pytest.approx(schedule.next_sweep)


def test_a_ring_that_no_sweep_answers_yet_is_answered_by_a_glance() -> None:
    """And by the sweep as well, once that may be."""
    schedule = local()
    schedule.swept(100.0, 102.0)
    schedule.rang(102.1)
    assert schedule.next_glance == pytest.approx(102.2)

    schedule.glancing()
    schedule.glanced(102.2, 102.3)
    assert schedule.next_glance is None
    assert schedule.next_sweep == 122.0


def test_glances_take_a_tenth_of_the_time_at_most() -> None:
    """However often the bell rings."""
    schedule = local()
    schedule.swept(100.0, 102.0)
    schedule.rang(102.1)
    schedule.glancing()
    schedule.rang(102.25)
    schedule.glanced(102.2, 102.3)

    assert schedule.next_glance == pytest.approx(103.3)


def test_a_sweep_makes_a_glance_needless() -> None:
    """It sees everything."""
    schedule = local()
    schedule.rang(100.0)
    schedule.sweeping()

    assert schedule.next_glance is None


@pytest.mark.parametrize(("took", "rest"), [(0.1, 10.0), (1.0, 60.0), (10.0, 100.0)])
def test_where_glances_answer_the_bell_sweeps_are_seldom(took: float, rest: float) -> None:
    """A hundredth of the time, but once a minute at least where a tenth of the time allows that."""
    schedule = local()
    schedule.swept(100.0, 100.0 + took, glances=True)
    schedule.rang(100.0 + took)

    assert schedule.next_sweep == pytest.approx(100.0 + took + rest)
