"""Builds the daemon's parts from its settings, each once, and joins them.

Apart from `app`, which runs them: what hears of what, and what is asked by whom, is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from upscaled import errors, vitals
from upscaled.admission import Desk
from upscaled.api.client import Service
from upscaled.api.exchange import Observe, unobserved
from upscaled.config import Folder, Settings
from upscaled.config.asking import ANSWER_WITHIN, answers
from upscaled.dashboard.desk import desk_of
from upscaled.dashboard.feed import Feed
from upscaled.dashboard.protection import Extras
from upscaled.dashboard.server import Dashboard
from upscaled.dashboard.site import create_app
from upscaled.embedded import embedded_service
from upscaled.endpoints import Endpoints
from upscaled.events import Bus, Event, Subscriber
from upscaled.folders import intake_settings
from upscaled.guard import Guard, owner_of
from upscaled.heaps import Lulls
from upscaled.hooks import PLACEHOLDERS, Hooks
from upscaled.inbox.intake import Intake
from upscaled.inbox.root import Root
from upscaled.intakes import Folders, Intakes
from upscaled.job.budget import Limits
from upscaled.job.model import Parameters, Standing
from upscaled.ledger import Ledger
from upscaled.limits import Limits as Scarce
from upscaled.logs import JobLog, hide
from upscaled.metrics import Metrics, Standings
from upscaled.notify.notifier import Notifier
from upscaled.notify.receivers import receivers_of
from upscaled.polls import Polls
from upscaled.prices import Floor, Prices
from upscaled.processes import Processes
from upscaled.reload import Reloader
from upscaled.status import job_record
from upscaled.steps import Ports
from upscaled.steps.ports import Bottomless, Guarding, Unguarded
from upscaled.strays import Strays
from upscaled.verdicts import Court
from upscaled.webhooks import Webhooks, address_below
from upscaled.worker import Worker

log = structlog.get_logger()

RENDITIONS: Final = "renditions"
"""Directory in the state directory for what is uploaded in a source's place."""

HOOKS: Final = "hooks"
"""Directory in the state directory for what hooks make."""

SPOOL: Final = "spool"
"""Directory in the state directory for paid results whose outbox is away."""

PATIENCE: Final = 10.0
"""How long an estimate waits for a price, in seconds."""

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """Return an id for a job: ten letters and digits, none easily taken for another."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


@dataclass(slots=True)
class Tally:
    """What became of the jobs of this run, for the exit code and the last line."""

    ended: dict[Standing, int] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        """Count an event that ends or holds a job."""
        if event.job.standing in {Standing.DONE, Standing.FAILED, Standing.HELD, Standing.CANCELLED}:
            self.ended[event.job.standing] = self.ended.get(event.job.standing, 0) + 1

    @property
    def bad(self) -> bool:
        """Did some job fail, or is some held?"""
        return bool(self.ended.get(Standing.FAILED) or self.ended.get(Standing.HELD))


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running parts."""

    settings: Settings
    ledger: Ledger
    worker: Worker
    limits: Scarce
    intakes: Intakes
    tally: Tally
    reloader: Reloader
    strays: Strays
    court: Court
    dashboard: Dashboard | None
    notifier: Notifier
    webhooks: Webhooks | None
    lulls: Lulls


