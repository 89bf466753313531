"""Is this source complete and quiet? Observations in, a verdict with its reason out.

The gate stands between a file somebody may still be writing and money being spent on it, so it is pure: it knows
nothing but what was observed and when, and every row of its table can be tested without a disk or a clock.

Only our own monotonic clock decides. A file's own times say nothing about whether it is finished: copies keep old ones,
cameras and servers live in the future. What counts is that *we* saw the same identity over a whole window, and the
window ends with the last look, not with now: time in which nobody looked proves nothing.

    1 name      the ignore list                                       inbox.ignore
    2 kind      a regular file                                        inbox.sweep
    3 size      not empty: `quiet`; not above the service's limit: `content`
    4 settle    the same identity over the window, seen at least twice: `quiet`
    5 hold      long enough since it was first seen: `quiet`
    6 open      it opens, and is still the file that was observed     inbox.opening, `unreadable`
    7 type      by its content, with a longer window for what has no known one: `content`
    8 whole     by its structure, with a grace for slow writers: `content`
    9 identity  still that file, before and after its upload          steps.prepare
   10 payment   directories, room, budget, hours, no twin             steps.guarded, steps.prepare, steps.submit
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from upscaled.job.model import Failure

if TYPE_CHECKING:
    from upscaled.job.model import Identity

TAKEN: Final = ("jpeg", "png", "webp", "tiff", "bmp", "gif", "heif", "avif")
"""The formats that are upscaled; what the service does not take of them is converted first."""

_CALLED: Final = "cr2 cr3 raf orf rw2 nef nrw arw sr2 srf dng pef srw 3fr fff erf mef mos iiq rwl dcr kdc"

RAW: Final = frozenset({"raw", *_CALLED.split()})
"""Cameras' raw files. Most are TIFF by their first bytes, and are known by their names or by what they say inside."""

RAW_SUFFIXES: Final = tuple(f".{kind}" for kind in sorted(RAW - {"raw"}))

PICTURED: Final = (".jpg", ".jpeg", ".heic", ".heif", ".hif")
"""What a camera calls the picture that it writes beside a raw file."""

FOREIGN: Final = frozenset({"jxl", "jp2", "psd", "ico", "svg"})
"""Pictures that the service does not take."""

LARGEST: Final = 2_000_000_000
"""The largest source that is taken, in bytes. What is larger than an upload may be is compressed."""

PAIRED_AGAIN: Final = 60.0
"""Between two looks at a raw file that goes along with the picture beside it, in seconds."""

FIRST_RETRY: Final = 5.0
LAST_RETRY: Final = 300.0
"""Back-off between attempts to open a file that refuses, in seconds; there is no last attempt."""


# --- observations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Track:
    """What successive observations of one path amount to. Times are seconds of our monotonic clock."""

    identity: Identity
    first: float
    """When the path was first seen."""
    since: float
    """When this identity was first seen: the last change is not later."""
    seen: float
    """When this identity was last seen."""
    looks: int
    """How often this identity was seen."""


def observe(track: Track | None, identity: Identity, now: float) -> Track:
    """Return the track after one more look at the path; any change of identity restarts the window.

    While nothing changes, the track keeps its own identity object, so ``is`` tells whether something did.
    """
    if track is None:
        return Track(identity, first=now, since=now, seen=now, looks=1)
    if track.identity != identity:
        return Track(identity, first=track.first, since=now, seen=now, looks=1)
    return Track(track.identity, track.first, track.since, now, track.looks + 1)


class Structure(Protocol):
    """What a file's bytes say about it, as `upscaled.files.structure` finds it."""

    @property
    def kind(self) -> str | None:
        """``jpeg``, ``png``, ``pdf``, ... or None for bytes that mean nothing to us, or nothing yet if not complete."""

    @property
    def complete(self) -> bool:
        """Does the picture reach its end?"""

    @property
    def problem(self) -> str:
        """Why it is not complete, with the byte offset."""

    @property
    def width(self) -> int | None:
        """Pixels, where the header could be read."""

    @property
    def height(self) -> int | None:
        """Pixels, where the header could be read."""

    @property
    def orientation(self) -> int | None:
        """EXIF's, 1 to 8, where it says one."""

    @property
    def animated(self) -> bool:
        """Does it hold more than one frame, or page?"""

    @property
    def raw(self) -> bool:
        """Does it hold what a sensor saw, and is no picture yet?"""


