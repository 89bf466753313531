"""Photoshop image resources, and IPTC (IIM 4.2), which is one of them.

Separate from the formats that hold them: JPEG in APP13, TIFF in a tag, PNG in a text chunk by a convention of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from upscaled.files.metadata.model import Malformed

IPTC: Final = 0x0404

_STALE: Final = frozenset({0x0409, 0x040C, 0x040F, 0x0422, 0x0423, 0x0424})
"""Thumbnails of the old picture, its colour profile, and copies of its EXIF and XMP, which are carried themselves."""

_DIGEST: Final = 0x0425
"""The MD5 of the IPTC resource as Photoshop wrote it; with other places it is another one."""

_MOST: Final = 10_000
"""More resources than any picture has; it bounds the time that a hostile file can take."""

_SIGNATURES: Final = frozenset({b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"})

_PLACES: Final = frozenset({26, 27, 90, 92, 95, 100, 101})
"""Datasets of record 2: content location code and name, city, sublocation, province, country code and name."""

_UTF8: Final = b"\x1b%G"


@dataclass(frozen=True, slots=True)
class Resource:
    """One image resource; ``name`` is as it is written, with its length and padding."""

    signature: bytes
    id: int
    name: bytes
    data: bytes

    def written(self) -> bytes:
        """Return it as bytes."""
        head = self.signature + self.id.to_bytes(2, "big") + self.name + len(self.data).to_bytes(4, "big")
        return head + self.data + bytes(len(self.data) % 2)


def of_iptc(iim: bytes) -> bytes:
    """Return image resources that hold IPTC and nothing else."""
    return Resource(b"8BIM", IPTC, b"\0\0", iim).written()


def carried(block: bytes, *, strip: bool) -> tuple[bytes, bool]:
    """Return resources without what is stale, and without places where ``strip``; and whether all could be read."""
    kept = []
    whole = True
    try:
        for each in read(block):
            if each.id in _STALE or (strip and each.id == _DIGEST):
                continue
            kept.append(_without_places(each) if strip and each.id == IPTC else each)
    except Malformed:
        whole = False
    if strip:
        kept = [each for each in kept if each.id == IPTC]
    return b"".join(each.written() for each in kept), whole


def read(block: bytes) -> Iterator[Resource]:
    """Yield the resources of a block. Raises `Malformed` after the last one that can be read."""
    at = 0
    for _ in range(_MOST):
        if at + 12 > len(block) or block[at : at + 4] == bytes(4):
            return
        signature, number = block[at : at + 4], int.from_bytes(block[at + 4 : at + 6], "big")
        named = 1 + block[at + 6]
        start = at + 6 + named + named % 2
        size = int.from_bytes(block[start : start + 4], "big")
        if signature not in _SIGNATURES or start + 4 + size > len(block):
            raise Malformed("its resources cannot be followed")
        yield Resource(signature, number, block[at + 6 : start], block[start + 4 : start + 4 + size])
        at = start + 4 + size + size % 2
    raise Malformed("it has too many resources")


def _without_places(resource: Resource) -> Resource:
    kept = (raw for record, number, _, raw in datasets(resource.data) if not (record == 2 and number in _PLACES))
    return Resource(resource.signature, resource.id, resource.name, b"".join(kept))


def datasets(iim: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield record, number, value and all bytes of each dataset, as far as they can be followed."""
    at = 0
    while at + 5 <= len(iim) and iim[at] == 0x1C:
        size, start = int.from_bytes(iim[at + 3 : at + 5], "big"), at + 5
        if size & 0x8000:
            width = size & 0x7FFF
            size, start = int.from_bytes(iim[start : start + width], "big"), start + width
        if start + size > len(iim):
            return
        yield iim[at + 1], iim[at + 2], iim[start : start + size], iim[at : start + size]
        at = start + size


# --- as XMP ----------------------------------------------------------------------------------------------------------

_DC: Final = "http://purl.org/dc/elements/1.1/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_CORE: Final = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"

NAMESPACES: Final[Mapping[str, str]] = {
    "dc": _DC,
    "photoshop": _PHOTOSHOP,
    "Iptc4xmpCore": _CORE,
}

_AS_XMP: Final[Mapping[int, tuple[str, str]]] = {
    5: ("dc:title", "rdf:Alt"),
    25: ("dc:subject", "rdf:Bag"),
    40: ("photoshop:Instructions", ""),
    55: ("photoshop:DateCreated", "date"),
    80: ("dc:creator", "rdf:Seq"),
    85: ("photoshop:AuthorsPosition", ""),
    90: ("photoshop:City", ""),
    92: ("Iptc4xmpCore:Location", ""),
    95: ("photoshop:State", ""),
    100: ("Iptc4xmpCore:CountryCode", ""),
    101: ("photoshop:Country", ""),
    103: ("photoshop:TransmissionReference", ""),
    105: ("photoshop:Headline", ""),
    110: ("photoshop:Credit", ""),
    115: ("photoshop:Source", ""),
    116: ("dc:rights", "rdf:Alt"),
    120: ("dc:description", "rdf:Alt"),
    122: ("photoshop:CaptionWriter", ""),
}
"""Where each dataset of record 2 belongs in XMP (IPTC Photo Metadata Standard, "XMP and IIM properties")."""

_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DASHED: Final = r"\1-\2-\3"


def as_xmp(block: bytes, known: Callable[[str, str], bool], text: Callable[[str], str]) -> tuple[list[str], bool]:
    """Return IPTC as elements of XMP, but for the properties that are ``known`` there; and whether that was all of it.

    For formats that hold XMP and no IPTC. ``text`` makes a value fit to stand in an element.
    """
    values: dict[int, list[str]] = {}
    everything = True
    for iim in _iptc(block):
        found = list(datasets(iim))
        utf8 = any(record == 1 and number == 90 and value == _UTF8 for record, number, value, _ in found)
        for record, number, value, _ in found:
            if record == 2 and number in _AS_XMP:
                values.setdefault(number, []).append(_decoded(value, utf8=utf8))
            elif record == 2 and number > 0:
                everything = False
    lines = [
        _element(number, [text(value) for value in each])
        for number, each in values.items()
        if not known(*_property(number))
    ]
    return lines, everything


def _iptc(block: bytes) -> Iterator[bytes]:
    try:
        for each in read(block):
            if each.id == IPTC:
                yield each.data
    except Malformed:
        return


def _property(number: int) -> tuple[str, str]:
    prefix, _, name = _AS_XMP[number][0].partition(":")
    return NAMESPACES[prefix], name


def _decoded(value: bytes, *, utf8: bool) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("utf-8", "replace") if utf8 else value.decode("latin-1")


def _element(number: int, values: list[str]) -> str:
    name, shape = _AS_XMP[number]
    if shape == "date":
        return f"<{name}>{_DATE.sub(_DASHED, values[0])}</{name}>"
    if not shape:
        return f"<{name}>{values[0]}</{name}>"
    head = '<rdf:li xml:lang="x-default">' if shape == "rdf:Alt" else "<rdf:li>"
    items = "".join(f"{head}{value}</rdf:li>" for value in (values[:1] if shape == "rdf:Alt" else values))
    return f"<{name}><{shape}>{items}</{shape}></{name}>"
