from __future__ import annotations

from pathlib import Path

import pytest

from upscaled.inbox.mounts import Mount, is_network, kind_of, mount_of, parse, read_mounts, rings

TABLE = rb"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /mnt rw - tmpfs tmpfs rw
31 22 0:44 / /mnt/nas rw,relatime shared:5 master:2 - nfs4 nas:/photos rw,vers=4.2
32 31 0:45 / /mnt/nas/my\040inbox\134x rw - fuse.sshfs me@host:/in rw
33 22 8:2 /sub /srv rw - xfs /dev/sdb2 rw
34 22 0:46 / /srv rw - cifs //nas/share rw
35 22 0:47 / /mnt/caf\351 rw - 9p C:\134 rw
nonsense
36 22 0:48
"""

MOUNTS = parse(TABLE)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/mnt", "tmpfs"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/a/b", "nfs4"),
        ("/mnt/nasty", "tmpfs"),
        ("/mnt/nas/my inbox\\x/a", "fuse.sshfs"),
        ("/srv/a", "cifs"),
        ("/mnt/caf\udce9/a", "9p"),
    ],
)
def test_the_longest_mount_point_wins_and_of_equal_ones_the_topmost(path: str, kind: str) -> None:
    """A path lies on the mount nearest above it; escapes and undecodable bytes in mount points are understood."""
    mount = mount_of(path, MOUNTS)

    assert mount is not None
    assert kind == mount.kind


def test_a_mount_says_what_is_mounted() -> None:
    """The optional fields before the dash vary in number."""
    assert Mount(point="/mnt/nas", kind="nfs4", source="nas:/photos", root="/") == mount_of("/mnt/nas", MOUNTS)
    assert Mount(point="/srv", kind="xfs", source="/dev/sdb2", root="/sub") in MOUNTS


def test_lines_of_another_shape_are_passed_over() -> None:
    """A kernel that writes something new must not stop the daemon."""
    assert len(MOUNTS) == 7
    assert () == parse(b"")


def test_a_path_on_no_known_mount_has_none() -> None:
    """A table without a root happens in containers."""
    assert mount_of("/a", (Mount("/b", "ext4", "x", "/"),)) is None


@pytest.mark.parametrize(
    ("kind", "network", "rung"),
    [
        *((kind, False, True) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "unknown")),
        *((kind, True, False) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "ceph")),
        *((kind, True, False) for kind in ("fuse.rclone", "fuse.gvfsd-fuse", "vboxsf", "drvfs", "afs", "davfs")),
        ("fuse.mergerfs", True, True),
    ],
)
def test_file_systems_are_sorted_by_whether_events_can_be_trusted(kind: str, *, network: bool, rung: bool) -> None:
    """Network file systems get longer windows; only mergerfs and its like ring all the same."""
    assert (network, rung) == (is_network(kind), rings(kind))


def test_the_kernel_tells_where_this_test_runs(tmp_path: Path) -> None:
    """The real table is read."""
    assert read_mounts()
    assert kind_of(tmp_path) != "unknown"


def test_a_kernel_that_does_not_tell_is_no_failure(tmp_path: Path) -> None:
    """Without a table, no mount is known."""
    assert () == read_mounts(tmp_path / "absent")
