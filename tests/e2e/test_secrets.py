"""A whole story with distinctive secrets, at the level of debug; then nothing that anybody can read holds one."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.house import House
from tests.support.receiver import receiving
from tests.support.service import ApiServer, Fault, Settings, serve

KEY = "key-Zq7distinctive"
TOKEN = "token-Xw9distinctive"
SIGNS = "whsec_Yv8distinctive"
HOOK = "hook-Uu6distinctive"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def house_of(tmp_path: Path, server: ApiServer, inbox: str, port: int) -> House:
    """Give a house with every secret that there can be."""
    service = {"url": server.url, "api_key": KEY, "tier": "gold", "webhook": {"public_url": "http://127.0.0.1:9"}}
    house = House(tmp_path, service=service)
    house.document["service"]["webhook"]["secret"] = SIGNS
    house.document["dashboard"] = {"listen": f"127.0.0.1:{port}", "token": TOKEN}
    house.document["notify"] = {"digest_after": "1s", "urls": [f"{inbox}/{HOOK}", f"json://127.0.0.1:9/{HOOK}"]}
    house.document["log"] = {"level": "debug"}
    house.write()
    return house


@pytest.mark.stress
def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    """Log, ledger texts, error notes, messages, numbers, pages, and what the commands print."""
    with serve(Settings(key=KEY)) as server, receiving() as receiver:
        server.script(
            Fault("upload", "503", nth=1),
            Fault("submit", "504", nth=2),
            Fault(
                "result", "failed", nth=3, args={"code": 1200, "error": f"flagged {server.url}/x?X-Signature=deadbeef"}
            ),
            Fault("download", "404", nth=2),
        )
        port = free_port()
        house = house_of(tmp_path, server, receiver.url, port)
        for n in range(6):
            house.drop(f"{n}.jpg", seed=n)
        log = tmp_path / "log"
        page = f"http://127.0.0.1:{port}"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with started("run", "-c", str(house.config), log=log):
            wait_for(lambda: bool(receiver.got) and "notify.not_delivered" in log.read_text("utf-8"))
            paths = ["/", "/healthz", "/metrics", *(f"/jobs/{job.id}" for job in house.ledger().jobs())]
            shown = [httpx.get(page + path, headers=bearer).text for path in paths]
            httpx.post(f"{page}/webhooks/service", content=b"{}", headers={"webhook-id": "x"})
            httpx.get(f"{page}/?token={TOKEN}")
        signatures = {blob.signature for blob in server.world.blobs.values() if blob.signature}

    assert any("upscaled_jobs" in text for text in shown)
    shown += [log.read_text("utf-8"), json.dumps(receiver.got), *texts_of(house)]
    shown += [path.read_text("utf-8") for path in house.failed.rglob("*.error.txt")]
    shown += [house.command(verb, "--json") for verb in ("status", "jobs", "spend")]
    shown += [house.command("show", job.id, "--json") for job in house.ledger().jobs()[:2]]
    secrets = {KEY, TOKEN, SIGNS, SIGNS.removeprefix("whsec_"), "deadbeef", *signatures}
    assert len(secrets) > 6
    # The path of a receiver is what it got, and so in nothing but its own requests.
    found = {secret for secret in secrets for text in shown if secret in text}
    found |= {HOOK for text in [log.read_text("utf-8"), *texts_of(house)] if HOOK in text}
    assert set() == found


def texts_of(house: House) -> list[str]:
    """Return every text in the ledger but the addresses of uploads and outputs, which the work needs."""
    needed = {"upload_url", "output_url"}
    with sqlite3.connect(house.state / "ledger.sqlite3") as ledger:
        tables = [row[0] for row in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = []
        for table in tables:
            rows = ledger.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            found += [str(value) for row in rows for name, value in zip(names, row, strict=True) if name not in needed]
    ledger.close()
    return found
