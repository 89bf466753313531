"""Looks at how things stand, writes down what is to be told, and delivers it: one task that nothing else depends on.

    look ─▶ decisions ─▶ ledger (told, and what is to be delivered) ─▶ one courier a receiver ─▶ delivered: forgotten

Killed anywhere, the ledger says what was told and what is still to be delivered (`upscaled.ledger.messages`). Not kept
over a restart: for how long a receiver has been failing, and the balance.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import structlog

from upscaled import errors, status
from upscaled.api.client import Service
from upscaled.config import Notify, Settings
from upscaled.events import Event
from upscaled.ledger import Ledger, messages
from upscaled.ledger.messages import Letter
from upscaled.notify import decisions, outlook
from upscaled.notify.decisions import Alert, Message, Outlook, Rules
from upscaled.notify.receivers import NotDelivered, Receiver

log = structlog.get_logger()

TICK: Final = 10.0
"""Between two looks, in seconds, where no event asks for one."""

GATHER: Final = 1.0
"""How long events are gathered before a look, in seconds."""

FIRST_RETRY: Final = 5.0
LONGEST_RETRY: Final = 900.0
"""Between two tries of one delivery, in seconds; in between it doubles."""

GIVE_UP: Final = 24 * 3600.0
"""A message that nobody took for so many seconds is dropped: it is news no more."""

BALANCE_EVERY: Final = 600.0
"""Between two looks at the account's balance, in seconds, where somebody is to be told when it is low."""

LAST_WORDS: Final = 15.0
"""How long a run that ends by itself waits for its digest to be delivered, in seconds."""

_WORTH_A_LOOK: Final = frozenset({"held", "failed", "done", "cancelled", "waiting"})


