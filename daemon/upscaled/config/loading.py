"""From a file to settings: find it, read it, check every part, and raise everything that is wrong at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from upscaled.config.document import parse
from upscaled.config.findings import Findings, Keys
from upscaled.config.parts import Parts
from upscaled.config.paths import SYSTEM_FILE
from upscaled.config.schema import KEY_VARIABLE
from upscaled.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upscaled.config.settings import Settings

FILE_VARIABLE: Final = "UPSCALED_CONFIG"
LOCAL_FILE: Final = "upscaled.yaml"

SIZE_LIMIT: Final = 1024 * 1024
"""Bytes; beyond it a file is something else than a configuration."""

_UNSET: Final[Mapping[Keys, str]] = {("service", "api_key"): f"${{{KEY_VARIABLE}}}"}
"""The default may be written out, and then says no more than leaving it out: the variable need not be set."""


def load(path: Path | None, *, environ: Mapping[str, str], cwd: Path, key: bool = True) -> Settings:
    """Return the settings in ``path``, or in the file that `find` finds.

    Only that file and a key file are read; the folders are not touched (see `directories.verify_folders`). Without
    ``key`` the service's key is neither looked for nor missed, which is for those who only read the ledger and need
    not be allowed to read the key. Raises `errors.ConfigError` with everything that is wrong.
    """
    file = find(path, environ=environ, cwd=cwd.absolute())
    return _build(file, _read(file), environ, key=key)


def find(path: Path | None, *, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the file to read: ``path``, $UPSCALED_CONFIG, ./upscaled.yaml or /etc/upscaled/config.yaml.

    The first two are taken at their word, the others if they are there. Raises `errors.ConfigError` if none is.
    """
    if path is not None:
        return cwd / path
    if environ.get(FILE_VARIABLE):
        return cwd / environ[FILE_VARIABLE]
    for candidate in (cwd / LOCAL_FILE, SYSTEM_FILE):
        if _there(candidate):
            return candidate
    message = f"there is no configuration here, in ${FILE_VARIABLE} or in {SYSTEM_FILE}"
    raise _unreadable(cwd / LOCAL_FILE, message, "`upscaled init` writes one; -c FILE names one.")


def _there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # It is there and cannot be looked at; reading it will say why.
        return True
    return True


def _build(file: Path, text: str, environ: Mapping[str, str], *, key: bool) -> Settings:
    findings = Findings(str(file))
    document = parse(text, findings, environ=environ, unset=_UNSET)
    if document is None:
        raise ConfigError(findings.in_order())
    settings = Parts(file, document, environ, findings, key=key).settings()
    if findings.problems:
        raise ConfigError(findings.in_order())
    return settings


# --- the text --------------------------------------------------------------------------------------------------------


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise _unreadable(file, "the file does not exist", "Correct the path; `upscaled init` writes one.") from None
    except IsADirectoryError:
        raise _unreadable(file, "it is a directory", f"Name the file in it, such as {file / LOCAL_FILE}.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
        raise _unreadable(file, f"the file cannot be read: {reason}", "Correct the path or its permissions.") from None
    if len(content) > SIZE_LIMIT:
        raise _unreadable(file, f"the file is larger than {SIZE_LIMIT} bytes", "Name a configuration file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, "the file is not UTF-8 text", "Save it as UTF-8.", line) from None


def _unreadable(file: Path, message: str, remedy: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(str(file), line, "", message, remedy)])