@asynccontextmanager
async def built(
    settings: Settings, subscribers: Sequence[Subscriber], listing_lag: float, load: Callable[[], Settings]
) -> AsyncIterator[Daemon]:
    """Give the parts, none of them at work yet; close behind them what they opened.

    Raises `errors.StateError` when the state directory cannot be used, `errors.Locked` when every inbox is another
    daemon's, `errors.EngineError` when the engine cannot work.
    """
    async with AsyncExitStack() as stack:
        receivers = await asyncio.to_thread(receivers_of, settings)
        ledger = await asyncio.to_thread(Ledger.open, settings.state_dir)
        stack.callback(ledger.close)
        guard = Guard(ledger, owner_of(ledger, settings.state_dir))
        await _require_an_inbox(settings, guard)
        await ledger.forget_notices()
        await asyncio.to_thread(ledger.keep_folders, [str(folder.inbox) for folder in settings.folders])
        metrics = Metrics()
        service = await stack.enter_async_context(opened_service(settings, observe=metrics.asked))
        processes = Processes()
        stack.callback(processes.close)
        limits = _limits(settings)
        bus, tally, lulls = Bus(), Tally(), Lulls()
        everybody: list[Subscriber] = [JobLog(), tally, metrics, lulls, *subscribers]
        for subscriber in everybody:
            bus.subscribe(subscriber)
        webhooks = _webhooks(settings, service)
        told = partial(_told, webhooks, service)
        ports = ports_of(
            *(settings, ledger, service, processes, listing_lag), guard=guard, told=told, pressed=limits.pressed
        )
        await asyncio.to_thread(ports.hooks.clear)
        worker = Worker(ports, limits, announce=bus.announce)
        if webhooks is not None:
            webhooks.ring = worker.ring_for
        intakes = _intakes(settings, ports, worker, guard)
        bus.subscribe(_look_again(intakes))
        folders = ports.folders
        assert isinstance(folders, Folders)
        notifier = Notifier(ledger, receivers, settings=lambda: reloader.settings, service=service)
        bus.subscribe(notifier)
        reloader = Reloader(
            *(settings, load),
            intakes=intakes,
            folders=folders,
            ledger=ledger,
            ring=worker.ring,
            prepare=partial(_told_from_now_on, notifier),
        )
        strays = _strays(settings, ledger)
        court = Court(ledger, folders, guard)
        standings = Standings(
            ledger,
            intakes=lambda: intakes,
            limits=ports.limits,
            gate=limits.gate,
            webhooks=webhooks.counts if webhooks else None,
        )
        metrics.read(standings)
        stuck = partial(_stuck, worker, intakes)
        extras = Endpoints(ledger, lambda: reloader.settings, metrics, webhooks=webhooks, stuck=stuck).extras()
        dashboard = _dashboard(reloader, ledger, processes, bus, court=court, extras=extras)
        yield Daemon(
            *(settings, ledger, worker, limits, intakes, tally, reloader, strays, court, dashboard),
            notifier=notifier,
            webhooks=webhooks,
            lulls=lulls,
        )


def _limits(settings: Settings) -> Scarce:
    service = settings.service
    return Scarce(
        in_flight=service.in_flight_cap,
        surplus=service.surplus,
        per_minute=service.per_minute,
        now=time.time,
        sleep=asyncio.sleep,
    )


def _webhooks(settings: Settings, service: Service) -> Webhooks | None:
    webhook = settings.service.webhook
    if webhook is None:
        return None
    secret = None if webhook.secret is None else webhook.secret.get_secret_value()
    return Webhooks(secret, ask=service.webhook_secret)


def _told(webhooks: Webhooks | None, service: Service, params: Parameters) -> bool:
    """Is the service expected to tell when a prediction with these parameters is over?"""
    return webhooks is not None and webhooks.heard and service.tells(params)


def _told_from_now_on(notifier: Notifier, new: Settings) -> Callable[[], None]:
    """Make the receivers of a new configuration; return what has them told, and their addresses never printed."""
    receivers = receivers_of(new)

    def put_in_force() -> None:
        hide(new.secrets)
        notifier.replace(receivers)

    return put_in_force


def _stuck(worker: Worker, intakes: Intakes) -> str:
    return vitals.stuck(vitals.signs_of(worker, intakes))


def _dashboard(
    reloader: Reloader, ledger: Ledger, processes: Processes, bus: Bus, *, court: Court, extras: Extras
) -> Dashboard | None:
    listen = reloader.settings.dashboard.listen
    if listen is None:
        return None
    feed = Feed()
    bus.subscribe(feed)

    async def notice(text: str | None) -> None:
        await ledger.notice("dashboard", text, now=time.time())

    desk = desk_of(ledger, lambda: reloader.settings, processes, feed=feed, court=court, new_id=new_id)
    return Dashboard(create_app(desk, listen, extras), listen, feed, notice=notice)


async def _require_an_inbox(settings: Settings, guard: Guard) -> None:
    """Raise `errors.Locked` where every inbox is another daemon's; where only some are, the others are looked after.

    One that hangs holds up nobody: its intake will say so.
    """
    looks = await asyncio.to_thread(answers, [partial(_refusals, folder, guard) for folder in settings.folders])
    for folder, look in zip(settings.folders, looks, strict=True):
        if look is None:
            log.warning("folder.not_answering", inbox=str(folder.inbox), seconds=ANSWER_WITHIN)
    refused = [error for look in looks for error in look or ()]
    if refused and len(refused) == len(settings.folders):
        raise errors.Locked(refused[0].what, why=refused[0].why, do=refused[0].do) from refused[0]


def _refusals(folder: Folder, guard: Guard) -> list[errors.OwnedElsewhere]:
    """Return why a folder is not ours to look after, if it is not."""
    try:
        guard.hold(folder)
    except errors.OwnedElsewhere as error:
        return [error]
    except errors.FileTrouble as error:
        log.warning("folder.away", inbox=str(folder.inbox), reason=errors.sentence(error))
    return []


