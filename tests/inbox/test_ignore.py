from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.inbox.ignore import DEFAULTS, Ignore


@pytest.mark.parametrize(
    "name",
    [
        *(".hidden", "._photo.jpg", ".DS_Store", "Thumbs.db", "thumbs.DB", "ehthumbs_vista.db", "desktop.ini"),
        *("a.jpg.part", "a.partial", "a.filepart", "a.jpg.crdownload", "a.download", "a.opdownload", "a.!ut"),
        *("a.!qB", "a.aria2", "a.TMP", "a.temp", "a.swp", "a.jpg~", "a.uploading", "a.lock", "~$letter.docx"),
        *(".~lock.a.odt#", "~syncthing~a.jpg.tmp", ".syncthing.a.jpg.tmp", "a.sync-conflict-20240101-1.jpg"),
        *(".nfs00001", ".fuse_hidden01", ".smbdelete1", "SYNOFILE_THUMB_M.jpg", "SYNOPHOTO_THUMB_XL.jpg"),
        *(".owncloudsync.log", "a.jpg.ocTransferId12.part", ".goutputstream-X1", "IMG_1.AAE", "a.jpg.error.txt"),
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@tmp", ".@__thumb", "lost+found", "__MACOSX"),
        *("$RECYCLE.BIN", "$recycle.bin", "System Volume Information", "Network Trash Folder", ".stfolder", ".git"),
    ],
)
def test_what_other_programs_leave_behind_is_ignored(name: str) -> None:
    """The built-in list, in whatever case."""
    assert Ignore().matches(name)


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", "part.jpg", "tmp", "a.jpg", "Thumbs.db.jpg", "~a.jpg", "a.part.jpg", "lock", "\udcff.jpg", "-a.jpg"],
)
def test_what_may_be_a_source_is_not_ignored(name: str) -> None:
    """A pattern matches the whole name, not a piece of it."""
    assert not Ignore().matches(name)


def test_a_folder_can_add_patterns() -> None:
    """Added patterns are as blind to case as the built-in ones; a trailing slash does no harm."""
    ignore = Ignore(["*_small.*", "Raw/", "IMG_[0-9].jpg", "preview"])

    ignored = ("a_SMALL.jpg", "raw", "img_7.JPG", "Preview", "preview.jpg", "img_77.jpg")

    assert [True, True, True, True, False, False] == [ignore.matches(name) for name in ignored]


def test_a_folder_can_take_a_built_in_pattern_back() -> None:
    """Only that pattern: a hidden temporary file is still hidden."""
    ignore = Ignore(["!*.TMP"])

    assert [False, True, True] == [ignore.matches(name) for name in ("a.tmp", ".a.tmp", "a.temp")]


def test_a_folder_can_except_names_from_the_patterns() -> None:
    """A retraction that is in no list excepts what it matches."""
    ignore = Ignore(["!keep*.tmp"])

    assert [False, True] == [ignore.matches(name) for name in ("keep-1.tmp", "a.tmp")]


def test_our_own_files_are_ignored_whatever_is_taken_back() -> None:
    """The marker and our temporary names can never become sources."""
    ignore = Ignore(["!.*", "!*.part"])

    ours = (".upscaled", ".photo.jpg.0123456789abcdef.part", ".other", "a.part")

    assert [True, True, False, False] == [ignore.matches(name) for name in ours]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("a.jpg.part", "*.part"), ("THUMBS.db", "Thumbs.db"), (".upscaled", ".*"), ("a.jpg", "")],
)
def test_the_pattern_that_ignores_a_name_can_be_told(name: str, pattern: str) -> None:
    """So that a person can take it back."""
    assert pattern == Ignore().reason(name)


def test_what_is_ours_is_said_to_be_ours() -> None:
    """Where no pattern applies, the reason is that the file is upscaled's own."""
    assert Ignore(["!.*"]).reason(".upscaled") == "upscaled's own files"


@given(name=st.text(st.sampled_from(".~$#@_aAtmp-p rDS_store*[?"), max_size=12))
def test_the_fast_lookup_agrees_with_plain_pattern_matching(name: str) -> None:
    """Sorting the patterns by kind is a matter of speed only."""
    plainly = any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in DEFAULTS)

    assert plainly == Ignore().matches(name)
