"""The colour profile that says sRGB, for a result whose pixels are sRGB and which says nothing itself.

The source's profile is never carried: the pixels are in the result's colours, not in those of the source.
"""

from __future__ import annotations

from functools import cache

from PIL import ImageCms

from upscaled.files.metadata.model import Canvas


def profile_for(canvas: Canvas, *, srgb: bool) -> bytes | None:
    """Return the profile that a result lacks, or None where it has one, or where its colours are not known.

    A grey JPEG or WebP gets none: the profile is one for three colours (PNG says it in a chunk of its own).
    """
    if not srgb or canvas.profiled or (canvas.grey and canvas.kind != "png"):
        return None
    return srgb_profile()


@cache
def srgb_profile() -> bytes:
    """Return LittleCMS's sRGB profile, about 600 bytes, the same whenever it is made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # When it was made (ICC.1, 7.2.8), and the checksum that covers this.
    profile[24:36] = bytes.fromhex("07e800010001000000000000")
    profile[84:100] = bytes(16)
    return bytes(profile)
