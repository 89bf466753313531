"""Pictures as Pillow sees them: what is this, what must the service be given in its place, is the result right?

Separate from `upscaled.files.structure`, because decoding costs a thousand times more and trusts large libraries: these
are plain functions of plain values, to be run in a worker process whose memory and time are limited. What they may
raise is `BadPicture`, whose text is for a person, and `FileTrouble`.

    opening     a file to a Pillow image, whatever the file is; which formats can be read here
    upright     a Pillow image as it is meant to be seen: turned, in eight bits, in sRGB, without transparency
    told        which colours a picture says that it has: by a profile, by numbers, or in EXIF
    made        a profile made from the definition of an RGB space
    colour      what a colour profile means, and how its colours become sRGB
    rendering   what is uploaded (or delivered) in a source's place, unless it may go byte for byte
    judging     is the service's result what was asked for?
"""

from __future__ import annotations

from upscaled.errors import BadPicture, Flaw
from upscaled.files.pictures.judging import verify
from upscaled.files.pictures.opening import MAX_PIXELS, Picture, format_of, missing, probe
from upscaled.files.pictures.rendering import Rendition, Wanted, render

__all__ = [
    "MAX_PIXELS",
    "BadPicture",
    "Flaw",
    "Picture",
    "Rendition",
    "Wanted",
    "format_of",
    "missing",
    "probe",
    "render",
    "verify",
]
