"""The composition root: builds everything once, runs it as named tasks, and takes it down in order.

Nothing is decided here about pictures; this is where the parts meet, the signals arrive, and the exit code is made.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from upscaled import config, errors, sdnotify, vitals
from upscaled.admission import Desk
from upscaled.api.client import Service
from upscaled.api.exchange import Observe, unobserved
from upscaled.config import Folder, Settings
from upscaled.config.asking import ANSWER_WITHIN
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
from upscaled.hooks import PLACEHOLDERS, Hooks
from upscaled.inbox.intake import Intake
from upscaled.inbox.model import Condition
from upscaled.inbox.root import Root
from upscaled.intakes import SILENCE, Folders, Intakes
from upscaled.job import pacing
from upscaled.job.budget import Limits
from upscaled.job.model import Cause, Parameters, Standing
from upscaled.ledger import Ledger
from upscaled.ledger.database import bind
from upscaled.ledger.queue import within
from upscaled.limits import Limits as Scarce
from upscaled.logs import JobLog, hide
from upscaled.metrics import Metrics, Standings
from upscaled.notify.notifier import Notifier
from upscaled.notify.receivers import receivers_of
from upscaled.polls import Polls
from upscaled.prices import Floor, Prices
from upscaled.processes import Processes
from upscaled.prune import tidy
from upscaled.reload import Reloader
from upscaled.status import job_record
from upscaled.steps import Ports
from upscaled.steps.ports import Bottomless, Guarding, Unguarded
from upscaled.strays import Strays
from upscaled.threads import own_threads
from upscaled.verdicts import Court
from upscaled.webhooks import Webhooks, address_below
from upscaled.worker import GIVE_UP, Worker

log = structlog.get_logger()

GRACE: Final = 10.0
"""After the first signal the process is gone within so many seconds."""

LAST: Final = 1.5
"""How much of that is kept for cutting off what has not ended by then."""

TICK: Final = 0.2
"""How often `once` looks whether anything is left to do, in seconds."""

REVIEWS: Final = 30.0
"""Between two looks at what was taken out of review by hand, in seconds."""

RENDITIONS: Final = "renditions"
"""Directory in the state directory for what is uploaded in a source's place."""

HOOKS: Final = "hooks"
"""Directory in the state directory for what hooks make."""

SPOOL: Final = "spool"
"""Directory in the state directory for paid results whose outbox is away."""

PATIENCE: Final = 10.0
"""How long an estimate waits for a price, in seconds."""

TOO_LONG: Final = 600.0
"""`once` does not wait for a job that cannot go on within so many seconds."""

BLOCKED: Final = frozenset({Condition.OFFLINE, Condition.MISCONFIGURED, Condition.OWNED, Condition.TROUBLE})
"""States of a folder in which it is not looked after; `once` does not wait for them to pass."""

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


async def run(
    settings: Settings,
    *,
    once: bool = False,
    subscribers: Sequence[Subscriber] = (),
    listing_lag: float = pacing.LISTING_LAG,
    load: Callable[[], Settings] | None = None,
) -> int:
    """Run until a signal, or with ``once`` until nothing is left to do; return the exit code.

    ``listing_lag`` is how long the service's history may lack a submit, in seconds. ``load`` reads the configuration
    again, for SIGHUP; by default from the file it came from.

    Raises `errors.StateError` when the state directory cannot be used, `errors.EngineError` when the engine cannot.
    """
    stop, hung_up, signals = _signals()
    again = load or partial(config.load, settings.path, environ=os.environ, cwd=Path.cwd())
    async with own_threads(), AsyncExitStack() as ending, AsyncExitStack() as stack:
        async with vitals.patience("Starting", vitals.STARTING):
            settings = _pageless(settings) if once else settings
            daemon = await stack.enter_async_context(_built(settings, subscribers, listing_lag, again))
        working = asyncio.create_task(daemon.worker.run(), name="worker")
        daemon.intakes.start()
        daemon.strays.start()
        if not once:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reloader.ask)
            if hung_up.is_set():
                daemon.reloader.ask()
        sdnotify.notify("READY=1")
        if (exposed := config.exposed_key(settings)) is not None:
            log.warning("key.exposed", problem=str(exposed))
        log.info("daemon.ready", folders=len(daemon.intakes), service=settings.service.url)
        waiting: list[asyncio.Task[Any]] = [
            working,
            asyncio.create_task(stop.wait(), name="signals"),
            asyncio.create_task(daemon.reloader.run(), name="reload"),
            asyncio.create_task(daemon.intakes.listen(daemon.ledger), name="listen"),
        ]
        if once:
            waiting.append(asyncio.create_task(_nothing_left(daemon), name="once"))
        # Not among those that end the daemon when they end.
        beside = _beside(daemon, once=once)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if once and not signals:
            _tell_what_is_left(daemon)
        sdnotify.notify("STOPPING=1")
        for task in beside:
            task.cancel()
        await ending.enter_async_context(vitals.patience("Stopping: running requests may end", vitals.STOPPING))
        await _wind_down(daemon, working)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if once and not signals:
            await daemon.notifier.finish()
        _raise_failure(waiting)
        return 128 + signals[0] if signals else _exit_code(daemon)


