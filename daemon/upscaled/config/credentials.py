"""Where the key of the service comes from: one of four places, and never a message or a log.

It is separate because it is the one part of the configuration that reads other files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from upscaled.config.schema import KEY_VARIABLE, ServiceSection
from upscaled.config.values import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.config.findings import Findings, Keys

CREDENTIAL: Final = "wavespeed-api-key"
"""The name of the systemd credential (``LoadCredential=``, systemd.exec(5))."""

_LIMIT: Final = 4096
_KEY: Final[Keys] = ("service", "api_key")
_FILE: Final[Keys] = ("service", "api_key_file")


def find_key(
    section: ServiceSection, key_file: Path | None, environ: Mapping[str, str], findings: Findings
) -> SecretStr | None:
    """Return the key: ``api_key``, ``api_key_file`` or the systemd credential, else the environment's.

    The environment's is the default and gives way to any other; of the others there may be one. Only a service that is
    reached over the network needs a key.
    """
    credential = _credential(environ)
    if credential is not None and key_file is not None and _same(credential, key_file):
        credential = None
    if not _one_source(key_file, credential, findings, written=section.api_key is not None):
        return None
    if section.api_key is not None:
        return _checked(section.api_key.get_secret_value(), _KEY, "the key", findings)
    if (file := key_file or credential) is not None:
        return _from_file(file, _FILE if key_file else _KEY, findings)
    unread = ("service",) in findings.wrong or any(map(findings.within, (_KEY, _FILE, ("service", "url"))))
    return None if section.url == EMBEDDED or unread else _from_environment(section.url, environ, findings)


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


def _from_environment(url: str, environ: Mapping[str, str], findings: Findings) -> SecretStr | None:
    if KEY_VARIABLE in environ:
        return _checked(environ[KEY_VARIABLE], _KEY, f"the variable {KEY_VARIABLE}", findings)
    remedy = f"Set {KEY_VARIABLE} in the environment or api_key_file here, or use `url: {EMBEDDED}`, which needs none."
    findings.add(_KEY, f"there is no key for {url}", remedy)
    return None


def _from_file(path: Path, keys: Keys, findings: Findings) -> SecretStr | None:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
        findings.add(keys, f"the key file {path} cannot be read: {reason}", "Correct the path or its permissions.")
        return None
    # Latin-1 never fails, and what is not a key is refused below without being shown.
    return _checked(content.decode("latin-1"), keys, f"the key file {path}", findings)


def _checked(text: str, keys: Keys, source: str, findings: Findings) -> SecretStr | None:
    """Strip a key, and refuse what could not stand in an HTTP header."""
    key = text.strip()
    if not key:
        findings.add(keys, f"{source} is empty", "Copy the key from the service's key page into it.")
    elif len(key) > _LIMIT or not all("!" <= character <= "~" for character in key):
        findings.add(keys, f"{source} holds spaces or other characters that no key has", _COPY)
    else:
        return SecretStr(key)
    return None


_COPY: Final = "Copy the key again; it is one word of letters, digits and punctuation."
