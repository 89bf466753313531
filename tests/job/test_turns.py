from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from upscaled.job.turns import Queued, in_turn


def queue(folder: str, count: int, priority: int = 0, since: float = 0.0) -> list[Queued]:
    """Return so many queued jobs of a folder, oldest first."""
    return [Queued(f"{folder}{n}", folder, priority, (since + n, f"{folder}{n}")) for n in range(count)]


def test_folders_of_one_priority_go_round_though_one_has_an_older_backlog() -> None:
    """The second folder's one picture does not wait for a thousand."""
    queues = {"a": queue("a", 1000), "b": queue("b", 2, since=5000.0)}

    assert ["a0", "b0", "a1", "b1", "a2"] == [job.id for job in in_turn(queues, {}, 5)]


def test_taking_one_by_one_goes_round_as_well() -> None:
    """What was served last is remembered by the caller."""
    queues = {"a": queue("a", 9), "b": queue("b", 9, since=5000.0)}
    served: dict[str, int] = {}
    taken = []
    for turn in range(4):
        (job,) = in_turn(queues, served, 1)
        queues[job.folder] = queues[job.folder][1:]
        served[job.folder] = turn + 1
        taken.append(job.id)

    assert ["a0", "b0", "a1", "b1"] == taken


def test_a_higher_priority_goes_first_and_whole() -> None:
    """Turns are for equals."""
    queues = {"a": queue("a", 2), "b": queue("b", 3, priority=1, since=5000.0)}

    assert ["b0", "b1", "b2", "a0"] == [job.id for job in in_turn(queues, {"b": 7}, 4)]


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    limit=st.integers(0, 40),
    served=st.lists(st.integers(0, 9), min_size=5, max_size=5),
)
def test_nobody_gets_two_turns_more_than_another_who_still_waits(
    counts: list[int], limit: int, served: list[int]
) -> None:
    """Fair, complete, and each folder in its own order."""
    queues = {str(n): queue(str(n), count) for n, count in enumerate(counts)}

    taken = in_turn(queues, {str(n): value for n, value in enumerate(served)}, limit)

    assert min(limit, sum(counts)) == len(taken)
    got = Counter(job.folder for job in taken)
    waiting = [folder for folder, jobs in queues.items() if got[folder] < len(jobs)]
    assert all(got[folder] <= got[other] + 1 for other in waiting for folder in queues)
    for folder, jobs in queues.items():
        assert jobs[: got[folder]] == [job for job in taken if job.folder == folder]
