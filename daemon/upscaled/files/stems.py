"""Which stems a large directory holds, so that it need not be listed for each file that is put there.

An outbox may hold 100,000 files, and listing it takes 60 ms. But what is asked is nearly always: is there any other
version of this new name? So the stems of a listing are kept for a while, as numbers of eight bytes. A name whose stem
is not among them needs no listing; one whose stem is, or was asked for before, gets one.

Nothing is overwritten by relying on this (I2): whoever moves a file asks the kernel for a name that is free. What may
be overlooked is a file that somebody else put there since the listing, under the same name in another case.
"""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from upscaled.files import names
from upscaled.files.directories import entries
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path

FRESH: Final = 30.0
"""How long a listing is relied on, in seconds."""

LARGE: Final = 1000
"""Directories with fewer entries are listed each time: that takes less than a millisecond."""

MOST: Final = 16
"""So many directories are remembered, at about 70 bytes for each entry."""

_VERSIONS: Final = re.compile(r"(?:~\d{1,6})+\Z")

_SAFE: Final = 48
"""Characters of a stem that no version of a name is ever cut below: a file system takes 255 bytes."""


@dataclass(slots=True)
class _Listed:
    directory: tuple[int, int]
    at: float
    stems: set[int]


_lock = threading.Lock()
_listed: dict[str, _Listed] = {}


def candidates(directory: Path, name: str) -> list[str]:
    """Return the entries of a directory among which all relatives of a name are; often none. Raises `FileTrouble`."""
    with translated(directory, "list"):
        status = directory.stat()
    place, stem = (status.st_dev, status.st_ino), _stem(name)
    with _lock:
        known = _listed.get(str(directory))
        if known is not None and _holds_good(known, place) and stem not in known.stems:
            # Whoever asks again must not rely on an answer that was given before the file came.
            known.stems.add(stem)
            return [name] if os.path.lexists(directory / name) else []
    found = entries(directory)
    _remember(directory, place, found, stem)
    return found


def _holds_good(known: _Listed, place: tuple[int, int]) -> bool:
    return known.directory == place and time.monotonic() - known.at < FRESH


def _remember(directory: Path, place: tuple[int, int], found: list[str], stem: int) -> None:
    with _lock:
        known = _listed.get(str(directory))
        if known is not None and _holds_good(known, place):
            known.stems.add(stem)
            return
        _listed.pop(str(directory), None)
        if len(found) < LARGE:
            return
        while len(_listed) >= MOST:
            del _listed[next(iter(_listed))]
    at, stems = time.monotonic(), {_stem(entry) for entry in found}
    with _lock:
        _listed[str(directory)] = _Listed(place, at, stems | {stem})


def _stem(name: str) -> int:
    """Return a number that every version of a name has in common with it."""
    return hash(_VERSIONS.sub("", names.fold(names.split(name)[0]))[:_SAFE])
