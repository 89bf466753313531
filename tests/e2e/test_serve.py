"""The installed `upscaled serve` with the real engine."""

from __future__ import annotations

import base64
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.e2e.conftest import started, wait_for
from tests.support.house import picture
from upscaled.api import wire

KEYS: Final = ("upk-first", "upk-second")
MODEL: Final = f"{wire.PREFIX}/{wire.IMAGE_UPSCALER}"


@contextmanager
def serving(root: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run the server on a free port; give its process and a client with one of its keys."""
    log = root / f"log-{time.monotonic_ns()}"
    command = ("serve", "--listen", "127.0.0.1:0", "--state-dir", str(root / "state"), "--tier", "fast", *options)
    with started(*command, log=log, environ={"UPSCALED_SERVE_KEY": " ".join(KEYS)}) as process:
        wait_for(lambda: "Serving on http" in log.read_text("utf-8") or process.poll() is not None, limit=60)
        base = log.read_text("utf-8").split("Serving on ")[1].split()[0]
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEYS[1]}"}) as client:
            yield process, client


def data(answer: httpx.Response) -> dict[str, Any]:
    """Return what an answer of success holds."""
    assert 200 == answer.status_code, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def shown(client: httpx.Client, task: str) -> dict[str, Any]:
    """Return a prediction."""
    return data(client.get(f"{wire.PREFIX}/predictions/{task}"))


@pytest.mark.stress
def test_a_server_killed_in_the_middle_of_five_pictures_finishes_them_under_their_ids(tmp_path: Path) -> None:
    """Kill -9, and no client notices but by the time it takes."""
    content = picture(tmp_path / "small.png", size=(96, 64)).read_bytes()
    with serving(tmp_path) as (process, client):
        upload = client.post(f"{wire.PREFIX}/media/upload/binary", files={"file": ("small.png", content)})
        inputs = {"image": data(upload)["download_url"], "target_resolution": "4k", "output_format": "webp"}
        ids = [data(client.post(MODEL, json=inputs))["id"] for _ in range(5)]
        wait_for(lambda: shown(client, ids[0])["status"] == "processing")
        process.kill()
        assert -signal.SIGKILL == process.wait()
    unfinished = [path for path in (tmp_path / "state/predictions").glob("*.json") if '"created"' in path.read_text()]
    assert unfinished

    with serving(tmp_path) as (_, client):
        wait_for(lambda: all(shown(client, task)["status"] == "completed" for task in ids))
        assert sorted(ids) == sorted(path.stem for path in (tmp_path / "state/predictions").iterdir())
        for task in ids:
            (output,) = shown(client, task)["outputs"]
            assert b"WEBP" == client.get(output.replace(output.split("/outputs/")[0], "")).content[8:12]
            assert shown(client, task)["timings"]["estimate"] > 0


def test_the_limits_of_the_command_line_hold(tmp_path: Path) -> None:
    """Either of two keys, a limit a minute, and the address that answers name."""
    options = ("--per-minute", "1", "--public-url", "https://pictures.example/")
    with serving(tmp_path, *options) as (_, client):
        upload = client.post(f"{wire.PREFIX}/media/uploads", json={"filename": "a.png"})
        address = data(upload)["download_url"]
        assert address.startswith("https://pictures.example/media/")
        answers = [client.post(MODEL, json={"image": address}) for _ in range(2)]
        assert [200, 429] == [answer.status_code for answer in answers]
        first = {"Authorization": f"Bearer {KEYS[0]}"}
        assert 200 == client.get(f"{wire.PREFIX}/balance", headers=first).status_code
        assert 401 == client.get(f"{wire.PREFIX}/balance", headers={"Authorization": "Bearer other"}).status_code


def test_who_waits_for_a_result_is_answered_when_the_server_is_ended(tmp_path: Path) -> None:
    """At once, and with the id under which it is made after the next start."""
    content = base64.b64encode(picture(tmp_path / "a.png", size=(640, 480)).read_bytes()).decode()
    inputs: dict[str, Any] = {
        "image": f"data:image/png;base64,{content}",
        "target_resolution": "8k",
        "output_format": "png",
        "enable_sync_mode": True,
    }
    with serving(tmp_path) as (process, client), ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.post, MODEL, json=inputs, timeout=60)
        wait_for(lambda: any((tmp_path / "state/predictions").glob("*.json")))
        began = time.monotonic()
        process.terminate()
        answer = data(waiting.result())
        assert ("processing", wire.CODE_SYNC_TIMEOUT) == (answer["status"], answer["code"])
        process.wait()
        assert time.monotonic() - began < 8
    assert [f"{answer['id']}.json"] == [path.name for path in (tmp_path / "state/predictions").iterdir()]


def test_the_log_opens_nothing_to_its_readers(tmp_path: Path) -> None:
    """It has a line for each request, without leave to upload, addresses of results, and webhooks'."""
    content = picture(tmp_path / "small.png", size=(96, 64)).read_bytes()
    with serving(tmp_path) as (_, client):
        ticket = data(client.post(f"{wire.PREFIX}/media/uploads", json={"filename": "small.png"}))
        client.put(ticket["upload"]["url"], content=content)
        inputs = {"image": ticket["download_url"], "target_resolution": "2k"}
        hook = {"webhook": "http://127.0.0.1:1/hook?token=s3cret"}
        task = data(client.post(MODEL, params=hook, json=inputs))["id"]
        wait_for(lambda: shown(client, task)["status"] == "completed")
        (output,) = shown(client, task)["outputs"]
        client.get(output)
    (log,) = (path.read_text("utf-8") for path in tmp_path.glob("log-*"))
    parts = [*ticket["upload"]["url"].split("/")[-2:], ticket["download_url"].split("/")[-2], output.split("/")[-1]]
    assert [] == [part for part in (*parts, "s3cret") if part in log]
    for line in (f'"POST {MODEL}…', '"PUT /storage/…', '"GET /outputs/…', f'"GET {wire.PREFIX}/predictions/{task} '):
        assert line in log
