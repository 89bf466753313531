"""The verbs of the service and its key: `service install | uninstall | logs`, `key` and `key set`.

Separate from `upscaled.cli`, which would be too long with them; it adds them to its own.
"""

from __future__ import annotations

import dataclasses
import getpass
import os
import pwd
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from upscaled import config, errors
from upscaled.config import Settings, credentials
from upscaled.config.findings import Findings
from upscaled.config.paths import SYSTEM_FILE, SYSTEM_STATE
from upscaled.config.settings import ROLES
from upscaled.inbox import mounts
from upscaled.systemd import installed, keys, layout, setup, units
from upscaled.systemd.layout import DAEMON, ONCE, TIMER, USER, Layout

ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", help="The configuration file.")]
UserOption = Annotated[bool, typer.Option("--user", help="For yourself alone, not for the whole machine.")]
RunAsOption = Annotated[
    str | None,
    typer.Option("--run-as", help=f"The account that the machine's service runs as: as before, else {USER}."),
]
PrintOption = Annotated[bool, typer.Option("--print", help="Only show the files and commands.")]

service = typer.Typer(no_args_is_help=True, help="Install upscaled as a service of systemd.", rich_markup_mode=None)
key = typer.Typer(invoke_without_command=True, help="Where the service's key is kept.", rich_markup_mode=None)


def add_to(cli: typer.Typer) -> None:
    """Add these verbs to a command line."""
    cli.add_typer(service, name="service")
    cli.add_typer(key, name="key")


# --- the service -----------------------------------------------------------------------------------------------------


@service.command()
def install(
    config_file: ConfigOption = None,
    *,
    user: UserOption = False,
    once: Annotated[bool, typer.Option("--once", help="Run each night, not all the time.")] = False,
    run_as: RunAsOption = None,
    print_: PrintOption = False,
) -> None:
    """Write the units, open the configured folders to them, and start. Run it again after a change of the folders."""
    if user and (once or run_as):
        raise errors.UsageError(
            "--user goes with neither --once nor --run-as",
            do="Leave out --user for a service of the whole machine.",
        )
    place = _layout(user=user)
    account = run_as or installed.account(place, once=once)
    settings = _settings(config_file, place, account)
    wanted = _wanted(settings, account=account, once=once)
    if print_:
        _show(wanted, place)
        return
    setup.require(place)
    _require_account(account)
    unset = _unset(settings, place, account)
    start = not unset and _has_key(settings, place, account)
    for line in setup.install(wanted, place, start=start):
        typer.echo(line)
    if account not in {USER, run_as}:
        typer.echo(f"It runs as {account}, as before. To have an account of its own: --run-as {USER}")
    if not place.personal:
        for line in setup.unable(wanted):
            typer.echo(f"! {line}")
    if unset:
        raise errors.ConfigError(unset)
    _tell_how_it_is(settings, place, once=once, started=start)


def _show(wanted: units.Wanted, place: Layout) -> None:
    for placed in units.files(wanted, place):
        typer.echo(f"### {placed.path}\n{placed.text}")
    for command in setup.commands(wanted, place, start=True, changed=True):
        typer.echo(f"### {' '.join(command)}")


def _tell_how_it_is(settings: Settings, place: Layout, *, once: bool, started: bool) -> None:
    unit = TIMER if once else DAEMON
    mine = " --user" if place.personal else ""
    if started or once:
        typer.echo(f"{unit} is installed and started. Drop a picture into {settings.folders[0].inbox}.")
    if not started:
        typer.echo(f"{settings.service.url} needs a key before anything can run: upscaled key set{mine}")
    typer.echo(f"What it says: upscaled service logs{mine}. How it is: upscaled status -c {settings.path}")
    if not place.personal and settings.path != SYSTEM_FILE and ("state_dir",) not in settings.marks.lines:
        typer.echo(f"For `upscaled status` to find its ledger, add to {settings.path}: state_dir: {SYSTEM_STATE}")
    if place.personal:
        typer.echo("To have it run while you are not logged in: loginctl enable-linger")
    typer.echo(f"To undo all this: upscaled service uninstall{mine}")


