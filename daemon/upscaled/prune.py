"""How long jobs that are over stay in the ledger: the daemon's own tidying, and the verb `prune`.

Separate from `upscaled.ledger.pruning`, which knows which row may go; here it is decided when, and how gently.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

from upscaled import status
from upscaled.errors import StateError, sentence
from upscaled.ledger import Ledger
from upscaled.ledger.pruning import Place

log = structlog.get_logger()

EVERY: Final = 6 * 3600.0
"""Between two tidyings of a running daemon, in seconds."""

LEAST: Final = 86_400.0
"""Nothing younger is pruned, in seconds."""

KEPT: Final = {
    "stays": "files that stay in their inbox",
    "money": "this month's spending",
    "reused": "results that are being delivered again",
    "review": "results in review",
}

SHARE: Final = 5.0
"""After each handful, so many times as long as it took pass before the next: other writes come in between."""


def prune(
    ledger: Ledger,
    older_than: float,
    *,
    dry_run: bool = False,
    now: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Take the jobs out of the ledger that were over ``older_than`` seconds ago; return what `prune --json` prints."""
    before, gone, kept = now() - older_than, 0, Counter[str]()
    place: Place | None = Place()
    while place is not None:
        began = time.monotonic()
        found = ledger.prune(place, before=before, now=now(), dry_run=dry_run)
        gone += found.gone
        kept.update(found.kept)
        place = found.following
        if found.gone and not dry_run:
            pause(SHARE * (time.monotonic() - began))
    return {"before": status.moment(before), "removed": gone, "kept": dict(kept), "dry_run": dry_run}


async def tidy(ledger: Ledger, retain: float | None) -> None:
    """Prune now and then for ever, in a thread; not at all where everything is to be kept."""
    while retain is not None:
        try:
            found = await asyncio.to_thread(prune, ledger, retain)
        except StateError as error:
            log.warning("ledger.unpruned", reason=sentence(error))
        else:
            if found["removed"]:
                log.info("ledger.pruned", removed=found["removed"], before=found["before"])
        await asyncio.sleep(EVERY)
