"""The text of every file of the service: the units that come with the program, made to fit one machine.

Nothing is written here. The units lie in ``systemd/`` of the source tree and in this package when it is installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from upscaled.errors import UsageError
from upscaled.systemd.layout import DAEMON, FOLDERS_DROPIN, KEY_DROPIN, ONCE, TIMER, USER, Layout

_NOT_ONLY_PICTURES: Final = frozenset({"home", "root", "var", "usr", "etc", "opt", "run", "tmp"})
"""Top directories whose children (a home, say) hold so much else that no service should be let in as a whole."""

_HEAD: Final = "# Written by `upscaled service install`, which writes it anew. Your own settings: systemctl{} edit {}\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed. ``command`` is the program, ``config`` its configuration, both absolute.

    ``writable`` are the directories that it works in. ``awaited`` are those of them that must be mounted before it
    starts: not those on shares, which it waits for itself, folder by folder. ``account`` is whom it runs as. ``once``:
    at set times, and not all the time.
    """

    command: Path
    config: Path
    writable: tuple[Path, ...]
    awaited: tuple[Path, ...]
    account: str = USER
    once: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and what it is to hold."""

    path: Path
    text: str


def packaged(name: str) -> str:
    """Return the text of a file that comes with the program."""
    return resources.files("upscaled.systemd").joinpath("units", name).read_text("utf-8")


def files(wanted: Wanted, layout: Layout) -> Iterator[Placed]:
    """Yield every file of the service but the key. Raises `errors.UsageError` for a path that no unit can hold."""
    unit = ONCE if wanted.once else DAEMON
    if layout.personal:
        yield Placed(layout.units / unit, _fitted("upscaled-user.service", wanted))
    else:
        yield Placed(layout.units / unit, _fitted(unit, wanted))
        yield Placed(layout.dropin(unit, FOLDERS_DROPIN), folders_dropin(wanted))
        if wanted.account == USER:
            yield Placed(layout.sysusers, packaged("upscaled.sysusers"))
            yield Placed(layout.tmpfiles, packaged("upscaled.tmpfiles"))
        if (text := key_dropin(layout, unit)) is not None:
            yield Placed(layout.dropin(unit, KEY_DROPIN), text)
    if wanted.once:
        yield Placed(layout.units / TIMER, packaged(TIMER))


def _fitted(name: str, wanted: Wanted) -> str:
    """Return a unit with the machine's own command in it."""
    verb = "once" if wanted.once else "run"
    # A dollar sign would begin a variable in an argument, and nowhere else.
    start = f"ExecStart={quoted(wanted.command)} {verb} -c {quoted(wanted.config).replace('$', '$$')}"
    lines = [start if line.startswith("ExecStart=") else line for line in packaged(name).splitlines()]
    return "\n".join(lines) + "\n"


def folders_dropin(wanted: Wanted) -> str:
    """Return the drop-in that opens the folders to the service, and has it wait for their disks."""
    # A leading minus: what is not there is not opened, and does not keep the others from being upscaled.
    opened = "\n".join(f"ReadWritePaths={quoted(path, prefix='-')}" for path in wanted.writable)
    awaited = "".join(f"RequiresMountsFor={quoted(path)}\n" for path in wanted.awaited)
    account = "" if wanted.account == USER else f"User={wanted.account}\n"
    head = _HEAD.format("", ONCE if wanted.once else DAEMON)
    return f"{head}# From {wanted.config}\n[Unit]\n{awaited}\n[Service]\n{account}{opened}\n"


def opened(directories: Sequence[Path]) -> list[Path]:
    """Return what to open for the directories of one folder: the one around them, where that is not too much.

    Each that is opened becomes a mount of its own in the service's view, and no file can be renamed from one mount to
    another: every original would be copied to the archive, even on the same disk.
    """
    around = Path(os.path.commonpath(directories))
    top = around.parts[1] if len(around.parts) > 1 else ""
    least = 4 if top in _NOT_ONLY_PICTURES else 3
    return [around] if len(around.parts) >= least else list(directories)


def outermost(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the paths that lie in no other of them: what is open already needs no mount of its own."""
    return tuple(path for path in paths if not any(parent in paths for parent in path.parents))


def key_dropin(layout: Layout, unit: str) -> str | None:
    """Return the drop-in that hands the stored key to a unit as a credential; None where no key is stored."""
    for option, path in (("LoadCredentialEncrypted", layout.encrypted_key), ("LoadCredential", layout.key)):
        if path.exists():
            return f"{_HEAD.format('', unit)}[Service]\n{option}={layout.key.name}:{path}\n"
    return None


def quoted(path: Path, *, prefix: str = "") -> str:
    """Return a path as a unit file takes it (systemd.syntax(7)). Raises `errors.UsageError` where none can."""
    text = str(path)
    if not text.isprintable():
        raise UsageError(
            f"A unit file cannot hold the path {text!a}",
            why="it has characters that are not printable, or not UTF-8",
            do="Rename that directory, or start upscaled in another way.",
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    plain = all(character.isalnum() or character in "/._-+:@," for character in text)
    return f"{prefix}{escaped}" if plain else f'"{prefix}{escaped}"'
