"""SIGHUP: folders come, go and change under the running daemon, and a wrong configuration changes nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.house import House
from tests.support.inbox_world import picture
from tests.support.receiver import receiving
from tests.support.service import ApiServer, Settings, serve


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """Run the test service."""
    with serve(Settings(latency=0.1)) as running:
        yield running


class Listener:
    """systemd's side of sd_notify."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def listen(self) -> list[str]:
        """Return the first line of every message so far."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return [message.partition("\n")[0] for message in self.heard]


def test_a_reload_takes_folders_in_and_out_and_refuses_mistakes(
    tmp_path: Path, server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One daemon, four configurations: two folders and a receiver, a wrong one, another folder, one for a restart."""
    house = House(tmp_path, service={"url": server.url, "api_key": server.key})
    second = {name: str(tmp_path / f"{name}2") for name in ("inbox", "outbox", "archive", "failed")}
    for path in second.values():
        Path(path).mkdir()
    address = tmp_path_factory.mktemp("notify") / "socket"
    listener = Listener(address)
    log = tmp_path / "log"
    first = house.document["folders"][0]

    def reloaded(count: int) -> bool:
        messages = listener.listen()
        return messages.count("READY=1") == 1 + count and messages.count("RELOADING=1") == count

    with (
        closing(listener),
        receiving() as receiver,
        started("run", "-c", str(house.config), log=log, environ={"NOTIFY_SOCKET": str(address)}) as process,
    ):
        wait_for(lambda: reloaded(0))

        house.document["folders"] = [first, {**first, **second}]
        house.document["notify"] = {"urls": [f"{receiver.url}/secret-place"], "digest_after": "1s"}
        house.write()
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: reloaded(1))
        house.drop("a.jpg")
        (Path(second["inbox"]) / "b.jpg").write_bytes(picture("JPEG"))
        wait_for(lambda: (Path(second["archive"]) / "b.jpg").exists() and (house.archive / "a.jpg").exists())
        wait_for(lambda: receiver.at("/secret-place") != [])
        assert "MONOTONIC_USEC=" in next(message for message in listener.heard if message.startswith("RELOADING"))

        house.document["folders"] = [{**first, "setle": "1s"}, {**first, **second, "profile": "nowhere"}]
        house.write()
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: reloaded(2))
        refused = [line for line in log.read_text("utf-8").splitlines() if "reload.refused" in line]
        assert 2 == len(refused), refused
        assert not [line for line in refused if "\\x0a" in line]
        house.drop("c.jpg", seed=3)
        wait_for((house.archive / "c.jpg").exists)

        house.document["folders"] = [{**first, **second}]
        house.document["state_dir"] = str(tmp_path / "elsewhere")
        house.document["service"]["timeout"] = "7s"
        house.write()
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: reloaded(3))
        told = next(line for line in log.read_text("utf-8").splitlines() if "reload.needs_restart" in line)
        assert "state_dir" in told
        assert "service.timeout" in told
        house.drop("e.jpg", seed=5)
        (Path(second["inbox"]) / "d.jpg").write_bytes(picture("PNG"))
        wait_for((Path(second["archive"]) / "d.jpg").exists)
        assert (house.inbox / "e.jpg").exists(), "its folder is not looked after any more"
        assert process.poll() is None
        assert "secret-place" not in log.read_text("utf-8")


def test_a_hang_up_before_the_daemon_is_ready_is_a_reload_once_it_is(tmp_path: Path, server: ApiServer) -> None:
    """It may have come after the configuration was read, so what it asked for is done."""
    house = House(tmp_path, service={"url": server.url, "api_key": server.key})
    log = tmp_path / "log"
    early = (
        "import os, signal, sys\n"
        "from upscaled import app, cli, config\n"
        "load = config.load\n"
        "def read(*args, **kwargs):\n"
        "    settings = load(*args, **kwargs)\n"
        "    config.load = load\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    return settings\n"
        "config.load = read\n"
        "cli.main(sys.argv[1:])\n"
    )
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", early, "run", "-c", str(house.config)], stdout=stream, stderr=stream
        )
    try:
        wait_for(lambda: "reload.done" in log.read_text("utf-8") or process.poll() is not None, limit=30)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(20)
    finally:
        process.kill()
        process.wait()

    told = log.read_text("utf-8")
    assert told.index("daemon.ready") < told.index("reload.done")
