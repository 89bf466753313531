"""EXIF, XMP and IPTC from the source to the result, without touching a pixel; and how the result came to be.

    carry          the result with the source's metadata, corrected for what is no longer true, and its provenance
    begun          the same, as far as it can be done while the result is still coming
    settled        was that right, now that all of it is there?
    strip_places   a source without anything but its picture, to be uploaded where places are nobody's business

Plain functions, to be run in a worker process. Files are believed nothing: every offset and every length is checked,
what is malformed is left behind with a note, and the pixels are delivered whatever else a file holds.
"""

from __future__ import annotations

from upscaled.files.metadata.beginning import begun, settled
from upscaled.files.metadata.carrying import carry, strip_places
from upscaled.files.metadata.model import Beginning, Carried, Mode, Provenance

__all__ = ["Beginning", "Carried", "Mode", "Provenance", "begun", "carry", "settled", "strip_places"]
