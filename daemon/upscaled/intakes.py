"""The intakes of the configured folders: started and stopped together, exchanged at a reload, watched for silence.

An intake that hangs in a call to a dead share cannot say so itself: its thread waits in the kernel. So it is said here,
by its pulse, for that folder alone; the others have threads of their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from upscaled.config.settings import Folder
from upscaled.errors import StateError, sentence
from upscaled.inbox.intake import Intake
from upscaled.ledger import Ledger
from upscaled.ledger.database import bind

log = structlog.get_logger()

SILENCE: Final = 30.0
"""A file system that does not return from one call for so many seconds is not answering."""

LISTEN: Final = 5.0
"""Between two looks at whether they answer, in seconds."""

NOT_ANSWERING: Final = "not answering"
"""The state of a folder that hangs."""


class Folders(Mapping[str, Folder]):
    """The folders in force, by inbox. One that was taken out is not listed, but found: jobs of it may be under way."""

    def __init__(self, folders: Sequence[Folder]) -> None:
        self._retired: dict[str, Folder] = {}
        self._current = _by_inbox(folders)

    def replace(self, folders: Sequence[Folder]) -> None:
        """Put these in force."""
        self._retired |= self._current
        self._current = _by_inbox(folders)

    def __getitem__(self, inbox: str) -> Folder:
        return self._current.get(inbox) or self._retired[inbox]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._current))

    def __len__(self) -> int:
        return len(self._current)


def _by_inbox(folders: Sequence[Folder]) -> dict[str, Folder]:
    return {str(folder.inbox): folder for folder in folders}


@dataclass(frozen=True, slots=True)
class Exchange:
    """The inboxes that a reload added, removed and changed."""

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[str]


class Intakes:
    """One intake a folder; ``make`` builds one. All of it belongs to the event loop's thread."""

    def __init__(self, make: Callable[[Folder], Intake], folders: Sequence[Folder]) -> None:
        self._make = make
        self._folders = _by_inbox(folders)
        self._intakes = {inbox: make(folder) for inbox, folder in self._folders.items()}
        self._silent: set[str] = set()

    def __iter__(self) -> Iterator[Intake]:
        return iter(tuple(self._intakes.values()))

    def __len__(self) -> int:
        return len(self._intakes)

    def start(self) -> None:
        """Start them all; each sweeps first."""
        for intake in self:
            intake.start()

    def ring(self, inbox: str | None = None) -> None:
        """Ask for a sweep of one inbox, or of all; one that is not configured is no error."""
        for name, intake in self._intakes.items():
            if inbox in (None, name):
                intake.ring()

    async def stop(self) -> None:
        """Stop them all; one that hangs is left behind."""
        await asyncio.gather(*(asyncio.to_thread(intake.stop) for intake in self))

    async def replace(self, folders: Sequence[Folder]) -> Exchange:
        """Look after these folders from now on; an intake whose folder is as it was goes on undisturbed.

        A changed folder's files settle anew, which costs nothing; its old intake has stopped before the new one starts,
        or hangs and will stop before it does anything more.
        """
        wanted = _by_inbox(folders)
        before = self._folders
        changed = [inbox for inbox in wanted if inbox in before and wanted[inbox] != before[inbox]]
        exchange = Exchange(
            added=[inbox for inbox in wanted if inbox not in before],
            removed=[inbox for inbox in before if inbox not in wanted],
            changed=changed,
        )
        leaving = [self._intakes.pop(inbox) for inbox in (*exchange.removed, *changed)]
        self._silent -= {*exchange.removed, *changed}
        self._folders = wanted
        await asyncio.gather(*(asyncio.to_thread(intake.stop) for intake in leaving))
        for inbox in (*exchange.added, *changed):
            self._intakes[inbox] = self._make(wanted[inbox])
            self._intakes[inbox].start()
        return exchange

    async def listen(self, ledger: Ledger) -> None:
        """Report for ever which folders do not answer, and which do again."""
        while True:
            await asyncio.sleep(LISTEN)
            await self.report(ledger)

    async def report(self, ledger: Ledger) -> None:
        """Record each folder that does not answer, with for how long, and each that answers again."""
        for inbox, intake in tuple(self._intakes.items()):
            seconds = intake.not_answering()
            if seconds >= SILENCE:
                if inbox not in self._silent:
                    log.warning("folder.not_answering", inbox=inbox, seconds=round(seconds))
                self._silent.add(inbox)
                reason = f"Its file system has not answered for {seconds:.0f} s. Other folders go on."
                await _record(ledger, inbox, NOT_ANSWERING, reason)
            elif inbox in self._silent:
                self._silent.discard(inbox)
                log.info("folder.answers_again", inbox=inbox)
                await _record(ledger, inbox, str(intake.state.state), intake.state.reason)


async def _record(ledger: Ledger, inbox: str, state: str, reason: str) -> None:
    try:
        await asyncio.to_thread(_note, ledger, inbox, state, reason)
    except StateError as error:
        log.warning("folder.unrecorded", inbox=inbox, state=state, reason=sentence(error))


def _note(ledger: Ledger, inbox: str, state: str, reason: str) -> None:
    """Change what is said of a folder; what its last sweep saw stands."""
    found = ledger.query("SELECT seen, swept_at FROM folders WHERE inbox = CAST(? AS TEXT)", bind(inbox))
    seen, swept_at = (json.loads(found[0]["seen"]), found[0]["swept_at"]) if found else ({}, None)
    ledger.record_folder(inbox, state=state, reason=reason, seen=seen, swept_at=swept_at)
