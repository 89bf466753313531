"""Open a quiet file, make sure it still is the one that was observed, and judge its content.

The only part of the intake that touches a source, and it only reads. On network file systems opening is also what makes
the kernel ask the server for fresh attributes, so the comparison after it is part of the gate.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from upscaled.errors import FileTrouble, NoPermission
from upscaled.files.durable import identity_of_open, open_source, translate
from upscaled.files.structure import inspect
from upscaled.job.readiness import PICTURED, RAW, Verdict, content, kind_of, paired

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upscaled.job.model import Identity
    from upscaled.job.readiness import Rules, Structure, Track


@dataclass(frozen=True, slots=True)
class Vanished:
    """There is no such file any more."""


@dataclass(frozen=True, slots=True)
class Changed:
    """It is another version of the file, or another file."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file cannot be opened or read at the moment."""

    why: str


Examined = Verdict | Vanished | Changed | Unreadable


@dataclass(frozen=True, slots=True)
class Opener:
    """How a source is opened and what is found in it; tests put other functions here."""

    open: Callable[[Path], BinaryIO] = open_source
    inspect: Callable[[BinaryIO], Structure] = inspect

    def examine(self, path: Path, track: Track, rules: Rules) -> Examined:
        """Judge the file at ``path``, provided that it is the one of ``track`` before and after it was read."""
        try:
            with self.open(path) as file:
                structure = self._read(file, track)
        except FileTrouble as trouble:
            return Vanished() if trouble.missing else Unreadable(_why(path, trouble))
        except OSError as error:
            return Unreadable(_why(path, translate(error, path, "read")))
        if isinstance(structure, Changed):
            return structure
        if kind_of(path.name, structure) in RAW and (picture := _picture_beside(path)) is not None:
            return paired(path.name, picture, track.seen)
        return content(path.name, structure, track, rules)

    def _read(self, file: BinaryIO, track: Track) -> Structure | Changed:
        before = identity_of_open(file)
        if before != track.identity:
            return Changed(before)
        structure = self.inspect(file)
        after = identity_of_open(file)
        return structure if after == before else Changed(after)


def _picture_beside(raw: Path) -> str | None:
    """Return the name of the picture that the camera wrote beside a raw file, if it is there."""
    # Asked name by name: a directory may hold 100,000, and this is asked for each raw file in it.
    beside = (raw.stem + ending for suffix in PICTURED for ending in (suffix, suffix.upper()))
    return next((name for name in beside if os.path.lexists(raw.with_name(name))), None)


def _why(path: Path, trouble: FileTrouble) -> str:
    """Say why a file cannot be read, with the numbers that a person needs to mend it."""
    why = trouble.said
    return f"{why}{_rights(path)}" if isinstance(trouble, NoPermission) else why


def _rights(path: Path) -> str:
    try:
        found = path.lstat()
    except OSError:
        return ""
    return f" (mode {found.st_mode & 0o7777:04o}, owner {found.st_uid}; upscaled runs as {os.geteuid()})"
