"""Templates, and how numbers, times and names are written on a page.

Everything is escaped unless a template says otherwise, and none does but for SVG that `plot` makes of numbers.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from upscaled.files.names import printable


@cache
def environment() -> Environment:
    """Return the one environment."""
    made = Environment(
        loader=PackageLoader("upscaled.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for written in (shown, dollars, wall, size, epoch, spent, file, lines):
        made.filters[written.__name__] = written
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def render(template: str, **values: Any) -> str:
    """Return a filled template. Names that are no UTF-8 are written with escapes."""
    return environment().get_template(template).render(**values)


def shown(name: object) -> str:
    """Return a file name, path or reason as it may stand on a page; None is empty."""
    return "" if name is None else printable(str(name))


def file(name: str) -> str:
    """Return a path's last part."""
    return name.rpartition("/")[2]


def lines(text: str) -> str:
    """Return an error's lines as sentences one after the other."""
    return shown(" ".join(text.replace("\n  -> ", ". ").split()))


def dollars(amount: float | None) -> str:
    """Return money: cents, or below a dollar as many digits as a fraction of a cent needs."""
    if amount is None:
        return "?"
    if amount >= 1:
        return f"${amount:,.2f}"
    text = f"{amount:.4f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"${whole}.{fraction.ljust(2, '0')}"


def wall(at: str | None) -> str:
    """Return a moment (ISO 8601) as clocks on the wall here show it."""
    return "" if at is None else f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"


def epoch(at: str) -> float:
    """Return a moment as seconds since the epoch, for the script that tells how long ago it was."""
    return datetime.fromisoformat(at).timestamp()


def spent(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def size(count: int | None) -> str:
    """Return bytes in the unit that suits them."""
    if count is None:
        return ""
    number = float(count)
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