class Notifier:
    """Tells ``receivers``, who may be none. Subscribe it to events, and `run` it.

    ``settings`` gives the configuration in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        receivers: Sequence[Receiver],
        *,
        settings: Callable[[], Settings],
        service: Service,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._receivers = receivers
        self._settings = settings
        self._service = service
        self._now = now
        self._sleep = sleep
        self._begun_at = now()
        """When somebody was first to be told: what ends from then on is news, even if it ends before the first look."""
        self._rung = asyncio.Event()
        # What a look read must not be written down after what a later one found.
        self._one_look = asyncio.Lock()
        self._posted: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._couriers: dict[str, asyncio.Task[None]] = {}
        self._replaced = True
        self._failing: set[str] = set()
        self._balance: float | None = None
        self._asked_at = float("-inf")
        self._unwell = False

    def __call__(self, event: Event) -> None:
        """Have a look soon, where an event may be news."""
        if event.kind in _WORTH_A_LOOK:
            self._rung.set()

    def replace(self, receivers: Sequence[Receiver]) -> None:
        """Tell these from now on. What one that stays is owed, it gets; what one that goes was owed is dropped."""
        if not self._receivers:
            self._begun_at = self._now()
        self._receivers = receivers
        self._replaced = True
        self._rung.set()

    async def run(self) -> None:
        """Look and deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._rung.clear()
                if self._replaced:
                    await self._guarded(lambda: self._employ(group))
                if self._receivers:
                    await self._guarded(self.look)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await self._rung.wait()
                await self._sleep(GATHER)

    async def _employ(self, group: asyncio.TaskGroup) -> None:
        """Have a courier for each receiver, and none for others."""
        receivers = self._receivers
        wanted = {receiver.key: receiver for receiver in receivers}
        for key in self._couriers.keys() - wanted.keys():
            self._couriers.pop(key).cancel()
            self._posted.pop(key, None)
        for key in wanted.keys() - self._couriers.keys():
            self._couriers[key] = group.create_task(self._courier(wanted[key]), name=f"courier {wanted[key].name}")
        await self._ledger.write(lambda c: messages.keep_receivers(c, list(wanted)))
        self._replaced = self._receivers is not receivers

    async def finish(self) -> None:
        """Tell what is left to be told at the end of a run that ends by itself, in one try each."""
        if not self._receivers:
            return
        await self._guarded(lambda: self.look(last=True))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await asyncio.gather(*(self._deliver_rest(receiver) for receiver in self._receivers))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; what goes wrong is said once, and never harms anybody else."""
        try:
            await work()
        except (errors.StateError, sqlite3.Error) as error:
            if not self._unwell:
                log.warning("notify.waits", reason=f"the ledger: {errors.sentence(error)}")
            self._unwell = True
        except Exception:
            if not self._unwell:
                log.exception("notify.defect")
            self._unwell = True
        else:
            self._unwell = False

    # --- what to tell ---

    async def look(self, *, last: bool = False) -> None:
        """Look once: write down what is known of troubles, and what is to be told of them and of what ended."""
        await self._ask_balance()
        async with self._one_look:
            alerts, told, until = await asyncio.to_thread(self._read, last=last)
            if not told and self._same(alerts, until):
                return
            bodies = [body_of(message, self._ledger.id) for message in told]
            keys = [receiver.key for receiver in self._receivers]
            await self._ledger.write(
                lambda c: messages.tell(
                    c,
                    alerts=[asdict(alert) for alert in alerts],
                    until=until,
                    bodies=bodies,
                    receivers=keys,
                    now=self._now(),
                )
            )
            for message in told:
                log.info("notify.told", kind=str(message.kind), title=message.title)
            if told:
                for bell in self._posted.values():
                    bell.set()

    def _read(self, *, last: bool) -> tuple[list[Alert], list[Message], float]:
        """Return what is known of troubles, what is to be told, and up to when jobs are told of."""
        now, settings = self._now(), self._settings()
        rules = rules_of(settings.notify)
        inboxes = [str(folder.inbox) for folder in settings.folders]
        summary = status.summary(self._ledger, inboxes=inboxes, now=now, running=True)
        view = Outlook(outlook.oldest(self._ledger, inboxes), outlook.last_end(self._ledger), self._balance)
        known = [Alert(**row) for row in self._ledger.look(messages.alerts)]
        alerts, told = decisions.decide(decisions.troubles(summary, view, rules, now), known, now)
        since = self._ledger.look(messages.mark)
        if since is None:
            since = self._begun_at
        batch = outlook.batch(self._ledger, since, now)
        if last:
            rules = Rules(digest_after=0.0)
        digest = decisions.digest(batch, len(summary["needs_you"]), rules, now)
        return (alerts, told, since) if digest is None else (alerts, [*told, digest], batch.last_end)

    def _same(self, alerts: Sequence[Alert], until: float) -> bool:
        known = [Alert(**row) for row in self._ledger.look(messages.alerts)]
        return sorted(map(repr, known)) == sorted(map(repr, alerts)) and until == self._ledger.look(messages.mark)

    async def _ask_balance(self) -> None:
        now = self._now()
        if self._settings().notify.balance_below is None or now - self._asked_at < BALANCE_EVERY:
            return
        self._asked_at = now
        # Where it cannot be asked, what is known of it stands; why is said by those who need the service.
        with suppress(errors.ServiceError):
            self._balance = await self._service.balance()

    # --- to tell it ---

    async def _courier(self, receiver: Receiver) -> None:
        """Deliver to one receiver for ever, one message after the other."""
        bell = self._posted[receiver.key]
        while True:
            bell.clear()
            wait = LONGEST_RETRY
            try:
                wait = await self._deliver_next(receiver)
            except (errors.StateError, sqlite3.Error) as error:
                log.warning("notify.waits", reason=f"the ledger: {errors.sentence(error)}")
            except Exception:
                log.exception("notify.defect", receiver=receiver.name)
            if wait > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await bell.wait()

    async def _deliver_next(self, receiver: Receiver) -> float:
        """Deliver what comes first, if it is time for it; return how long to wait before the next."""
        letter = await asyncio.to_thread(self._ledger.look, lambda c: messages.next_letter(c, receiver.key))
        now = self._now()
        if letter is None:
            return LONGEST_RETRY
        if letter.not_before > now:
            return letter.not_before - now
        if now - letter.made_at > GIVE_UP:
            log.warning("notify.given_up", receiver=receiver.name, title=letter.body.get("title"))
        elif not await self._delivered(receiver, letter):
            until = self._now() + retry_after(letter.tries)
            await self._ledger.write(lambda c: messages.put_off(c, letter, until))
            return 0.0
        await self._ledger.write(lambda c: messages.forget(c, letter))
        return 0.0

    async def _delivered(self, receiver: Receiver, letter: Letter) -> bool:
        try:
            await receiver.deliver({"id": id_of(letter, self._ledger.id), **letter.body})
        except NotDelivered as error:
            if receiver.key not in self._failing:
                log.warning(
                    "notify.not_delivered", receiver=receiver.name, reason=str(error), again="until it is taken"
                )
            self._failing.add(receiver.key)
            return False
        if receiver.key in self._failing:
            self._failing.discard(receiver.key)
            log.info("notify.delivers_again", receiver=receiver.name)
        return True

    async def _deliver_rest(self, receiver: Receiver) -> None:
        while True:
            letter = await asyncio.to_thread(self._ledger.look, lambda c: messages.next_letter(c, receiver.key))
            if letter is None or letter.not_before > self._now() or not await self._delivered(receiver, letter):
                return
            await self._ledger.write(partial(messages.forget, letter=letter))


def id_of(letter: Letter, ledger: str) -> str:
    """Return what tells a message from all others, and stays with it. A row's number alone is used again."""
    return f"{ledger}-{letter.made_at * 1000:.0f}-{letter.id}"


def retry_after(tries: int) -> float:
    """Return how long to wait after so many failed deliveries of one message, in seconds."""
    return float(min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(tries, 10)))


def rules_of(notify: Notify) -> Rules:
    """Return when to tell, as configured."""
    return Rules(notify.digest_after, notify.offline_after, notify.stuck_after, notify.balance_below)


def body_of(message: Message, ledger: str) -> dict[str, Any]:
    """Return a message as webhooks get it, but for its id. ``ledger`` tells this upscaled from others."""
    return {
        "upscaled": ledger,
        "kind": str(message.kind),
        "title": message.title,
        "text": message.text,
        "at": status.moment(message.at),
        **({"facts": dict(message.facts)} if message.facts else {}),
    }
