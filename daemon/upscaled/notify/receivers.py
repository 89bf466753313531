"""Where messages go: webhooks of our own, and with the extra `notify` whatever Apprise knows.

An address may hold a password or a token: it is never shown, logged or written down, and what a library says about a
failure is cleaned of every part of it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import io
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import httpx

from upscaled import __version__
from upscaled.api import failures
from upscaled.api.connections import Client
from upscaled.config import Settings
from upscaled.errors import ConfigError, Problem, UpscaledError

T = TypeVar("T")

TIMEOUT: Final = 10.0
"""How long a webhook may be silent, in seconds."""

_WEBHOOKS: Final = ("http", "https")


class NotDelivered(UpscaledError):
    """A receiver did not take a message."""


class Receiver(Protocol):
    """One place that is told. ``key`` names it in the ledger, ``name`` in messages; neither gives its address away."""

    @property
    def key(self) -> str:
        """Return the digest of the address."""

    @property
    def name(self) -> str:
        """Return the scheme, and the host of a webhook."""

    async def deliver(self, body: Mapping[str, Any]) -> None:
        """Deliver one message. Raises `NotDelivered`."""


def receivers_of(settings: Settings) -> list[Receiver]:
    """Return what is configured. Raises `errors.ConfigError` with every address that nothing can be made of."""
    found: list[Receiver] = []
    problems: list[Problem] = []
    for index, url in enumerate(settings.notify.urls):
        try:
            found.append(receiver_of(url))
        except UpscaledError as error:
            problems.append(settings.problem(("notify", "urls", index), error.what, error.do))
    if problems:
        raise ConfigError(problems)
    return found


def receiver_of(url: str) -> Receiver:
    """Return the receiver at an address. Raises `UpscaledError`, without the address."""
    if "://" not in url:
        raise UpscaledError("is no address", do="Write it like https://host/path, or as Apprise has it.")
    return Webhook(url) if scheme_of(url) in _WEBHOOKS else Apprise(url)


def scheme_of(url: str) -> str:
    """Return what stands before ``://``, in small letters."""
    return url.partition("://")[0].strip().lower()


def _key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Webhook:
    """A JSON object, posted to an address; any 2xx answer takes it."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        try:
            host = httpx.URL(url).host
        except httpx.InvalidURL:
            host = ""
        if not host:
            raise UpscaledError("is no address of a webhook", do="Write it like https://host/path.")
        self.key = _key(url)
        self.name = f"{urlsplit(url).scheme}://{host}"
        self._url = url
        self._transport = transport

    async def deliver(self, body: Mapping[str, Any]) -> None:
        """Post it once. A redirect is not followed: what is meant for one host goes to no other."""
        headers = {"User-Agent": f"upscaled/{__version__}"}
        try:
            async with Client(timeout=TIMEOUT, transport=self._transport) as client, asyncio.timeout(3 * TIMEOUT):
                answer = await client.post(self._url, json=dict(body), headers=headers)
        except (*failures.BREAKS, TimeoutError) as error:
            why = failures.reason(failures.cause_of(error))
            raise NotDelivered(f"{self.name} was not reached", why=why) from None
        if not answer.is_success:
            raise NotDelivered(f"{self.name} did not take the message", why=f"HTTP {answer.status_code}")


class Apprise:
    """One address of https://github.com/caronc/apprise: mail, ntfy, Telegram, Slack and a hundred others."""

    def __init__(self, url: str) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra, and slow to load
        except ImportError:
            what = f"{scheme_of(url)}:// needs Apprise, which is not installed"
            raise UpscaledError(
                what, do="Install it with `pip install 'upscaled[notify]'`, or give a webhook."
            ) from None
        with _listening():
            made = apprise.Apprise.instantiate(url)
        if made is None:
            do = "Compare it with https://github.com/caronc/apprise/wiki."
            raise UpscaledError(f"is no address that Apprise knows ({scheme_of(url)}://...)", do=do)
        self.key = _key(url)
        self.name = f"{scheme_of(url)}://..."
        self._url = url
        self._made = made

    async def deliver(self, body: Mapping[str, Any]) -> None:
        """Have Apprise deliver it once, with its own time limits."""
        delivered, said = await in_thread(lambda: self._deliver(body))
        if not delivered:
            raise NotDelivered(f"{self.name} did not take the message", why=cleaned(said, self._url))

    def _deliver(self, body: Mapping[str, Any]) -> tuple[bool, str]:
        kind = _KINDS.get(str(body["kind"]), "info")
        with _listening() as said:
            notified = self._made.notify(title=body["title"], body=body["text"], notify_type=kind)
            return bool(notified), said.getvalue()


@contextlib.contextmanager
def _listening() -> Iterator[io.StringIO]:
    """Keep what the library logs in this thread for ourselves, and from everybody else: it may name an address."""
    logger, said, thread = logging.getLogger("apprise"), io.StringIO(), threading.get_ident()
    handler = logging.StreamHandler(said)
    handler.addFilter(lambda record: record.thread == thread)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


_KINDS: Final = {"alert": "warning", "clear": "success"}


def cleaned(text: str, url: str) -> str:
    """Return what a library said, on one line, without any part of an address but its scheme."""
    parts = {part for form in (url, unquote(url)) for part in re.split(r"[/:@?&=,\s]+", form.partition("://")[2])}
    for part in sorted((part for part in parts if len(part) > 2), key=len, reverse=True):
        text = text.replace(part, "...")
    return " ".join(text.split())[:300] or "it gives no reason"


async def in_thread(work: Callable[[], T]) -> T:
    """Run in a thread of its own, which holds up neither the exit nor anybody else's threads when it hangs."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def answer(outcome: concurrent.futures.Future[T]) -> None:
        if not future.done():
            error = outcome.exception()
            future.set_result(outcome.result()) if error is None else future.set_exception(error)

    def run() -> None:
        outcome = concurrent.futures.Future[T]()
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(answer, outcome)

    threading.Thread(target=run, name="notify", daemon=True).start()
    return await future


async def deliver_to_all(receivers: Sequence[Receiver], body: Mapping[str, Any]) -> list[tuple[Receiver, str]]:
    """Deliver a message to each, once; return why it failed for each that did not take it."""

    async def one(receiver: Receiver) -> str:
        try:
            await receiver.deliver(body)
        except NotDelivered as error:
            return str(error)
        return ""

    outcomes = await asyncio.gather(*map(one, receivers))
    return [(receiver, why) for receiver, why in zip(receivers, outcomes, strict=True) if why]
