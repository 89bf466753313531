"""The first bytes of a file whose rest is still to come, seen as the whole of it.

What stands in them can be looked at; the rest is one range, whatever it holds. Whoever reads a format must know that:
where its pixels begin, what can be told ends.
"""

from __future__ import annotations

import io
from typing import Final

from upscaled.files.structure.model import Reader

ENDLESS: Final = 1 << 62
"""The size of a file (bytes) that nobody has told: larger than any."""


class Beyond(Exception):
    """More was looked at than is held. It never leaves this package."""


class Held(Reader):
    """Random access to the first bytes of a file of ``size`` bytes. Whatever reads beyond them raises `Beyond`."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(io.BytesIO(data))
        self.held = self.size
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end of the file."""
        if min(offset + length, self.size) > self.held:
            raise Beyond
        return super().read(offset, length)
