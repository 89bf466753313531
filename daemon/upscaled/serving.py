"""`upscaled serve`: the engine as a server of the service's API, for other machines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from upscaled import errors
from upscaled.engine.app import create_app
from upscaled.engine.upscale import Engine
from upscaled.ledger.database import Lock, unusable

KEY_VARIABLE = "UPSCALED_SERVE_KEY"


def key_of(key_file: Path | None, environ: Mapping[str, str]) -> tuple[str, bool]:
    """Return the key that clients must show, and whether it was made now and has to be told.

    Raises `errors.UsageError` when the file cannot be read or is empty.
    """
    if key_file is None:
        key = environ.get(KEY_VARIABLE, "").strip()
        return (key, False) if key else (f"upk-{secrets.token_urlsafe(24)}", True)
    try:
        key = key_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(f"The key file {key_file} cannot be read", why=str(error)) from error
    if not key:
        raise errors.UsageError(f"The key file {key_file} is empty", do="Write the key into it, on one line.")
    return key, False


def address_of(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[V6]:PORT`` or ``:PORT`` (every address of this machine).

    Raises `errors.UsageError` when it is none of these.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 0xFFFF:
        raise errors.UsageError(f"{listen!r} is no address to listen on", do="Give HOST:PORT, such as 127.0.0.1:8766.")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 - what ":PORT" asks for


def serve(directory: Path, *, listen: str, key: str, level: str = "info") -> None:
    """Serve until a signal. Predictions under way are gone on with at the next start.

    Raises `errors.EngineError` when the engine cannot work here, `errors.StateError` when ``directory`` cannot be used.
    """
    host, port = address_of(listen)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(directory, error) from error
    lock = Lock(directory)
    lock.acquire()
    try:
        asyncio.run(_serve(directory, host, port, key, level))
    finally:
        lock.release()


async def _serve(directory: Path, host: str, port: int, key: str, level: str) -> None:
    engine = Engine()
    await engine.start()  # before the server, so that what is missing is one clear error
    app = create_app(directory=directory, upscaler=engine, keys=[key])
    settings = uvicorn.Config(
        app, host=host, port=port, log_level=level, server_header=False, timeout_graceful_shutdown=10
    )
    await uvicorn.Server(settings).serve()
