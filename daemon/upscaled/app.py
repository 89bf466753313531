"""The composition root: has everything built, runs it as named tasks, and takes it down in order.

Nothing is decided here about pictures; this is where the signals arrive.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from upscaled import config, sdnotify, vitals
from upscaled.building import Daemon, built
from upscaled.config import Settings
from upscaled.ending import blocked, exit_code, nothing_left, tell_what_is_left
from upscaled.errors import sentence
from upscaled.events import Subscriber
from upscaled.job import pacing
from upscaled.prune import tidy
from upscaled.threads import own_threads
from upscaled.verdicts import Court

log = structlog.get_logger()

GRACE: Final = 10.0
"""After the first signal the process is gone within so many seconds."""

LAST: Final = 1.5
"""How much of that is kept for cutting off what has not ended by then."""

REVIEWS: Final = 30.0
"""Between two looks at what was taken out of review by hand, in seconds."""


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
            daemon = await stack.enter_async_context(built(settings, subscribers, listing_lag, again))
        working = asyncio.create_task(daemon.worker.run(), name="worker")
        daemon.intakes.start()
        daemon.strays.start()
        if not once:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.reloader.ask)
            if hung_up.is_set():
                daemon.reloader.ask()
        sdnotify.notify("READY=1")
        if (exposed := config.exposed_key(settings)) is not None:
            log.warning("key.exposed", problem=sentence(exposed))
        log.info("daemon.ready", folders=len(daemon.intakes), service=settings.service.url)
        waiting: list[asyncio.Task[Any]] = [
            working,
            asyncio.create_task(stop.wait(), name="signals"),
            asyncio.create_task(daemon.reloader.run(), name="reload"),
            asyncio.create_task(daemon.intakes.listen(daemon.ledger), name="listen"),
        ]
        if once:
            waiting.append(asyncio.create_task(nothing_left(daemon), name="once"))
        # Not among those that end the daemon when they end.
        beside = _beside(daemon, once=once)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if once and not signals:
            tell_what_is_left(daemon)
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
        return 128 + signals[0] if signals else exit_code(daemon)


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
        asyncio.create_task(daemon.lulls.run(), name="lulls"),
    ]
    if not once and daemon.dashboard is not None:
        tasks.append(asyncio.create_task(daemon.dashboard.run(), name="dashboard"))
    if daemon.webhooks is not None:
        tasks.append(asyncio.create_task(daemon.webhooks.run(), name="webhooks"))
    return tasks


def _in_a_line(daemon: Daemon) -> str:
    """What `systemctl status` shows."""
    away = sum(1 for intake in daemon.intakes if blocked(intake))
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
