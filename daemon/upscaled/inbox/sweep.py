"""One walk over an inbox: the only thing that discovers sources.

It reads directories and nothing else: a FIFO or a device is never opened, a symbolic link never followed. One directory
that cannot be read is reported and passed over; only a missing inbox ends the sweep, because an inbox that cannot be
read says nothing about what lies in it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from upscaled.errors import UpscaledError
from upscaled.files.durable import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from upscaled.inbox.ignore import Ignore
    from upscaled.job.model import Identity

KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

FRESH: Final = 2_000_000_000
"""Nanoseconds in which a file system may not tell two changes apart by their times; the coarsest count in seconds."""


class Names(NamedTuple):
    """What lies in a directory, which stands like that since a time in nanoseconds, if that is certain."""

    names: AbstractSet[str]
    since: int | None


_NONE: Final = Names(frozenset(), None)

SUBFOLDER = "a folder, and `recursive` is off"


class Offline(UpscaledError):
    """The inbox is missing or cannot be read."""


class Observation(NamedTuple):
    """One name of an inbox that is not ignored. ``path`` is relative to the inbox; without identity, see ``reason``."""

    path: str
    identity: Identity | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A directory (or a file) of the inbox that cannot be looked at; ``path`` is relative to the inbox."""

    path: str
    why: str


@dataclass(slots=True)
class Sweep:
    """Iterate over it once for the observations; the counts and troubles are complete after that.

    Raises `Offline` while iterating when the inbox itself cannot be read.
    """

    inbox: Path
    ignore: Ignore
    recursive: bool = True
    trusted: Mapping[str, Identity] = field(default_factory=dict)
    """Sources that are believed to be what they were while their names and inodes are: asking each costs the most."""
    ignored: int = 0
    folders: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    most: int = 0
    """How many names are kept at most; with more there are none at all, as they would take memory."""
    count: int = 0
    names: dict[str, Names] = field(default_factory=dict)
    """All that lies in each directory."""

    def __iter__(self) -> Iterator[Observation]:
        """Walk the tree depth first, without recursion: trees may be deeper than the interpreter's stack."""
        pending = [""]
        ignored = self.ignore.matches
        while pending:
            relative = pending.pop()
            within = f"{relative}/" if relative else ""
            for entry in self._entries(relative):
                if ignored(entry.name):
                    self.ignored += 1
                    continue
                path = within + entry.name
                before = self.trusted.get(path)
                if before is not None and _is_still(entry, before):
                    yield Observation(path, before)
                elif not _is_folder(entry):
                    observation = self._observe(path, entry)
                    if observation is not None:
                        yield observation
                elif self.recursive:
                    pending.append(path)
                else:
                    yield Observation(path, None, SUBFOLDER)

    def _entries(self, relative: str) -> list[os.DirEntry[str]]:
        """Read one directory whole, so that none stays open while its subfolders are walked."""
        directory = os.path.join(self.inbox, relative)  # noqa: PTH118 - half the time of pathlib, once a directory
        try:
            since = _stands_since(directory)
            with os.scandir(directory) as entries:
                found = list(entries)
        except OSError as error:
            if not relative:
                raise Offline("The inbox cannot be read", why=f"{self.inbox}: {error.strerror or error}") from error
            self._report(relative, error)
            return []
        self.folders += 1
        self.count += len(found)
        if self.count <= self.most:
            self.names[relative] = Names({entry.name for entry in found}, since)
        else:
            self.names.clear()
        return found

    def _observe(self, path: str, entry: os.DirEntry[str]) -> Observation | None:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            self._report(path, error)
            return None
        if stat.S_ISREG(found.st_mode):
            return Observation(path, identity_of(found))
        return Observation(path, None, KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file"))

    def _report(self, path: str, error: OSError) -> None:
        """Note what cannot be looked at. What is gone in the meantime is no trouble: it was moved or deleted."""
        if not isinstance(error, FileNotFoundError):
            self.troubles.append(Trouble(path, error.strerror or str(error)))


@dataclass(slots=True)
class Glance:
    """Iterate over it for the observations of what has come since a sweep saw ``names``, which are kept up to date.

    It tells nothing of what was there before, nor of a directory that cannot be read: the next sweep does.
    """

    inbox: Path
    ignore: Ignore
    names: dict[str, Names]
    recursive: bool = True

    def __iter__(self) -> Iterator[Observation]:
        """Read each known directory's names, and those of new directories below them."""
        pending = list(self.names)
        while pending:
            relative = pending.pop()
            within = f"{relative}/" if relative else ""
            for path in (within + name for name in self._new(relative) if not self.ignore.matches(name)):
                try:
                    found = os.lstat(os.path.join(self.inbox, path))  # noqa: PTH118 - as in a sweep
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield Observation(path, identity_of(found))
                elif stat.S_ISDIR(found.st_mode) and self.recursive:
                    pending.append(path)

    def _new(self, relative: str) -> list[str]:
        """Return the names in a directory that were not there before; those that are gone are forgotten."""
        directory = os.path.join(self.inbox, relative)  # noqa: PTH118 - as in a sweep
        before = self.names.get(relative, _NONE)
        try:
            since = _stands_since(directory)
            if since is not None and since == before.since:
                return []
            names = set(os.listdir(directory))  # noqa: PTH208 - names alone
        except OSError:
            self.names.pop(relative, None)
            return []
        self.names[relative] = Names(names, since)
        return sorted(names - before.names)


def _stands_since(directory: str) -> int | None:
    """Return when a directory was last changed, in nanoseconds; None if it may be changed again at that very time."""
    changed = os.stat(directory).st_mtime_ns  # noqa: PTH116 - as above
    return changed if changed < time.time_ns() - FRESH else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_still(entry: os.DirEntry[str], before: Identity) -> bool:
    """Is it a file of that inode, by what the directory says? Where that says another number, the file is asked."""
    return entry.inode() == before.inode and entry.is_file(follow_symlinks=False)
