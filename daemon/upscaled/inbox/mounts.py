"""What kind of file system a folder lies on, and whether it is still the same one.

Separate because it decides two things elsewhere: on network file systems the kernel reports nothing of what other
machines do, so events are no use and attributes are cached (longer windows); and a share that was unmounted leaves an
innocent-looking empty directory behind.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOUNTINFO: Final = Path("/proc/self/mountinfo")

UNKNOWN: Final = "unknown"

_NETWORK = frozenset(
    {"cifs", "smb3", "smbfs", "9p", "virtiofs", "fuse", "drvfs", "vboxsf", "vmhgfs", "prl_fs", "ceph", "afs", "coda"}
    | {
        "ncpfs",
        "lustre",
        "beegfs",
        "gpfs",
        "ocfs2",
        "gfs2",
        "orangefs",
        "pvfs2",
        "davfs",
        "glusterfs",
        "osxfs",
        "grpcfuse",
    }
)
_NETWORK_PREFIXES = ("nfs", "fuse.")

_LOCAL_EVENTS = frozenset({"fuse.mergerfs", "fuse.unionfs", "fuse.unionfs-fuse", "fuse.bindfs"})
"""Network numbers are right for these, but what is written through the mount does ring."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. ``root`` is the directory of ``source`` that is mounted at ``point``."""

    point: str
    kind: str
    source: str
    root: str


def parse(text: bytes) -> tuple[Mount, ...]:
    """Read the kernel's table of mounts (proc_pid_mountinfo(5)); lines of another shape are passed over."""
    return tuple(mount for line in text.splitlines() if (mount := _parse_line(line)) is not None)


def read_mounts(table: Path = MOUNTINFO) -> tuple[Mount, ...]:
    """Read this process's mounts; none where the kernel does not tell."""
    try:
        return parse(table.read_bytes())
    except OSError:
        return ()


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount that an absolute, resolved path lies on: the longest point, of equal ones the last (topmost)."""
    best: Mount | None = None
    for mount in mounts:
        if _holds(mount.point, path) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def kind_of(path: Path) -> str:
    """Return the kind of file system a path lies on, or `UNKNOWN`. May block on a dead share."""
    mount = mount_of(os.path.realpath(path), read_mounts())
    return UNKNOWN if mount is None else mount.kind


def is_network(kind: str) -> bool:
    """Can other machines, or programs behind the kernel's back, change files on this kind of file system?"""
    return kind in _NETWORK or kind.startswith(_NETWORK_PREFIXES)


def rings(kind: str) -> bool:
    """Do file-system events tell of what is written here?"""
    return not is_network(kind) or kind in _LOCAL_EVENTS


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point if point.endswith("/") else point + "/")


_OCTAL = re.compile(rb"\\([0-7]{3})")


def _parse_line(line: bytes) -> Mount | None:
    """Split ``36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw``: the optional fields end at ``-``."""
    before, dash, after = line.partition(b" - ")
    head, tail = before.split(b" "), after.split(b" ")
    if not dash or len(head) < 6 or len(tail) < 2:
        return None
    return Mount(point=_text(head[4]), kind=_text(tail[0]), source=_text(tail[1]), root=_text(head[3]))


def _text(field: bytes) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes; undecodable bytes become surrogate escapes."""
    return os.fsdecode(_OCTAL.sub(lambda match: bytes((int(match[1], 8),)), field))
