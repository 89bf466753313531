from __future__ import annotations

import io
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.support.configs import FOLDER, GOOD
from tests.test_cli import call
from upscaled.config import credentials
from upscaled.systemd import keys, layout, setup

REMOTE = FOLDER + "service: {url: 'http://nas:8766'}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own, in which no key is stored, and none anywhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "WAVESPEED_API_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(credentials, "SYSTEM", tmp_path / "etc")
    monkeypatch.setattr(setup, "BOOTED", tmp_path / "no systemd")
    monkeypatch.setattr(keys, "encrypted", lambda key: None)
    (tmp_path / "upscaled.yaml").write_text(REMOTE, "utf-8")
    return tmp_path


@pytest.fixture
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine that systemd seems to run, and return its root directory; every command of it succeeds."""
    root = home / "machine"
    place = layout.of_machine(root)
    root.mkdir()
    monkeypatch.setattr(setup, "BOOTED", root)
    monkeypatch.setattr(layout, "of_machine", lambda: place)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", ""))
    (home / "upscaled.yaml").write_text(GOOD, "utf-8")
    return root


def install(home: Path, *options: str) -> int:
    """Install the service of the machine."""
    return call("service", "install", "-c", str(home / "upscaled.yaml"), *options)


def test_a_stored_key_is_used_and_its_place_told_and_never_the_key(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from standard input, so that it is in no history and no list of processes."""
    config = str(home / "upscaled.yaml")
    assert 2 == call("key", "-c", config)
    assert "upscaled key set" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(" sesame\n"))

    assert 0 == call("key", "set", "--user")
    assert 0 == call("key", "-c", config)

    told = capsys.readouterr()
    stored = home / ".config" / "upscaled" / "wavespeed-api-key"
    assert "sesame\n" == stored.read_text("utf-8")
    assert f"from the stored key {stored}" in told.out
    assert "sesame" not in told.out + told.err


def test_the_environment_s_key_comes_before_a_stored_one(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets a variable for one command means it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("sesame"))
    assert 0 == call("key", "set", "--user")
    monkeypatch.setenv("WAVESPEED_API_KEY", "other")

    assert 0 == call("key", "-c", str(home / "upscaled.yaml"))

    assert "the variable WAVESPEED_API_KEY" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "two words\n", "caf\u00e9\n"])
