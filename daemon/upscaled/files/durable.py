"""The front of the only code that writes, renames or deletes users' files. Everything here is called in threads.

    make_directories   subfolders mirrored below a folder's root, never the root itself
    create_part, sync  a result's bytes, under a hidden name beside where they are to be
    put_on             the source's time, and the rights that the folder asks for
    publish            the part gets its name, never over another file unless the folder says so (I2)
    set_aside          the original leaves the inbox, once its result is published or its job has failed (I1)
    take_along         its sidecars after it
    write_note         what went wrong, beside an original in the failed folder
    open_spool, bring  a paid result waits in the spool while its outbox is away, and is delivered later
    sweep_parts        what crashes left behind

Each may be killed at any instruction and run again with the same arguments: the second run ends as the first one would
have. What each meets then is said in its own module. All raise `FileTrouble` and nothing else: nothing was lost, and it
says what a person can do.
"""

from __future__ import annotations

from upscaled.errors import (
    Busy,
    DiskFull,
    FileTrouble,
    FolderOffline,
    NameRefused,
    NoPermission,
    NotAFile,
    PartMissing,
    ReadOnly,
    Vanished,
)
from upscaled.files.directories import free_space, make_directories, require_directory, taken
from upscaled.files.disks import disk_of
from upscaled.files.dress import Dress, put_on
from upscaled.files.notes import forget_note, write_note
from upscaled.files.originals import SetAside, set_aside
from upscaled.files.parts import create_part, drop_part, sweep_parts, sync, sync_part
from upscaled.files.results import publish
from upscaled.files.sidecars import take_along
from upscaled.files.sources import (
    copy_into,
    fingerprint,
    holds,
    identity_at,
    identity_of,
    identity_of_open,
    open_source,
)
from upscaled.files.spool import bring, forget, open_spool
from upscaled.files.trouble import translate

__all__ = [
    "Busy",
    "DiskFull",
    "Dress",
    "FileTrouble",
    "FolderOffline",
    "NameRefused",
    "NoPermission",
    "NotAFile",
    "PartMissing",
    "ReadOnly",
    "SetAside",
    "Vanished",
    "bring",
    "copy_into",
    "create_part",
    "disk_of",
    "drop_part",
    "fingerprint",
    "forget",
    "forget_note",
    "free_space",
    "holds",
    "identity_at",
    "identity_of",
    "identity_of_open",
    "make_directories",
    "open_source",
    "open_spool",
    "publish",
    "put_on",
    "require_directory",
    "set_aside",
    "sweep_parts",
    "sync",
    "sync_part",
    "take_along",
    "taken",
    "translate",
    "write_note",
]
