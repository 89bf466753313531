"""`upscaled notify test`: does everybody who is to be told get it?"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from upscaled import config, errors
from upscaled.notify.decisions import Kind, Message
from upscaled.notify.notifier import body_of
from upscaled.notify.receivers import deliver_to_all, receivers_of

ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]

notify = typer.Typer(name="notify", help="Who is told, and whether they get it.", no_args_is_help=True)


@notify.command(name="test")
def try_out(config_file: ConfigOption = None) -> None:
    """Send a test message to every receiver, once. Exit code 1 when one did not take it."""
    settings = config.load(config_file, environ=os.environ, cwd=Path.cwd())
    receivers = receivers_of(settings)
    if not receivers:
        raise errors.UsageError("notify.urls is empty", do="Add a webhook's address or an Apprise URL to it.")
    text = "upscaled can reach you. Messages look like this one."
    message = Message(Kind.TEST, "A test from upscaled", text, time.time())
    refused = dict(asyncio.run(deliver_to_all(receivers, {"id": f"test-{time.time_ns()}", **body_of(message, "test")})))
    for receiver in receivers:
        typer.echo(f"{receiver.name}: {refused.get(receiver, 'took the message')}")
    raise typer.Exit(1 if refused else 0)


def add_to(cli: typer.Typer) -> None:
    """Add the verb to a command line."""
    cli.add_typer(notify)
