"""Whose turn it is: folders of one priority are served in turn, so that none waits behind another's backlog.

Separate from the ledger because fairness is a rule about order, testable without a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that may be taken. ``age`` orders jobs of one folder: smaller is older."""

    id: str
    folder: str
    priority: int
    age: tuple[float, str]


def in_turn(queues: Mapping[str, Sequence[Queued]], served: Mapping[str, int], limit: int) -> list[Queued]:
    """Return up to ``limit`` jobs: the highest priority first; within one, folder by folder; in a folder, as queued.

    ``queues`` hold each folder's jobs in their own order. ``served`` tells how recently each folder was served (a
    number that grows); the one served longest ago comes first, so that single takes go round as one large take does.
    """
    taken: list[Queued] = []
    turns = dict(served)
    clock = max(turns.values(), default=0)
    heads = [(_rank(queue[0], turns), folder, 0) for folder, queue in queues.items() if queue]
    heapify(heads)
    while heads and len(taken) < limit:
        _, folder, index = heads[0]
        queue = queues[folder]
        taken.append(queue[index])
        clock += 1
        turns[folder] = clock
        if index + 1 < len(queue):
            heapreplace(heads, (_rank(queue[index + 1], turns), folder, index + 1))
        else:
            heads[0] = heads[-1]
            heads.pop()
            heapify(heads)
    return taken


def _rank(job: Queued, turns: Mapping[str, int]) -> tuple[int, int, tuple[float, str]]:
    return -job.priority, turns.get(job.folder, -1), job.age
