"""Notes for a person beside a file: ``photo.jpg.error.txt`` in the failed folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files import names
from upscaled.files.directories import require_directory, sync_directory
from upscaled.files.moves import place
from upscaled.files.parts import create_part, sync
from upscaled.files.sources import open_source
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path

MARK: Final = "(Written by upscaled. This note may be deleted.)\n"
"""The last line of every note, by which we know our own."""


def write_note(path: Path, text: str) -> Path:
    """Write the note ``NAME.error.txt`` at once or not at all, and return where it is.

    An older note of ours is replaced. Any other file of that name is left alone, and a version of the name taken. NAME
    is cut where it is too long. Run again after a crash it replaces what it wrote.
    """
    require_directory(path.parent)
    name = names.note_name(path.name.removesuffix(".error.txt"))
    target = path.with_name(name)
    part = target.with_name(names.part_name(name, "the-note"))
    with create_part(part) as file, translated(part, "write"):
        file.write(f"{text.rstrip()}\n\n{MARK}".encode("utf-8", "backslashreplace"))
        sync(file)
    if not _is_ours(target):
        return place(part, target.parent, name)
    with translated(target, "write"):
        part.replace(target)
        sync_directory(target.parent)
    return target


def forget_note(path: Path) -> None:
    """Remove the note beside a file that goes back into its inbox, if it is ours."""
    note = path.with_name(names.note_name(path.name))
    if _is_ours(note):
        with translated(note, "remove"):
            note.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    mark = MARK.encode()
    try:
        with open_source(path) as file, translated(path, "read"):
            file.seek(-min(len(mark), os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read() == mark
    except errors.FileTrouble as error:
        if error.missing:
            return False
        raise
