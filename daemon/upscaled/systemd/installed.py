"""What an installation that is there says of itself: whom its service runs as.

It is read from the files that were put in place, so that installing again need not be told anew.
"""

from __future__ import annotations

from contextlib import suppress

from upscaled.systemd.layout import DAEMON, FOLDERS_DROPIN, ONCE, USER, Layout

_ACCOUNT = "User="


def account(layout: Layout, *, once: bool) -> str:
    """Return the account that a service runs as, or else the other one; the program's own where none is installed."""
    for unit in (ONCE, DAEMON) if once else (DAEMON, ONCE):
        with suppress(OSError):
            lines = layout.dropin(unit, FOLDERS_DROPIN).read_text("utf-8").splitlines()
            return next((line.removeprefix(_ACCOUNT) for line in lines if line.startswith(_ACCOUNT)), USER)
    return USER
