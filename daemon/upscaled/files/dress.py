"""What a result looks like from outside its bytes: the time of its source, and whose it is.

Done to the part before it gets its name, so that nobody ever sees the name with other rights. Run again after a crash
it does the same once more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upscaled.files.sources import no_follow
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Dress:
    """The time of modification (nanoseconds since the epoch), permissions and group that a file is to have.

    None leaves what there is.
    """

    mtime_ns: int
    mode: int | None = None
    group: int | None = None


def put_on(part: Path, dress: Dress, like: Path) -> list[str]:
    """Give a part of ours its time, rights and owner, and return what could not be given, and why.

    Who may give files away (root) gives the result to the owner of ``like``, the source, so that those who dropped a
    picture can also delete its result. A file system that knows no such things leaves them. Raises `FileTrouble` when
    the part cannot be opened.
    """
    with translated(part, "open"):
        descriptor = no_follow(str(part), os.O_RDONLY)
    try:
        _give_away(descriptor, like)
        refused = [
            *_refused("group", dress.group, lambda group: os.fchown(descriptor, -1, group)),
            *_refused("mode", dress.mode, lambda mode: os.fchmod(descriptor, mode)),
        ]
        # Last, as the others change it on some file systems; one that keeps no times is none the worse for it.
        with suppress(OSError):
            os.utime(descriptor, ns=(dress.mtime_ns, dress.mtime_ns))
    finally:
        os.close(descriptor)
    return refused


def _give_away(descriptor: int, like: Path) -> None:
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        owner = os.lstat(like)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _refused(what: str, value: int | None, give: Callable[[int], None]) -> list[str]:
    if value is None:
        return []
    try:
        give(value)
    except OSError as error:
        return [f"{what}: {error.strerror}"]
    return []
