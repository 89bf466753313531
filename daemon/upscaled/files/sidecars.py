"""Sidecars: files that belong to a picture beside them (``.xmp``, ``.aae``, a camera's raw file) and leave with it.

They follow their picture when it leaves the inbox, under the name that the picture has by then. A sidecar is named
after the whole picture (``photo.jpg.xmp``), after its stem (``photo.xmp``), or after its raw file (``photo.cr2.xmp``).
One with a stem that several pictures share goes with the last of them, because before that nobody can say whose it is.

The crash argument is that of `set_aside`, one sidecar after the other, once the picture is where it is to be: a second
run finds the picture there and goes on with the sidecars that are left, or that were about to leave.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from upscaled.files import names
from upscaled.files.directories import require_directory
from upscaled.files.originals import set_aside
from upscaled.files.sources import identity_at
from upscaled.files.trouble import translated
from upscaled.job.readiness import RAW_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

ENDINGS: Final = (".xmp", ".aae")

_RAW: Final = frozenset(RAW_SUFFIXES)


def take_along(source: Path, picture: Path) -> list[Path]:
    """Move the sidecars of the picture that was at ``source`` to where it is now; return where they are.

    Raises `FileTrouble`: not now.
    """
    require_directory(source.parent)
    with translated(source.parent, "list"):
        entries = os.listdir(source.parent)  # noqa: PTH208 - iterdir() makes 100,000 objects of 100,000 names
    moved = (_take(source.parent, sidecar, picture) for sidecar in _of(source.name, entries))
    return [path for path in moved if path is not None]


@dataclass(frozen=True, slots=True, order=True)
class _Sidecar:
    name: str
    entry: str
    """Its name in the directory: another one, if a run died while it removed it from there."""
    whole: bool
    """Is it named after the whole picture, and not only after its stem?"""
    tail: str
    """What follows that in its name."""


def _take(directory: Path, sidecar: _Sidecar, picture: Path) -> Path | None:
    identity = identity_at(directory / sidecar.entry)
    if identity is None:
        return None
    head = picture.name if sidecar.whole else names.split(picture.name)[0]
    name = names.fit(head + sidecar.tail)
    return set_aside(directory / sidecar.name, picture.parent, name, identity=identity, digest=None).path


def _companions(picture: str) -> Collection[str]:
    """Return the endings of what goes along with a picture. A raw file goes with another picture, not another raw."""
    is_raw = names.split(picture)[1].lower() in _RAW
    return ENDINGS if is_raw else {*ENDINGS, *_RAW}


def _raw_of(head: str, picture: str) -> str | None:
    """Return the ending of the raw file that goes along with a picture, if a sidecar is named after that."""
    stem, ending = os.path.splitext(head)  # noqa: PTH122 - names only
    is_its = ending.lower() in _RAW & set(_companions(picture)) and names.same_name(stem, names.split(picture)[0])
    return ending if is_its else None


def _of(picture: str, entries: Iterable[str]) -> list[_Sidecar]:
    """Return a picture's sidecars among the entries of its directory."""
    stem, companions = names.split(picture)[0], _companions(picture)
    # Names are compared one by one only where they begin alike: a directory may hold 100,000.
    beginning = names.fold(stem)[:8]
    found, shared = [], False
    for entry in entries:
        name = names.left(entry) or entry
        if not (name.lower() if name.isascii() else names.fold(name)).startswith(beginning):
            continue
        head, ending = os.path.splitext(name)  # noqa: PTH122 - names only
        if ending.lower() not in companions:
            other, extension = names.split(name)
            shared = shared or (name != picture and extension != "" and names.same_name(other, stem))
        elif names.same_name(head, picture) or names.same_name(head, stem):
            found.append(_Sidecar(name, entry, names.same_name(head, picture), ending))
        elif (raw := _raw_of(head, picture)) is not None:
            found.append(_Sidecar(name, entry, whole=False, tail=raw + ending))
    return sorted(sidecar for sidecar in found if sidecar.whole or not shared)
