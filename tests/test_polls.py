from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.jobs import job
from upscaled.job import polling
from upscaled.job.model import Job, Stage
from upscaled.ledger.latencies import Latency
from upscaled.ledger.rows import canonical
from upscaled.polls import Polls


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Return it."""
        return self.at


def submitted(name: str = "a", at: float = 1000.0) -> Job:
    """Return a job whose prediction is being made."""
    return replace(job(stage=Stage.SUBMITTED), id=name, prediction_id=f"p-{name}", submitted_at=at)


def seen(seconds: float, count: int = 50) -> list[Latency]:
    """Return so many predictions that took so long, with the parameters of `submitted`."""
    params = submitted().params
    return [Latency(params.model, canonical(params.inputs), seconds)] * count


def test_what_earlier_processes_saw_decides_about_the_first_question() -> None:
    """A restart does not begin anew."""
    clock = Clock()
    fresh, taught = Polls(floor=0.5, now=clock), Polls(floor=0.5, now=clock)
    taught.keep(seen(20.0))

    assert 0.5 == fresh.wait(submitted())
    assert 10.0 < taught.wait(submitted()) <= 20.0


def test_a_prediction_of_an_earlier_process_is_asked_for_at_once() -> None:
    """If its age says so; and when it ended is not known then, so nothing is learned."""
    clock = Clock()
    polls = Polls(floor=0.5, now=clock)
    polls.keep(seen(20.0))
    clock.at = 1500.0

    assert 0.0 == polls.wait(submitted(at=1000.0))
    polls.over(submitted(at=1000.0), None)
    assert 10.0 < polls.wait(submitted("b", at=1500.0)) <= 20.0


def test_thousands_of_an_earlier_process_are_asked_for_one_after_the_other() -> None:
    """Within the budget of questions a second."""
    clock = Clock()
    polls = Polls(floor=0.5, now=clock)
    waits = [polls.wait(submitted(str(n), at=500.0)) for n in range(2000)]

    assert [number / polling.BUDGET for number in range(2000)] == pytest.approx(waits)


def test_a_place_that_is_waited_for_is_asked_for_more_often() -> None:
    """For as long as it is waited for."""
    clock, waiting = Clock(), [False]
    polls = Polls(floor=0.01, now=clock, pressed=lambda: waiting[0])
    polls.keep(seen(8.0) + seen(10.0))
    one = submitted()
    clock.at += 9.0
    patient = polls.not_yet(one)
    waiting[0] = True

    assert 0.5 * patient > polls.not_yet(one)


def test_answers_teach() -> None:
    """After some quick ones the first question comes sooner."""
    clock = Clock()
    polls = Polls(floor=0.1, now=clock)
    for number in range(20):
        one = submitted(str(number), at=clock.at)
        polls.wait(one)
        clock.at += 5.0
        polls.not_yet(one)
        clock.at += 0.5
        polls.over(one, None)
        polls.forget(one)

    assert 4.0 < polls.wait(submitted("last", at=clock.at)) < 5.5


def test_all_together_stay_within_the_budget() -> None:
    """With thousands in flight each is asked for less often."""
    clock = Clock()
    polls = Polls(floor=0.5, now=clock)
    jobs = [submitted(str(n)) for n in range(3000)]
    for one in jobs:
        polls.wait(one)

    assert 3000 / polling.BUDGET <= polls.not_yet(jobs[0])

    for one in jobs[10:]:
        polls.forget(one)
    assert 3000 / polling.BUDGET > polls.not_yet(jobs[0])
