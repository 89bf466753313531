"""Pictures sent ahead of a request: written once, read by whoever knows the address, deleted after a week.

A *ticket* is leave to write one file. Separate from `store` because an upload belongs to no prediction.
"""

from __future__ import annotations

import hmac
import json
import mimetypes
import re
import secrets
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from upscaled.api import wire
from upscaled.engine import disk

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TICKET_LIFE: Final = 3600.0
"""How long a ticket may be used, in seconds."""

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """One file's ticket: ``token`` is its public name, ``secret`` the leave to write it; ``size`` is in bytes."""

    token: str
    secret: str
    filename: str
    size: int | None
    content_type: str
    created_at: float

    def may_write(self, secret: str, now: float) -> bool:
        """Is this the secret, and still good?"""
        return hmac.compare_digest(self.secret.encode(), secret.encode()) and now - self.created_at <= TICKET_LIFE


class Uploads:
    """All uploads, in one directory, for ``retain`` seconds."""

    def __init__(self, directory: Path, *, retain: float = wire.RETENTION) -> None:
        self._folder = directory / "uploads"
        self._folder.mkdir(parents=True, exist_ok=True)
        disk.clear(self._folder)
        self._retain = retain

    def issue(self, filename: str, now: float, *, size: int | None = None, content_type: str = "") -> Upload:
        """Make a ticket; durable on return."""
        name = plain(filename)
        guessed = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        upload = Upload(secrets.token_hex(16), secrets.token_hex(16), name, size, guessed, now)
        folder = self._folder / upload.token
        folder.mkdir()
        disk.write(folder / "ticket.json", json.dumps(asdict(upload)).encode())
        disk.sync(self._folder)
        return upload

    def find(self, token: str, now: float) -> Upload | None:
        """Return a ticket that had not expired at a time, used or not."""
        upload = _ticket(self._folder / token) if _TOKEN.fullmatch(token) else None
        return upload if upload is not None and now - upload.created_at <= self._retain else None

    def content(self, upload: Upload) -> Path | None:
        """Return where the file lies, once it was written."""
        path = self._folder / upload.token / "content"
        return path if path.is_file() else None

    def part(self) -> Path:
        """Return a new path for content on its way in."""
        return disk.part(self._folder)

    def keep(self, upload: Upload, temporary: Path) -> bool:
        """Make received content durable; False when the ticket was used before, and then nothing changes."""
        return disk.keep_first(temporary, self._folder / upload.token / "content")

    def expire(self, now: float, needed: Collection[str] = ()) -> None:
        """Delete uploads kept long enough, and folders that a killed process left without a ticket.

        Those whose tokens are ``needed`` stay: what waits for its turn is made of them.
        """
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name not in needed:
                # Read once: a ticket that is just being issued appears between two looks.
                upload = _ticket(folder)
                made = folder.stat().st_mtime if upload is None else upload.created_at
                if now - made > self._retain:
                    shutil.rmtree(folder, ignore_errors=True)


def _ticket(folder: Path) -> Upload | None:
    """Return what a folder is for; None without a ticket, and with one that cannot be read."""
    try:
        return Upload(**json.loads((folder / "ticket.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def plain(filename: str) -> str:
    """Return a file name that is safe in an address: its last part, in ASCII letters, digits, dots and dashes.

    Where nothing is left of it but what kind of file it is, it is called ``file``.
    """
    last = re.sub(r"[^A-Za-z0-9._-]+", "_", filename.replace("\\", "/").rsplit("/", maxsplit=1)[-1])
    return re.sub(r"^[._]*(?=\.[A-Za-z0-9]+$)", "file", last).strip("._")[-100:] or "file"
