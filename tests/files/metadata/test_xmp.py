"""XMP is patched as text: what nobody asked to change is the same to the byte."""

from __future__ import annotations

import datetime as dt
import gc

import pytest

from upscaled.files.metadata import packet as xmp_packet
from upscaled.files.metadata import xmp
from upscaled.files.metadata.model import Aim, Malformed, Provenance
from upscaled.files.metadata.packet import Packet

AIM = Aim(4000, 3000)

HEAD = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
TAIL = "</rdf:RDF></x:xmpmeta>"
NAMESPACES = (
    ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:dji="http://www.dji.com/drone-dji/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:my="urn:my:"'
    ' xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/" xmlns:dcterms="http://purl.org/dc/terms/"'
    ' xmlns:dwc="http://rs.tdwg.org/dwc/terms/" xmlns:dwi="http://rs.tdwg.org/dwc/index.htm"'
)


LOCATION = (
    *("locationID", "higherGeographyID", "higherGeography", "continent", "waterBody", "islandGroup", "island"),
    *("country", "countryCode", "stateProvince", "county", "municipality", "locality", "verbatimLocality"),
    *("minimumElevationInMeters", "maximumElevationInMeters", "verbatimElevation", "verticalDatum"),
    *("minimumDepthInMeters", "maximumDepthInMeters", "verbatimDepth"),
    *("minimumDistanceAboveSurfaceInMeters", "maximumDistanceAboveSurfaceInMeters"),
    *("locationAccordingTo", "locationRemarks", "decimalLatitude", "decimalLongitude", "geodeticDatum"),
    *("coordinateUncertaintyInMeters", "coordinatePrecision", "pointRadiusSpatialFit", "verbatimCoordinates"),
    *("verbatimLatitude", "verbatimLongitude", "verbatimCoordinateSystem", "verbatimSRS"),
    *("footprintWKT", "footprintSRS", "footprintSpatialFit", "georeferencedBy", "georeferencedDate"),
    *("georeferenceProtocol", "georeferenceSources", "georeferenceRemarks"),
)
"""Darwin Core's class Location (https://dwc.tdwg.org/terms/#location)."""


def packet(inside: str, attributes: str = "") -> bytes:
    """Return a packet of one description."""
    return f'{HEAD}<rdf:Description rdf:about=""{NAMESPACES}{attributes}>{inside}</rdf:Description>{TAIL}'.encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<tiff:Orientation>6</tiff:Orientation>", "<tiff:Orientation>1</tiff:Orientation>"),
        ("<tiff:ImageWidth>\n 100 </tiff:ImageWidth>", "<tiff:ImageWidth>4000</tiff:ImageWidth>"),
        ("<exif:PixelYDimension>9</exif:PixelYDimension>", "<exif:PixelYDimension>3000</exif:PixelYDimension>"),
        ("<xmp:Thumbnails><rdf:Alt><rdf:li>old</rdf:li></rdf:Alt></xmp:Thumbnails>", ""),
        ("<GCamera:MotionPhoto>1</GCamera:MotionPhoto>", ""),
        (
            "<my:odd  a='>'/><!-- <exif:GPS/> -->\r\n<![CDATA[<b>]]>",
            "<my:odd  a='>'/><!-- <exif:GPS/> -->\r\n<![CDATA[<b>]]>",
        ),
    ],
)
def test_what_is_untrue_is_corrected_and_the_rest_is_the_same(before: str, after: str) -> None:
    """To the byte."""
    assert packet(after) == Packet.read(packet(before), xmp.rule(AIM, strip=False, provenance=False)).data


@pytest.mark.parametrize(
    "place",
    [
        "<exif:GPSLatitude>1</exif:GPSLatitude>",
        "<exif:GPSVersionID/>",
        "<photoshop:City>X</photoshop:City>",
        "<dji:GpsLongtitude>1</dji:GpsLongtitude>",
        "<dji:RelativeAltitude>1</dji:RelativeAltitude>",
        '<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li rdf:parseType="Resource"/></rdf:Bag></Iptc4xmpExt:LocationShown>',
        "<my:Geotag>X</my:Geotag>",
        "<my:Locality>X</my:Locality>",
        "<dc:coverage>X</dc:coverage>",
        "<dcterms:spatial>X</dcterms:spatial>",
        "<xmpDM:shotLocation>X</xmpDM:shotLocation>",
        "<GCamera:hdrp_makernote>SERSUA</GCamera:hdrp_makernote>",
        "<exif:MakerNote>X</exif:MakerNote>",
        "<exif:UserComment><rdf:Alt><rdf:li>X</rdf:li></rdf:Alt></exif:UserComment>",
        '<dwi:dctermsLocation rdf:parseType="Resource"><dwi:locality>X</dwi:locality></dwi:dctermsLocation>',
        *(f"<dwc:{term}>X</dwc:{term}>" for term in LOCATION),
    ],
)
def test_places_go_wherever_they_stand(place: str) -> None:
    """As properties, and in structures of others."""
    rule = xmp.rule(AIM, strip=True, provenance=False)

    assert packet("<dc:title/>") == Packet.read(packet(f"{place}<dc:title/>"), rule).data
    nested = '<my:ingredient rdf:parseType="Resource">{}</my:ingredient>'
    assert packet(nested.format("")) == Packet.read(packet(nested.format(place)), rule).data


