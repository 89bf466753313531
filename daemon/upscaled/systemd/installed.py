"""What is there already: whom the service runs as, the configuration it was given, and the variables beside it.

It is read from the files, so that installing again need not be told anew. One that a person made unreadable is as good
as none.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

from upscaled.systemd.layout import DAEMON, FOLDERS_DROPIN, ONCE, USER, Layout

_ACCOUNT = "User="


def account(layout: Layout, *, once: bool) -> str:
    """Return the account that a service runs as, or else the other one; the program's own where none is installed."""
    for unit in (ONCE, DAEMON) if once else (DAEMON, ONCE):
        with suppress(OSError, ValueError):
            lines = layout.dropin(unit, FOLDERS_DROPIN).read_text("utf-8").splitlines()
            return next((line.removeprefix(_ACCOUNT) for line in lines if line.startswith(_ACCOUNT)), USER)
    return USER


def configuration(layout: Layout) -> Path | None:
    """Return the configuration that the service reads; None where none is installed."""
    for unit in (DAEMON, ONCE):
        with suppress(OSError, ValueError):
            lines = (layout.units / unit).read_text("utf-8").splitlines()
            [start] = [line for line in lines if line.startswith("ExecStart=")]
            # What `units.quoted` does to a path, and the dollar sign of an argument, taken back.
            return Path(shlex.split(start)[-1].replace("$$", "$").replace("%%", "%"))
    return None


def variables(layout: Layout) -> dict[str, str]:
    """Return the variables that a person gave the service.

    That is less than systemd reads (systemd.exec(5): it knows continued lines, too), and enough to tell whether the
    configuration has what it needs.
    """
    with suppress(OSError, ValueError):
        lines = map(str.strip, layout.environment.read_text("utf-8").splitlines())
        pairs = (line.partition("=") for line in lines if not line.startswith(("#", ";")))
        return {name.rstrip(): value.strip().strip("\"'") for name, equals, value in pairs if equals}
    return {}
