"""SIGHUP and `systemctl reload`: the configuration is read again, and takes effect as a whole or not at all.

What is wrong with the new one is logged, every problem of it, and the old one stays. Folders, profiles and who is told
change under the running daemon; what is built once (`FIXED`) needs a restart, and is named. A reload sweeps every
inbox, too.
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import structlog

from upscaled import config, sdnotify
from upscaled.config import Settings
from upscaled.errors import ConfigError, Problem, sentence
from upscaled.intakes import Folders, Intakes
from upscaled.ledger import Ledger

log = structlog.get_logger()

_COMPARED: Final = operator.attrgetter("compare")

LIVE: Final = frozenset({"folders", "profiles", "notify"})
"""What a reload changes."""

Prepare = Callable[[Settings], Callable[[], None]]
"""Makes what parts beside the folders need of a new configuration, and returns what puts that in force.

Raises `errors.ConfigError` where nothing can be made of it; called in a thread.
"""

FIXED: Final = tuple(
    each.name for each in fields(Settings) if each.name not in LIVE and each.name not in {"path", "marks"}
)
"""What was built from the first configuration and lasts as long as the process."""


class Reloader:
    """Reads the configuration again when asked to. One reload at a time."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        *,
        intakes: Intakes,
        folders: Folders,
        ledger: Ledger,
        ring: Callable[[], None],
        prepare: Prepare = lambda _: lambda: None,
    ) -> None:
        self.settings = settings
        self._load = load
        self._intakes = intakes
        self._folders = folders
        self._ledger = ledger
        self._ring = ring
        self._prepare = prepare
        self._wanted = asyncio.Event()

    def ask(self) -> None:
        """Ask for a reload."""
        self._wanted.set()

    async def run(self) -> None:
        """Reload each time that it is asked for, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            sdnotify.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                await self.reload()
            except Exception:
                # The daemon is at work with what it has; a defect here must not end it.
                log.exception("reload.failed", kept="the old configuration")
            sdnotify.notify("READY=1")

    async def reload(self) -> bool:
        """Put the configuration in force as it is now; False, with every problem logged, if it is wrong."""
        try:
            new, put_in_force = await asyncio.to_thread(self._read)
        except ConfigError as error:
            self._refuse(error.problems)
            return False
        await self._apply(new)
        put_in_force()
        return True

    def _refuse(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.error("reload.refused", problem=sentence(problem), kept="the old configuration")
        self._intakes.ring()

    def _read(self) -> tuple[Settings, Callable[[], None]]:
        """Load and verify; a directory that was in trouble before the reload is no reason to refuse it."""
        new = self._load()
        before = {problem.message for problem in config.verify_folders(self.settings)}
        problems = [problem for problem in config.verify_folders(new) if problem.message not in before]
        if problems:
            raise ConfigError(problems)
        put_in_force = self._prepare(new)
        config.make_failed_folders(new)
        return new, put_in_force

    async def _apply(self, new: Settings) -> None:
        ignored = [key for name in FIXED for key in changed(name, getattr(self.settings, name), getattr(new, name))]
        if ignored:
            log.warning("reload.needs_restart", keys=ignored)
        kept: dict[str, Any] = {name: getattr(self.settings, name) for name in FIXED}
        self.settings = replace(new, **kept)
        # Workers find a folder before its first source is admitted, and one that is gone as long as it has jobs.
        self._folders.replace(new.folders)
        exchange = await self._intakes.replace(new.folders)
        await asyncio.to_thread(self._ledger.keep_folders, list(self._folders))
        self._intakes.ring()
        self._ring()
        log.info("reload.done", added=exchange.added, removed=exchange.removed, changed=exchange.changed)


def changed(name: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the keys below ``name`` whose values differ."""
    if old == new:
        return
    if is_dataclass(old) and type(old) is type(new):
        for each in filter(_COMPARED, fields(old)):
            yield from changed(f"{name}.{each.name}", getattr(old, each.name), getattr(new, each.name))
        return
    yield name
