"""What the server says about itself: metrics and description; and that it survives being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.suite import MODEL, PHOTO, Service
from tests.engine.test_app import serving
from tests.support.quick import Quick
from upscaled.api import wire
from upscaled.engine.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def test_metrics_count_what_ended_and_what_waits(tmp_path: Path) -> None:
    """In Prometheus' text format, without a key."""
    upscaler = Quick()
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        for picture in (image, image, await service.uploaded(b"no picture")):
            await service.finished((await service.submit(image=picture)).id)
        upscaler.gate.clear()
        await service.submit(image=image)
        answer = await service.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.text.splitlines()
        assert 'upscaled_engine_predictions_total{status="completed"} 2' in lines
        assert 'upscaled_engine_predictions_total{status="failed"} 1' in lines
        assert "upscaled_engine_unfinished 1" in lines
        assert "upscaled_engine_kept 4" in lines


async def test_the_description_is_made_of_the_models_and_covers_every_path(tmp_path: Path) -> None:
    """What a client is generated from and what requests are checked against are one table."""
    async with serving(tmp_path, Quick(), public_url="https://pictures.example") as service:
        described = (await service.client.get("/openapi.json")).json()
        app = service.client._transport.app  # type: ignore[attr-defined]
    assert "https://pictures.example" == described["servers"][0]["url"]
    for model in MODELS.values():
        body = described["paths"][f"{wire.PREFIX}/{model.id}"]["post"]["requestBody"]
        assert model.schema() == body["content"]["application/json"]["schema"]
    served = {route.path for route in app.routes} - {"/openapi.json"}
    expected = served - {f"{wire.PREFIX}/{{model:path}}"} | {f"{wire.PREFIX}/{model}" for model in MODELS}
    assert expected == set(described["paths"])


SERVER = """
import asyncio, socket, sys, uvicorn
from pathlib import Path
from tests.support.quick import Quick
from upscaled.engine.app import create_app

class Slow(Quick):
    async def upscale(self, *arguments, **told):
        await asyncio.sleep(float(sys.argv[2]))
        return await super().upscale(*arguments, **told)

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = create_app(directory=Path(sys.argv[1]), upscaler=Slow())
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
"""


class Process:
    """A server in a process of its own, whose pictures take a number of seconds."""

    def __init__(self, directory: Path, seconds: float) -> None:
        command = [sys.executable, "-c", SERVER, str(directory), str(seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.base = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def kill(self) -> int:
        """Kill it as a power cut would."""
        self.process.kill()
        status = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Process]]:
    """Servers to be killed at the end, if not before."""
    processes = [Process(tmp_path, 60)]
    yield processes
    for process in processes:
        process.kill()


async def test_a_killed_server_finishes_its_pictures_under_the_same_ids(started: list[Process], tmp_path: Path) -> None:
    """Kill -9 in the middle of five, and every id that a client was given leads to a result."""
    async with httpx.AsyncClient(base_url=started[0].base) as client:
        service = Service(client, client)
        image = await service.uploaded()
        ids = [(await service.submit(image=image)).id for _ in range(5)]
        url = f"{wire.PREFIX}/predictions/{ids[0]}"
        assert "processing" == (await client.get(url)).json()["data"]["status"]
    assert -signal.SIGKILL == started[0].kill()
    started.append(Process(tmp_path, 0))
    async with httpx.AsyncClient(base_url=started[1].base) as client:
        service = Service(client, client)
        finished = [await service.finished(task) for task in ids]
        assert ["completed"] * 5 == [prediction.status for prediction in finished]
        assert all([(await client.get(prediction.outputs[0])).is_success for prediction in finished])
        listed = await service.found(include_inputs=True)
        assert {(task, image) for task in ids} == {(prediction.id, prediction.image) for prediction in listed}


async def test_what_was_answered_is_on_disk(tmp_path: Path) -> None:
    """The answer to a submit comes after its file, so no id that a client knows can be lost."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler) as service:
        body = {"image": await service.uploaded(PHOTO.read_bytes()), "target_resolution": "2k"}
        submitted = (await service.client.post(MODEL, json=body)).json()["data"]
        record = json.loads((tmp_path / "predictions" / f"{submitted['id']}.json").read_text())
        assert ("created", body) == (record["status"], record["inputs"])
