"""`upscaled serve`: the engine as a server of the service's API, for other machines."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import secrets
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette

from upscaled import config, errors
from upscaled.api import wire
from upscaled.config.listening import Address, read_address
from upscaled.embedded import upscaler
from upscaled.engine.app import create_app, dismiss
from upscaled.engine.outside import Outside, Reach
from upscaled.ledger.database import Lock, unusable

KEY_VARIABLE = "UPSCALED_SERVE_KEY"


def keys_of(key_file: Path | None, environ: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return the keys of which clients must show one, and whether the only one was made now and has to be told.

    Raises `errors.UsageError` when the file cannot be read or is empty.
    """
    if key_file is None:
        keys = environ.get(KEY_VARIABLE, "").split()
        return (keys, False) if keys else ([f"upk-{secrets.token_urlsafe(24)}"], True)
    try:
        keys = key_file.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(f"The key file {key_file} cannot be read", why=str(error)) from error
    if not keys:
        raise errors.UsageError(f"The key file {key_file} is empty", do="Write a key into it, or several, one a line.")
    return keys, False


_REFUSED: Final = {
    errno.EADDRINUSE: "another program listens there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def listening(listen: str) -> socket.socket:
    """Return what listens at ``HOST:PORT``, ``[V6]:PORT`` or ``:PORT`` (every IPv4 address).

    A name means its IPv4 address, if it has one.
    Raises `errors.UsageError` when it is none of these, or when nothing can listen there.
    """
    try:
        address = read_address(listen)
    except ValueError:
        do = "Give HOST:PORT, such as 127.0.0.1:8766."
        raise errors.UsageError(f"{listen!r} is no address to listen on", do=do) from None
    try:
        families = {found[0] for found in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)}
        family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        why = _REFUSED.get(error.errno or 0, error.strerror or str(error))
        do = "Give a free address of this machine: --listen HOST:PORT, such as --listen 127.0.0.1:8767"
        raise errors.UsageError(f"Cannot listen on {address}", why=why, do=do) from error


@dataclass(frozen=True, slots=True)
class Offer:
    """What is served, and to whom.

    ``in_flight`` predictions are at work at once, others queue as ``created``; submits beyond ``per_minute`` are
    refused with 429. ``retain`` is how long uploads and results are kept, in seconds; ``public_url`` the address that
    answers name; ``fetch`` says where pictures are fetched from that are not uploads.
    """

    engine: config.Engine = field(default_factory=config.Engine)
    in_flight: int = 1
    per_minute: int | None = None
    retain: float = wire.RETENTION
    public_url: str | None = None
    fetch: Reach = Reach.NONE

    @property
    def tell(self) -> Reach:
        """Where webhooks may go: to the public internet, and to our own network where pictures may come from there."""
        return Reach.ANY if self.fetch is Reach.ANY else Reach.PUBLIC


def public_url_of(text: str) -> str:
    """Return an address for answers, without a slash at its end. Raises `errors.UsageError` when it is none."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise errors.UsageError(f"{text!r} is no address", do="Give one like https://pictures.example:8766.")
    return text.rstrip("/")


def serve(
    directory: Path,
    listener: socket.socket,
    *,
    keys: Collection[str],
    offer: Offer,
    ready: Callable[[Address], None],
    level: str = "info",
) -> None:
    """Serve until a signal. Predictions under way are gone on with at the next start.

    ``ready`` is told the address once the engine is started. Raises `errors.EngineError` when the engine cannot work
    here, `errors.StateError` when ``directory`` cannot be used.
    """
    logging.basicConfig(level=level.upper(), format="%(levelname)s:     %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # webhooks' addresses may hold secrets
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(directory, error) from error
    lock = Lock(directory)
    lock.acquire()
    try:
        asyncio.run(_serve(directory, listener, keys=keys, offer=offer, ready=ready, level=level))
    finally:
        lock.release()


async def _serve(
    directory: Path,
    listener: socket.socket,
    *,
    keys: Collection[str],
    offer: Offer,
    ready: Callable[[Address], None],
    level: str,
) -> None:
    engine = upscaler(offer.engine)
    await engine.start()  # before the server, so that what is missing is one clear error
    app = create_app(
        directory=directory,
        upscaler=engine,
        keys=keys,
        public_url=offer.public_url,
        retain=offer.retain,
        per_minute=offer.per_minute,
        in_flight=offer.in_flight,
        images=Outside(offer.fetch),
        webhooks=Outside(offer.tell),
    )
    settings = uvicorn.Config(app, log_level=level, server_header=False, timeout_graceful_shutdown=10)
    logging.getLogger("uvicorn.access").addFilter(discreet)
    ready(Address(*listener.getsockname()[:2]))
    await _Server(settings, app).serve([listener])


class _Server(uvicorn.Server):
    """Answers, before it stops, those who wait for a result; it would wait for them, and then cut them off."""

    def __init__(self, settings: uvicorn.Config, app: Starlette) -> None:
        super().__init__(settings)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, with nobody waiting."""
        dismiss(self._app)
        await super().shutdown(sockets)


_SECRET: Final = re.compile(r"(?<=^/media/).*|(?<=^/storage/).*|(?<=^/outputs/).*|\?.*")
"""What of a path opens something to whoever reads it: uploads, results, and what a webhook's address holds."""


def discreet(record: logging.LogRecord) -> bool:
    """Take secrets out of a line of the access log, whose arguments are client, method, path, version and status."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, *rest = record.args
        record.args = (client, method, _SECRET.sub("…", str(path), count=1), *rest)
    return True
