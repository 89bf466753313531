"""Where the files of the service lie, for the machine and for one person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upscaled.config.credentials import CREDENTIAL, ENCRYPTED

DAEMON: Final = "upscaled.service"
ONCE: Final = "upscaled-once.service"
TIMER: Final = "upscaled-once.timer"

FOLDERS_DROPIN: Final = "50-folders.conf"
KEY_DROPIN: Final = "50-key.conf"

USER: Final = "upscaled"
"""The account that the machine's service runs as, unless another is named."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``units`` is the directory for unit files and ``etc`` that for configuration and key.

    ``root`` has what only the machine's service has, the account among it; None for a person's own service.
    """

    units: Path
    etc: Path
    root: Path | None

    @property
    def personal(self) -> bool:
        """Is it one person's own service?"""
        return self.root is None

    @property
    def systemctl(self) -> tuple[str, ...]:
        """How the service manager is spoken to."""
        return ("systemctl", "--user") if self.personal else ("systemctl",)

    @property
    def sysusers(self) -> Path:
        """The file that declares the account. Only for the machine's service."""
        assert self.root is not None
        return self.root / "etc/sysusers.d/upscaled.conf"

    @property
    def stamp(self) -> Path:
        """When the timer last ran, as systemd keeps it for `Persistent=`. Only for the machine's service."""
        assert self.root is not None
        return self.root / "var/lib/systemd/timers" / f"stamp-{TIMER}"

    @property
    def tmpfiles(self) -> Path:
        """The file that declares the configuration's directory. Only for the machine's service."""
        assert self.root is not None
        return self.root / "etc/tmpfiles.d/upscaled.conf"

    @property
    def key(self) -> Path:
        """The stored key, as it is."""
        return self.etc / CREDENTIAL

    @property
    def encrypted_key(self) -> Path:
        """The stored key, encrypted for this machine."""
        return self.etc / (CREDENTIAL + ENCRYPTED)

    @property
    def environment(self) -> Path:
        """What a person writes values of the configuration's variables into, for the service."""
        return self.etc / "environment"

    def dropin(self, unit: str, name: str) -> Path:
        """Return where a unit's drop-in lies."""
        return self.units / f"{unit}.d" / name

    def everything(self) -> Iterator[Path]:
        """Yield every file that an installation may have made, or systemd for it."""
        for unit in (DAEMON, ONCE):
            yield from (self.units / unit, self.dropin(unit, FOLDERS_DROPIN), self.dropin(unit, KEY_DROPIN))
        yield from (self.units / TIMER, self.key, self.encrypted_key)
        if self.root is not None:
            yield from (self.sysusers, self.tmpfiles, self.stamp)


def of_machine(root: Path = Path("/")) -> Layout:
    """Return the layout of the machine's service."""
    return Layout(root / "etc/systemd/system", root / "etc/upscaled", root)


def of_person(config_home: Path) -> Layout:
    """Return the layout of a person's own service; ``config_home`` is $XDG_CONFIG_HOME or ~/.config."""
    return Layout(config_home / "systemd/user", config_home / "upscaled", None)
