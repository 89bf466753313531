from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from upscaled.errors import UsageError
from upscaled.systemd import installed, layout, setup, units

UNITS = Path(__file__).parents[2] / "systemd"

SERVICES = sorted(UNITS.glob("*.service"))

MACHINE = ("upscaled.service", "upscaled-once.service")

EXPOSURE = 1.5
"""The most that `systemd-analyze security` may say of a unit of the machine."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def verify(files: list[Path], *options: str, runtime: Path) -> tuple[int, str]:
    """Have systemd read unit files; return its exit code and what it has to say."""
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    command = ["systemd-analyze", "verify", *options, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    return done.returncode, done.stderr


def wanted(**others: object) -> units.Wanted:
    """Return an installation with odd paths in it; the command is one that is there."""
    odd = (Path("/srv/my photos"), Path('/srv/10 % "best"'), Path("/srv/back\\slash"), Path("/srv/$HOME"))
    values = {"command": Path("/bin/true"), "config": odd[0] / "up.yaml", "writable": odd, "awaited": odd} | others
    return units.Wanted(**values)  # type: ignore[arg-type]


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """What systemd warns about, it warns about on every user's machine."""
    # The command need not be installed where the unit is checked, but it must be a command.
    lines = unit.read_text("utf-8").splitlines()
    text = "\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in lines)
    copy = tmp_path / unit.name
    copy.write_text(text, "utf-8")
    options = ["--user"] if "user" in unit.name else []

    assert (0, "") == verify([copy], *options, runtime=tmp_path)


@needs_systemd
@pytest.mark.parametrize("once", [False, True])
def test_systemd_accepts_what_is_installed(once: bool, tmp_path: Path) -> None:
    """With every odd path quoted as systemd reads it; the timer finds its service."""
    place = layout.of_machine(tmp_path)
    for placed in units.files(wanted(once=once), place):
        placed.path.parent.mkdir(parents=True, exist_ok=True)
        placed.path.write_text(placed.text, "utf-8")
    found = [path for path in place.units.iterdir() if path.is_file()]

    assert (0, "") == verify(found, runtime=tmp_path)


@needs_systemd
@pytest.mark.parametrize("name", MACHINE)
def test_the_machines_units_expose_little(name: str) -> None:
    """A daemon that decodes strangers' files should be able to do no harm with what it was tricked into."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNITS / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    exposure = float(done.stdout.rsplit("Overall exposure level for", 1)[1].split(":")[1].split()[0])
    assert exposure <= EXPOSURE


def test_the_units_are_where_the_program_finds_them() -> None:
    """The package has the directory of the source tree, not copies that would fall behind."""
    for unit in SERVICES:
        assert unit.read_text("utf-8") == units.packaged(unit.name)


def test_a_person_s_service_and_shell_agree_on_the_state_directory() -> None:
    """Systemd 252 would name another one to the service than `upscaled status` takes in a shell."""
    settings = units.packaged("upscaled-user.service").splitlines()

    assert not [line for line in settings if line.startswith(("StateDirectory=", "ProtectHome=", "ProtectSystem="))]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_unit_reads_the_file_with_a_person_s_variables(unit: Path) -> None:
    """The one that `service install` names; it need not be there."""
    place, etc = layout.of_machine(), "%E/upscaled" if "user" in unit.name else "/etc/upscaled"

    assert f"EnvironmentFile=-{etc}/{place.environment.name}" in unit.read_text("utf-8").splitlines()


def test_one_directory_around_all_is_opened_so_that_originals_can_be_renamed() -> None:
    """Mounts of their own would make a copy of every move."""
    names = ("in", "out", "archive", "failed")

    assert [Path("/srv/photos")] == units.opened([Path("/srv/photos", name) for name in names])
    assert [Path("/home/ann/up")] == units.opened([Path("/home/ann/up", name) for name in names])


@pytest.mark.parametrize("around", ["/", "/srv", "/home/ann", "/var/lib", "/tmp/x"])
def test_what_holds_more_than_pictures_is_not_opened_as_a_whole(around: str) -> None:
    """A home has keys in it, and /var everything."""
    apart = [Path(around, name) for name in ("in", "out", "archive", "failed")]

    assert apart == units.opened(apart)


def test_what_lies_in_an_opened_directory_is_not_opened_again() -> None:
    """Siblings whose names begin alike are apart."""
    paths = [Path("/srv/photos/in"), Path("/srv/photos"), Path("/srv/photos2"), Path("/data/in")]

    assert (Path("/srv/photos"), Path("/srv/photos2"), Path("/data/in")) == units.outermost(paths)


@pytest.mark.parametrize("name", ["new\nline", "bell\a", os.fsdecode(b"\xff")])
def test_a_path_that_no_unit_can_hold_is_refused_by_name(name: str) -> None:
    """A unit file is UTF-8 text with one setting a line."""
    with pytest.raises(UsageError, match="cannot hold the path"):
        units.quoted(Path("/srv", name))


@pytest.mark.parametrize("once", [False, True])
def test_the_configuration_s_path_is_read_back_as_it_was(once: bool, tmp_path: Path) -> None:
    """However it had to be written."""
    place = layout.of_machine(tmp_path)
    for path in (*wanted().writable, Path("/etc/upscaled/config.yaml"), Path("/srv/it's")):
        for placed in units.files(wanted(config=path, once=once), place):
            setup.write(placed)

        assert path == installed.configuration(place)


def test_a_dollar_sign_in_the_configuration_s_path_is_no_variable() -> None:
    """Systemd expands variables in arguments, and in those alone."""
    [unit, dropin, *_] = units.files(wanted(config=Path("/srv/$HOME/up.yaml")), layout.of_machine())

    assert 'ExecStart=/bin/true run -c "/srv/$$HOME/up.yaml"' in unit.text
    assert 'ReadWritePaths="-/srv/$HOME"' in dropin.text
