"""The words of metadata as values: what a file was found to carry, what the result is, and what became of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from upscaled.job.model import Identity

Mode = Literal["keep", "strip-gps", "none"]
"""A folder's ``metadata``: everything is carried, everything but places, or nothing."""

LARGEST: Final = 32 << 20
"""More than any metadata has, in bytes."""

TOO_LARGE: Final = LARGEST + 64
"""So much is read of what claims to be larger, heads and all: enough to see that it is, and to leave it with a note."""

EDITED_WITH_AI: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a picture that was edited using generative AI (Digital Source Type NewsCodes, 2024-10-23)."""


class Malformed(Exception):
    """Metadata that does not follow its own format; the text says in which way. It never leaves this package."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a result came to be. ``parameters`` are the model's inputs, ``source_fingerprint`` the source's SHA-256.

    ``source_type`` is the IPTC digital source type that the result has, unless the source's own says that all of it was
    made by an algorithm already.
    """

    software: str
    model: str
    date: dt.datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prediction_id: str | None = None
    source_fingerprint: str | None = None
    source_type: str = EDITED_WITH_AI


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file carries beside its pixels, each as the bytes that all formats share; None where it has none.

    ``exif`` is a TIFF block, ``xmp`` a packet, ``extended`` the document that the packet refers to, and ``resources``
    are Photoshop image resources, of which IPTC is one. ``notes`` say what was left behind while reading.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    extended: bytes | None = None
    resources: bytes | None = None
    comments: tuple[bytes, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A range of the result's bytes that is carried over as it is."""

    start: int
    end: int


Piece = bytes | Span
"""Of these the file is put together."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is known of the result: its kind, its pixels, and whether it says itself which colours they are."""

    kind: str
    width: int
    height: int
    grey: bool = False
    profiled: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """What the metadata is to say about the pixels: their size, how they stand (EXIF, 1 to 8), and their colours."""

    width: int
    height: int
    orientation: int = 1
    srgb: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a file begins whose rest is still to come: ``head``, then what came from byte ``skip`` on, then ``tail``.

    ``notes`` say what could not be carried and why.
    """

    head: bytes
    skip: int
    tail: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """A file that was written: the SHA-256 and the size (bytes) of all of it, and what could not be carried and why.

    By its ``identity`` it is known whether anybody has touched it since.
    """

    digest: str
    size: int
    identity: Identity = field(compare=False)
    notes: tuple[str, ...] = ()
