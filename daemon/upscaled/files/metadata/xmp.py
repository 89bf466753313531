"""What XMP says that a new picture makes untrue, what in it tells a place, and what is added to it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

from upscaled.files.metadata.model import Aim, Malformed, Provenance
from upscaled.files.metadata.packet import Change, Name, Packet, Rule, text_of

NAMESPACE: Final = "urn:upscaled:provenance:1.0:"
"""The namespace of our own properties; README says what each means."""

_TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
_EXIF: Final = "http://ns.adobe.com/exif/1.0/"
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_NOTE: Final = "http://ns.adobe.com/xmp/note/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_CORE: Final = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
_EXT: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_CAMERA: Final = "http://ns.google.com/photos/1.0/camera/"
_CONTAINER: Final = "http://ns.google.com/photos/1.0/container/"
_IMAGE: Final = "http://ns.google.com/photos/1.0/image/"
_GEO: Final = "http://www.w3.org/2003/01/geo/wgs84_pos#"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_DC_TERMS: Final = "http://purl.org/dc/terms/"
_DYNAMIC_MEDIA: Final = "http://ns.adobe.com/xmp/1.0/DynamicMedia/"
_DARWIN_CORE: Final = "http://rs.tdwg.org/dwc/"
"""What all its namespaces begin with: of its terms, as IRIs, and the one that ExifTool writes."""

_EXTENDED: Final[Name] = (_NOTE, "HasExtendedXMP")
_SOURCE_TYPE: Final[Name] = (_EXT, "DigitalSourceType")

_REFERENCE: Final = re.compile(rb"""HasExtendedXMP\s*(?:>\s*|=\s*["'])([0-9A-Fa-f]{32})""")

_GENERATED: Final = re.compile(r"digitalsourcetype/(trainedAlgorithmicMedia|algorithmicMedia|compositeSynthetic)/?$")
"""Terms that say more than that a picture was edited: they stay true when it is enlarged."""

_STALE: Final = frozenset(
    {
        (_XMP, "Thumbnails"),
        (_CONTAINER, "Directory"),
        *((_CAMERA, f"MotionPhoto{part}") for part in ("", "Version", "PresentationTimestampUs")),
        *((_CAMERA, f"MicroVideo{part}") for part in ("", "Version", "Offset", "PresentationTimestampUs")),
    }
)
"""Thumbnails show the old picture; the others speak of films and pictures behind the source's end, which stay there."""

_STALE_NAMESPACES: Final = ("http://ns.adobe.com/hdr-gain-map/", "http://ns.apple.com/HDRGainMap/")
"""A gain map fits the pixels that it was made for, and lies behind the source's end as well."""

_PLACES: Final = frozenset(
    {
        *((_PHOTOSHOP, name) for name in ("City", "State", "Country")),
        *((_CORE, name) for name in ("Location", "CountryCode")),
        *((_EXT, name) for name in ("LocationCreated", "LocationShown", "City", "Sublocation", "ProvinceState")),
        *((_EXT, name) for name in ("CountryName", "CountryCode", "WorldRegion", "LocationId", "LocationName")),
        *((_DC, "coverage"), (_DC_TERMS, "coverage"), (_DC_TERMS, "spatial"), (_DYNAMIC_MEDIA, "shotLocation")),
        (_IMAGE, "Data"),  # the original picture of a portrait, with EXIF of its own
        *((_EXIF, "MakerNote"), (_CAMERA, "hdrp_makernote"), (_CAMERA, "shot_log_data")),  # only their makers know
        (_EXIF, "UserComment"),  # goes as EXIF's own does
    }
)
"""What tells a place, or may hold one unseen."""

_PLACE: Final = re.compile(
    r"gps|latitude|longt?itude|altitude|geo_?(tag|loc|point|hash|name|coord)|^(sub)?location|"
    r"^(city|country|province|provincestate|countrycode|countryname|countryregion|statprovince|placename|locality|municipality|county)$",
    re.IGNORECASE,
)
"""Names that tell a place in whoever's namespace: drones', tagging programs', phones'."""

_OF_LOCATION: Final = re.compile(
    r"^(dctermsLocation|location|locality|higherGeography|continent|waterBody|island|country|stateProvince|county|"
    r"municipality|decimal|geodetic|coordinate|georeference|footprint|pointRadius|verticalDatum|fieldNotes|habitat|"
    r"verbatim(Locality|Coordinate|Latitude|Longitude|Elevation|Depth|SRS)|(min|max)imum(Elevation|Depth|Distance))"
)
"""How the terms of Darwin Core's class Location begin (https://dwc.tdwg.org/terms/#location), and the two of its class
Event that describe one."""


def is_place(name: str) -> bool:
    """Does a property or text of this name, without its namespace, tell a place?"""
    return _PLACE.search(name) is not None


def rule(aim: Aim, *, strip: bool, provenance: bool) -> Rule:
    """Return what is to be changed in a packet for a new picture, and without places where ``strip``.

    With ``provenance``, what it told of that before goes too, to make room for it.
    """
    values = _values(aim)

    def judge(name: Name) -> Change | bool:
        if name in values:
            return values[name]
        if name in _STALE or name == _EXTENDED or name[0].startswith(_STALE_NAMESPACES):
            return None
        if provenance and (name == _SOURCE_TYPE or name[0] == NAMESPACE):
            return None
        if strip and _tells_place(name):
            return None
        return False

    return judge


def _tells_place(name: Name) -> bool:
    namespace, local = name
    return (
        name in _PLACES
        or namespace == _GEO
        or is_place(local)
        or (namespace.startswith(_DARWIN_CORE) and _OF_LOCATION.match(local) is not None)
    )


def _values(aim: Aim) -> dict[Name, str]:
    width, height = str(aim.width), str(aim.height)
    values = {
        (_TIFF, "Orientation"): str(aim.orientation),
        (_TIFF, "ImageWidth"): width,
        (_TIFF, "ImageLength"): height,
        (_EXIF, "PixelXDimension"): width,
        (_EXIF, "PixelYDimension"): height,
    }
    if aim.srgb:
        values |= {(_EXIF, "ColorSpace"): "1", (_PHOTOSHOP, "ICCProfile"): "sRGB IEC61966-2.1"}
    return values


def with_provenance(packet: Packet, provenance: Provenance) -> Packet:
    """Return a packet that tells as well how the picture came to be; what it told of that before is out of it."""
    generated = _GENERATED.search(packet.names.get(_SOURCE_TYPE, ""))
    source_type = packet.names[_SOURCE_TYPE] if generated else provenance.source_type
    ours = {
        "Software": provenance.software,
        "Model": provenance.model,
        "Parameters": json.dumps(dict(provenance.parameters), sort_keys=True, ensure_ascii=False, default=str),
        "PredictionID": provenance.prediction_id,
        "SourceFingerprint": provenance.source_fingerprint and f"sha256:{provenance.source_fingerprint}",
        "Date": provenance.date.isoformat(timespec="seconds"),
    }
    lines = [f"<upscaled:{name}>{text_of(value)}</upscaled:{name}>" for name, value in ours.items() if value]
    lines.append(f"<Iptc4xmpExt:DigitalSourceType>{text_of(source_type)}</Iptc4xmpExt:DigitalSourceType>")
    return packet.saying({"upscaled": NAMESPACE, "Iptc4xmpExt": _EXT}, lines)


def extended_by(packet: Packet, extended: bytes) -> Packet:
    """Return a packet that refers to an extended document (XMP specification part 3, 1.1.3.1), and to no other."""
    line = f"<xmpNote:HasExtendedXMP>{guid(extended)}</xmpNote:HasExtendedXMP>"
    return packet.saying({"xmpNote": _NOTE}, [line])


def expected_guid(data: bytes) -> str | None:
    """Return the GUID of the extended document that a packet refers to, or None, without parsing it."""
    match = _REFERENCE.search(data)
    return None if match is None else match[1].decode()


def guid(extended: bytes) -> str:
    """Return the name of an extended document: the MD5 of its bytes, in upper case."""
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper()


def read_or_none(data: bytes | None, how: Rule, what: str, notes: list[str]) -> Packet | None:
    """Return a packet changed by a rule, or None where there is none, or one that cannot be read, which is noted."""
    if data is None:
        return None
    try:
        return Packet.read(data, how)
    except Malformed as error:
        notes.append(f"The {what} was not carried: {error}.")
        return None
