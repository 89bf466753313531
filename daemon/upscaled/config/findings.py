"""What was found wrong in one configuration file, and where its keys stand.

Every part of the loader adds to one `Findings`, so that a person gets all of it at once and in the file's order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from upscaled.errors import Problem

Keys = tuple[str | int, ...]
"""Where a value stands: ``("folders", 0, "inbox")``."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The file that a configuration was read from and the line of each of its keys, counted from 1."""

    file: str = ""
    lines: dict[Keys, int] = field(default_factory=dict)

    def line(self, keys: Keys) -> int | None:
        """Return the line of a key, or of the nearest one around it where the key is not written down."""
        for end in range(len(keys), -1, -1):
            if keys[:end] in self.lines:
                return self.lines[keys[:end]]
        return None

    def problem(self, keys: Keys, message: str, remedy: str = "") -> Problem:
        """Return something wrong with the value of a key."""
        return Problem(self.file, self.line(keys), spell(keys), message, remedy)


@dataclass(slots=True)
class Findings:
    """The problems so far. ``wrong`` are the keys that one of them is about, so that none is reported twice."""

    file: str
    lines: dict[Keys, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    wrong: set[Keys] = field(default_factory=set)

    @property
    def marks(self) -> Marks:
        """Where the keys stand."""
        return Marks(self.file, self.lines)

    def add(self, keys: Keys, message: str, remedy: str = "") -> None:
        """Note a problem with the value of a key."""
        self.wrong.add(keys)
        self.problems.append(self.marks.problem(keys, message, remedy))

    def at_line(self, line: int | None, message: str, remedy: str, keys: Keys = ()) -> None:
        """Note a problem with a line of the text. The key, if any, has another value that stands."""
        self.problems.append(Problem(self.file, line, spell(keys), message, remedy))

    def within(self, keys: Keys) -> bool:
        """Is anything wrong with the value of this key or with a part of it?"""
        return any(wrong[: len(keys)] == keys for wrong in self.wrong)

    def in_order(self) -> list[Problem]:
        """Return the problems as the file has them; those of the whole file come first."""
        return sorted(self.problems, key=lambda problem: problem.line or 0)


def spell(keys: Keys) -> str:
    """Return the key as a person would name it: ``folders[0].inbox``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{_printable(key)}" if text else _printable(key)
    return text


def _printable(key: str) -> str:
    short = key if len(key) <= 60 else f"{key[:59]}…"
    return short if short.isprintable() else ascii(short)
