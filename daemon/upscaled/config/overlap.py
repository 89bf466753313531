"""Folders that lie in one another: what comes out of one would go into another again, for ever and for money.

Pure: it compares places that are already resolved. The loader gives it paths as written, and the check of the disk
gives it what those paths lead to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from upscaled.config.findings import Keys, spell

if TYPE_CHECKING:
    from pathlib import Path

INBOX = "inbox"
SHARED = frozenset({"outbox", "archive", "failed"})
"""Roles in which several folders may have the same place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A configured directory. ``chain`` identifies it and every directory around it, itself first."""

    keys: Keys
    role: str
    path: Path
    chain: tuple[Hashable, ...] = field(repr=False)

    def lies_in(self, other: Place) -> bool:
        """Is it the other directory, or inside it?"""
        return other.chain[0] in self.chain


@dataclass(frozen=True, slots=True)
class Overlap:
    """A place that must not lie where it does, in words."""

    keys: Keys
    message: str


def lexical_chain(path: Path) -> tuple[Hashable, ...]:
    """Identify a directory by its path alone."""
    return (path, *path.parents)


def overlaps(places: list[Place]) -> list[Overlap]:
    """Return the places that have to move, as few as explain every overlap.

    One wrong directory usually overlaps with several that are right, so those that overlap most are named first and
    whatever they explain is not reported again.
    """
    pairs = [pair for pair in combinations(places, 2) if _clash(*pair)]
    found: list[Overlap] = []
    while pairs:
        worst = _worst(pairs, places)
        others = [one if other is worst else other for one, other in pairs if worst in (one, other)]
        found.append(Overlap(worst.keys, _sentence(worst, others)))
        pairs = [pair for pair in pairs if worst not in pair]
    return found


def _worst(pairs: list[tuple[Place, Place]], places: list[Place]) -> Place:
    """Return the place in most of the pairs; of several, the last in the file."""
    count = Counter(place.keys for pair in pairs for place in pair)
    return max(reversed(places), key=lambda place: count[place.keys])


def _clash(one: Place, other: Place) -> bool:
    if {one.role, other.role} == {"state", "archive"} or {one.role, other.role} == {"state", "failed"}:
        return False
    shared = one.role == other.role and one.role in SHARED and one.chain[0] == other.chain[0]
    return not shared and (one.lies_in(other) or other.lies_in(one))


def _sentence(place: Place, others: list[Place]) -> str:
    said: dict[str, list[str]] = {}
    for other in others[:3]:
        said.setdefault(_relation(place, other), []).append(f"{spell(other.keys)} ({other.path})")
    more = f", and {len(others) - 3} more" if len(others) > 3 else ""
    clauses = [f"{relation} {', '.join(named)}" for relation, named in said.items()]
    return f"{place.path} {' and '.join(clauses)}{more}"


def _relation(place: Place, other: Place) -> str:
    if place.chain[0] == other.chain[0]:
        return "is the same directory as"
    return "lies inside" if place.lies_in(other) else "contains"