def _pageless(settings: Settings) -> Settings:
    """Return the settings of a run that serves no pages, and so can be told nothing."""
    return replace(settings, service=replace(settings.service, webhook=None))


def _beside(daemon: Daemon, *, once: bool) -> list[asyncio.Task[None]]:
    """Start what the daemon does for those who look, but for pages in a run that ends by itself."""
    look = partial(vitals.signs_of, daemon.worker, daemon.intakes)
    tasks = [
        asyncio.create_task(_settle_reviews(daemon.court), name="reviews"),
        asyncio.create_task(tidy(daemon.ledger, daemon.settings.retain), name="tidy"),
        asyncio.create_task(vitals.beat(look, partial(_in_a_line, daemon)), name="vitals"),
        asyncio.create_task(daemon.notifier.run(), name="notify"),
    ]
    if not once and daemon.dashboard is not None:
        tasks.append(asyncio.create_task(daemon.dashboard.run(), name="dashboard"))
    if daemon.webhooks is not None:
        tasks.append(asyncio.create_task(daemon.webhooks.run(), name="webhooks"))
    return tasks


def _in_a_line(daemon: Daemon) -> str:
    """What `systemctl status` shows."""
    away = sum(1 for intake in daemon.intakes if _blocked(intake))
    ended = ", ".join(f"{count} {standing}" for standing, count in sorted(daemon.tally.ended.items()))
    gate = "" if daemon.limits.gate.open else "; nothing is submitted, see `upscaled status`"
    folders = f"{len(daemon.intakes)} folders" + (f", {away} not looked after" if away else "")
    return f"{folders}; {len(daemon.worker.active)} under way; since the start: {ended or 'nothing yet'}{gate}"


async def _settle_reviews(court: Court) -> None:
    """Notice for ever what people take out of review by hand."""
    while True:
        try:
            await asyncio.to_thread(court.settle, now=time.time())
        except Exception:
            log.exception("reviews.failed")
        await asyncio.sleep(REVIEWS)


def _signals() -> tuple[asyncio.Event, asyncio.Event, list[int]]:
    """Catch SIGTERM and SIGINT, of which the first asks to stop and the second does not ask; and note hang-ups."""
    stop, hung_up = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    def caught(number: int) -> None:
        seen.append(number)
        if len(seen) > 1:
            os._exit(128 + number)
        log.info("daemon.stopping", signal=signal.Signals(number).name, again="stops at once")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught, number)
    # Until there is something to reload, and where nothing is reloaded, a hang-up must not be the end.
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return stop, hung_up, seen