@asynccontextmanager
async def opened_service(
    settings: Settings, *, engine_in: Path | None = None, observe: Observe = unobserved
) -> AsyncIterator[Service]:
    """Give the configured service: the built-in engine in this process, or a client of one elsewhere.

    The engine keeps its predictions in the directory ``engine_in``, by default one in the state directory.
    """
    silence = settings.service.timeout
    if settings.service.embedded:
        directory = engine_in or settings.state_dir / "engine"
        engine = embedded_service(directory, settings.engine, silence=silence, observe=observe)
        async with engine as service:
            yield service
        return
    key = settings.service.api_key
    service = Service(
        settings.service.url,
        api_key=key.get_secret_value() if key else None,
        timeout=silence,
        observe=observe,
        webhook=address_below(settings.service.webhook.public_url) if settings.service.webhook else None,
    )
    async with service:
        yield service


@asynccontextmanager
async def asked_service(settings: Settings) -> AsyncIterator[Service]:
    """Give the configured service for questions alone, beside a daemon that may be at work.

    What the built-in engine keeps in the state directory belongs to one process at a time, and to the user that the
    daemon runs as: so the one that is asked keeps nothing.
    """
    with TemporaryDirectory(prefix="upscaled-", ignore_cleanup_errors=True) as directory:
        async with opened_service(settings, engine_in=Path(directory)) as service:
            yield service


def ports_of(
    settings: Settings,
    ledger: Ledger,
    service: Service,
    processes: Processes,
    listing_lag: float,
    *,
    guard: Guarding | None = None,
    told: Callable[[Parameters], bool] = lambda _: False,
    pressed: Callable[[], bool] = lambda: False,
) -> Ports:
    """Return the world outside, as the steps may use it."""
    budget = settings.budget
    floor = budget.balance_floor
    return Ports(
        ledger=ledger,
        service=service,
        folders=Folders(settings.folders),
        price=Prices(service, fixed=budget.price, now=time.time),
        in_process=processes,
        now=time.time,
        polls=Polls(floor=settings.service.poll_min, now=time.time, told=told, pressed=pressed),
        upload=settings.service.upload,
        on_ambiguous=settings.service.on_ambiguous,
        listing_lag=listing_lag,
        limits=Limits(budget.per_picture, budget.per_day, budget.per_month),
        purse=Bottomless() if floor is None else Floor(service, floor, now=time.time),
        spool=settings.state_dir / SPOOL,
        renditions=settings.state_dir / RENDITIONS,
        hooks=_hooks(settings),
        guard=guard or Unguarded(),
    )


def _hooks(settings: Settings) -> Hooks:
    commands = {name: getattr(settings.hooks, name) for name in PLACEHOLDERS}
    work = settings.state_dir / HOOKS
    return Hooks(commands, settings.hooks.timeout, describe=job_record, work=work)


def _intakes(settings: Settings, ports: Ports, worker: Worker, guard: Guard) -> Intakes:
    loop = asyncio.get_running_loop()

    def ring() -> None:
        loop.call_soon_threadsafe(worker.ring)

    async def priced(params: Parameters) -> float | None:
        return await ports.price(params)

    def price(params: Parameters) -> float | None:
        """Called from the intakes' threads, for an estimate: no answer is an answer."""
        try:
            return asyncio.run_coroutine_threadsafe(priced(params), loop).result(PATIENCE)
        except (errors.ServiceError, TimeoutError, CancelledError):
            return None

    def make(folder: Folder) -> Intake:
        return Intake(
            intake_settings(folder, settings.hooks),
            Desk(ports.ledger, folder, ring=ring, now=time.time, new_id=new_id, price=price),
            root=Root(folder.inbox, guard=partial(guard.hold, folder)),
        )

    return Intakes(make, settings.folders)


def _look_again(intakes: Intakes) -> Subscriber:
    """Have a folder looked at when a job has let go of a file that is still in its inbox, or is another one by now."""

    def look_again(event: Event) -> None:
        job = event.job
        if job.standing is Standing.CANCELLED or (job.standing is Standing.DONE and job.archived is None):
            intakes.ring(job.folder)

    return look_again


def _strays(settings: Settings, ledger: Ledger) -> Strays:
    own = {settings.state_dir / name for name in (SPOOL, RENDITIONS)}
    places = {path for folder in settings.folders for path in (folder.outbox, folder.archive, folder.failed)}
    return Strays(ledger, places | {path for path in own if path.is_dir()})
