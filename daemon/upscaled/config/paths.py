"""Paths as they are written, and what they stand for: where ``~`` is, and what a relative one is relative to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


SYSTEM_FILE: Final = Path("/etc/upscaled/config.yaml")
"""The machine's own configuration."""

SYSTEM_STATE: Final = Path("/var/lib/upscaled")
"""Where systemd makes the state directory of the machine's service."""


class NoHome(Exception):
    """A path begins with ``~name``, or ``~`` stands for that, and there is no such user. ``user`` is the name."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.user = user


def configured_path(text: str, *, base: Path, environ: Mapping[str, str]) -> Path:
    """Return the path that ``text`` stands for in a file in ``base``. Raises `NoHome`.

    ``..`` is taken out as it is written, so that a path means the same whether or not its directory exists yet.
    """
    home = _home(text, environ)
    if home.startswith("~"):
        raise NoHome(home[1:].partition("/")[0])
    # POSIX lets two leading slashes mean something else; here they never do.
    return Path("/" + os.path.normpath(base / home).lstrip("/"))


def default_state_dir(environ: Mapping[str, str], *, of_machine: bool = False) -> Path:
    """Return where the ledger lies if nothing is configured: systemd's $STATE_DIRECTORY, else the user's state.

    ``of_machine``: for the machine's own configuration it is where systemd would put it, so that a person who asks for
    the status finds the service's ledger.
    """
    directories = [each for each in environ.get("STATE_DIRECTORY", "").split(":") if each]
    if directories:
        return Path(directories[0])
    if of_machine:
        return SYSTEM_STATE
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative values ignored.
    base = Path(state) if state.startswith("/") else Path(_home("~", environ), ".local", "state")
    return base / "upscaled"


def _home(text: str, environ: Mapping[str, str]) -> str:
    """Expand ``~`` by the environment that was passed in, and ``~user`` by the system's users."""
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return home + text[1:]
    return os.path.expanduser(text) if text.startswith("~") else text  # noqa: PTH111 - it leaves an unknown user as it is
