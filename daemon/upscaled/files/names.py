"""Names: what a result is called, which names are ours, and which two names are one. Pure.

Separate from the code that uses them, because every rule here can be tested as a table. Names are what `os.fsdecode`
returns: bytes that are no UTF-8 stand in them as surrogate escapes and come out as they went in. A file system takes
255 bytes a name, and counts bytes, not characters.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from upscaled.job.readiness import RAW_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.job.model import Job

LIMIT: Final = 255
"""The longest name that common file systems take, in bytes."""

REVIEW: Final = ".review"
"""Where in an outbox results wait for a person, where the folder asks for that. Hidden: it is not delivered yet."""

FLAGGED: Final = "flagged"
"""Where in a failed folder results lie that the service marks as not safe for work, where the folder asks for that."""

REJECTED: Final = "rejected"
"""Where in a failed folder results lie that a person did not want."""

FIELDS: Final = frozenset({"stem", "ext", "profile", "resolution", "date", "job"})
"""What a pattern of result names may hold in braces."""

_DENOTES: Final[Mapping[str, tuple[str, ...]]] = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
}
"""The extensions that denote a format; the first is the one we give."""

PICTURES: Final = frozenset(
    {extension for extensions in _DENOTES.values() for extension in extensions}
    | {".gif", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".psd"}
    | set(RAW_SUFFIXES)
)
"""Extensions that give way to the result's own. Any other ending (``scan.2024``) belongs to the stem."""

_VERSION: Final = re.compile(r"~(\d{1,6})\Z")
_FIELD: Final = re.compile(r"\{(\w+)\}")
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029/]")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_JOB: Final = r"[0-9A-Za-z_-]{6,64}"
_PART: Final = re.compile(rf"\..+\.({_JOB})\.part", re.DOTALL)
_LEAVING: Final = re.compile(rf"\.(.+)\.{_JOB}\.leaving", re.DOTALL)


# --- results ---------------------------------------------------------------------------------------------------------


def result_name(
    pattern: str, *, source_name: str, fmt: str, profile: str, resolution: str, date: dt.date, job: str
) -> str:
    """Return what the result of a source is called: safe, and short enough. ``fmt`` is ``jpeg``, ``png``, ``webp`` ...

    The source's own extension stays as it is where it denotes that format (``photo.JPG``); a result never goes without
    an extension that does. Fields that are not in `FIELDS` stay as they are; the configuration refuses them.
    """
    stem, own = _split_source(source_name)
    denoting = _DENOTES.get(fmt, (f".{fmt}",))
    extension = own if own.lower() in denoting else denoting[0]
    values = {
        "stem": stem,
        "ext": extension,
        "profile": profile,
        "resolution": resolution,
        "date": date.isoformat(),
        "job": job,
    }
    name = _FIELD.sub(lambda match: values.get(match[1], match[0]), pattern)
    if not name.lower().endswith(denoting):
        name += extension
    return fit(safe(name))


def result_name_of(job: Job, pattern: str, fmt: str) -> str:
    """Return what the result of a job is called; ``{date}`` is the local day on which the job was admitted."""
    return result_name(
        pattern,
        source_name=job.source.rpartition("/")[2],
        fmt=fmt,
        profile=job.profile,
        resolution=job.params.target_resolution or "",
        date=dt.datetime.fromtimestamp(job.admitted_at).astimezone().date(),
        job=job.id,
    )


def _split_source(name: str) -> tuple[str, str]:
    dot = name.rfind(".")
    if dot > 0 and name[dot:].lower() in PICTURES:
        return name[:dot], name[dot:]
    return name, ""


def version(name: str, number: int) -> str:
    """Return the name of another file that wanted ``name``: ``photo.jpg`` becomes ``photo~2.jpg``."""
    stem, extension = split(name)
    return _joined(stem, f"~{number}{extension}", LIMIT)


def is_version(entry: str, name: str) -> bool:
    """Is ``entry`` what `version` makes of ``name`` for some number, or ``name`` itself?"""
    if same_name(entry, name):
        return True
    match = _VERSION.search(split(entry)[0])
    return match is not None and same_name(entry, version(name, int(match[1])))


def note_name(name: str) -> str:
    """Return the name of the note beside a file in the failed folder."""
    return _joined(name, ".error.txt", LIMIT)


# --- safety ----------------------------------------------------------------------------------------------------------


def safe(name: str) -> str:
    """Return a name that no shell, terminal or other system stumbles over, as like ``name`` as may be.

    Control characters and slashes become underscores, and so do a leading dash (which programs take for an option) and
    a stem of nothing but dots and spaces. Dots and spaces at the end, which Windows cannot open, go.
    """
    stem, dot, extension = _UNSAFE.sub("_", name).rstrip(". ").rpartition(".")
    if not stem.strip(". "):
        stem = "_" if dot else ""
    name = stem + dot + extension
    return "_" + name[1:] if name.startswith("-") or not name else name


def fit(name: str, limit: int = LIMIT) -> str:
    """Return ``name`` cut to ``limit`` bytes: the stem gives way, the extension stays."""
    stem, extension = split(name)
    return _joined(stem, extension, limit)


def split(name: str) -> tuple[str, str]:
    """Return stem and extension. An ending over 16 bytes, or with a space or tilde in it, is part of the stem."""
    dot = name.rfind(".")
    extension = name[dot:]
    if dot <= 0 or not name[:dot].strip(". ") or set(" ~") & set(extension) or not 1 < _size(extension) <= 16:
        return name, ""
    return name[:dot], extension


def _joined(stem: str, end: str, limit: int) -> str:
    return _cut(stem, limit - _size(end)) + end


def _cut(text: str, limit: int) -> str:
    """Return the longest beginning of ``text`` that takes ``limit`` bytes and halves no character."""
    if _size(text) <= limit:
        return text
    size = fits = 0
    while (size := size + _size(text[fits])) <= limit:
        fits += 1
    # An accent that is a character of its own would otherwise be cut off its letter.
    end = fits
    while end > 0 and unicodedata.combining(text[end]):
        end -= 1
    return text[: end or fits]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


# --- our own temporaries ---------------------------------------------------------------------------------------------


def part_name(name: str, job_id: str) -> str:
    """Return the name that the bytes for ``name`` have until they are whole: hidden, ours, and the job's own."""
    return _own(name, f".{job_id}.part")


def leaving_name(name: str, digest: str) -> str:
    """Return the name that an original has while it is removed from its inbox, its copy being safe elsewhere."""
    return _own(name, f".{digest[:16]}.leaving")


def left(entry: str) -> str | None:
    """Return the name that a file had before it got this `leaving_name`, or None where it is none."""
    match = _LEAVING.fullmatch(entry)
    return match[1] if match else None


def _own(name: str, end: str) -> str:
    return "." + _joined(name, end, LIMIT - 1)


def is_part(name: str) -> bool:
    """Is this one of our own temporary names, of either kind?"""
    return job_of_part(name) is not None or _LEAVING.fullmatch(name) is not None


def job_of_part(name: str) -> str | None:
    """Return the job whose part this is, or None when it is no part of ours."""
    match = _PART.fullmatch(name)
    return match[1] if match else None


# --- equality and display --------------------------------------------------------------------------------------------


def fold(name: str) -> str:
    """Return what two names have in common that some file system takes for one: case and composition do not count."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def same_name(one: str, other: str) -> bool:
    """Would macOS or Windows take these two names for the same file?"""
    return fold(one) == fold(other)


def printable(name: str) -> str:
    """Return a name or path as it may stand in a log or a terminal: what cannot be shown is written as an escape."""
    return _UNPRINTABLE.sub(_escape, name)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
