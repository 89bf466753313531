"""Where the key of the service comes from: one of five places, and never a message or a log.

It is separate because it is the one part of the configuration that reads other files.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from upscaled.config.schema import KEY_VARIABLE, ServiceSection
from upscaled.config.values import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.config.findings import Findings, Keys
    from upscaled.config.settings import Settings
    from upscaled.errors import Problem

CREDENTIAL: Final = "wavespeed-api-key"
"""The name of the systemd credential (``LoadCredential=``, systemd.exec(5))."""

SYSTEM: Final = Path("/etc/upscaled")
"""Where the machine's own configuration and key lie."""

ENCRYPTED: Final = ".cred"
"""What is added to the name of a key file that `systemd-creds encrypt` wrote."""

_DECRYPTING: Final = 20.0
"""How long systemd-creds may take, in seconds; a TPM is slow."""

_LIMIT: Final = 4096
_KEY: Final[Keys] = ("service", "api_key")
_FILE: Final[Keys] = ("service", "api_key_file")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and in a few words where it comes from. ``file`` is the file that holds it as it is, if one does."""

    secret: SecretStr | None = None
    source: str = ""
    file: Path | None = None


NO_KEY: Final = Key()


def find_key(
    section: ServiceSection, key_file: Path | None, environ: Mapping[str, str], findings: Findings, *, literal: Path
) -> Key:
    """Return the key: ``api_key``, ``api_key_file`` or the systemd credential, else the environment's or a stored one.

    Of the first three there may be one; the others are defaults and give way. Only a service that is reached over the
    network needs a key. ``literal`` is the configuration file, which holds an ``api_key`` that is written out.
    """
    credential = _credential(environ)
    if credential is not None and key_file is not None and _same(credential, key_file):
        credential = None
    if not _one_source(key_file, credential, findings, written=section.api_key is not None):
        return NO_KEY
    if section.api_key is not None:
        secret = checked(section.api_key.get_secret_value(), _KEY, "the key", findings)
        return Key(secret, f"api_key in {literal}", literal)
    if (file := key_file or credential) is not None:
        source = f"the key file {key_file}" if key_file else f"the systemd credential {CREDENTIAL}"
        return Key(_from_file(file, _FILE if key_file else _KEY, findings), source, key_file)
    unread = ("service",) in findings.wrong or any(map(findings.within, (_KEY, _FILE, ("service", "url"))))
    return NO_KEY if section.url == EMBEDDED or unread else _by_default(section.url, environ, findings)


def places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where `upscaled key set` stores a key: the user's place, and the machine's."""
    config = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    base = Path(config) if config.startswith("/") else Path(home, ".config") if home.startswith("/") else None
    return (*((base / "upscaled" / CREDENTIAL,) if base else ()), SYSTEM / CREDENTIAL)


def exposed_key(settings: Settings) -> Problem | None:
    """Return a problem if the file that holds the key as it is may be read by everybody on this machine."""
    path = settings.service.key_file
    try:
        if path is None or not path.stat().st_mode & stat.S_IROTH:
            return None
    except OSError:
        return None
    remedy = f"chmod o-r {shlex.quote(str(path))}, or take it out of there and store it: upscaled key set"
    keys = _KEY if path == settings.path else _FILE
    return settings.problem(keys, f"everybody on this machine may read {path}, and with it the key", remedy)


def _one_source(key_file: Path | None, credential: Path | None, findings: Findings, *, written: bool) -> bool:
    sources = ["api_key"] * written + ["api_key_file"] * (key_file is not None)
    sources += [f"the systemd credential {CREDENTIAL}"] * (credential is not None)
    if len(sources) > 1:
        last = _FILE if key_file is not None else _KEY
        findings.add(last, f"the key is given by {' and by '.join(sources)}", "Keep one of them.")
    return len(sources) < 2


def _credential(environ: Mapping[str, str]) -> Path | None:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    path = Path(directory, CREDENTIAL)
    return path if os.path.lexists(path) else None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _by_default(url: str, environ: Mapping[str, str], findings: Findings) -> Key:
    if KEY_VARIABLE in environ:
        variable = f"the variable {KEY_VARIABLE}"
        return Key(checked(environ[KEY_VARIABLE], _KEY, variable, findings), variable)
    for path in places(environ):
        if os.access(path, os.R_OK):
            return Key(_from_file(path, _KEY, findings), f"the stored key {path}", path)
        encrypted = path.with_name(path.name + ENCRYPTED)
        if os.access(encrypted, os.R_OK):
            return Key(_decrypted(encrypted, findings), f"the stored key {encrypted}")
    remedy = f"Set {KEY_VARIABLE} in the environment or api_key_file here, or use `url: {EMBEDDED}`, which needs none."
    findings.add(_KEY, f"there is no key for {url}", f"Store it with `upscaled key set`. {remedy}")
    return NO_KEY


def _decrypted(path: Path, findings: Findings) -> SecretStr | None:
    """Ask systemd for a key that it encrypted for this machine; only root is told."""
    command = ["systemd-creds", "decrypt", f"--name={CREDENTIAL}", str(path), "-"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words and a path that we made
            command, capture_output=True, check=True, timeout=_DECRYPTING, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        findings.add(_KEY, f"systemd cannot decrypt the key {path}", "Store it again: upscaled key set")
        return None
    return checked(done.stdout.decode("latin-1"), _KEY, f"the key {path}", findings)


def _from_file(path: Path, keys: Keys, findings: Findings) -> SecretStr | None:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
        findings.add(keys, f"the key file {path} cannot be read: {reason}", "Correct the path or its permissions.")
        return None
    # Latin-1 never fails, and what is not a key is refused below without being shown.
    return checked(content.decode("latin-1"), keys, f"the key file {path}", findings)


def checked(text: str, keys: Keys, source: str, findings: Findings) -> SecretStr | None:
    """Strip a key, and refuse what could not stand in an HTTP header."""
    key = text.strip()
    if not key:
        findings.add(keys, f"{source} is empty", "Copy the key from the service's key page into it.")
    elif len(key) > _LIMIT:
        findings.add(keys, f"{source} is longer than {_LIMIT} characters, as no key is", _COPY)
    elif not all("!" <= character <= "~" for character in key):
        findings.add(keys, f"{source} holds spaces or other characters that no key has", _COPY)
    else:
        return SecretStr(key)
    return None


_COPY: Final = "Copy the key again; it is one word of letters, digits and punctuation."
