"""What is told, and when: pure arithmetic on the read model, what was told before, and the time.

Two kinds of news. A *trouble* lasts: it is told once when it has lasted as long as its patience, and once more when it
is over, however often it is seen meanwhile. What ended is gathered into a *batch*, and told in one digest when nothing
more has ended for a while. Both are found by looking at how things stand, not by counting events: so a restart, a lost
event or a second look cannot tell anything twice or leave anything out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from upscaled import health
from upscaled.files.names import printable
from upscaled.health import Health, Reason
from upscaled.job.budget import dollars

CALM: Final = 90.0
"""A trouble is over when it was not seen for so many seconds: one that is tried now and then looks over meanwhile."""

SETTLING: Final = 600.0
"""How long nothing must end, after a start too, before that is told; in seconds."""

LONGEST: Final = 24 * 3600.0
"""A batch is told of after so many seconds even if it is still going on."""

NAMED: Final = 20
"""Most files that a message names; the rest are counted."""


class Kind(StrEnum):
    """What a message is about."""

    ALERT = "alert"
    CLEAR = "clear"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be told. ``facts`` is for programs, JSON; ``at`` in seconds since the epoch."""

    kind: Kind
    title: str
    text: str
    at: float
    facts: Mapping[str, Any] = field(default_factory=dict)


# --- troubles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rules:
    """When to tell; seconds and dollars, None for never."""

    digest_after: float = 120.0
    offline_after: float = 600.0
    stuck_after: float | None = 6 * 3600.0
    balance_below: float | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a person should know of while it lasts, if it lasts for ``patience`` seconds."""

    key: str
    title: str
    text: str
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Alert:
    """What is known of a trouble: since when it was seen, when it was told, since when it was not seen."""

    key: str
    title: str
    text: str
    since: float
    told_at: float | None = None
    gone_at: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the ledger and the account say beyond the summary. ``balance`` is None where it was not asked for."""

    oldest: float | None = None
    """When the oldest job was admitted that could go on by itself."""
    last_end: float | None = None
    """When the last job ended."""
    balance: float | None = None


_TITLES: Final = {
    "key": "The service refuses the key",
    "credit": "The account has no credit",
    "floor": "The balance has come down to the floor",
    "budget": "The budget is reached",
    "service": "The service takes nothing",
}


def troubles(summary: Mapping[str, Any], outlook: Outlook, rules: Rules, now: float) -> Iterator[Trouble]:
    """Yield what stands in the way now, told already or not."""
    verdict = health.judge(summary)
    for reason in verdict.reasons:
        yield _unwell(reason, rules)
    if summary["needs_you"]:
        yield _held(summary["needs_you"])
    if outlook.balance is not None and rules.balance_below is not None and outlook.balance < rules.balance_below:
        text = f"{dollars(outlook.balance)} are left on the account; notify.balance_below is"
        yield Trouble("balance", "The balance is low", f"{text} {dollars(rules.balance_below)}.")
    if verdict.health is not Health.BLOCKED and _stuck(outlook, rules, now):
        yield _nothing_ends(outlook, now)


def _unwell(reason: Reason, rules: Rules) -> Trouble:
    if not reason.folder:
        return Trouble(reason.cause, _TITLES.get(reason.cause, "Nothing is submitted"), printable(reason.text))
    folder = printable(reason.folder)
    text = f"{folder}: {printable(reason.text)}"
    return Trouble(f"folder {folder}", f"A folder is {reason.cause}", text, rules.offline_after)


def _held(held: list[Mapping[str, Any]]) -> Trouble:
    title = "A job needs you" if len(held) == 1 else f"{len(held)} jobs need you"
    lines = _named([(job["source"], job["reason"]) for job in held], len(held))
    return Trouble(
        "held", title, "\n".join((*lines, "`upscaled status` lists them; `release`, `retry`, `cancel` decide."))
    )


def _stuck(outlook: Outlook, rules: Rules, now: float) -> bool:
    if rules.stuck_after is None or outlook.oldest is None:
        return False
    return now - max(outlook.oldest, outlook.last_end or 0.0) >= rules.stuck_after


