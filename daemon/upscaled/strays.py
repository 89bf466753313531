"""Parts that an earlier process left behind and no job will take up again: found and removed while the daemon works.

Separate from the start of the daemon, because an archive may hold a million files on a slow share, and a share that
hangs must hold up nothing: each directory is walked by a thread of its own, which nobody waits for but `once`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from upscaled.errors import FileTrouble, sentence
from upscaled.files import durable
from upscaled.files.names import job_of_part
from upscaled.ledger import Ledger

log = structlog.get_logger()


class Strays:
    """Walks directories in the background, and removes parts of this ledger's finished jobs from them."""

    def __init__(self, ledger: Ledger, directories: Iterable[Path]) -> None:
        self._ledger = ledger
        self._threads = [
            threading.Thread(target=self._sweep, args=(directory,), name=f"strays {directory}", daemon=True)
            for directory in directories
        ]

    def start(self) -> None:
        """Begin in every directory at once."""
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Has every directory been walked?"""
        return not any(thread.is_alive() for thread in self._threads)

    def _sweep(self, directory: Path) -> None:
        try:
            removed = durable.sweep_parts(directory, self._keep)
        except FileTrouble as error:
            log.warning("strays.unswept", directory=str(directory), reason=sentence(error))
            return
        if removed:
            log.info("strays.removed", directory=str(directory), count=len(removed))

    def _keep(self, name: str) -> bool:
        """Keep what a job may still take up, and what is not ours: another daemon may share the directory."""
        job_id = job_of_part(name)
        job = None if job_id is None else self._ledger.job(job_id)
        return job is None or job.finished_at is None
