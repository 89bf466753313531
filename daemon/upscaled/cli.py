"""Verbs and exit codes.

0 all well · 1 some job failed or is held · 2 usage or config · 3 the service refuses us · 4 state · 130/143 on signals.
Standard output carries what was asked for, and with ``--json`` JSON alone; logs and errors go to standard error.
"""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import gc
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

import upscaled
from upscaled import (
    app,
    building,
    config,
    doctor,
    engine_verbs,
    errors,
    guard,
    logs,
    loop,
    notify_verbs,
    present,
    service_verbs,
    status,
    verbs,
    why,
)
from upscaled.check import run_checks
from upscaled.config import Settings
from upscaled.demo import compare, prepare, unfit
from upscaled.engine.order import Tier
from upscaled.events import Subscriber
from upscaled.files.names import printable
from upscaled.inbox import mounts
from upscaled.job.calendar import periods
from upscaled.job.model import Job, Standing
from upscaled.ledger import Ledger, database
from upscaled.ledger.places import used_before
from upscaled.progress import Progress, reading, watch
from upscaled.threads import leave

WATCH_EVERY: Final = 0.5
"""Between two looks of `status --watch`, in seconds."""

cli = typer.Typer(
    name="upscaled",
    help="Drop pictures into a folder, get them back upscaled in another.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help="The configuration file; else $UPSCALED_CONFIG, ./upscaled.yaml, /etc/upscaled/config.yaml.",
    ),
]
PAGE = 200
"""How many jobs are listed unless more are asked for."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # Where they are closed, Python has None.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as we live
    sys.stderr = sys.stderr or sys.stdout
    try:
        code = cli(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except errors.UpscaledError as error:
        _complain(error)
        code = error.exit_code
    except OSError as error:
        code = _refused(error)
    except typer.Exit as exiting:
        code = exiting.exit_code
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if not hasattr(error, "show"):
            raise
        error.show()  # a usage error of the command line, with its own words
        code = getattr(error, "exit_code", 2)
    leave(code if isinstance(code, int) else 0)


_OUTPUT: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
"""What writing to the standard output may come to."""


def _refused(error: OSError) -> int:
    """Say what the system refused; return the exit code. Raises the error again where it does not say what that was."""
    if isinstance(error.filename, str | bytes):
        _complain(errors.UpscaledError(f"{printable(os.fsdecode(error.filename))}: {error.strerror}"))
    elif isinstance(error, FileNotFoundError):
        _complain(errors.UsageError("The current directory is not there any more", do="cd to another one."))
    elif error.errno in _OUTPUT:
        # What is left of the output would be tried, and complained of, once more at the very end.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            _complain(errors.UpscaledError(f"The output cannot be written: {error.strerror}"))
    else:
        raise error
    return errors.UpscaledError.exit_code


def _complain(error: errors.UpscaledError) -> None:
    if isinstance(error, errors.ConfigError):
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return
    print(f"upscaled: {error}", file=sys.stderr)


def _version(*, wanted: bool) -> None:
    if wanted:
        print(f"upscaled {upscaled.__version__}")
        raise typer.Exit


@cli.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(wanted=value), is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Drop pictures into a folder, get them back upscaled in another."""


def _load(path: Path | None, *, key: bool = True) -> Settings:
    return config.load(path, environ=os.environ, cwd=Path.cwd(), key=key)


def _print_json(data: Any) -> None:
    # ensure_ascii: a file name that is not UTF-8 is written as the escape it came in with.
    print(json.dumps(data, indent=2))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


# --- setting up ---


@cli.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to make the folders and upscaled.yaml.")] = Path(),
    config_file: ConfigOption = None,
    *,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Say that DIRECTORY is the right one although its marker is missing or another."),
    ] = False,
) -> None:
    """Write a config and the folders it names, asking nothing; what is there stays as it is."""
    if adopt:
        print(_adopt(directory, _load(config_file, key=False)))
        return
    made = config.initialise(directory, environ=os.environ)
    for path in made:
        print(f"made {path}")
    if not made:
        print(f"Everything is there already in {directory.resolve()}.")
    print(f"All settings with their defaults: {config.EXAMPLE}")
    print(f"Now run `upscaled run -c {directory.resolve() / 'upscaled.yaml'}` and drop a picture into its inbox.")


def _adopt(directory: Path, settings: Settings) -> str:
    """Have a configured directory known by the marker that it has, or give it the one that it should have."""
    # As configured, not resolved: the ledger knows directories by the names that the configuration gives them.
    wanted = {path: path for each in settings.folders for path in (each.inbox, each.outbox, each.archive, each.failed)}
    path = wanted.get(directory.absolute()) or next(
        (path for path in wanted if path.exists() and path.samefile(directory)), None
    )
    if path is None:
        raise errors.UsageError(
            f"{directory.absolute()} is no directory of {settings.path}",
            do="Name an inbox, outbox, archive or failed folder of the configuration; -c names another configuration.",
        )
    with closing(Ledger.join(settings.state_dir)) as ledger:
        return guard.adopt(ledger, path, now=time.time())


