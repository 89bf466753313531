"""What every page works with, as one value: the ledger, the configuration in force, the locks, the feed, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from upscaled.config import Settings
from upscaled.dashboard.access import Access, Tries
from upscaled.dashboard.feed import Feed
from upscaled.ledger import Ledger
from upscaled.steps.ports import InProcess
from upscaled.verdicts import Court


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the dashboard. ``settings`` gives the configuration in force, ``now`` seconds since the epoch."""

    ledger: Ledger
    settings: Callable[[], Settings]
    in_process: InProcess
    court: Court
    access: Access
    feed: Feed = field(default_factory=Feed)
    tries: Tries = field(default_factory=Tries)
    now: Callable[[], float] = time.time


def desk_of(ledger: Ledger, settings: Callable[[], Settings], in_process: InProcess, feed: Feed, court: Court) -> Desk:
    """Return the desk of a running daemon."""
    token = settings().dashboard.token
    return Desk(ledger, settings, in_process, court, Access(token.get_secret_value() if token else None), feed)
