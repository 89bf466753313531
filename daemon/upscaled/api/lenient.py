"""Reading what a stranger sent: each function returns a value of its kind, or the kind's nothing, and never raises.

It is separate from `upscaled.api.wire`, which knows what the fields mean; here nothing is known but JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_WIDE: Final = 2.0**63


def json_of(body: bytes) -> object:
    """Return the JSON value of a body, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return a list, or an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: object) -> str:
    """Return a string that can be written down, or an empty one; JSON may escape halves of characters."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """Return a finite number, or None; Python's JSON reader takes ``Infinity`` and ``NaN`` for numbers too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def integer(value: object) -> int | None:
    """Return a whole number of at most 63 bits, also one written as a string, or None."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return int(value)
    found = number(value)
    return None if found is None or abs(found) >= _WIDE else int(found)


def without_queries(message: str) -> str:
    """Return ``message`` with the query of every URL in it cut off: a signed one lets whoever reads a log in."""
    return _QUERY.sub(r"\1?…", message)


def excerpt(value: object, limit: int = 120) -> str:
    """Return a short, one-line, printable picture of an answer for an error message."""
    shown = value[: 8 * limit].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    shown = without_queries(" ".join(shown.split()))
    if not shown:
        return "nothing"
    return repr(shown if len(shown) <= limit else shown[: limit - 1] + "…")


_QUERY = re.compile(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]+", re.IGNORECASE)
