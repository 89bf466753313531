"""Is the inbox there, and is it still the one that was swept first?

Separate because a wrong answer is the worst disaster of watch folders: an unmounted share looks like an empty
directory, or like a directory full of something else. A missing or exchanged inbox is *offline*: nothing in it is
noticed, and nothing that was known of it is forgotten.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upscaled.inbox.mounts import UNKNOWN, Mount, mount_of, read_mounts
from upscaled.inbox.sweep import Offline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where the inbox is: its directory, and the mount it lies on (None where the kernel does not tell)."""

    device: int
    inode: int
    mount: Mount | None

    @property
    def kind(self) -> str:
        """The kind of file system."""
        return UNKNOWN if self.mount is None else self.mount.kind


def place_of(path: Path, status: os.stat_result, mounts: Iterable[Mount]) -> Place:
    """Return where a directory lies, given its status. May block on a dead share."""
    return Place(status.st_dev, status.st_ino, mount_of(os.path.realpath(path), mounts))


class Root:
    """The inbox's directory, watched for being exchanged under the running program.

    ``guard`` raises `errors.FileTrouble` when the folder is not what it was. Without one, what is found first is what
    has to be there from then on.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        look: Callable[[Path], os.stat_result] = os.stat,
        mounts: Callable[[], tuple[Mount, ...]] = read_mounts,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self.inbox = inbox
        self._look = look
        self._mounts = mounts
        self._guard = guard
        self._home: Place | None = None

    def check(self) -> Place:
        """Return where the inbox is now.

        Raises `sweep.Offline` when it is missing, or not the one it was at first, and what the guard raises.
        """
        place = place_of(self.inbox, self._stat(), self._mounts())
        if self._guard is not None:
            self._guard()
        elif self._home is None:
            self._home = place
        elif not same_share(self._home, place):
            raise self._exchanged(self._home, place)
        return place

    def _stat(self) -> os.stat_result:
        try:
            found = self._look(self.inbox)
        except OSError as error:
            raise Offline(
                "The inbox is missing",
                why=f"{self.inbox}: {error.strerror or error}",
                do="Mount or make it again; upscaled goes on by itself.",
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise Offline("The inbox is not a directory", why=str(self.inbox))
        return found

    def _exchanged(self, home: Place, place: Place) -> Offline:
        return Offline(
            "Another file system lies at the inbox",
            why=f"{self.inbox}: {described(place)}, at start it was {described(home)}",
            do="Mount the right one again; upscaled goes on by itself. If the change is meant, restart upscaled.",
        )


def same_share(home: Place, place: Place) -> bool:
    """Compare the mounts rather than device numbers: a network share gets a new number each time it is mounted."""
    if home.mount is None or place.mount is None:
        return home.device == place.device
    return home.mount == place.mount


def described(place: Place) -> str:
    """Return a place for people."""
    return (
        f"device {place.device}"
        if place.mount is None
        else f"{place.mount.source} ({place.kind}) on {place.mount.point}"
    )
