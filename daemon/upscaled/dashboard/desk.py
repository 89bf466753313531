"""What every page works with, as one value: the ledger, the configuration in force, the locks, the feed, the clock."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from upscaled.config import Folder, Settings
from upscaled.dashboard.access import Access, Tries
from upscaled.dashboard.feed import Feed
from upscaled.dashboard.plot import Plots
from upscaled.files.thumbnails import Thumbnails
from upscaled.ledger import Ledger
from upscaled.steps.ports import InProcess
from upscaled.verdicts import Court

THUMBNAILS: Final = "thumbs"
"""Directory in the state directory for small pictures."""

_REMEMBERED: Final = 100


class Sayings:
    """What became of orders, for the page that comes next: it is asked for by a key, so that no link can make it up."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, str] = OrderedDict()

    def keep(self, text: str) -> str:
        """Return the key of a text."""
        key = secrets.token_urlsafe(8)
        self._said[key] = text
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        return key

    def find(self, key: str) -> str:
        """Return the text of a key; empty when it is not known any more."""
        return self._said.get(key, "")


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the dashboard. ``settings`` gives the configuration in force, ``now`` seconds since the epoch."""

    ledger: Ledger
    settings: Callable[[], Settings]
    in_process: InProcess
    court: Court
    access: Access
    thumbnails: Thumbnails
    new_id: Callable[[], str]
    feed: Feed = field(default_factory=Feed)
    tries: Tries = field(default_factory=Tries)
    sayings: Sayings = field(default_factory=Sayings)
    plots: Plots = field(default_factory=Plots)
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    now: Callable[[], float] = time.time

    def folders(self) -> dict[str, Folder]:
        """Return the configured folders by inbox."""
        return {str(folder.inbox): folder for folder in self.settings().folders}


def desk_of(
    ledger: Ledger,
    settings: Callable[[], Settings],
    in_process: InProcess,
    *,
    feed: Feed,
    court: Court,
    new_id: Callable[[], str],
) -> Desk:
    """Return the desk of a running daemon."""
    token = settings().dashboard.token
    access = Access(token.get_secret_value() if token else None)
    thumbnails = Thumbnails(settings().state_dir / THUMBNAILS)
    return Desk(ledger, settings, in_process, court, access, thumbnails, new_id, feed)
