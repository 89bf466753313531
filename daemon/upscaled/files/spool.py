"""The spool: where a paid result is kept while its outbox is away or full, until it can be delivered.

Separate from publishing because the spool lies on another disk: a result leaves it by being copied to a part in the
outbox, which is then published like any other. A crash between the two finds the result in the spool still, or in the
outbox already, and both are known by their bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from upscaled import errors
from upscaled.files.directories import free_space
from upscaled.files.parts import create_part, discard, sync
from upscaled.files.sources import copy_into, holds
from upscaled.files.trouble import translated

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 4 << 30
"""How much the spool may hold, in bytes: some hundred results of the largest kind."""

SPARE: Final = 256 << 20
"""How much must stay free on its disk, in bytes: the ledger lies there too."""


def open_spool(spool: Path) -> None:
    """Make the spool where it is missing. Raises `DiskFull` when it has no room for one more result."""
    with translated(spool, "make"):
        spool.mkdir(mode=0o700, exist_ok=True)
        held = sum(path.stat().st_size for path in spool.iterdir())
    if held >= LARGEST or free_space(spool) < SPARE:
        raise errors.DiskFull(
            f"The spool {spool} has no room for one more result",
            why=f"it holds {held:,} bytes",
            do="Bring the outboxes back, or free some space; results wait at the service for 7 days.",
            path=spool,
        )


def bring(spooled: Path, part: Path, digest: str) -> None:
    """Copy a spooled result to a part beside its destination, durably. One that is gone was delivered already."""
    if not holds(spooled, digest):
        return
    try:
        with create_part(part) as file:
            copy_into(spooled, file)
            sync(file)
    except errors.FileTrouble:
        with translated(part, "remove"):
            discard(part)
        raise


def forget(spooled: Path) -> None:
    """Remove a spooled result that has been delivered."""
    with translated(spooled, "remove"):
        discard(spooled)