def _nothing_ends(outlook: Outlook, now: float) -> Trouble:
    assert outlook.oldest is not None
    hours = (now - max(outlook.oldest, outlook.last_end or 0.0)) / 3600
    text = f"Pictures wait, and none was finished for {hours:.0f} hours. `upscaled status` says what they wait for."
    return Trouble("stuck", "Nothing is being finished", text, SETTLING)


def decide(standing: Iterable[Trouble], known: Iterable[Alert], now: float) -> tuple[list[Alert], list[Message]]:
    """Return what is known of troubles from now on, and what is to be told now."""
    before = {alert.key: alert for alert in known}
    seen = {trouble.key: trouble for trouble in standing}
    alerts = [_seen(trouble, before.get(trouble.key), now) for trouble in seen.values()]
    alerts += [_missed(alert, now) for alert in before.values() if alert.key not in seen]
    already = {alert.key for alert in before.values() if alert.told_at is not None}
    told = [_alert(alert, now) for alert in alerts if alert.told_at is not None and alert.key not in already]
    over = [alert for alert in alerts if alert.gone_at is not None and _over(alert, now)]
    told += [_clear(alert, now) for alert in over if alert.told_at is not None]
    return [alert for alert in alerts if alert not in over], told


def _seen(trouble: Trouble, before: Alert | None, now: float) -> Alert:
    if before is None:
        before = Alert(trouble.key, trouble.title, trouble.text, now)
    if before.told_at is not None:
        return replace(before, gone_at=None)
    due = now - before.since >= trouble.patience
    return replace(before, title=trouble.title, text=trouble.text, gone_at=None, told_at=now if due else None)


def _missed(alert: Alert, now: float) -> Alert:
    return alert if alert.gone_at is not None else replace(alert, gone_at=now)


def _over(alert: Alert, now: float) -> bool:
    # What nobody was told of begins anew when it comes again.
    return alert.told_at is None or (alert.gone_at is not None and now - alert.gone_at >= CALM)


def _alert(alert: Alert, now: float) -> Message:
    return Message(Kind.ALERT, alert.title, alert.text, now, {"cause": alert.key})


def _clear(alert: Alert, now: float) -> Message:
    lasted = span(now - alert.since)
    text = f"It is over after {lasted}: {alert.title[:1].lower()}{alert.title[1:]}."
    return Message(
        Kind.CLEAR, f"Over: {alert.title}", text, now, {"cause": alert.key, "seconds": round(now - alert.since)}
    )


# --- the digest ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """What ended since the last digest: counts by standing, when, at which cost, and what failed by name and why."""

    ended: Mapping[str, int] = field(default_factory=dict)
    began: float = 0.0
    """When the first of them was admitted."""
    first_end: float = 0.0
    last_end: float = 0.0
    spent: float = 0.0
    failed: tuple[tuple[str, str], ...] = ()
    """Some of those that failed, and why."""
    running: int = 0
    """How many jobs are under way."""


def digest(batch: Batch, held: int, rules: Rules, now: float) -> Message | None:
    """Return the digest of a batch when it is time for it: nothing is under way and nothing ended for a while."""
    if not batch.ended:
        return None
    quiet = batch.running == 0 and now - batch.last_end >= rules.digest_after
    return _digest(batch, held, now) if quiet or now - batch.first_end >= LONGEST else None


def _digest(batch: Batch, held: int, now: float) -> Message:
    counts = [f"{count} {standing}" for standing, count in batch.ended.items() if count]
    counts += [f"{held} need{'s' if held == 1 else ''} you"] * bool(held)
    seconds = max(0.0, batch.last_end - batch.began)
    title = ", ".join(counts)
    lines = [f"{title}; {dollars(batch.spent)}, {span(seconds)}."]
    lines += _named(batch.failed, batch.ended.get("failed", 0))
    failed = [{"source": printable(source), "reason": printable(reason)} for source, reason in batch.failed]
    facts = {**batch.ended, "held": held, "failures": failed, "dollars": batch.spent, "seconds": round(seconds, 1)}
    return Message(Kind.DIGEST, title, "\n".join(lines), now, facts)


def _named(files: Iterable[tuple[str, str]], total: int) -> list[str]:
    lines = [f"- {printable(source)}: {printable(reason)}" for source, reason in list(files)[:NAMED]]
    return [*lines, f"- and {total - len(lines)} more"] if total > len(lines) else lines


def span(seconds: float) -> str:
    """Return a time as a person says it: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
