"""What is there already, of an installation and beside it: whom the service runs as, and the variables it is given.

It is read from the files, so that installing again need not be told anew.
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


def variables(layout: Layout) -> dict[str, str]:
    """Return the variables that a person gave the service.

    That is less than systemd reads (systemd.exec(5): it knows continued lines, too), and enough to tell whether the
    configuration has what it needs.
    """
    with suppress(OSError, UnicodeDecodeError):
        lines = map(str.strip, layout.environment.read_text("utf-8").splitlines())
        pairs = (line.partition("=") for line in lines if not line.startswith(("#", ";")))
        return {name.rstrip(): value.strip().strip("\"'") for name, equals, value in pairs if equals}
    return {}
