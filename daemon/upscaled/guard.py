"""The mount guard: is each directory of a folder there, and is it the one that it was? And is the inbox ours?

An unmounted share leaves an empty directory behind, or one full of something else. Taken for the folder, it would make
every picture look deleted, swallow results that vanish under the share once it is back, or pay for strangers' files.
So each directory is marked when it is first used, and the ledger remembers the mark. A directory without it is
*offline*, one with another is *wrong*, and neither is ever marked again but by a person (`adopt`). Where nothing may be
written, the directory's device, inode and mount stand for a marker.

Separate from the ledger, which only remembers, and from `upscaled.files.markers`, which only reads and writes: here it
is decided. Called in threads; it may block as long as the file system does.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from upscaled.errors import FolderOffline, NoPermission, OwnedElsewhere, ReadOnly, WrongFolder
from upscaled.files import markers
from upscaled.files.markers import Marker, Owner, Refusal
from upscaled.files.names import printable
from upscaled.inbox.mounts import Mount, read_mounts
from upscaled.inbox.root import Place, described, place_of, same_share
from upscaled.ledger import Ledger, database
from upscaled.ledger.places import Known

RENEW: Final = 240.0
"""A lease is renewed this often at most, in seconds: each time is a write, and a NAS's disks may want to sleep."""

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Folder(Protocol):
    """The directories of a configured folder."""

    @property
    def inbox(self) -> Path:
        """Where sources lie."""

    @property
    def outbox(self) -> Path:
        """Where results go."""

    @property
    def archive(self) -> Path:
        """Where originals go."""

    @property
    def failed(self) -> Path:
        """Where originals of jobs that cannot succeed go."""


