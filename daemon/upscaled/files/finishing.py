"""Finish: a downloaded result is checked, and gets the metadata of its source, in one visit to a worker process.

In the ordinary case the metadata is in it already: `begin` puts it where the result begins while the rest of it is
still coming. Then it is only looked at whether that was right; where it was not, it is carried over as ever.

The crash argument. `begin` writes nothing. What `finish` writes is a new part beside the downloaded one, which stays as
it is until the finished one is published; so a run that died at any point is repeated from the downloaded part, where
that is a fact already, or else downloads it again, and writes the other one anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from upscaled.files import metadata, pictures
from upscaled.files.metadata import Beginning, Carried, Mode, Provenance

if TYPE_CHECKING:
    from pathlib import Path

    from upscaled.files.pictures import Picture


@dataclass(frozen=True, slots=True)
class Check:
    """What a result must be, as `pictures.verify` takes it."""

    expected_format: str | None
    source_size: tuple[int, int] | None
    orientation: int | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """What becomes of a right result: the source's metadata is carried over, or the picture is left ``bare``.

    Into one that has ``begun`` with its source's metadata nothing is carried, unless more was to be changed behind it.
    """

    how: Literal["carry", "bare", "begun"]
    mode: Mode = "keep"
    provenance: Provenance | None = None
    orientation: int = 1
    """How the result's pixels stand (EXIF, 1 to 8)."""
    srgb: bool = True
    """Are they sRGB? A service's are; those of a source that is its own result are what it says itself."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the result is; the file that was written, if there is one."""

    picture: Picture
    carried: Carried | None = None


def begin(source: Path, held: bytes, size: int | None, then: Finish) -> Beginning | None:
    """Return how a result begins into which metadata is carried, given its first bytes; None where that comes later."""
    return metadata.begun(
        source, held, size, mode=then.mode, provenance=then.provenance, orientation=then.orientation, srgb=then.srgb
    )


def finish(part: Path, source: Path, out: Path, check: Check, then: Finish | None) -> Finished:
    """Decode a downloaded result, compare it with what was asked for, and write ``out`` where something is to be done.

    Raises `BadPicture` when the result is not right, and `FileTrouble` when it cannot be read or ``out`` not written.
    """
    picture = pictures.verify(
        part,
        expected_format=check.expected_format,
        source_size=check.source_size,
        orientation=check.orientation,
        source=source,
        shift=check.shift,
    )
    if then is None or (then.how == "begun" and metadata.settled(part, mode=then.mode)):
        return Finished(picture)
    if then.how == "bare":
        return Finished(picture, metadata.strip_places(part, out))
    carried = metadata.carry(
        source, part, out, mode=then.mode, provenance=then.provenance, orientation=then.orientation, srgb=then.srgb
    )
    return Finished(picture, carried)