@pytest.mark.parametrize(
    "other",
    [
        "<dwc:scientificName>X</dwc:scientificName>",
        "<dwc:verbatimEventDate>X</dwc:verbatimEventDate>",
        "<dc:description>X</dc:description>",
        "<GCamera:BurstID>X</GCamera:BurstID>",
    ],
)
def test_what_tells_no_place_stays(other: str) -> None:
    """Among places, too."""
    rule = xmp.rule(AIM, strip=True, provenance=False)

    assert packet(other) == Packet.read(packet(f"<dwc:county>X</dwc:county>{other}"), rule).data


def test_attributes_are_properties_too() -> None:
    """The short form of RDF."""
    rule = xmp.rule(AIM, strip=True, provenance=False)
    before = packet("", """ tiff:Orientation = '8'  exif:GPSLatitude="1" my:b="&quot;>" photoshop:City='x'""")

    assert packet("", """ tiff:Orientation="1"   my:b="&quot;>" """) == Packet.read(before, rule).data


def test_an_empty_description_takes_more() -> None:
    """One tag becomes two."""
    hollow = HEAD.removesuffix(">").encode() + b"/></x:xmpmeta>"

    assert b"<a:b>c</a:b>" in Packet.read(hollow).saying({"a": "urn:a:"}, ["<a:b>c</a:b>"]).data


def test_an_extended_document_is_joined_with_its_namespaces() -> None:
    """They were declared around what is moved."""
    head = HEAD.replace("<rdf:RDF", '<rdf:RDF xmlns:o="urn:outer:"')
    other = f'{head}<rdf:Description rdf:about=""><o:p>far</o:p></rdf:Description>{TAIL}'.encode()

    joined = Packet.read(packet("<my:near>1</my:near>")).having(Packet.read(other))

    assert ("1", "far") == (joined.names["urn:my:", "near"], joined.names["urn:outer:", "p"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_encoding_is_read(encoding: str) -> None:
    """And written as UTF-8, which all formats take."""
    text = packet("<my:name>Zoë</my:name>").decode()

    assert "Zoë" == Packet.read(text.encode(encoding)).names["urn:my:", "name"]


@pytest.mark.parametrize(
    ("source_type", "expected"),
    [
        ("digitalCapture", "compositeWithTrainedAlgorithmicMedia"),
        ("trainedAlgorithmicMedia", "trainedAlgorithmicMedia"),
        ("algorithmicMedia", "algorithmicMedia"),
    ],
)
def test_a_picture_that_a_model_made_stays_one(source_type: str, expected: str) -> None:
    """Enlarging it does not make less of that."""
    base = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    before = packet(f"<Iptc4xmpExt:DigitalSourceType>{base}{source_type}</Iptc4xmpExt:DigitalSourceType>")
    provenance = Provenance("us", "m", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    new = xmp.with_provenance(Packet.read(before, xmp.rule(AIM, strip=False, provenance=True)), provenance)

    assert 1 == new.data.count(b"<Iptc4xmpExt:DigitalSourceType>")
    found = Packet.read(new.data).names["http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "DigitalSourceType"]
    assert base + expected == found


def test_provenance_replaces_that_of_an_earlier_time() -> None:
    """A result may be a source again."""
    rule = xmp.rule(AIM, strip=False, provenance=True)
    one, two = (Provenance("us", model, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) for model in ("one", "two & <three>"))
    first = xmp.with_provenance(Packet.empty(), one)

    second = Packet.read(xmp.with_provenance(Packet.read(first.data, rule), two).data)

    assert b"one" not in second.data
    assert "two &amp; &lt;three&gt;" == second.names[xmp.NAMESPACE, "Model"]


def test_more_elements_than_any_packet_has_are_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes some time."""
    monkeypatch.setattr(xmp_packet, "_MOST", 50)

    assert Packet.read(packet("<my:p/>" * 47))
    with pytest.raises(Malformed):
        Packet.read(packet("<my:p/>" * 48))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<not xml",
        b"<a/>",
        packet("<my:p>"),
        b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + packet("<my:p>&b;</my:p>"),
        b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd">' + packet("<my:p/>"),
        packet("<my:p>" * 300 + "</my:p>" * 300),
        packet(HEAD + TAIL),
    ],
)
def test_what_is_no_packet_is_malformed(data: bytes) -> None:
    """Entities are never expanded."""
    with pytest.raises(Malformed):
        Packet.read(data)


def test_parsing_leaves_no_garbage() -> None:
    """It would lie there until it is collected, with the whole packet: a thousand pictures later, perhaps."""
    gc.collect()
    gc.disable()
    try:
        Packet.read(packet("<my:p/>"))
        assert 0 == gc.collect()
    finally:
        gc.enable()
