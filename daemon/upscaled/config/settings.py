"""The configuration as the program is given it: frozen values, checked and complete.

Times are seconds, money is dollars, paths are absolute. Nothing here reads a file or knows YAML, so that a test or the
demo can make settings by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from upscaled.config.findings import Keys, Marks
from upscaled.config.listening import Address
from upscaled.config.values import EMBEDDED
from upscaled.job.model import Parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from upscaled.errors import Problem


@dataclass(frozen=True, slots=True)
class Tier:
    """What the service allows an account: predictions submitted a minute, and predictions running at once."""

    per_minute: int
    concurrency: int


TIERS: Final[Mapping[str, Tier]] = {
    "bronze": Tier(2, 2),
    "silver": Tier(500, 300),
    "gold": Tier(3000, 3000),
    "ultra": Tier(5000, 10000),
}
"""https://wavespeed.ai/docs/account-levels, as it stood in 2026."""

TIERLESS_CONCURRENCY: Final = 4
"""Predictions at once where no account sets a limit: the built-in engine makes one after another, so this only keeps
uploads and downloads busy meanwhile."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """The address, without our path, at which the service can tell us, and what it signs with (None: it is asked)."""

    public_url: str
    secret: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Who answers the API (`EMBEDDED`, or an origin without ``/api/v3``), and how hard it may be asked.

    ``key_source`` says in a few words where the key comes from, ``key_file`` is the file that holds it, if one does.
    ``tier`` is None where there is no account, ``queue_ahead`` is None for ``auto``.
    """

    url: str
    api_key: SecretStr | None = None
    key_source: str = field(default="", compare=False)
    key_file: Path | None = field(default=None, compare=False)
    tier: str | None = None
    max_in_flight: int | None = None
    max_per_minute: float | None = None
    queue_ahead: int | None = None
    upload: Literal["ticket", "binary"] = "ticket"
    on_ambiguous: Literal["hold", "resubmit"] = "hold"
    poll_min: float = 0.5
    timeout: float = 60.0
    webhook: Webhook | None = None

    @property
    def embedded(self) -> bool:
        """Is it the built-in engine in this process?"""
        return self.url == EMBEDDED

    @property
    def in_flight_cap(self) -> int:
        """How many unfinished predictions there may be at once.

        Our own cap, or the tier's concurrency and some more that the service queues (a tenth, at least one, where
        nothing else is said), so that none of its places is ever idle. Without a tier none are queued ahead unless
        that is asked for.
        """
        if self.max_in_flight is not None:
            return self.max_in_flight
        if self.tier is None:
            return TIERLESS_CONCURRENCY + (self.queue_ahead or 0)
        concurrency = TIERS[self.tier].concurrency
        ahead = max(1, concurrency // 10) if self.queue_ahead is None else self.queue_ahead
        return concurrency + ahead

    @property
    def surplus(self) -> int:
        """How many of those the service is not known to run at once: it queues them, or refuses them."""
        if self.tier is None:
            return 0 if self.max_in_flight is not None else self.queue_ahead or 0
        return max(0, self.in_flight_cap - TIERS[self.tier].concurrency)

    @property
    def per_minute(self) -> float | None:
        """How many predictions may be submitted a minute; None is no limit."""
        if self.max_per_minute is not None:
            return self.max_per_minute
        return None if self.tier is None else float(TIERS[self.tier].per_minute)


@dataclass(frozen=True, slots=True)
class Engine:
    """How the engine works. ``memory`` is in bytes (None: what is free), ``patience`` in seconds (None: any)."""

    tier: Literal["fast", "standard", "max"] = "standard"
    memory: int | None = None
    patience: float | None = 300.0
    gpu: Literal["auto", "off", "force"] = "auto"


@dataclass(frozen=True, slots=True)
class Profile:
    """A model and the inputs that are sent to it beside ``image``, without those that are left to the service."""

    model: str
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self) -> Parameters:
        """Return what a job with this profile asks for."""
        return Parameters(self.model, dict(self.inputs))


