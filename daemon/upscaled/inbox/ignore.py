"""The names that are never sources: other programs' temporary files, file systems' own folders, and our own files.

Separate because the list is data that users extend and shorten (`ignore:` of a folder), and because every name of every
sweep passes through it: plain ``*.suffix``, ``prefix*`` and whole names are looked up, only the rest costs a regular
expression. A pattern applies to files and folders alike and to the last part of a path; letters match in either case.

A user's pattern ``!*.tmp`` takes back the built-in pattern of exactly that spelling; a ``!pattern`` that is not in the
list excepts the names it matches. What is our own cannot be taken back.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from upscaled.files import markers
from upscaled.files.names import is_part

if TYPE_CHECKING:
    from collections.abc import Iterable

MARKER: Final = markers.NAME
"""The file by which a folder of ours is recognised."""

OURS: Final = "upscaled's own files"
"""What `Ignore.reason` says of names that no pattern ignores."""

DEFAULT_FILES: Final = (
    *(".*", "._*", ".DS_Store", "Thumbs.db", "ehthumbs*.db", "desktop.ini"),
    *("*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.opdownload", "*.!ut", "*.!qB", "*.aria2"),
    *("*.tmp", "*.temp", "*.swp", "*~", "*.uploading", "*.lock", "~$*", ".~lock.*"),
    *("~syncthing~*", ".syncthing.*", "*.sync-conflict-*", ".nfs*", ".fuse_hidden*", ".smbdelete*"),
    *("SYNOFILE_THUMB*", "SYNOPHOTO_THUMB*", ".owncloudsync.log", "*.ocTransferId*.part", ".goutputstream-*"),
    *("*.aae", "*.error.txt"),
)

DEFAULT_FOLDERS: Final = (
    *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", ".@__thumb", "@tmp"),
    *(".stfolder", ".stversions", ".snapshot", ".zfs", ".Trash*", ".Trashes", ".Spotlight-V100", ".fseventsd"),
    *(".TemporaryItems", ".AppleDouble", ".AppleDB", ".AppleDesktop", "Network Trash Folder", "__MACOSX"),
    *("lost+found", "$RECYCLE.BIN", "System Volume Information", ".git", ".dropbox.cache", ".sync"),
)

DEFAULTS: Final = DEFAULT_FILES + DEFAULT_FOLDERS

_WILD = re.compile(r"[*?\[]")


class Ignore:
    """The built-in list with a folder's own patterns added and taken back, compiled once."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        patterns = tuple(patterns)
        built_in = {pattern.lower() for pattern in DEFAULTS}
        taken_back = {pattern[1:].lower() for pattern in patterns if pattern.startswith("!")}
        added = [pattern for pattern in patterns if not pattern.startswith("!")]
        self.patterns = tuple(pattern for pattern in DEFAULTS if pattern.lower() not in taken_back) + tuple(added)
        self._ignored = _Matcher(self.patterns)
        self._excepted = _Matcher(sorted(taken_back - built_in))

    def matches(self, name: str) -> bool:
        """Is a file or folder of this name (without its path) never looked at?"""
        lowered = name.lower()
        if self._ignored.matches(lowered) and not self._excepted.matches(lowered):
            return True
        return name == MARKER or (name.startswith(".") and is_part(name))

    def reason(self, name: str) -> str:
        """Return the pattern that ignores the name, for people, or '' where none does."""
        if not self.matches(name):
            return ""
        found = (pattern for pattern in self.patterns if _Matcher((pattern,)).matches(name.lower()))
        return next(found, OURS)


class _Matcher:
    """Many patterns at once against names in lower case."""

    def __init__(self, patterns: Iterable[str]) -> None:
        wholes, prefixes, suffixes, others = [], [], [], []
        for pattern in (pattern.lower().rstrip("/") for pattern in patterns):
            if not _WILD.search(pattern):
                wholes.append(pattern)
            elif pattern.endswith("*") and not _WILD.search(pattern[:-1]):
                prefixes.append(pattern[:-1])
            elif pattern.startswith("*") and not _WILD.search(pattern[1:]):
                suffixes.append(pattern[1:])
            else:
                others.append(translate(pattern))
        self._wholes = frozenset(wholes)
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)
        self._others = re.compile("|".join(others)) if others else None

    def matches(self, lowered: str) -> bool:
        return (
            lowered in self._wholes
            or lowered.startswith(self._prefixes)
            or lowered.endswith(self._suffixes)
            or (self._others is not None and self._others.match(lowered) is not None)
        )
