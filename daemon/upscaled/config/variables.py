"""``${VAR}`` in configured values.

``${VAR}`` stands for the variable and must be set; ``${VAR:-text}`` stands for ``text`` where the variable is unset or
empty; ``$$`` is a dollar sign, and a dollar sign before anything else is itself. The result is text. Where a key takes
a number, a switch or nothing, that text is read as YAML would read it; under ``params``, where no type decides, it is
so read unless it stands in quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE: Final = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<body>[^}]*)(?P<end>\}?))")
_BODY: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.ASCII | re.DOTALL)


class Undefined(Exception):
    """A text refers to variables that are not set, or in a way that is not understood; one message for each."""

    def __init__(self, messages: list[str], remedy: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages
        self.remedy = remedy


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return ``text`` with its variables replaced. Raises `Undefined`."""
    messages: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        body = _BODY.fullmatch(match["body"])
        if body is None or not match["end"]:
            messages.append("`${` does not begin a variable such as `${HOME}`")
            return ""
        value = environ.get(body["name"])
        if body["default"] is not None:
            return value or body["default"]
        if value is None:
            messages.append(f"the variable {body['name']} is not set")
        return value or ""

    result = _REFERENCE.sub(replace, text)
    if messages:
        raise Undefined(list(dict.fromkeys(messages)), _REMEDY)
    return result


_REMEDY: Final = "Set it in the environment, give a default as in `${NAME:-text}`, or write `$$` for a dollar sign."