def test_what_is_no_key_is_not_stored(
    text: str, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not repeated in the refusal."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    assert 2 == call("key", "set", "--user")

    assert not (home / ".config").exists()
    assert "two words" not in capsys.readouterr().err


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
def test_a_key_that_everybody_may_read_in_the_configuration_is_warned_about(
    mode: int, warned: bool, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one that only stands there as a variable."""
    config = home / "upscaled.yaml"
    config.write_text(FOLDER + "service: {url: 'http://nas:8766', api_key: sesame}\n", "utf-8")
    config.chmod(mode)

    assert 0 == call("key", "-c", str(config))

    told = capsys.readouterr().out
    assert warned == ("everybody on this machine may read" in told)
    assert "sesame" not in told


def test_a_variable_in_the_configuration_is_no_secret_in_it(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may read the file, and learns nothing."""
    config = home / "upscaled.yaml"
    config.write_text(FOLDER + "service: {url: 'http://nas:8766', api_key: '${MINE}'}\n", "utf-8")
    monkeypatch.setenv("MINE", "sesame")

    assert 0 == call("key", "-c", str(config))

    assert "may read" not in capsys.readouterr().out


def test_what_only_reads_the_ledger_needs_no_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may look at the state need not be allowed to read the key."""
    assert 4 == call("status", "-c", str(home / "upscaled.yaml"))

    assert "There is no ledger" in capsys.readouterr().err


def test_the_files_are_shown_without_touching_anything(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To be read before it is done, or to be put in place by other means."""
    before = sorted(home.rglob("*"))

    assert 0 == call("service", "install", "--print", "-c", str(home / "upscaled.yaml"))

    told = capsys.readouterr().out
    assert before == sorted(home.rglob("*"))
    assert "### /etc/systemd/system/upscaled.service\n" in told
    assert f"run -c {home / 'upscaled.yaml'}" in told
    assert "### systemctl daemon-reload" in told


def test_installing_again_keeps_the_account_and_says_so(
    home: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new folder is no wish for other owners of the results. An account that is named is taken."""
    dropins = {unit: machine / f"etc/systemd/system/{unit}.d/50-folders.conf" for unit in (layout.DAEMON, layout.ONCE)}
    assert 0 == install(home, "--run-as", "nobody")
    assert "as before" not in capsys.readouterr().out

    assert 0 == install(home)
    assert "It runs as nobody, as before" in capsys.readouterr().out
    assert "\nUser=nobody\n" in dropins[layout.DAEMON].read_text("utf-8")

    assert 0 == install(home, "--once")
    assert "\nUser=nobody\n" in dropins[layout.ONCE].read_text("utf-8")

    assert 0 == install(home, "--run-as", "upscaled")
    assert "User=" not in dropins[layout.DAEMON].read_text("utf-8")


@pytest.mark.parametrize("user", [False, True])
def test_a_variable_that_only_the_shell_has_is_named_with_the_file_for_it(
    user: bool, home: Path, machine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no missing key; with the variable in that file, the service is started."""
    monkeypatch.setenv("PAGE_TOKEN", "from the shell")
    key = "service: {url: 'http://nas:8766', api_key: sesame}\n"
    (home / "upscaled.yaml").write_text(
        FOLDER + key + "dashboard: {listen: ':8765', token: '${PAGE_TOKEN}'}\n", "utf-8"
    )
    etc = home / ".config" / "upscaled" if user else machine / "etc" / "upscaled"
    options = ["--user"] if user else []

    assert 2 == install(home, *options)

    told = capsys.readouterr()
    assert 1 == told.err.count("dashboard.token")
    assert "the variable PAGE_TOKEN is not set" in told.err
    assert f"NAME=VALUE into {etc / 'environment'}" in told.err
    assert "needs a key" not in told.out + told.err
    assert "restart upscaled.service" not in told.out
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "environment").write_text("# for the page\n\nPAGE_TOKEN = 'a token of its own'\n", "utf-8")

    assert 0 == install(home, *options)

    assert "start upscaled.service" in capsys.readouterr().out


def test_a_key_that_is_missing_is_told_as_that(home: Path, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a command of its own, and what is installed waits for it."""
    (home / "upscaled.yaml").write_text(REMOTE, "utf-8")

    assert 0 == install(home)

    told = capsys.readouterr().out
    assert "needs a key before anything can run: upscaled key set" in told
    assert "start upscaled.service" not in told


def test_a_home_in_the_configuration_is_that_of_whom_the_service_runs_as(
    home: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root, who installs it, has another."""
    theirs = Path(pwd.getpwnam("nobody").pw_dir)
    (home / "upscaled.yaml").write_text(GOOD.replace(": in\n", ": ~/photos/in\n"), "utf-8")

    assert 0 == install(home, "--run-as", "nobody")

    dropin = machine / "etc/systemd/system/upscaled.service.d/50-folders.conf"
    assert f"ReadWritePaths=-{theirs}/photos/in\n" in dropin.read_text("utf-8")
    assert str(home / "photos") not in dropin.read_text("utf-8")


@pytest.mark.parametrize(
    ("key", "text"),
    [("folders[0].inbox", GOOD.replace(": in\n", ": ~/in\n")), ("state_dir", GOOD + "state_dir: ~/in\n")],
)
def test_a_home_in_the_configuration_is_refused_where_the_service_has_none(
    key: str, text: str, home: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its key, and before anything is written."""
    (home / "upscaled.yaml").write_text(text, "utf-8")

    assert 2 == install(home)

    told = capsys.readouterr().err
    assert f'{key}: "~/in" is in the home of the user upscaled, and there is none' in told
    assert [] == list(machine.iterdir())


@pytest.mark.parametrize("user", [False, True])
def test_uninstalling_names_the_state_that_is_configured(
    user: bool, home: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what was paid, wherever it lies."""
    (home / "upscaled.yaml").write_text(GOOD + "state_dir: elsewhere\n", "utf-8")
    (home / "elsewhere").mkdir()
    options = ["--user"] if user else []
    assert 0 == install(home, *options)

    assert 0 == call("service", "uninstall", *options)

    assert str(home / "elsewhere") in capsys.readouterr().out


def test_uninstalling_does_without_the_configuration(
    home: Path, machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be gone first, and the unit be none that we wrote."""
    assert 0 == install(home, "--user")
    (home / "upscaled.yaml").unlink()
    unit = home / ".config/systemd/user/upscaled.service"
    unit.write_text(unit.read_text("utf-8") + 'ExecStart="\n', "utf-8")

    assert 0 == call("service", "uninstall", "--user")

    assert str(home / ".local/state/upscaled") in capsys.readouterr().out


def test_a_link_is_opened_and_awaited_where_it_leads_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its target lies elsewhere than under what is opened, and would be read-only to the service."""
    real, lnk = Path("/elsewhere/inbox"), home / "lnk"
    lnk.mkdir()
    (lnk / "in").symlink_to(real)
    (lnk / "upscaled.yaml").write_text(REMOTE, "utf-8")

    assert 0 == call("service", "install", "--print", "-c", str(lnk / "upscaled.yaml"))

    lines = capsys.readouterr().out.splitlines()
    assert {f"ReadWritePaths=-{path}" for path in (lnk, real, "/var/lib/upscaled")} == {
        line for line in lines if line.startswith("ReadWritePaths=")
    }
    assert {f"RequiresMountsFor={lnk}", f"RequiresMountsFor={real}"} <= set(lines)


def test_without_systemd_it_says_what_to_do_instead(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a NAS or in a container."""
    assert 2 == call("service", "install", "-c", str(home / "upscaled.yaml"))

    assert "--print" in capsys.readouterr().err
