"""The manual page, made of the command line itself: ``python -m tests.support.manual > daemon/man/upscaled.1``.

It is committed, so that building a package needs nothing of the program, and a test holds it against the verbs.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import typer

from upscaled import cli

DESCRIPTION: Final = (
    "It watches folders, has every new picture upscaled by the WaveSpeedAI Image Upscaler or by its own built-in "
    "engine, puts the result in an outbox and moves the original to an archive. No picture is lost, and no request "
    "is paid for twice."
)
EXITS: Final = {
    "0": "All is well.",
    "1": "Some job failed, is held or still waits.",
    "2": "The command line or the configuration is wrong; every mistake is named.",
    "3": "The service refuses the key, or the account has no credit.",
    "4": "The state directory is locked, written by a newer version, or unusable.",
    "130, 143": "Ended by SIGINT or SIGTERM.",
}
FILES: Final = {
    "./upscaled.yaml, /etc/upscaled/config.yaml": "The configuration, where neither -c nor $UPSCALED_CONFIG names one.",
    ".upscaled": "The marker that tells a folder from an empty mount point.",
}
ENVIRONMENT: Final = {
    "UPSCALED_CONFIG": "The configuration file.",
    "WAVESPEED_API_KEY": "The service's key, as the configuration made by init reads it.",
    "UPSCALED_SERVE_KEY": "The keys that clients of serve must show, separated by white space.",
}


def escaped(text: str) -> str:
    """Return text that means itself in roff: no escapes, no hyphens for minus, no line that begins as a request."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    lines = textwrap.wrap(plain, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in lines)


def tagged(names: str, text: str) -> Iterator[str]:
    """One entry of a list of terms."""
    yield from (".TP", f".B {escaped(names)}", escaped(text))


def flowing(text: str) -> str:
    """Return a docstring in one paragraph a blank line."""
    return "\n.PP\n".join(escaped(part) for part in text.split("\n\n"))


def verb(name: str, command: Any, context: Any) -> Iterator[str]:
    """One verb: how it is written, what it does, and its options; then the verbs below it."""
    below = context.__class__(command, info_name=name, parent=context)
    yield f'.SS "{escaped(" ".join([name, *command.collect_usage_pieces(below)]))}"'
    yield flowing(command.help or "")
    for parameter in command.params:
        if (record := parameter.get_help_record(below)) and record[1]:
            yield from tagged(*record)
    for under, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            yield from verb(f"{name} {under}", inner, context)


def page() -> str:
    """Return the whole page. Its date is the first version's, so that it changes with the command line alone."""
    root = typer.main.get_command(cli.cli)
    context = root.make_context("upscaled", [], resilient_parsing=True)
    lines = [
        '.\\" Made by python -m tests.support.manual; change the command line instead.',
        ".TH UPSCALED 1 2026-11-22",
        ".SH NAME",
        "upscaled \\- drop pictures into a folder, get them back upscaled in another",
        ".SH SYNOPSIS",
        ".B upscaled",
        ".I VERB",
        "[\\fIOPTION\\fR].\\|.\\|. [\\fIARGUMENT\\fR].\\|.\\|.",
        ".SH DESCRIPTION",
        escaped(DESCRIPTION),
        ".SH VERBS",
    ]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        if not command.hidden:
            lines.extend(verb(name, command, context))
    for title, entries in (("EXIT STATUS", EXITS), ("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)):
        lines.append(f".SH {title}" if " " not in title else f'.SH "{title}"')
        for names, text in entries.items():
            lines.extend(tagged(names, text))
    return "\n".join(line for line in lines if line) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
