"""The verbs about money and orders: plan, spend, retry, cancel, release, keep, reject, redo, pause, resume.

Separate from `upscaled.cli`, which would be too long with them; it adds them to its own.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from upscaled import building, commands, config, errors, planning, prune, spend, status, verdicts
from upscaled.commands import ALL, Said
from upscaled.config import Settings
from upscaled.config.values import Misread, read_seconds
from upscaled.files.names import printable
from upscaled.guard import Guard, owner_of
from upscaled.job.budget import dollars
from upscaled.job.model import Job, Standing
from upscaled.ledger import Ledger, database
from upscaled.prices import Prices
from upscaled.verdicts import Court

ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Targets = Annotated[list[str] | None, typer.Argument(help="Jobs by id, or an inbox for all of its jobs.")]

_UNFINISHED: Final = frozenset({Standing.READY, Standing.WAITING, Standing.HELD, Standing.RUNNING})
_FAILED: Final = frozenset({Standing.FAILED})
_HELD: Final = frozenset({Standing.HELD})


def add_to(cli: typer.Typer) -> None:
    """Add these verbs to a command line."""
    for verb in (plan, spend_, retry, cancel, release, keep, reject, redo, pause, resume, prune_):
        cli.command(name=verb.__name__.rstrip("_"))(verb)


def _load(path: Path | None, *, key: bool = False) -> Settings:
    return config.load(path, environ=os.environ, cwd=Path.cwd(), key=key)


def _joined(path: Path | None) -> Ledger:
    return Ledger.join(_load(path).state_dir)


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


# --- looking ahead and back ------------------------------------------------------------------------------------------


def plan(config_file: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """What `run` would do with what lies in the inboxes now, what it costs, and how long it takes. Nothing is spent."""
    settings = _load(config_file, key=True)
    record = planning.report(settings, asyncio.run(_planned(settings)))
    if as_json:
        _print_json(record)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("File", "What happens", "Price", "Why"):
        table.add_column(heading, overflow="fold")
    for file in record["files"]:
        price = "?" if file["price"] is None else dollars(file["price"]) if file["price"] else ""
        table.add_row(printable(file["source"]), file["verdict"], price, printable(file["reason"]))
    _console().print(table)
    typer.echo(planning.summary(record))


async def _planned(settings: Settings) -> list[planning.Item]:
    there = (settings.state_dir / database.FILE).exists()
    ledger = Ledger.read(settings.state_dir) if there else None
    async with building.asked_service(settings) as service:
        return await planning.Planner(
            settings, ledger, Prices(service, fixed=settings.budget.price, now=time.time)
        ).items()


def spend_(
    config_file: ConfigOption = None,
    *,
    month: Annotated[str | None, typer.Option(help="A month such as 2026-11; else the current one.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Hold the ledger against the service's own bills.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What was spent in a month, by day, folder and profile."""
    settings = _load(config_file, key=reconcile)
    ledger = Ledger.read(settings.state_dir)
    wanted = spend.month(month, time.time())
    record = spend.report(ledger, wanted)
    if reconcile:
        record["reconciled"] = asyncio.run(_reconciled(settings, ledger, wanted))
    if as_json:
        _print_json(record)
    elif as_csv:
        _print_csv(record)
    else:
        _print_spending(record)
    raise typer.Exit(1 if reconcile and record["reconciled"]["differences"] else 0)


async def _reconciled(settings: Settings, ledger: Ledger, wanted: spend.Month) -> dict[str, Any]:
    """Raises `errors.UsageError` where there are no bills: the engine has none, in this process or as `serve`."""
    if not settings.service.embedded:
        with suppress(errors.Missing):
            async with building.asked_service(settings) as service:
                return await spend.reconcile(ledger, service, wanted)
    who = "The built-in engine" if settings.service.embedded else f"The service at {settings.service.url}"
    raise errors.UsageError(f"{who} has no bills", do="Leave --reconcile away: `spend` tells what the ledger knows.")


_COLUMNS: Final = ("day", "folder", "profile", "predictions", "spent", "reserved", "refunded")