@service.command()
def uninstall(*, user: UserOption = False, print_: PrintOption = False) -> None:
    """Stop the service and remove what `install` and `key set` made; the state and your pictures stay."""
    place = _layout(user=user)
    if print_:
        for path in filter(os.path.lexists, place.everything()):
            typer.echo(f"would remove {path}")
        return
    setup.require(place)
    state = _state(place)
    done = list(setup.uninstall(place))
    for line in done or ["There was no service to remove."]:
        typer.echo(line)
    typer.echo(_what_stays(place, state))


def _state(place: Layout) -> Path:
    """Return where the installed service keeps its state: where its configuration says, if that can be read still."""
    seen = _seen(place, installed.account(place, once=False))
    with suppress(errors.ConfigError):
        if (file := installed.configuration(place)) is not None:
            return config.load(file, environ=os.environ | seen, cwd=Path.cwd(), key=False).state_dir
    return config.default_state_dir(seen)


def _what_stays(place: Layout, state: Path) -> str:
    if place.personal:
        return f"Your configuration stays, and the state in {state}: what was paid, and every job's story."
    stays = [str(path) for path in dict.fromkeys((state, SYSTEM_STATE, place.etc)) if path.exists()]
    account = [f"the account {USER}, which owns it (userdel {USER})"] if _account(USER) else []
    return (
        f"What stays: {', '.join([*stays, *account]) or 'nothing'}. The state is what was paid and every job's story;"
        " the folders keep their marker files, named .upscaled. Remove them if you are sure."
    )


@service.command()
def logs(
    *,
    user: UserOption = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on showing what is said.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", help="At most so many, the newest.")] = 100,
) -> None:
    """Show what the service said, from the journal."""
    unit = "--user-unit" if user else "--unit"
    command = ["journalctl", unit, DAEMON, unit, ONCE, f"--lines={lines}", "--output=short-iso"]
    if shutil.which(command[0]) is None:
        raise errors.UsageError("There is no journalctl here", do="Look where your system keeps its logs.")
    sys.stdout.flush()
    os.execvp(command[0], [*command, *(["--follow"] if follow else ["--no-pager"])])  # noqa: S606 - it takes over


# --- the key ---------------------------------------------------------------------------------------------------------


@key.callback()
def where(context: typer.Context, config_file: ConfigOption = None) -> None:
    """Tell where the key comes from, and never the key."""
    if context.invoked_subcommand is not None:
        return
    settings = config.load(config_file, environ=os.environ, cwd=Path.cwd())
    found = settings.service
    typer.echo(f"The key for {found.url} is from {found.key_source}." if found.api_key else f"{found.url} needs none.")
    if (problem := config.exposed_key(settings)) is not None:
        typer.echo(f"! {problem}")


@key.command(name="set")
def set_(*, user: UserOption = False) -> None:
    """Store the service's key, read from the terminal without showing it, or from standard input."""
    place = _layout(user=user or os.geteuid() != 0)
    secret = _ask()
    try:
        typer.echo(f"The key is in {keys.store(secret, place)}.")
        _hand_over(place)
    except OSError as error:
        why, do = error.strerror or "", "Correct the rights there, or use --user."
        raise errors.UsageError(f"The key cannot be stored in {place.etc}", why=why, do=do) from error


