"""The verbs that use the engine without folders: serve and upscale.

Separate from `upscaled.cli`, which would be too long with them; it adds them to its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

from upscaled import config, direct, errors, serving
from upscaled.api import wire
from upscaled.config.values import Misread, read_bytes, read_seconds
from upscaled.engine.order import Order, Tier
from upscaled.engine.outside import Reach

T = TypeVar("T")

TierOption = Annotated[
    Tier, typer.Option(help="fast is faithful and ignores creativity; max takes minutes a picture without a GPU.")
]
MemoryOption = Annotated[str | None, typer.Option(help="Use at most this much, such as 2GB; else what is free.")]


SHORTEST: Final = 60.0
"""Results that go sooner could be missed by a client that polls, in seconds."""


class Resolution(StrEnum):
    """How large."""

    TWO = "2k"
    FOUR = "4k"
    EIGHT = "8k"


class Format(StrEnum):
    """What a result is written as."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


def add_to(cli: typer.Typer) -> None:
    """Add these verbs to a command line."""
    for verb in (upscale, serve):
        cli.command()(verb)


def upscale(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Pictures, or directories of pictures with all below them.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="Where to: a directory, which is made; or for one picture its new name, "
            "ending in .jpg, .png or .webp.",
        ),
    ],
    *,
    to: Annotated[Resolution, typer.Option(help="How large: long side 2048, 3840 or 7680 pixels.")] = Resolution.FOUR,
    form: Annotated[
        Format | None, typer.Option("--format", help="The results' format; else that of OUT's name, else jpeg.")
    ] = None,
    creativity: Annotated[
        float,
        typer.Option(
            min=wire.CREATIVITY[0], max=wire.CREATIVITY[1], help="From -2, nearest to the truth, to 2, sharpest."
        ),
    ] = 0.0,
    tier: TierOption = Tier.STANDARD,
    memory: MemoryOption = None,
) -> None:
    """Upscale pictures with the built-in engine, without folders or a daemon. Nothing is ever overwritten."""
    works = direct.planned(pictures, out, None if form is None else form.value)
    order = Order(creativity, wire.TARGETS[to])
    engine = config.Engine(tier=tier.value, memory=_read(read_bytes, "--memory", memory), patience=None)
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        failed = asyncio.run(direct.upscale_all(works, order, engine, console))
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    raise typer.Exit(1 if failed else 0)


def serve(
    listen: Annotated[str, typer.Option(help="The address to listen on, HOST:PORT.")] = "127.0.0.1:8766",
    key_file: Annotated[
        Path | None,
        typer.Option(help="A file of keys, one a line, of which clients must show one; else $UPSCALED_SERVE_KEY."),
    ] = None,
    directory: Annotated[Path | None, typer.Option("--state-dir", help="Where uploads and results are kept.")] = None,
    *,
    tier: TierOption = Tier.STANDARD,
    max_in_flight: Annotated[
        int, typer.Option(min=1, help="Predictions at work at once; beyond that they queue as `created`.")
    ] = 1,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Submits taken a minute; beyond that 429. Else no limit.")
    ] = None,
    retain: Annotated[str, typer.Option(help="How long uploads and results are kept, such as 12h.")] = "7d",
    memory: MemoryOption = None,
    public_url: Annotated[
        str | None, typer.Option(help="The address clients reach this by, where it is not the one they ask for.")
    ] = None,
    fetch_images: Annotated[
        Reach,
        typer.Option(
            help="Where pictures are fetched from that are not uploaded; any includes your own network, "
            "and lets webhooks go there."
        ),
    ] = Reach.NONE,
) -> None:
    """Run the built-in engine as a server of the same API, for other machines."""
    offer = serving.Offer(
        engine=config.Engine(tier=tier.value, memory=_read(read_bytes, "--memory", memory)),
        in_flight=max_in_flight,
        per_minute=per_minute,
        retain=_retention(retain),
        public_url=None if public_url is None else serving.public_url_of(public_url),
        fetch=fetch_images,
    )
    keys, made = serving.keys_of(key_file, os.environ)

    def ready(address: config.Address) -> None:
        typer.echo(f"Serving on http://{address}")
        if made:
            typer.echo(f"Key: {keys[0]}")
        sys.stdout.flush()

    state = directory or config.default_state_dir(os.environ) / "serve"
    with serving.listening(listen) as listener:
        serving.serve(state, listener, keys=keys, offer=offer, ready=ready)


def _retention(text: str) -> float:
    seconds = _read(read_seconds, "--retain", text)
    if not seconds or seconds < SHORTEST:
        raise errors.UsageError(f"--retain {text} is too short", do="Clients need time to fetch: give at least 1m.")
    return seconds


def _read(read: Callable[[str], T], option: str, text: str | None) -> T | None:
    if text is None:
        return None
    try:
        return read(text)
    except Misread as error:
        raise errors.UsageError(f"{option} {error}", do=error.remedy) from None