def _print_csv(record: dict[str, Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([printable(str(line[column])) for column in _COLUMNS] for line in record["lines"])


def _print_spending(record: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in _COLUMNS:
        table.add_column(heading.capitalize(), overflow="fold")
    for line in record["lines"]:
        amounts = [dollars(line[name]) for name in _COLUMNS[4:]]
        table.add_row(line["day"], printable(line["folder"]), line["profile"], str(line["predictions"]), *amounts)
    console = _console()
    console.print(table)
    console.print(
        f"{record['month']}: {dollars(record['spent'])} spent for {record['predictions']} predictions, "
        f"{dollars(record['reserved'])} reserved, {dollars(record['refunded'])} refunded"
    )
    if (found := record.get("reconciled")) is not None:
        console.print(f"The ledger says {dollars(found['ours'])}, the service {dollars(found['theirs'])}.")
        for difference in found["differences"]:
            console.print(Text(_difference(difference), style="red"))


def _difference(found: dict[str, Any]) -> str:
    theirs = "no bill" if found["theirs"] is None else dollars(found["theirs"])
    whose = f"job {found['job']}" if found["job"] else "no job of this ledger"
    return f"prediction {found['prediction_id']} ({whose}): ledger {dollars(found['ours'])}, service {theirs}"


# --- orders ----------------------------------------------------------------------------------------------------------


def retry(
    jobs: Targets = None,
    config_file: ConfigOption = None,
    *,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every job that failed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what is done or in doubt: it is paid again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do jobs again; the originals of failed ones go back into their inbox."""
    ledger = _joined(config_file)
    found = ledger.jobs(standing="failed") if all_failed else commands.chosen(ledger, _some(jobs), _FAILED)
    _tell(ledger, commands.retry(ledger, found, now=time.time(), force=force), as_json=as_json)


def cancel(
    jobs: Targets = None,
    config_file: ConfigOption = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also what is paid; its result is thrown away.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Call jobs off; their files stay in the inbox and are not taken again until they change."""
    ledger = _joined(config_file)
    found = commands.chosen(ledger, _some(jobs), _UNFINISHED)
    _tell(ledger, commands.cancel(ledger, found, now=time.time(), force=force), as_json=as_json)


def release(jobs: Targets = None, config_file: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Let held jobs go on."""
    ledger = _joined(config_file)
    found = commands.chosen(ledger, _some(jobs), _HELD)
    _tell(ledger, commands.release(ledger, found, now=time.time()), as_json=as_json)


def keep(jobs: Targets = None, config_file: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Deliver results that wait for review into their outbox."""
    settings = _load(config_file)
    ledger = Ledger.join(settings.state_dir)
    _tell(ledger, _court(settings, ledger).keep(_in_review(ledger, jobs), now=time.time()), as_json=as_json)


def reject(jobs: Targets = None, config_file: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Put results that wait for review away, into `rejected` in their failed folder."""
    settings = _load(config_file)
    ledger = Ledger.join(settings.state_dir)
    _tell(ledger, _court(settings, ledger).reject(_in_review(ledger, jobs), now=time.time()), as_json=as_json)


def redo(
    jobs: Targets = None,
    profile: Annotated[str | None, typer.Option(help="The profile to do them with.")] = None,
    config_file: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Do pictures again with another profile, from their archived originals; paid like any other."""
    settings = _load(config_file)
    asked = verdicts.asked_of(settings.profiles, profile)
    ledger = Ledger.join(settings.state_dir)
    found = commands.chosen(ledger, _some(jobs), _FAILED)
    said = _court(settings, ledger).redo(found, asked, now=time.time(), new_id=building.new_id)
    _tell(ledger, said, as_json=as_json)


def _court(settings: Settings, ledger: Ledger) -> Court:
    folders = {str(folder.inbox): folder for folder in settings.folders}
    return Court(ledger, folders, Guard(ledger, owner_of(ledger, settings.state_dir)))


def _in_review(ledger: Ledger, targets: Sequence[str] | None) -> list[Job]:
    """Return the jobs that are named, and of inboxes that are named those whose results are in review."""
    named = commands.chosen(ledger, _some(targets), frozenset())
    inboxes = {str(Path(target).resolve()) for target in targets or ()}
    return named + [job for job in ledger.in_review() if job.folder in inboxes and job not in named]


def pause(
    folder: Annotated[Path | None, typer.Argument(help="An inbox; else every folder.")] = None,
    config_file: ConfigOption = None,
) -> None:
    """Submit nothing more; what is paid is still delivered."""
    settings = _load(config_file)
    ledger = Ledger.join(settings.state_dir)
    commands.pause(ledger, _inbox(settings, folder), now=time.time())
    ledger.close()
    typer.echo(f"{folder or 'Every folder'} is paused; `upscaled resume` lets it go on.")


def resume(
    folder: Annotated[Path | None, typer.Argument(help="An inbox; else every folder.")] = None,
    config_file: ConfigOption = None,
) -> None:
    """Let a paused folder go on."""
    settings = _load(config_file)
    ledger = Ledger.join(settings.state_dir)
    commands.resume(ledger, _inbox(settings, folder))
    ledger.close()
    typer.echo(f"{folder or 'Every folder'} goes on.")


def prune_(
    config_file: ConfigOption = None,
    *,
    older_than: Annotated[
        str | None, typer.Option(help="How long ago they were over, such as 90d; else what `retain` says.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take jobs that were over long ago out of the ledger. No file is touched; what still guards something stays."""
    settings = _load(config_file)
    age = settings.retain if older_than is None else _age(older_than)
    if age is None:
        raise errors.UsageError("`retain` says to keep everything", do="Say how much: --older-than 365d.")
    ledger = Ledger.read(settings.state_dir) if dry_run else Ledger.join(settings.state_dir)
    found = prune.prune(ledger, age, dry_run=dry_run)
    ledger.close()
    if as_json:
        _print_json(found)
        return
    kept = ", ".join(f"{count} for {prune.KEPT[guard]}" for guard, count in sorted(found["kept"].items()))
    typer.echo(
        f"{found['removed']} jobs that were over before {status.clock(found['before'])} "
        f"{'would leave' if dry_run else 'left'} the ledger" + (f"; kept are {kept}." if kept else ".")
    )


def _age(text: str) -> float:
    try:
        age = read_seconds(text)
    except Misread as error:
        raise errors.UsageError(f"--older-than {error}", do=error.remedy) from None
    if age < prune.LEAST:
        raise errors.UsageError("--older-than must be at least 1d", do="Write 1d or more.")
    return age


def _some(jobs: Sequence[str] | None) -> Sequence[str]:
    if not jobs:
        raise errors.UsageError("No job is named", do="Name jobs by their ids, or an inbox for all of its jobs.")
    return jobs


def _inbox(settings: Settings, folder: Path | None) -> str:
    if folder is None:
        return ALL
    wanted = next((known for known in settings.folders if folder in {known.inbox, known.inbox.name}), None)
    wanted = wanted or next((known for known in settings.folders if known.inbox == folder.resolve()), None)
    if wanted is None:
        raise errors.UsageError(f"{folder} is no inbox of this configuration", do="`upscaled status` lists them.")
    return str(wanted.inbox)


def _tell(ledger: Ledger, said: Sequence[Said], *, as_json: bool) -> None:
    ledger.close()
    if as_json:
        _print_json([{"id": one.job, "source": one.source, "done": one.done, "text": one.text} for one in said])
    else:
        for one in said:
            typer.echo(f"{one.job} {printable(one.source)}: {one.text}")
        if not said:
            typer.echo("There is no such job.")
    raise typer.Exit(0 if all(one.done for one in said) else 1)


def last_line(settings: Settings) -> str:
    """Return how `once` leaves things: what is done, what waits and until when, and what needs a person."""
    ledger = Ledger.read(settings.state_dir)
    now = time.time()
    found = status.summary(ledger, inboxes=(), now=now, running=False)
    counts = ", ".join(f"{count} {standing}" for standing, count in found["jobs"].items() if count)
    waits = (
        f" {wait['jobs']} not before {status.clock(wait['until'])}: {wait['reason']}"
        for wait in found["waits"]
        if wait["until"] is not None
    )
    return "".join([f"{counts or 'Nothing to do'}.", *waits])
