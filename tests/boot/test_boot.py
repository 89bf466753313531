"""The service on a booted systemd, as a person would install, use and remove it. One story: the tests are its chapters.

Run with ``pytest -m boot``; what the machine said is kept in ``UPSCALED_BOOT_LOG``, else beside the test's own files.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.boot.machine import Machine, why_not
from tests.support.house import digest, picture
from tests.support.service import ApiServer, Settings, serve

pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]

UNIT = "upscaled.service"
CONFIG = "/etc/upscaled/config.yaml"


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """Run the test service on the host, which the machine shares its network with."""
    with serve(Settings(latency=0.5)) as running:
        yield running


class Installed:
    """The machine and upscaled in it; ``photos`` is its picture directory as the host sees it."""

    def __init__(self, machine: Machine, server: ApiServer) -> None:
        self.machine = machine
        self.server = server
        self.run = machine.run
        self.photos = machine.files / "srv/photos"
        self.originals: dict[str, str] = {}
        self.before: set[str] = set()
        folder = {role: f"/srv/photos/{role}" for role in ("inbox", "outbox", "archive", "failed")}
        self.document: dict[str, Any] = {
            "service": {"url": server.url, "poll_min": "200ms", "max_in_flight": 8},
            "profiles": {"default": {"target_resolution": "2k"}},
            "folders": [{**folder, "settle": "0s", "sweep": "1s"}],
        }

    def write(self) -> None:
        """Write the configuration as the document now says."""
        path = self.machine.files / CONFIG.lstrip("/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(self.document), "utf-8")

    def drop(self, name: str, *, inbox: str = "inbox") -> None:
        """Drop a new picture, as somebody whose files others may read and write."""
        made = picture(self.photos / inbox / f".{name}", seed=len(self.originals), format="JPEG")
        made.chmod(0o666)
        self.originals[name] = digest(made)
        made.rename(made.with_name(name))

    def done(self) -> bool:
        """Is every picture that was dropped in the archive as it was, its result in the outbox?"""
        archived = {p.name: digest(p) for p in self.photos.glob("archive*/**/*.jpg")}
        results = {p.name for p in self.photos.glob("outbox*/**/*.jpg")}
        return self.originals == archived and self.originals.keys() == results

    def paid_once(self) -> None:
        """Assert that each picture was paid once."""
        counts = self.server.stats()["by_image"]
        assert len(self.originals) == len(counts)
        assert {1} == set(counts.values())

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return self.run("systemctl", "show", UNIT, "-P", name, check=False)

    def status(self) -> dict[str, Any]:
        """Return what `upscaled status` says to an operator."""
        found: dict[str, Any] = json.loads(self.run("upscaled", "status", "--json", "-c", CONFIG))
        return found

    def everything(self) -> set[str]:
        """Return every file of the machine but those that systems write by themselves."""
        elsewhere = ("proc", "sys", "dev", "run", "tmp", "var/log", "var/tmp", "var/cache", "srv", "var/lib/systemd")
        prune = [word for path in elsewhere for word in ("-path", f"/{path}", "-prune", "-o")]
        found = self.run("find", "/", "-xdev", *prune, "-print")
        return {line for line in found.splitlines() if "__pycache__" not in line and not line.endswith("-")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, server: ApiServer) -> Iterator[Installed]:
    """Boot a machine for the whole story."""
    if why := why_not():
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("boot")
    log = Path(os.environ.get("UPSCALED_BOOT_LOG") or directory / "boot.log")
    machine = Machine(directory, log)
    try:
        machine.prepare()
        machine.boot()
        story = Installed(machine, server)
        yield story
        machine.run("journalctl", "--no-pager", "-o", "short-monotonic", "-u", UNIT, check=False)
    finally:
        machine.off()
        sys.stderr.write(f"The machine's log: {log}\n")
        shutil.rmtree(directory / "upper", ignore_errors=True)


def test_it_is_installed_with_its_key_and_says_what_it_may_not_do(installed: Installed) -> None:
    """The folders belong to root at first: that is said, and mended without a restart."""
    for role in ("inbox", "outbox", "archive", "failed", "inbox2", "outbox2", "archive2", "failed2"):
        (installed.photos / role).mkdir(parents=True)
    installed.write()
    installed.before = installed.everything()

    unkeyed = installed.run("upscaled", "service", "install")
    assert "upscaled key set" in unkeyed
    assert "inactive" == installed.run("systemctl", "is-active", UNIT, check=False)
    stored = installed.run("upscaled", "key", "set", text=f"{installed.server.key}\n")
    again = installed.run("upscaled", "service", "install")

    assert "encrypted for this machine" in stored
    assert installed.server.key not in stored + unkeyed + again
    assert "upscaled may not write in /srv/photos" in again
    assert "the stored key /etc/upscaled/wavespeed-api-key.cred" in installed.run("upscaled", "key")
    installed.run("chown", "-R", "upscaled:", "/srv/photos")
    (installed.photos / "inbox").chmod(0o777)
    assert "active" == installed.run("systemctl", "is-active", UNIT)
    installed.machine.becomes(lambda: "1 folders; 0 under way" in installed.show("StatusText"))
    assert "online" == installed.status()["folders"][0]["state"]
    key = installed.run("grep", "-rl", installed.server.key, "/etc", "/var/lib/upscaled", check=False)
    assert "" == key


def test_installing_again_disturbs_nothing(installed: Installed) -> None:
    """The same process goes on."""
    pid = installed.show("MainPID")

    assert "wrote" not in installed.run("upscaled", "service", "install")

    assert pid == installed.show("MainPID") != "0"


def test_a_picture_comes_out_and_belongs_to_the_service(installed: Installed) -> None:
    """Through everything that the unit forbids; the original is renamed, and keeps its owner."""
    installed.drop("first.jpg")
    inode = (installed.photos / "inbox/first.jpg").stat().st_ino

    installed.machine.becomes(installed.done)

    installed.paid_once()
    assert inode == (installed.photos / "archive/first.jpg").stat().st_ino
    assert "upscaled" == installed.run("stat", "-c", "%U", "/srv/photos/outbox/first.jpg")


def test_its_words_are_in_the_journal_and_logs_shows_them(installed: Installed) -> None:
    """The newest lines, as many as are asked for; and one that follows goes on."""
    said = installed.run("upscaled", "service", "logs", "-n", "50")
    assert "job.done" in said
    assert "first.jpg" in said
    assert installed.server.key not in said
    assert 2 == len(installed.run("upscaled", "service", "logs", "-n", "2").splitlines())
    command = ("timeout", "6", "upscaled", "service", "logs", "-f", "-n", "0")
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(installed.run, *command, check=False)
        time.sleep(2)  # until it follows
        installed.drop("followed.jpg")
        assert "followed.jpg" in followed.result()
    installed.machine.becomes(installed.done)


def test_a_killed_daemon_is_restarted_and_finishes_what_it_had_paid(installed: Installed) -> None:
    """SIGKILL while predictions are under way."""
    installed.server.world.set(latency=4.0)
    for n in range(3):
        installed.drop(f"killed-{n}.jpg")
    installed.machine.becomes(lambda: len(installed.server.world.in_flight()) == 3)

    installed.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)

    installed.machine.becomes(lambda: installed.show("NRestarts") == "1" and installed.show("ActiveState") == "active")
    installed.machine.becomes(installed.done)
    installed.paid_once()
    installed.server.world.set(latency=0.5)


def test_a_good_configuration_is_taken_and_a_bad_one_is_not(installed: Installed) -> None:
    """By the same process, which tells systemd when the reload is over."""
    pid = installed.show("MainPID")
    more = {role: f"/srv/photos/{role}2" for role in ("inbox", "outbox", "archive", "failed")}
    installed.document["folders"].append({**more, "settle": "0s", "sweep": "1s"})
    installed.write()
    (installed.photos / "inbox2").chmod(0o777)

    installed.run("systemctl", "reload", UNIT)

    installed.machine.becomes(lambda: installed.show("StatusText").startswith("2 folders"))
    installed.drop("second.jpg", inbox="inbox2")
    installed.machine.becomes(installed.done)
    good = (installed.machine.files / CONFIG.lstrip("/")).read_text("utf-8")
    (installed.machine.files / CONFIG.lstrip("/")).write_text(good.replace("sweep: 1s", "sweeep: 1s"), "utf-8")
    installed.run("systemctl", "reload", UNIT)
    installed.machine.becomes(lambda: "sweeep" in installed.run("journalctl", "-u", UNIT, "-n", "20", check=False))
    installed.drop("third.jpg")
    installed.machine.becomes(installed.done)
    assert pid == installed.show("MainPID")
    assert "active" == installed.show("ActiveState")
    installed.write()
    installed.run("systemctl", "reload", UNIT)


def test_the_watchdog_restarts_a_daemon_that_is_stuck(installed: Installed) -> None:
    """Stopped with SIGSTOP: nothing in it can say that it is stuck. One that lives is left alone meanwhile."""
    dropin = installed.machine.files / "etc/systemd/system/upscaled.service.d/90-test.conf"
    dropin.write_text("[Service]\nWatchdogSec=6\nTimeoutAbortSec=4\nRestartSec=1\n", "utf-8")
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", UNIT)
    pid = installed.show("MainPID")
    time.sleep(15)  # well beyond its patience: a daemon that lives must outlive it
    assert pid == installed.show("MainPID")
    began = time.monotonic()

    installed.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", UNIT)

    installed.machine.becomes(lambda: installed.show("MainPID") not in {"0", pid}, limit=30)
    installed.machine.note(f"the watchdog took {time.monotonic() - began:.1f} s, with WatchdogSec=6, TimeoutAbortSec=4")
    said = installed.run("journalctl", "-u", UNIT, "-n", "300")
    assert "Watchdog timeout" in said
    assert "(most recent call first)" in said, "what every thread was doing"
    installed.drop("after-the-watchdog.jpg")
    installed.machine.becomes(installed.done)
    dropin.unlink()
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", UNIT)


def test_a_share_that_hangs_does_not_have_the_daemon_killed(installed: Installed) -> None:
    """Stands in for it: an inbox that is away. Its folder says so, and the watchdog is fed."""
    inbox = installed.photos / "inbox2"
    inbox.rename(installed.photos / "away")
    installed.machine.becomes(lambda: "1 not looked after" in installed.show("StatusText"))
    assert "offline" == installed.status()["folders"][1]["state"]
    (installed.photos / "away").rename(inbox)
    installed.machine.becomes(lambda: installed.show("StatusText").startswith("2 folders;"))


def test_it_stops_soon_with_predictions_under_way_and_goes_on_with_them(installed: Installed) -> None:
    """Within 15 seconds, as a success; what was paid is delivered after the next start."""
    installed.server.world.set(latency=25.0)
    for n in range(4):
        installed.drop(f"stopped-{n}.jpg")
    installed.machine.becomes(lambda: len(installed.server.world.in_flight()) == 4)
    began = time.monotonic()

    installed.run("systemctl", "stop", UNIT)

    took = time.monotonic() - began
    installed.machine.note(f"stopping took {took:.1f} s with 4 predictions under way")
    assert took < 15.0
    assert ("inactive", "success") == (installed.show("ActiveState"), installed.show("Result"))
    installed.run("systemctl", "start", UNIT)
    installed.machine.becomes(installed.done)
    installed.paid_once()


@pytest.mark.parametrize("how", ["reboot", "power cut"])
def test_after_the_machine_starts_anew_it_goes_on(how: str, installed: Installed) -> None:
    """Nobody logs in, nothing is paid twice."""
    installed.server.world.set(latency=8.0)
    for n in range(3):
        installed.drop(f"{how.replace(' ', '-')}-{n}.jpg")
    installed.machine.becomes(lambda: len(installed.server.world.in_flight()) == 3)

    if how == "reboot":
        installed.machine.reboot()
    else:
        installed.machine.pull_the_plug()
        installed.machine.boot()

    installed.machine.becomes(installed.done)
    installed.paid_once()
    assert "active" == installed.show("ActiveState")
    installed.server.world.set(latency=0.5)


def test_the_built_in_engine_works_within_the_unit_s_limits(installed: Installed) -> None:
    """No memory that is written and executed, no devices, no privileges: networks run all the same."""
    service = installed.document["service"]
    installed.document |= {"service": {"url": "embedded"}, "engine": {"tier": "fast"}}
    installed.write()
    installed.run("systemctl", "restart", UNIT)
    installed.drop("engine.jpg")
    installed.machine.becomes(installed.done, limit=240)
    installed.document["service"] = service
    del installed.document["engine"]
    installed.write()


def test_it_runs_each_night_for_the_cron_minded(installed: Installed) -> None:
    """The timer stands in the table of timers, and its service does what there is to do."""
    installed.run("systemctl", "disable", "--now", UNIT)
    installed.run("upscaled", "service", "install", "--once")
    installed.drop("nightly.jpg")

    installed.run("systemctl", "start", "upscaled-once.service")

    assert installed.done()
    assert "upscaled-once.timer" in installed.run("systemctl", "list-timers", "--no-pager")
    assert "inactive" == installed.run("systemctl", "is-active", "upscaled-once.service", check=False)


def test_a_person_installs_it_for_themselves(installed: Installed) -> None:
    """Without root, in their own home, with the built-in engine."""
    installed.run("useradd", "-m", "anna")
    installed.run("loginctl", "enable-linger", "anna")
    anna = ("runuser", "-u", "anna", "--", "env", "HOME=/home/anna", "XDG_RUNTIME_DIR=/run/user/1000", "PATH=/bin")
    installed.machine.becomes((installed.machine.files / "home/anna").is_dir)
    installed.machine.becomes(
        lambda: installed.run(*anna, "systemctl", "--user", "is-system-running", check=False) in {"running", "degraded"}
    )
    installed.run(*anna, "/usr/local/bin/upscaled", "init", "/home/anna/up")

    told = installed.run(
        *anna, "/usr/local/bin/upscaled", "service", "install", "--user", "-c", "/home/anna/up/upscaled.yaml"
    )

    assert "loginctl enable-linger" in told
    assert "active" == installed.run(*anna, "systemctl", "--user", "is-active", UNIT)
    folder = installed.machine.files / "home/anna/up"
    picture(folder / "inbox/hers.jpg", seed=99).chmod(0o666)
    installed.machine.becomes((folder / "upscaled/hers.jpg").exists, limit=240)
    assert "hers.jpg" in installed.run(*anna, "/usr/local/bin/upscaled", "service", "logs", "--user")
    # The ledger that her shell finds is the one that the service writes.
    assert "hers.jpg" in installed.run(*anna, "/usr/local/bin/upscaled", "jobs", "-c", "/home/anna/up/upscaled.yaml")
    installed.run(*anna, "/usr/local/bin/upscaled", "service", "uninstall", "--user")
    assert "inactive" == installed.run(*anna, "systemctl", "--user", "is-active", UNIT, check=False)
    units = installed.machine.files / "home/anna/.config/systemd/user"
    assert [] == [path for path in units.rglob("*") if path.is_file()]
    installed.run("loginctl", "disable-linger", "anna")
    installed.machine.becomes(lambda: installed.run("userdel", "-r", "-f", "anna", check=False) is not None)


def test_uninstalling_leaves_nothing_but_the_state_which_it_names(installed: Installed) -> None:
    """And the account that owns it."""
    told = installed.run("upscaled", "service", "uninstall")

    left = installed.everything() - installed.before
    state = {path for path in left if path.startswith("/var/lib/upscaled")}
    assert set() == left - state
    assert not (installed.machine.files / "var/lib/systemd/timers/stamp-upscaled-once.timer").exists()
    assert state
    assert "/var/lib/upscaled" in told
    assert "userdel upscaled" in told
    assert "not-found" == installed.show("LoadState")
    assert "" == installed.run("systemctl", "list-timers", "--no-legend", "--no-pager", "upscaled*", check=False)
    assert "There was no service to remove" in installed.run("upscaled", "service", "uninstall")
