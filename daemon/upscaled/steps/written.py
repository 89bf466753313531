"""Parts that this process wrote and hashed itself, and which version of each that was.

Separate because it is the one thing that the steps of a job tell each other beside the ledger. It saves reading, no
more: a part that is not known here, as after a crash, or that is not the same version any more, is read and hashed
before it gets its name (I2, I6). Reading it once more right after it was written would show the same memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from upscaled.files import durable

if TYPE_CHECKING:
    from pathlib import Path

    from upscaled.job.model import Identity


KEPT: Final = 1000
"""Of so many parts it is known at most: of those that nobody publishes after all, nobody asks."""


class Written:
    """What is known of parts, until it is asked for."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[str, Identity]] = {}

    def note(self, part: Path, digest: str, identity: Identity) -> None:
        """Say that this version of a part has this SHA-256, and is durable."""
        self._known[part] = digest, identity
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]

    def is_still(self, part: Path, digest: str) -> bool:
        """Is the part known to hold these bytes? It is forgotten with the answer. Raises `FileTrouble`."""
        known = self._known.pop(part, None)
        return known is not None and known == (digest, durable.identity_at(part))
