"""Markers: the small file ``.upscaled`` in each directory of a folder, by which it is told from a bare mount point.

Separate because nothing else we write is for staying. The marker carries an id, which the ledger remembers; and in an
inbox a lease, which says which upscaled looks after it. A lease is renewed as long as its owner lives, so one that is
old belongs to nobody.

The crash argument. A marker appears whole under its name or not at all, and it is there before the ledger knows its id:
a run that dies in between leaves a marker that the next run takes as it is. A lease is written in place, over bytes of
the same length and in one write, so that renewing it needs no room on the disk and cannot lose the id, which stands
before it and does not change. No file is kept open: a share could not be unmounted under it.

Ages are differences between two times of the file system's own clock, so the clocks of two machines are never compared.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files import names
from upscaled.files.directories import require_directory
from upscaled.files.moves import settle
from upscaled.files.parts import create_part, discard, sync
from upscaled.files.sources import no_follow
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

NAME: Final = ".upscaled"
"""The marker's name."""

LIFE: Final = 600.0
"""A lease that was not renewed for so many seconds belongs to nobody, where nothing better is known of its owner."""

_SIZE: Final = 2048
"""Bytes of a marker, padded: a lease of any length replaces any other in place."""

_HEAD: Final = """\
Do not delete this file. By it upscaled knows that this is the right folder, and not the empty place where a share
would be mounted; without it, upscaled neither takes pictures from here nor puts any here.
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who looks after an inbox: the id of its ledger, and where it runs.

    ``boot`` is the running kernel's id and ``lock`` the device and inode of the lock file in ``directory`` (the state
    directory): on the same machine these tell for certain whether it still lives.
    """

    state: str
    host: str
    pid: str
    boot: str
    directory: str
    lock: str

    def same(self, other: Owner) -> bool:
        """Is it the same ledger on the same machine? A copy of a state directory elsewhere is somebody else."""
        return self.state == other.state and (self.host == other.host or self.boot == other.boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, with state_dir {self.directory}"


@dataclass(frozen=True, slots=True)
class Marker:
    """What a marker says. ``id`` is '' where it cannot be read."""

    id: str
    host: str = ""
    made: str = ""
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The inbox is somebody else's, who was last heard of ``age`` seconds ago (None: it is known to live)."""

    owner: Owner
    age: float | None


def read(directory: Path) -> Marker | None:
    """Return a directory's marker, or None where there is none. Raises `FileTrouble`."""
    require_directory(directory)
    path = directory / NAME
    with translated(path, "read"):
        try:
            descriptor = no_follow(str(path), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return _parse(os.read(descriptor, _SIZE))
        finally:
            os.close(descriptor)


def make(directory: Path, marker: Marker) -> Marker:
    """Put a marker into a directory that has none, durably; return the one that is there then. Raises `FileTrouble`."""
    part = directory / names.part_name(NAME, f"marker-{marker.id}")
    with create_part(part) as file, translated(part, "write"):
        file.write(_written(marker))
        sync(file)
    with translated(directory / NAME, "write"):
        try:
            settle(part, directory / NAME)
        except FileExistsError:
            discard(part)
    return read(directory) or marker


def claim(directory: Path, owner: Owner, lives: Callable[[Owner], bool | None]) -> Refusal | None:
    """Write or renew the owner's lease in an inbox's marker; return whose the inbox is, if it is not theirs.

    ``lives`` says whether another owner is alive, or None where that cannot be known: then the lease's age decides.
    Where the marker cannot be written, nobody can have a lease, and there is nothing to refuse. Raises `FileTrouble`.
    """
    path = directory / NAME
    with translated(path, "write"):
        try:
            file = open(path, "r+b", opener=no_follow)  # noqa: SIM115 - closed below
        except PermissionError:
            return _refusal_of_unwritable(directory, owner, lives)
    with file, translated(path, "write"):
        _lock(file, path)
        marker = _parse(file.read(_SIZE))
        refusal = _refusal(directory, os.fstat(file.fileno()).st_mtime, marker.owner, owner, lives)
        if refusal is None:
            _put(file, Marker(marker.id, marker.host, marker.made, owner))
        return refusal


def disown(directory: Path) -> None:
    """Take the lease out of an inbox's marker, because a person says that its owner is gone. Raises `FileTrouble`."""
    path = directory / NAME
    with translated(path, "write"), open(path, "r+b", opener=no_follow) as file:
        _lock(file, path)
        marker = _parse(file.read(_SIZE))
        if marker.owner is not None:
            _put(file, Marker(marker.id, marker.host, marker.made))


def _refusal_of_unwritable(directory: Path, owner: Owner, lives: Callable[[Owner], bool | None]) -> Refusal | None:
    marker = read(directory)
    other = marker.owner if marker else None
    if other is None or other.same(owner) or lives(other) is False:
        return None
    return Refusal(other, None)


def _refusal(
    directory: Path, renewed: float, other: Owner | None, owner: Owner, lives: Callable[[Owner], bool | None]
) -> Refusal | None:
    if other is None or other.same(owner):
        return None
    alive = lives(other)
    if alive is not None:
        return Refusal(other, None) if alive else None
    age = _clock(directory, owner) - renewed
    return Refusal(other, age) if age < LIFE else None


def _clock(directory: Path, owner: Owner) -> float:
    """Return the time by the clock that stamps files here, which may be a server's."""
    probe = directory / names.part_name(NAME, f"clock-{owner.state}")
    try:
        with create_part(probe) as file:
            file.write(b"?")
            sync(file)
            return os.fstat(file.fileno()).st_mtime
    finally:
        with suppress(OSError):
            discard(probe)


def _lock(file: BinaryIO, path: Path) -> None:
    """Have the marker alone for the moment of a claim, where the file system knows locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise errors.Busy(f"Another upscaled is claiming {names.printable(str(path.parent))}", path=path) from error
    except OSError:
        return  # no locks here: two that claim in the same instant find out at their next look


def _put(file: BinaryIO, marker: Marker) -> None:
    file.seek(0)
    file.write(_written(marker))
    sync(file)


# --- the text --------------------------------------------------------------------------------------------------------


def _written(marker: Marker) -> bytes:
    lines = {"id": marker.id, "host": marker.host, "made": marker.made}
    if marker.owner is not None:
        lines |= {f"owner-{field.name}": getattr(marker.owner, field.name) for field in fields(Owner)}
    text = _HEAD + "".join(f"{key}: {_line(value)}\n" for key, value in lines.items())
    return text.encode("utf-8", "surrogateescape").ljust(_SIZE - 1) + b"\n"


def _line(value: str) -> str:
    # A state directory of an absurd name is no evidence; it must not push anything out of its place.
    return value if len(value.encode("utf-8", "surrogateescape")) <= 1024 and "\n" not in value else ""


@lru_cache(maxsize=256)
def _parse(data: bytes) -> Marker:
    """Read a marker's text; whatever is missing is ''. Remembered, as each is read many times a picture."""
    pairs = (line.partition(": ") for line in data.decode("utf-8", "surrogateescape").splitlines())
    found = {key: value for key, colon, value in pairs if colon}
    owner = Owner(**{field.name: found.get(f"owner-{field.name}", "") for field in fields(Owner)})
    return Marker(found.get("id", ""), found.get("host", ""), found.get("made", ""), owner if owner.state else None)
