"""What a picture says about itself, from the inbox to the outbox."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.house import House
from tests.support.metadata import PLACE, drawn, exif_block, needs_exiftool, photographers_source, tags_of, write_tags
from tests.support.service import ApiServer

pytestmark = needs_exiftool

PLACES = re.compile(r"gps|latitude|longitude|location|(?<!chromati)city|country|state(?!ment)|province", re.IGNORECASE)


def uploads(server: ApiServer, directory: Path) -> list[Path]:
    """Write down what the service was given."""
    directory.mkdir()
    found = []
    for number, data in enumerate(server.world._bytes.values()):
        found.append(directory / f"{number}")
        found[-1].write_bytes(data)
    return found


def test_a_folder_that_strips_gps_uploads_and_delivers_no_place(
    house: House, server: ApiServer, tmp_path: Path
) -> None:
    """Neither what goes byte for byte otherwise, nor what must be turned upright, and what tells no place is kept."""
    house.document["folders"][0]["metadata"] = "strip-gps"
    house.write()
    turned = photographers_source(tmp_path / "made.jpg")
    turned.rename(house.inbox / "turned.jpg")
    for name in ("upright.jpg", "upright.png", "upright.webp"):
        drawn(house.inbox / name, exif=b"Exif\0\0" + exif_block(orientation=1))
        write_tags(house.inbox / name, f"-XMP-photoshop:City={PLACE}", "-XMP-dc:Title=A title")

    assert 0 == house.once()

    sent = uploads(server, tmp_path / "sent")
    results = sorted(house.outbox.glob("*.jpg"))
    assert (4, 4) == (len(sent), len(results))
    for tags in tags_of(*sent, *results, options=["-U", "-ee"]):
        assert {} == {name: value for name, value in tags.items() if PLACES.search(name) or PLACE in str(value)}
    assert not [path for path in (*sent, *results) if PLACE.encode() in path.read_bytes()]
    for tags in tags_of(*results):
        assert ("A title", "Canon", 1) == (tags["XMP-dc:Title"], tags["IFD0:Make"], tags["IFD0:Orientation"])
    assert PLACE.encode() in (house.archive / "turned.jpg").read_bytes()


def test_a_result_says_what_its_source_said_and_how_it_was_made(house: House, tmp_path: Path) -> None:
    """The prediction is the job's, and the fingerprint the original's."""
    photographers_source(tmp_path / "made.jpg").rename(house.inbox / "a.jpg")

    assert 0 == house.once()

    (job,) = house.jobs()
    before, after = tags_of(house.archive / "a.jpg", house.outbox / "a.jpg")
    kept = ("Canon:OwnerName", "GPS:GPSLatitude", "IPTC:Keywords", "XMP-dc:Description", "ExifIFD:DateTimeOriginal")
    assert [before[name] for name in kept] == [after[name] for name in kept]
    assert (job["prediction_id"], f"sha256:{job['fingerprint']}") == (
        after["XMP-upscaled:PredictionID"],
        after["XMP-upscaled:SourceFingerprint"],
    )
    assert (after["File:ImageWidth"], after["File:ImageHeight"], 1) == (
        after["ExifIFD:ExifImageWidth"],
        after["ExifIFD:ExifImageHeight"],
        after["IFD0:Orientation"],
    )


def test_a_source_that_is_large_enough_is_delivered_without_places_and_with_the_rest(
    house: House, server: ApiServer
) -> None:
    """As it stands: its pixels are its own."""
    house.document["folders"][0]["metadata"] = "strip-gps"
    house.write()
    drawn(house.inbox / "a.jpg", size=(2100, 1500), exif=b"Exif\0\0" + exif_block(orientation=6))

    assert 0 == house.once()

    (tags,) = tags_of(house.outbox / "a.jpg")
    assert {} == {name: value for name, value in tags.items() if PLACES.search(name)}
    assert (6, "Canon", 2100) == (tags["IFD0:Orientation"], tags["IFD0:Make"], tags["File:ImageWidth"])
    assert not server.world.tasks