def _ask() -> str:
    text = getpass.getpass("The key (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    findings = Findings("")
    found = credentials.checked(text, (), "the key", findings)
    if found is None:
        raise errors.UsageError(findings.problems[0].message.capitalize(), do=findings.problems[0].remedy)
    return found.get_secret_value()


def _hand_over(place: Layout) -> None:
    """Have the installed service use the stored key."""
    there = [unit for unit in (DAEMON, ONCE) if (place.units / unit).exists()]
    for unit in there:
        dropin = place.dropin(unit, layout.KEY_DROPIN)
        text = None if place.personal else units.key_dropin(place, unit)
        if text is not None and setup.write(units.Placed(dropin, text)):
            typer.echo(f"wrote {dropin}")
    if there and setup.BOOTED.is_dir():
        setup.run((*place.systemctl, "daemon-reload"))
        if DAEMON in there and setup.run((*place.systemctl, "restart", DAEMON)):
            typer.echo(f"{DAEMON} is started with it.")


# --- what they need to know ------------------------------------------------------------------------------------------


def _layout(*, user: bool) -> Layout:
    if not user:
        return layout.of_machine()
    return layout.of_person(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"))


def _settings(config_file: Path | None, place: Layout, account: str) -> Settings:
    """Load the configuration as the service will: its paths mean the same to both."""
    return config.load(config_file, environ=os.environ | _seen(place, account), cwd=Path.cwd(), key=False)


def _seen(place: Layout, account: str) -> dict[str, str]:
    """Return the environment that the service will see. What else this shell's holds, it will not."""
    if place.personal:
        own = {name: os.environ[name] for name in _OF_PERSONS if name in os.environ}
    else:
        own = {"HOME": _home(account), "USER": account, "LOGNAME": account, "STATE_DIRECTORY": str(SYSTEM_STATE)}
    return own | installed.variables(place)


_OF_PERSONS: Final = ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")


def _home(account: str) -> str:
    """Return an account's home; for one without, what no path can begin with: who writes ``~`` then is told."""
    # What systemd calls the home of the program's own account is its state directory, which is no place for pictures.
    with suppress(KeyError):
        return f"~{USER}" if account == USER else pwd.getpwnam(account).pw_dir
    return f"~{account}"


def _wanted(settings: Settings, *, account: str, once: bool) -> units.Wanted:
    assert settings.path is not None
    groups = [*([getattr(folder, role) for role in ROLES] for folder in settings.folders), [settings.state_dir]]
    # As they are written and where links lead: what is open to the service is decided there, and a disk needed at both.
    views = [view for group in groups for view in (group, [Path(os.path.realpath(path)) for path in group])]
    opened = tuple(dict.fromkeys(path for view in views for path in units.opened(view)))
    table = mounts.read_mounts()

    def on_a_share(path: Path) -> bool:
        mount = mounts.mount_of(str(path), table)
        return mount is not None and mounts.is_network(mount.kind)

    awaited = tuple(path for path in opened if not on_a_share(path))
    return units.Wanted(_command(), settings.path, units.outermost(opened), awaited, account, once)


def _command() -> Path:
    """Return the program as it was called: the one beside the interpreter, else the one on the search path."""
    beside = Path(sys.executable).with_name("upscaled")
    found = str(beside) if beside.exists() else shutil.which("upscaled")
    if found is None:
        raise errors.UsageError("The command upscaled is not on the search path", do="Install it with pipx or pip.")
    return Path(found).absolute()


def _unset(settings: Settings, place: Layout, account: str) -> list[errors.Problem]:
    """Return what is wrong with the configuration for the service alone: variables that only this shell has."""
    try:
        config.load(settings.path, environ=_seen(place, account), cwd=Path.cwd(), key=False)
    except errors.ConfigError as error:
        do = (
            "The service sees none of this shell's variables, and cannot run without this one. Write NAME=VALUE into"
            f" {place.environment} (chmod 600), and install again."
        )
        return [dataclasses.replace(problem, remedy=do) for problem in error.problems]
    return []


def _has_key(settings: Settings, place: Layout, account: str) -> bool:
    """Will the service find a key, or need none? All else of the configuration is well."""
    if settings.service.embedded or place.key.exists() or place.encrypted_key.exists():
        return True
    try:
        config.load(settings.path, environ=_seen(place, account), cwd=Path.cwd())
    except errors.ConfigError:
        return False
    return True


def _require_account(name: str) -> None:
    if name != USER and not _account(name):
        raise errors.UsageError(f"There is no account {name}", do=f"Name one that is there, or --run-as {USER}.")


def _account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
