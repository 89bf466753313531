"""When the test service misbehaves, and how: a script of faults, by count or by chance, from a seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave: what to ``do`` ``on`` which kind of request.

    ``nth`` counts the requests of that kind that ``match`` (1 is the first; None means every one); of those, ``chance``
    picks. ``match`` is looked for in the request's subject: a file name, an image's URL, a prediction's id. ``args``
    belong to what is done: ``seconds``, ``code``, ``error``, ``retry_after``, ...
    """

    on: str
    do: str
    nth: int | tuple[int, ...] | None = None
    chance: float = 1.0
    match: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read one from JSON, where tuples are lists."""
        nth = data.get("nth")
        return cls(**{**data, "nth": tuple(nth) if isinstance(nth, list) else nth})

    def write(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    def due(self, count: int) -> bool:
        """Is it the turn of the request of this number?"""
        return self.nth is None or count in ((self.nth,) if isinstance(self.nth, int) else self.nth)


class Script:
    """The faults in force. Of several that apply to a request, the first is taken."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.faults = tuple(faults)
        self.random = random.Random(seed)
        self._counts: Counter[int] = Counter()

    def choose(self, on: str, subject: str) -> Fault | None:
        """Return what to do to this request, which counts as one of its kind."""
        chosen = None
        for number, fault in enumerate(self.faults):
            if fault.on != on or fault.match not in subject:
                continue
            self._counts[number] += 1
            applies = fault.due(self._counts[number]) and (fault.chance >= 1.0 or self.random.random() < fault.chance)
            if applies and chosen is None:
                chosen = fault
        return chosen