ROLES: Final = ("inbox", "outbox", "archive", "failed")
"""The directories of a folder."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One pipeline. ``settle`` and ``sweep`` are None for ``auto``, ``max_new`` is None for no limit.

    ``mode`` are the permissions of results and ``group`` is the number of theirs; None leaves them as they come.
    """

    inbox: Path
    outbox: Path
    archive: Path
    failed: Path
    profile: str
    params: Parameters
    recursive: bool = True
    watch: Literal["auto", "events", "poll"] = "auto"
    settle: float | None = None
    sweep: float | None = None
    hold: float = 0.0
    ignore: tuple[str, ...] = ()
    name: str = "{stem}{ext}"
    on_collision: Literal["version", "skip", "overwrite", "fail"] = "version"
    originals: Literal["archive", "keep"] = "archive"
    large_enough: Literal["copy", "skip", "submit"] = "copy"
    incomplete: Literal["quarantine", "submit"] = "quarantine"
    metadata: Literal["keep", "strip-gps", "none"] = "keep"
    provenance: bool = True
    nsfw: Literal["deliver", "quarantine"] = "deliver"
    mode: int | None = None
    group: int | None = None
    priority: int = 0
    review: Literal["off", "required"] = "off"
    hours: str = ""
    max_new: int | None = 200
    min_free: int | None = 10**9
    """Bytes; None asks for nothing."""

    @property
    def failed_beside_inbox(self) -> bool:
        """Does the failed folder lie where it does by default?"""
        return self.failed == default_failed(self.inbox)


def default_failed(inbox: Path) -> Path:
    """Return the failed folder of an inbox for which none is configured."""
    return inbox.parent / "failed"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent, in dollars. ``price`` is None where the service is asked; the others are None for no limit."""

    price: float | None = None
    per_picture: float | None = None
    per_day: float | None = None
    per_month: float | None = None
    balance_floor: float | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where the dashboard listens (None: nowhere), the token it asks for, and the names it may be asked for by."""

    listen: Address | None = None
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told, and when. The addresses may hold secrets and are not shown; seconds and dollars, None for never."""

    urls: tuple[str, ...] = field(default=(), repr=False)
    digest_after: float = 120.0
    offline_after: float = 600.0
    stuck_after: float | None = 6 * 3600.0
    balance_below: float | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs with their arguments, run without a shell. ``timeout`` is what each may take, in seconds."""

    convert: tuple[str, ...] | None = None
    before_submit: tuple[str, ...] | None = None
    after_publish: tuple[str, ...] | None = None
    after_failure: tuple[str, ...] | None = None
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class Log:
    """What is logged, and in which form."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured. ``path`` is the file it came from, None where there was none."""

    path: Path | None
    state_dir: Path
    service: Service
    profiles: Mapping[str, Profile]
    folders: tuple[Folder, ...]
    engine: Engine = field(default_factory=Engine)
    budget: Budget = field(default_factory=Budget)
    dashboard: Dashboard = field(default_factory=Dashboard)
    metrics: bool = True
    notify: Notify = field(default_factory=Notify)
    hooks: Hooks = field(default_factory=Hooks)
    log: Log = field(default_factory=Log)
    retain: float | None = 365 * 86_400.0
    """How long jobs that are over stay in the ledger, in seconds; None: for ever."""
    marks: Marks = field(default_factory=Marks, repr=False, compare=False)

    @property
    def secrets(self) -> frozenset[str]:
        """Return everything in it that must never be shown: keys, tokens, and the addresses of receivers in pieces."""
        webhook = None if self.service.webhook is None else self.service.webhook.secret
        kept = (self.service.api_key, self.dashboard.token, webhook)
        pieces = {piece for url in self.notify.urls for piece in (url, *_secret_pieces(url))}
        return frozenset(secret.get_secret_value() for secret in kept if secret is not None) | pieces

    def problem(self, keys: Keys, message: str, remedy: str = "") -> Problem:
        """Return something wrong with a configured value, such as that of ``("folders", 0, "inbox")``."""
        return self.marks.problem(keys, message, remedy)


def _secret_pieces(url: str) -> Iterator[str]:
    """Yield the parts of a receiver's address that are no plain words: its password, and what may be a token."""
    rest = url.partition("://")[2]
    name, at, _ = rest.rpartition("@")
    if at and ":" in name:
        yield name.rpartition(":")[2]
    for piece in re.split(r"[/:@?&=,]", rest):
        if len(piece) >= _TOKEN or (
            len(piece) >= _TOKEN / 2 and re.search(r"\d", piece) and re.search(r"[A-Za-z]", piece)
        ):
            yield piece


_TOKEN: Final = 16
"""A part of an address that is so long, or half of it with letters and digits, may be a token."""