def hold_hang_ups() -> None:
    """Keep SIGHUP for later, until `run` can see to it: the configuration may be read by then, or half read."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


@asynccontextmanager
async def _built(
    settings: Settings, subscribers: Sequence[Subscriber], listing_lag: float, load: Callable[[], Settings]
) -> AsyncIterator[Daemon]:
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
        limits = Scarce(
            in_flight=settings.service.in_flight_cap,
            surplus=settings.service.surplus,
            per_minute=settings.service.per_minute,
            now=time.time,
            sleep=asyncio.sleep,
        )
        bus, tally = Bus(), Tally()
        everybody: list[Subscriber] = [JobLog(), tally, metrics, *subscribers]
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
    looks = [asyncio.ensure_future(asyncio.to_thread(_refusal, folder, guard)) for folder in settings.folders]
    done, silent = await asyncio.wait(looks, timeout=ANSWER_WITHIN)
    for folder, look in zip(settings.folders, looks, strict=True):
        if look in silent:
            log.warning("folder.not_answering", inbox=str(folder.inbox), seconds=ANSWER_WITHIN)
            look.cancel()
    refused = [error for look in looks if look in done and (error := look.result()) is not None]
    if refused and len(refused) == len(settings.folders):
        raise errors.Locked(refused[0].what, why=refused[0].why, do=refused[0].do) from refused[0]


def _refusal(folder: Folder, guard: Guard) -> errors.OwnedElsewhere | None:
    try:
        guard.hold(folder)
    except errors.OwnedElsewhere as error:
        return error
    except errors.FileTrouble as error:
        log.warning("folder.away", inbox=str(folder.inbox), reason=str(error))
    return None


@asynccontextmanager
async def opened_service(settings: Settings, *, observe: Observe = unobserved) -> AsyncIterator[Service]:
    """Give the configured service: the built-in engine in this process, or a client of one elsewhere."""
    silence = settings.service.timeout
    if settings.service.embedded:
        engine = embedded_service(settings.state_dir / "engine", settings.engine, silence=silence, observe=observe)
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


async def _nothing_left(daemon: Daemon) -> None:
    """Return when every folder has been looked at and every job has gone as far as it can go now."""
    while True:
        await asyncio.sleep(TICK)
        if not (all(map(_looked_at, daemon.intakes)) and daemon.worker.quiet and daemon.strays.done):
            continue
        if not await asyncio.to_thread(_can_go_on, daemon) and daemon.worker.quiet:
            return


def _looked_at(intake: Intake) -> bool:
    return intake.idle or _blocked(intake)


def _blocked(intake: Intake) -> bool:
    return intake.state.state in BLOCKED or intake.not_answering() >= SILENCE


def _can_go_on(daemon: Daemon) -> bool:
    """Is there a job that waits for something which this run may still see the end of?"""
    ours = list(map(_inbox, daemon.intakes))
    rows = daemon.ledger.query(
        "SELECT standing, stage, cause, tries FROM jobs INDEXED BY one_unfinished_job_per_source"  # noqa: S608
        " WHERE finished_at IS NULL"
        " AND standing NOT IN ('held', 'running')"  # those that run, while all is quiet, wait for others' slots
        f" AND {within(ours)} AND NOT (standing = 'waiting' AND (tries >= {GIVE_UP:d} OR not_before > ?))"
        f" AND NOT (standing = 'ready' AND {_PAUSED})",
        *map(bind, ours),
        time.time() + TOO_LONG,
    )
    # With the gate shut nothing gets to a submit; with every slot taken, nothing new does.
    stuck = {"ready", "waiting"} if not daemon.limits.gate.open else {"ready"} if daemon.limits.slots.wanted else set()
    return any(not (row["standing"] in stuck and row["stage"] in {"admitted", "uploaded"}) for row in rows)


_PAUSED: Final = (
    "stage IN ('admitted', 'uploaded') AND failure IS NULL"
    " AND EXISTS (SELECT 1 FROM paused WHERE paused.folder IN ('', jobs.folder))"
)


def _inbox(intake: Intake) -> str:
    return intake.state.inbox


def _tell_what_is_left(daemon: Daemon) -> None:
    """Say which files of the inboxes this run did not take, and why: nothing is passed over in silence."""
    for state in (intake.state for intake in daemon.intakes):
        if state.waiting or state.state is not Condition.ONLINE:
            notes = [f"{note.source}: {note.reason}" for note in state.notes]
            log.warning(
                "folder.left", inbox=state.inbox, state=str(state.state), waiting=dict(state.waiting), files=notes
            )


async def _wind_down(daemon: Daemon, working: asyncio.Task[None]) -> None:
    """Take nothing in, let running requests end, and leave the rest to the next start.

    What hangs in a call to a dead share is left behind: its job goes on from its last fact at the next start (I5).
    """
    daemon.worker.stop()
    stopping = asyncio.ensure_future(daemon.intakes.stop())
    done, _ = await asyncio.wait([working], timeout=GRACE - LAST)
    if not done:
        log.warning("daemon.cut_off", jobs=len(daemon.worker.active), after_seconds=GRACE - LAST)
        working.cancel()
    await asyncio.wait([working, stopping], timeout=LAST / 3)


def _raise_failure(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Raise what ended a task that must not end by itself."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _exit_code(daemon: Daemon) -> int:
    if daemon.limits.gate.cause in {Cause.KEY, Cause.CREDIT}:
        return 3
    offline = any(map(_blocked, daemon.intakes))
    waiting = daemon.ledger.query(
        "SELECT 1 FROM jobs INDEXED BY one_unfinished_job_per_source WHERE finished_at IS NULL LIMIT 1"
    )
    return 1 if daemon.tally.bad or offline or waiting else 0