class Guard:
    """Holds the directories of one ledger's folders against what was known of them. Safe in several threads."""

    def __init__(
        self,
        ledger: Ledger,
        owner: Owner,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        mounts: Callable[[], tuple[Mount, ...]] = read_mounts,
        lives: Callable[[Owner], bool | None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._owner = owner
        self._now = now
        self._clock = clock
        self._mounts = mounts
        self._lives = lives or owner_lives
        self._renewed: dict[Path, float] = {}

    def require(self, directory: Path) -> Marker | None:
        """Raise `FileTrouble` unless the directory is the one that it was; the first time, mark and remember it.

        Returns its marker, if it has one. If the process dies between marking and remembering, the next one finds the
        marker and remembers that.
        """
        # In this order: two folders that share a directory may use it for the first time at once.
        known = self._ledger.place(str(directory))
        found = markers.read(directory)
        if known is None:
            return self._first_use(directory, found)
        if not known.marker:
            self._require_place(directory, known)
        elif found is None:
            raise self._unmarked(directory, known)
        elif found.id != known.marker:
            raise self._another(directory, known, found)
        return found

    def hold(self, folder: Folder) -> None:
        """Raise `FileTrouble` unless all four directories are there and the inbox is ours; keep it ours.

        Called by whoever looks after the inbox, often enough for the lease to be renewed in time.
        """
        marker = self.require(folder.inbox)
        if marker is not None:
            self._hold_lease(folder.inbox, marker)
        self._require_others(folder)

    def check(self, folder: Folder) -> None:
        """Raise `FileTrouble` unless all four directories are there and the inbox is ours, claiming nothing."""
        marker = self.require(folder.inbox)
        if marker is not None and marker.owner is not None and not marker.owner.same(self._owner):
            raise owned(folder.inbox, Refusal(marker.owner, None))
        self._require_others(folder)

    def _require_others(self, folder: Folder) -> None:
        for directory in (folder.outbox, folder.archive, folder.failed):
            self.require(directory)

    # --- first use ---

    def _first_use(self, directory: Path, found: Marker | None) -> Marker | None:
        marker = found or self._marked(directory)
        if marker is not None and not marker.id:
            raise self._unreadable(directory)
        lies = () if marker else _words(self._place(directory))
        self._ledger.record_place(Known(str(directory), marker.id if marker else "", lies), now=self._now())
        return marker

    def _marked(self, directory: Path) -> Marker | None:
        try:
            return markers.make(directory, new_marker(self._owner.host, self._now()))
        except (NoPermission, ReadOnly):
            return None

    # --- later ---

    def _place(self, directory: Path) -> Place:
        return place_of(directory, os.stat(directory), self._mounts())  # noqa: PTH116 - as `place_of` takes it

    def _require_place(self, directory: Path, known: Known) -> None:
        now, then = self._place(directory), _from_words(known.lies)
        if (now.device, now.inode) != (then.device, then.inode) and (now.mount is None or not same_share(now, then)):
            raise FolderOffline(
                "Another file system lies at a directory of the folder",
                why=f"{printable(str(directory))}: {described(now)}, at first it was {described(then)}",
                do=_remedy(directory),
                path=directory,
            )

    def _unmarked(self, directory: Path, known: Known) -> FolderOffline:
        return FolderOffline(
            f"{printable(str(directory))} has lost its marker",
            why=f"{markers.NAME} with the id {known.marker} is not there; what is there is {self._where(directory)}",
            do=_remedy(directory),
            path=directory,
        )

    def _another(self, directory: Path, known: Known, found: Marker) -> WrongFolder:
        if not found.id:
            return self._unreadable(directory)
        return WrongFolder(
            f"{printable(str(directory))} is another directory than it was",
            why=f"its marker {markers.NAME} has the id {found.id} (made {found.made} on {found.host}), expected was"
            f" {known.marker}; it lies on {self._where(directory)}",
            do=_remedy(directory),
            path=directory,
        )

    def _unreadable(self, directory: Path) -> WrongFolder:
        return WrongFolder(
            f"The marker of {printable(str(directory))} cannot be understood",
            why=f"{markers.NAME} there has no id; the directory lies on {self._where(directory)}",
            do=f"If it is the right directory, remove that file, and then: {adoption(directory)}",
            path=directory,
        )

    def _where(self, directory: Path) -> str:
        return described(self._place(directory))

    # --- the lease ---

    def _hold_lease(self, inbox: Path, marker: Marker) -> None:
        ours = marker.owner is not None and marker.owner == self._owner
        if ours and self._clock() - self._renewed.get(inbox, float("-inf")) < RENEW:
            return
        try:
            refusal = markers.claim(inbox, self._owner, self._lives)
        except ReadOnly:
            return  # a disk that accepts no changes accepts nobody's lease
        if refusal is not None:
            raise owned(inbox, refusal)
        self._renewed[inbox] = self._clock()


def owned(inbox: Path, refusal: Refusal) -> OwnedElsewhere:
    """Return the error for an inbox that another upscaled looks after."""
    alive = refusal.age is None
    heard = "" if alive else f", last heard of {max(0.0, refusal.age or 0.0):.0f} s ago"
    stop = "Stop that one first, or give this one an inbox of its own."
    wait = f"If it is gone, the inbox is free {markers.LIFE:.0f} s after it was last heard of; or: {adoption(inbox)}"
    return OwnedElsewhere(
        f"Another upscaled looks after {printable(str(inbox))}",
        why=f"{printable(str(refusal.owner))}{heard}",
        do=stop if alive else wait,
        path=inbox,
    )


def adoption(directory: Path) -> str:
    """Return the command that makes a directory the right one."""
    quoted = printable(str(directory)).replace("'", "'\\''")
    return f"upscaled init --adopt '{quoted}'"


def _remedy(directory: Path) -> str:
    return (
        f"Mount what belongs there; upscaled goes on by itself. If this is the right directory: {adoption(directory)}"
    )


# --- who we are ------------------------------------------------------------------------------------------------------


def owner_of(ledger: Ledger, state_dir: Path) -> Owner:
    """Return this process as the owner of inboxes."""
    return Owner(
        state=ledger.id,
        host=socket.gethostname(),
        pid=str(os.getpid()),
        boot=_boot(),
        directory=str(state_dir.absolute()),
        lock=_lock_of(state_dir),
    )


def owner_lives(owner: Owner) -> bool | None:
    """Is another owner alive? None where that cannot be known from here: it may run on another machine."""
    if not owner.boot or owner.boot != _boot() or not owner.directory:
        return None
    directory = Path(owner.directory)
    # In another container there may be another directory of the same name.
    if not owner.lock or _lock_of(directory) != owner.lock:
        return None
    return database.owned(directory)


def _boot() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _lock_of(state_dir: Path) -> str:
    try:
        status = (state_dir / database.LOCK).stat()
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}"


def new_marker(host: str, now: float) -> Marker:
    """Return a marker that no other directory has."""
    return Marker(uuid.uuid4().hex, host, datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"))


# --- a place in words ------------------------------------------------------------------------------------------------


def _words(place: Place) -> tuple[str, ...]:
    numbers = (str(place.device), str(place.inode))
    mount = place.mount
    return numbers if mount is None else (*numbers, mount.point, mount.kind, mount.source, mount.root)


def _from_words(words: tuple[str, ...]) -> Place:
    device, inode, *mount = words
    return Place(int(device), int(inode), Mount(*mount) if mount else None)


# --- a person's word -------------------------------------------------------------------------------------------------


def adopt(ledger: Ledger, directory: Path, *, now: float) -> str:
    """Make a directory the right one, because a person says so; return what was done.

    A marker that is there is taken as it is, as other programs of ours may know it; where there is none, one is made
    with the id that is expected. A lease goes, unless its owner is known to live: then `OwnedElsewhere` is raised.
    """
    found = markers.read(directory)
    if found is not None and found.owner is not None and owner_lives(found.owner) and found.owner.state != ledger.id:
        raise owned(directory, Refusal(found.owner, None))
    known = ledger.place(str(directory))
    if found is not None and found.id:
        markers.disown(directory)
        ledger.record_place(Known(str(directory), found.id, ()), now=now)
        return f"{directory} is known by its marker {found.id} from now on"
    if known is None or not known.marker:
        ledger.forget_place(str(directory))
        return f"{directory} is taken as it is when it is next used"
    fresh = new_marker(socket.gethostname(), now)
    markers.make(directory, Marker(known.marker, fresh.host, fresh.made))
    return f"{directory} has its marker {known.marker} again"
