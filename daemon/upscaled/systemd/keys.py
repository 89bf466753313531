"""Storing the service's key: encrypted for this machine where systemd can do that, else in a file that its owner reads.

It is never in a unit, in the environment or on a command line, all of which others can read.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import Final

from upscaled.config import credentials
from upscaled.systemd.layout import Layout
from upscaled.systemd.setup import write
from upscaled.systemd.units import Placed

_PATIENCE: Final = 60.0
"""How long systemd-creds may take, in seconds; a TPM is slow."""


def store(key: str, layout: Layout) -> str:
    """Keep a key, in place of one that was stored before; return where it is now.

    The new one is in place before the old one goes, so that a crash in between leaves one that is read: the encrypted.
    Raises OSError.
    """
    if not layout.personal and (blob := encrypted(key)) is not None:
        write(Placed(layout.encrypted_key, blob), mode=0o600)
        layout.key.unlink(missing_ok=True)
        return f"{layout.encrypted_key}, encrypted for this machine"
    write(Placed(layout.key, f"{key}\n"), mode=0o600)
    layout.encrypted_key.unlink(missing_ok=True)
    return f"{layout.key}, which only its owner may read"


def encrypted(key: str) -> str | None:
    """Return the key as only this machine can read it; None where systemd cannot do that."""
    name = f"--name={credentials.CREDENTIAL}"
    with suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        blob = _piped(["systemd-creds", "encrypt", name, "-", "-"], key.encode())
        if _piped(["systemd-creds", "decrypt", name, "-", "-"], blob) == key.encode():
            return blob.decode("ascii")
    return None


def _piped(command: list[str], text: bytes) -> bytes:
    done = subprocess.run(command, input=text, capture_output=True, check=True, timeout=_PATIENCE)  # noqa: S603 - ours
    return done.stdout