@cli.command()
def check(
    config_file: ConfigOption = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the names that are ignored, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check config, folders, rights, mounts, events, clock, key, model and price; change and spend nothing."""
    settings = _load(config_file)
    found = asyncio.run(_check(settings))
    found = found if verbose or as_json else doctor.brief(found)
    if as_json:
        _print_json([{"name": c.name, "ok": c.ok, "detail": c.detail, "remedy": c.remedy} for c in found])
    else:
        present.checks(_console(), found)
    raise typer.Exit(2 if any(c.ok is False for c in found) else 0)


async def _check(settings: Settings) -> list[Any]:
    table = mounts.read_mounts()

    def filesystem_of(path: Path) -> str:
        mount = mounts.mount_of(str(path), table)
        return mount.kind if mount else "unknown"

    async with building.asked_service(settings) as service:
        found = await run_checks(settings, service, filesystem_of=filesystem_of, is_network=mounts.is_network)
        skew, now = service.skew, time.time()
    ledger, trouble = _ledger_if_readable(settings.state_dir)
    if trouble is not None:
        found.append(doctor.unread(trouble))
    return found + await asyncio.to_thread(doctor.examine, settings, ledger, skew=skew, now=now)


def _ledger_if_readable(state_dir: Path) -> tuple[Ledger | None, errors.StateError | None]:
    """Return the ledger, for verbs that have something to say without it too, or why it cannot be read."""
    if not (state_dir / database.FILE).exists():
        return None, None
    try:
        return Ledger.read(state_dir), None
    except errors.StateError as error:
        return None, error


# --- working ---


@cli.command()
def run(config_file: ConfigOption = None) -> None:
    """Run the daemon."""
    app.hold_hang_ups()
    raise typer.Exit(_work(_ready(config_file), once=False))


@cli.command()
def once(config_file: ConfigOption = None) -> None:
    """Do what `run` does, and stop when nothing is left to do."""
    settings = _ready(config_file)
    code = _work(settings, once=True)
    print(printable(verbs.last_line(settings)))
    raise typer.Exit(code)


def _ready(config_file: Path | None) -> Settings:
    settings = _load(config_file)
    if problems := config.verify_folders(settings, awaited=used_before(settings.state_dir)):
        raise errors.ConfigError(problems)
    config.make_failed_folders(settings)
    return settings


def _work(settings: Settings, *, once: bool, quietly: bool = False) -> int:
    """Run the daemon with its logs, and with a live table for a run that ends by itself on a terminal."""
    # A watchdog that ends a process asks it with SIGABRT: what each thread was doing is worth a line then.
    faulthandler.enable(file=2)
    # What is loaded by now stays, and need not be looked through for garbage: that stalled the loop for 50 ms.
    gc.freeze()
    live = once and sys.stdout.isatty()
    level = "warning" if live or quietly else settings.log.level
    logs.configure(style=settings.log.format, level=level, secrets=settings.secrets)
    subscribers: list[Subscriber] = []
    with ExitStack() as stack:
        if live or quietly:
            read = reading(lambda: Ledger.read(settings.state_dir), since=time.time())
            console = Console(highlight=False, soft_wrap=not live)
            subscribers.append(stack.enter_context(Progress(console, read)))
        return loop.run(app.run(settings, once=once, subscribers=subscribers))


@cli.command()
def demo(
    pictures: Annotated[
        list[Path] | None, typer.Argument(help="Pictures to try it on; else a sample is drawn.")
    ] = None,
    tier: engine_verbs.TierOption = Tier.STANDARD,
) -> None:
    """Try it: upscale pictures on the built-in engine, through a temporary set of folders.

    Exit code 1 when one of them was not upscaled.
    """
    given = pictures or []
    refused = unfit(given)
    for picture, reason in refused.items():
        print(printable(f"{picture} is not upscaled: {reason}"))
    if given and len(refused) == len(set(given)):
        raise typer.Exit(1)
    directory = prepare([picture for picture in given if picture not in refused], tier)
    print(f"The folders are in {directory}; the built-in engine is at work.")
    settings = _load(directory / "upscaled.yaml")
    began = time.monotonic()
    code = _work(settings, once=True, quietly=True)
    ledger = Ledger.read(settings.state_dir)
    for job in ledger.jobs():
        if job.output is not None:
            print(f"{job.source} ({job.width}x{job.height}) -> {job.output} ({job.result_width}x{job.result_height})")
            print(f"  the original is now {job.archived}")
            print(f"  both side by side: {compare(Path(job.archived or job.source), Path(job.output))}")
        else:
            print(printable(f"{job.source} was not upscaled: {status.job_record(job)['reason']}"))
    print(f"That took {time.monotonic() - began:.1f} s. For your own folders: upscaled init DIR")
    raise typer.Exit(code or (1 if refused else 0))


# --- looking ---


@cli.command(name="status")
def status_(
    config_file: ConfigOption = None,
    *,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Show what a running daemon does.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Folders, counts, what runs, spending, and what needs a person."""
    settings = _load(config_file, key=False)
    if watching:
        _watch(settings, as_json=as_json)
        return
    ledger = Ledger.read(settings.state_dir)
    found = status.summary(
        ledger,
        inboxes=[str(folder.inbox) for folder in settings.folders],
        now=time.time(),
        running=database.owned(settings.state_dir),
    )
    _print_json(found) if as_json else present.summary(_console(), found)


def _watch(settings: Settings, *, as_json: bool) -> None:
    """Show what a running daemon does, from now on; what ended today counts."""
    if as_json:
        raise errors.UsageError("--watch is for people", do="Leave --json away, or read `status --json` repeatedly.")
    if not database.owned(settings.state_dir):
        raise errors.UsageError("upscaled is not running", do="Start it with `upscaled run`.")
    read = reading(lambda: Ledger.read(settings.state_dir), since=periods(time.time()).day)
    watch(_console(), read, running=lambda: database.owned(settings.state_dir), pause=lambda: time.sleep(WATCH_EVERY))


@cli.command()
def jobs(
    config_file: ConfigOption = None,
    *,
    standing: Annotated[Standing | None, typer.Option(help="Only jobs that stand so.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Only jobs of this inbox.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many, the newest; 0: all of them.")] = PAGE,
    before: Annotated[
        str | None, typer.Option(help="Only jobs that came before this one: the first of a page leads to the next.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """One row a job, oldest first; the newest 200 unless you ask for more."""
    settings = _load(config_file, key=False)
    ledger = Ledger.read(settings.state_dir)
    wanted = None if folder is None else _inbox(folder, settings, ledger)
    first = None if before is None else _found(ledger, before)
    found = ledger.jobs(standing=standing, folder=wanted, limit=limit + 1 if limit else -1, before=first)
    if limit and len(found) > limit:
        found = found[1:]
        print(f"There are older ones: upscaled jobs --before {found[0].id}", file=sys.stderr)
    records = [status.job_record(job) for job in found]
    _print_json(records) if as_json else present.jobs(_console(), records)


def _inbox(folder: Path, settings: Settings, ledger: Ledger) -> str:
    """Return an inbox by the name that its jobs have it by: one that is configured, or was and still has jobs."""
    configured = [str(each.inbox) for each in settings.folders]
    # A link in it may be the configuration's own, and may be the caller's.
    for name in (str(folder.absolute()), str(folder.resolve())):
        if name in configured or ledger.jobs(folder=name, limit=1):
            return name
    raise errors.UsageError(f"There is no inbox {folder}", do=f"Inboxes are: {', '.join(configured)}")


def _found(ledger: Ledger, job: str) -> Job:
    found = ledger.job(job)
    if found is None:
        raise errors.UsageError(f"There is no one job {job}", do="`upscaled jobs --limit 0` lists them all.")
    return found


@cli.command()
def show(
    job: Annotated[str, typer.Argument(help="The job's id, or as much of it as is its alone.")],
    config_file: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """A job's whole story."""
    ledger = Ledger.read(_load(config_file, key=False).state_dir)
    found = _found(ledger, job)
    record = status.story(ledger, found)
    _print_json(record) if as_json else present.story(_console(), record)


verbs.add_to(cli)
engine_verbs.add_to(cli)
service_verbs.add_to(cli)
notify_verbs.add_to(cli)


@cli.command(name="why")
def why_(
    path: Annotated[Path, typer.Argument(help="A file in an inbox, or one that was.")],
    config_file: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell why a file is not upscaled (yet): the readiness gate step by step, and the plan for it.

    Exit code 0 when it is taken, or will be; 1 when it is stuck or refused.
    """
    settings = _load(config_file, key=False)
    ledger, trouble = _ledger_if_readable(settings.state_dir)
    if trouble is not None:
        print(f"Told without the ledger. {trouble}", file=sys.stderr)
    answer = why.explain(path, settings, why.World(ledger, running=database.owned(settings.state_dir)))
    if as_json:
        _print_json(answer.record())
    else:
        print(*answer.lines(), sep="\n")
    raise typer.Exit(0 if answer.well else 1)