# --- verdicts --------------------------------------------------------------------------------------------------------


class Waiting(StrEnum):
    """What a source waits for. Settling ends by itself within the settle window; the others need not."""

    SETTLING = "settling"
    HOLDING = "holding"
    EMPTY = "empty"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"
    PAIRED = "paired"
    """A raw file beside its picture: it leaves the inbox with that."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a picture before it is decoded: pixels as stored, EXIF's orientation; None where unknown."""

    format: str
    width: int | None
    height: int | None
    orientation: int | None


@dataclass(frozen=True, slots=True)
class Ready:
    """Take it."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet, for ``reason``. A look at ``until`` (our clock) may change that; where it is None, only the file can."""

    on: Waiting
    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """Not ours: the file stays where it is, and is looked at again only when it changes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """A picture that cannot be upscaled: it goes to the failed folder before anything is spent."""

    failure: Failure
    shape: Shape


Verdict = Ready | Wait | LeaveAlone | Refuse


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the gate: seconds, and bytes for ``largest``."""

    settle: float
    """How long a file must stay the same; 0 trusts its structure alone."""
    hold: float
    """How long to wait since the file was first seen, whatever it looks like."""
    grace: float
    """How long an unchanged file may stay incomplete before it is given up."""
    largest: int
    """The largest file that is taken."""
    submit_incomplete: bool = False
    """After the grace, submit an incomplete picture instead of refusing it."""
    unknown: float = 0.0
    """How long a file must stay the same whose content tells nothing: it may be a picture whose beginning comes last.
    """
    develops: bool = False
    """Is there a program that makes pictures of raw files?"""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Kinds of pictures that cannot be decoded here, and what would have to be installed."""


# --- the gate --------------------------------------------------------------------------------------------------------


def quiet(track: Track, rules: Rules) -> Wait | None:
    """Is it time to open the file? None means yes."""
    if track.identity.size == 0:
        return Wait(Waiting.EMPTY, "empty: nothing has been written into it yet")
    settled = track.since + rules.settle
    if track.seen < settled or (rules.settle > 0 and track.looks < 2):
        reason = f"unchanged for {track.seen - track.since:.1f} of {rules.settle:g} s"
        return Wait(Waiting.SETTLING, reason, until=settled)
    released = track.first + rules.hold
    if track.seen < released:
        reason = f"held for {track.seen - track.first:.0f} of {rules.hold:g} s since it was first seen"
        return Wait(Waiting.HOLDING, reason, until=released)
    return None


def content(name: str, structure: Structure, track: Track, rules: Rules) -> Verdict:
    """Judge a quiet file by its bytes. The type comes first: what is no picture of ours must never be moved."""
    kind = kind_of(name, structure)
    if kind not in TAKEN and kind not in RAW:
        if not structure.complete and track.seen < track.since + rules.grace:
            return _unfinished(structure, track, rules, "left alone")
        if kind is None and track.seen < track.since + rules.unknown:
            return _unrecognised(track, rules)
        return LeaveAlone(_foreign(name, kind))
    if kind in rules.missing:
        return LeaveAlone(f"{kind.upper()} cannot be decoded here; {rules.missing[kind]}")
    shape = Shape(kind, structure.width, structure.height, structure.orientation)
    if track.identity.size > rules.largest:
        return Refuse(_too_large(track.identity.size, rules.largest), shape)
    if not structure.complete:
        return _incomplete(structure, shape, track, rules)
    if kind in RAW:
        return Ready(shape) if rules.develops else Refuse(raw_refused(kind), shape)
    if structure.animated:
        return Refuse(_PAGES if kind in {"tiff", "heif"} else _ANIMATED, shape)
    return Ready(shape)


def kind_of(name: str, structure: Structure) -> str | None:
    """Return the kind of a file; most raw files are TIFF by their first bytes, with a thumbnail for a picture."""
    if structure.kind != "tiff":
        return structure.kind
    suffix = next((suffix[1:] for suffix in RAW_SUFFIXES if name.lower().endswith(suffix)), None)
    return suffix or ("raw" if structure.raw else "tiff")


def raw_refused(kind: str) -> Failure:
    """Return why a raw file is not taken where nothing develops it."""
    what = "a camera's raw file" + ("" if kind == "raw" else f" ({kind.upper()})")
    do = "Set hooks.convert to a program that develops it, or export a JPEG and put that into the inbox."
    return Failure(f"{what}, which the service does not take", do)


def paired(name: str, picture: str, now: float) -> Wait:
    """Return the wait of a raw file for the picture beside it, at ``now`` (our clock)."""
    reason = f"{name} goes along with {picture}, which is the one that is upscaled"
    return Wait(Waiting.PAIRED, reason, until=now + PAIRED_AGAIN)


def unreadable(why: str, tries: int, now: float) -> Wait:
    """Return the wait after the ``tries``-th time (from 1) that the file could not be read; it is never given up."""
    pause = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(tries - 1, 16))
    return Wait(Waiting.UNREADABLE, f"{why}; attempt {tries}, the next in {pause:.0f} s", until=now + pause)


def _incomplete(structure: Structure, shape: Shape, track: Track, rules: Rules) -> Verdict:
    if track.seen < track.since + rules.grace:
        return _unfinished(structure, track, rules, "submitted" if rules.submit_incomplete else "refused")
    if rules.submit_incomplete:
        return Ready(shape)
    do = "Copy the whole file into the inbox again. If it opens in your viewer all the same, set `incomplete: submit`."
    return Refuse(Failure(f"incomplete: {structure.problem}", do), shape)


def _unfinished(structure: Structure, track: Track, rules: Rules, then: str) -> Wait:
    reason = f"incomplete: {structure.problem}; {then} after {rules.grace:g} s without a change"
    return Wait(Waiting.INCOMPLETE, reason, until=track.since + rules.grace)


def _unrecognised(track: Track, rules: Rules) -> Wait:
    reason = f"of no known format so far; unchanged for {track.seen - track.since:.1f} of {rules.unknown:g} s"
    return Wait(Waiting.SETTLING, reason, until=track.since + rules.unknown)


_ANIMATED = Failure(
    "animated: the service upscales still pictures only",
    "Export the frame you want as a still picture and put that into the inbox.",
)

_PAGES = Failure(
    "several pages or pictures in one file: one picture is upscaled at a time",
    "Export each page as a picture of its own and put those into the inbox.",
)


def _too_large(size: int, largest: int) -> Failure:
    return Failure(
        f"too large: {size:,} bytes, and no more than {largest:,} are taken",
        "Save the picture with fewer pixels or stronger compression and put that into the inbox.",
    )


def _foreign(name: str, kind: str | None) -> str:
    suffix = _picture_suffix(name)
    if kind is None:
        return f"named {suffix}, but its content is no picture" if suffix else "not a picture"
    if kind in FOREIGN:
        return f"{kind.upper()} is not taken by the service; convert it to JPEG, PNG or WebP"
    return f"{kind.upper()}, not a picture" + (f", though named {suffix}" if suffix else "")


_CLAIMS: Final = "jpg jpeg jpe jfif png webp tif tiff heic heif avif bmp gif"
_SUFFIXES: Final = tuple(f".{name}" for name in _CLAIMS.split())


def _picture_suffix(name: str) -> str:
    """Return the suffix by which the name claims to be one of our pictures, or ''."""
    return next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
