"""The server side's own rules: what it refuses, what survives, what waits, what expires."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.contract.suite import MODEL, PHOTO, Service
from tests.support.quick import Quick
from upscaled import errors
from upscaled.api import wire
from upscaled.engine.app import create_app, dismiss, running
from upscaled.engine.order import Order
from upscaled.engine.outside import Outside, Reach
from upscaled.engine.store import Store, Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ELSEWHERE = "https://example.com/picture.jpg"


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return self.now


@contextlib.asynccontextmanager
async def serving(directory: Path, upscaler: Quick, **settings: Any) -> AsyncIterator[Service]:
    """Run an application in process."""
    app = create_app(directory=directory, upscaler=upscaler, **settings)
    async with (
        running(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://embedded") as client,
    ):
        yield Service(client, client)


def files(directory: Path) -> list[Path]:
    """Every file in a directory, at any depth."""
    return [path for path in directory.rglob("*") if path.is_file()]


async def refusal(service: Service, **inputs: Any) -> tuple[int, str]:
    """Submit something wrong and return status and message."""
    answer = await service.client.post(MODEL, json=inputs)
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"prompt": "a cat"}, '"prompt" is not known'),
        ({"creativity": 2.5}, '"creativity" must be between -2.0 and 2.0'),
        ({"creativity": "0"}, '"creativity" must be a number, got string "0"'),
        ({"creativity": True}, '"creativity" must be a number'),
        ({"enable_sync_mode": "yes"}, '"enable_sync_mode" must be a boolean'),
        ({"image": 7}, '"image" must be a string'),
        ({"image": ""}, '"image" is required'),
        ({"image": None}, '"image" must be a string, got null'),
        ({"image": "/etc/passwd"}, '"image" must be an http(s) URL or a data: URI'),
        ({"image": "file:///etc/passwd"}, '"image" must be an http(s) URL'),
        ({"image": "http://[broken"}, '"image" must be an http(s) URL'),
        ({"image": "data:image/png;base64,???"}, "not valid base64"),
        ({"image": "data:nonsense"}, "not a valid data: URI"),
        (
            {"target_resolution": "16k"},
            'must be one of [2k, 4k, 8k], got string "16k"; please use one of the allowed values',
        ),
    ],
)
async def test_every_wrong_input_is_named(tmp_path: Path, inputs: dict[str, Any], named: str) -> None:
    """A refusal says which parameter, what is allowed, and what came."""
    async with serving(tmp_path, Quick()) as service:
        status, message = await refusal(service, **{"image": ELSEWHERE, **inputs})
        assert 400 == status
        assert named in message
        assert [] == await service.found()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(tmp_path: Path, body: bytes) -> None:
    """Nothing a client can send is an error of ours."""
    async with serving(tmp_path, Quick()) as service:
        for path in (MODEL, f"{wire.PREFIX}/predictions", f"{wire.PREFIX}/media/uploads", f"{wire.PREFIX}/model/price"):
            assert 400 == (await service.client.post(path, content=body)).status_code


async def test_half_a_character_is_answered_like_any_other(tmp_path: Path) -> None:
    """JSON can escape what UTF-8 cannot encode; it must not make the history that holds it unreadable."""
    half = "http://x/\ud800"
    sent = [
        (MODEL, {"image": half}, 200),
        (MODEL, {"image": half, "\ud800": 1}, 400),
        (f"{wire.PREFIX}/model/price", {"model_id": "\ud800"}, 404),
        (f"{wire.PREFIX}/media/uploads", {"filename": "\ud800.png", "content_type": "\ud800"}, 200),
        (f"{wire.PREFIX}/predictions", {"page": 1, "page_size": 9, "include_inputs": True}, 200),
    ]
    async with serving(tmp_path, Quick(), images=Outside(Reach.PUBLIC)) as service:
        answers = [await service.client.post(path, content=json.dumps(body)) for path, body, _ in sent]
        assert [status for _, _, status in sent] == [answer.status_code for answer in answers]
        task = json.loads(answers[0].content)["data"]["id"]
        assert [(task, half)] == [(found.id, found.image) for found in await service.found(include_inputs=True)]
        assert ("failed", wire.CODE_MEDIA) == ((finished := await service.finished(task)).status, finished.code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"page": 0, "page_size": 10},
        {"page": 1, "page_size": 101},
        {"page": True, "page_size": 10},
        {"page": 1, "page_size": 10, "status": "pending"},
        {"page": 1, "page_size": 10, "created_after": "yesterday"},
        {"page": 1, "page_size": 10, "model": 3},
    ],
)
async def test_a_wrong_history_request_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    """Page and its size are required and bounded, times are ISO 8601."""
    async with serving(tmp_path, Quick()) as service:
        assert 400 == (await service.client.post(f"{wire.PREFIX}/predictions", json=body)).status_code


async def test_the_order_is_what_the_inputs_say(tmp_path: Path) -> None:
    """Defaults are the documented ones; a null counts as not given."""
    upscaler = Quick()
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        for inputs in (
            {"target_resolution": None},
            {"creativity": -1.5, "target_resolution": "8k", "output_format": "webp"},
        ):
            await service.finished((await service.submit(**{"image": image, **inputs})).id)
    assert [Order(), Order(-1.5, 7680, format="webp")] == upscaler.orders


async def test_real_esrgan_takes_a_scale_and_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Faces are not enhanced, and nobody is told that they were."""
    upscaler = Quick()
    path = f"{wire.PREFIX}/wavespeed-ai/real-esrgan"
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        answer = await service.client.post(path, json={"image": image, "face_enhance": True})
        assert 400 == answer.status_code
        assert "no network for faces" in answer.json()["message"]
        assert 400 == (await service.client.post(path, json={"image": image, "scale": 11})).status_code
        submitted = wire.parse_prediction(await service.post(path, {"image": image, "scale": 2, "face_enhance": False}))
        await service.finished(submitted.id)
    assert [Order(None, scale=2.0, format="png")] == upscaler.orders


@pytest.mark.parametrize("head", ["data:image/jpeg;base64,", "DATA:Image/JPEG;Base64,"])
async def test_a_data_uri_is_taken_and_shown_as_an_upload(tmp_path: Path, head: str) -> None:
    """The history must not carry the picture itself; how the URI's head is written does not matter."""
    async with serving(tmp_path, Quick()) as service:
        uri = head + base64.b64encode(PHOTO.read_bytes()).decode()
        submitted = await service.submit(image=uri)
        assert "completed" == (await service.finished(submitted.id)).status
        image = (await service.found(include_inputs=True))[0].image
        assert image is not None
        assert image.startswith("http://embedded/media/")
        assert image.endswith("/image.jpeg")
        assert PHOTO.read_bytes() == (await service.client.get(image)).content


@pytest.mark.parametrize(
    "image",
    [
        ELSEWHERE,
        "http://127.0.0.1/secret",
        "http://embedded/media/00000000000000000000000000000000/a.jpg",
        "http://embedded/media/../../etc/passwd",
        "http://embedded.example.com/media/00000000000000000000000000000000/a.jpg",
    ],
)
async def test_other_addresses_are_not_fetched(tmp_path: Path, image: str) -> None:
    """The task fails as it does at the service when a picture cannot be fetched; nothing was requested."""
    async with serving(tmp_path, Quick()) as service:
        finished = await service.finished((await service.submit(image=image)).id)
        assert ("failed", wire.CODE_MEDIA) == (finished.status, finished.code)
        assert finished.error.startswith("Failed to download image from the provided URL.")


async def test_a_sync_request_that_takes_too_long_goes_on_by_itself(tmp_path: Path) -> None:
    """It is answered as the service does after 90 seconds, and is not a failure."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler, sync_limit=0.05) as service:
        submitted = await service.submit(image=await service.uploaded(), enable_sync_mode=True)
        assert (wire.CODE_SYNC_TIMEOUT, False) == (submitted.code, submitted.terminal)
        assert submitted.error.startswith("Sync mode timed out after 0.05 seconds.")
        upscaler.gate.set()
        assert "completed" == (await service.finished(submitted.id)).status


async def test_who_waits_is_answered_when_the_server_is_about_to_stop(tmp_path: Path) -> None:
    """As after 90 seconds, with the id to ask for after the next start; and so is who comes meanwhile."""
    upscaler = Quick()
    upscaler.gate.clear()
    app = create_app(directory=tmp_path, upscaler=upscaler)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://embedded")
    async with running(app), client, asyncio.timeout(30):
        service = Service(client, client)
        image = await service.uploaded()
        waiting = asyncio.create_task(service.submit(image=image, enable_sync_mode=True))
        await until_at_work(upscaler, 1)
        dismiss(app)
        answers = [await waiting, await service.submit(image=image, enable_sync_mode=True)]
    assert [(wire.CODE_SYNC_TIMEOUT, False)] * 2 == [(answer.code, answer.terminal) for answer in answers]
    assert {"Sync mode timed out as the server stops."} == {answer.error[:40] for answer in answers}
    async with serving(tmp_path, Quick()) as service:
        assert ["completed"] * 2 == [(await service.finished(answer.id)).status for answer in answers]


async def until_at_work(upscaler: Quick, count: int) -> None:
    """Return once so many pictures are at work at once."""
    async with asyncio.timeout(30):
        while upscaler.at_work != count:  # noqa: ASYNC110 - nothing rings then
            await asyncio.sleep(0.01)


async def test_a_waiting_picture_is_created_and_one_at_work_processing(tmp_path: Path) -> None:
    """One at a time, in the order they came, and the one at work tells how far it is."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        ids = [(await service.submit(image=image, creativity=number)).id for number in (0, 1, 2)]
        await until_at_work(upscaler, 1)
        seen = [(await service.client.get(f"{wire.PREFIX}/predictions/{task}")).json()["data"] for task in ids]
        assert ["processing", "created", "created"] == [data["status"] for data in seen]
        assert 0.25 == seen[0]["engine"]["progress"]
        upscaler.gate.set()
        assert {"completed"} == {(await service.finished(task)).status for task in ids}
    assert [0, 1, 2] == [order.creativity for order in upscaler.orders]
    assert 1 == upscaler.most_at_work


async def test_more_are_at_work_at_once_where_that_is_allowed(tmp_path: Path) -> None:
    """Beyond that they queue as ``created``, and are accepted all the same; a finished one makes room."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler, in_flight=2) as service:
        image = await service.uploaded()
        ids = [(await service.submit(image=image)).id for _ in range(4)]
        await until_at_work(upscaler, 2)
        found = {prediction.id: prediction.status for prediction in await service.found()}
        assert ["processing", "processing", "created", "created"] == [found[task] for task in ids]
        await service.post(f"{wire.PREFIX}/predictions/delete", {"ids": [ids[0]]})
        upscaler.gate.set()
        assert {"completed"} == {(await service.finished(task)).status for task in ids[1:]}
    assert 2 == upscaler.most_at_work


async def test_the_answer_says_what_was_done_and_claims_no_more(tmp_path: Path) -> None:
    """Networks and note beside the documented fields; nobody looked for nudity, so no flag says so."""
    async with serving(tmp_path, Quick()) as service:
        finished = await service.finished((await service.submit(image=await service.uploaded())).id)
        data = (await service.client.get(f"{wire.PREFIX}/predictions/{finished.id}")).json()["data"]
        assert {"networks": ["nearest"], "note": "made quickly"} == data["engine"]
        assert [] == data["has_nsfw_contents"]
        assert data["timings"]["inference"] > 0
        assert 1500 == data["timings"]["estimate"]
        assert data["urls"]["get"] == f"http://embedded{wire.PREFIX}/predictions/{finished.id}/result"


async def test_unfinished_pictures_survive_under_their_ids(tmp_path: Path) -> None:
    """A server that dies at work is started again and finishes what it owed; results stay readable."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        ids = [(await service.submit(image=image)).id for _ in range(3)]
        await asyncio.sleep(0.02)
    async with serving(tmp_path, Quick()) as service:
        finished = [await service.finished(task) for task in ids]
        assert ["completed"] * 3 == [prediction.status for prediction in finished]
        assert list(reversed(ids)) == [prediction.id for prediction in await service.found()]
    async with serving(tmp_path, Quick()) as service:
        again = await service.finished(ids[0])
        assert finished[0] == again
        assert 200 == (await service.client.get(again.outputs[0])).status_code


async def test_a_death_between_output_and_prediction_costs_the_work_alone(tmp_path: Path) -> None:
    """The output lay there already; it is made again, and replaced whole."""
    async with serving(tmp_path, Quick()) as service:
        finished = await service.finished((await service.submit(image=await service.uploaded())).id)
    record = tmp_path / "predictions" / f"{finished.id}.json"
    lost = {**json.loads(record.read_text()), "status": "created", "output": None, "code": None, "inference_ms": 0}
    record.write_text(json.dumps({**lost, "networks": [], "note": ""}))
    (tmp_path / "outputs" / ".part-0123").write_bytes(b"half")
    async with serving(tmp_path, Quick()) as service:
        assert finished.outputs == (await service.finished(finished.id)).outputs
    assert not (tmp_path / "outputs" / ".part-0123").exists()


async def test_after_its_time_everything_is_deleted(tmp_path: Path) -> None:
    """Seven days, as at the service, whether or not the server ran meanwhile."""
    time = Time()
    async with serving(tmp_path, Quick(), clock=time) as service:
        url = await service.uploaded()
        finished = await service.finished((await service.submit(image=url)).id)
        time.now += wire.RETENTION + 1
        answers = [
            await service.client.get(f"{wire.PREFIX}/predictions/{finished.id}"),
            await service.client.get(finished.outputs[0]),
            await service.client.get(url),
        ]
        assert [404, 404, 404] == [answer.status_code for answer in answers]
        assert [] == await service.found()
    async with serving(tmp_path, Quick(), clock=time), asyncio.timeout(30):
        while ["webhook-secret"] != [path.name for path in files(tmp_path)]:  # noqa: ASYNC110 - nothing rings then
            await asyncio.sleep(0.01)


async def test_what_waits_does_not_expire_and_is_kept_from_its_end(tmp_path: Path) -> None:
    """However long the queue is: neither the prediction nor the upload it needs, over a cleaning and a restart."""
    time, upscaler = Time(), Quick()
    upscaler.gate.clear()
    settings: dict[str, Any] = {"clock": time, "retain": 60.0}
    async with serving(tmp_path, upscaler, **settings) as service:
        ids = [(await service.submit(image=await service.uploaded())).id for _ in range(3)]
        await until_at_work(upscaler, 1)
        time.now += 3600
    async with serving(tmp_path, Quick(), **settings) as service:
        assert ["completed"] * 3 == [(await service.finished(task)).status for task in ids]
        time.now += 59
        assert 3 == len(await service.found())
        time.now += 2
        assert [] == await service.found()


async def test_predictions_of_earlier_versions_expire_by_their_beginning(tmp_path: Path) -> None:
    """Their files do not say when they ended."""
    time = Time()
    async with serving(tmp_path, Quick(), clock=time) as service:
        finished = await service.finished((await service.submit(image=await service.uploaded())).id)
    record = tmp_path / "predictions" / f"{finished.id}.json"
    values = json.loads(record.read_text())
    assert time.now == values.pop("finished_at")
    record.write_text(json.dumps(values))
    async with serving(tmp_path, Quick(), clock=time) as service:
        assert [finished.id] == [prediction.id for prediction in await service.found()]
        time.now += wire.RETENTION + 1
        assert [] == await service.found()


async def test_the_queue_goes_on_when_cleaning_up_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says that it failed."""

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Store, "expire", refuse)
    async with serving(tmp_path, Quick()) as service:
        assert "completed" == (await service.finished((await service.submit(image=await service.uploaded())).id)).status
        assert 200 == (await service.client.get("/healthz")).status_code
    assert "could not be deleted" in caplog.text
    assert "Permission denied" in caplog.text


async def test_deleting_a_picture_at_work_stops_the_work(tmp_path: Path) -> None:
    """And the next in the queue comes at once."""
    upscaler = Quick()
    upscaler.gate.clear()
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        first, second = await service.submit(image=image), await service.submit(image=image)
        await asyncio.sleep(0.02)
        deleted = await service.post(f"{wire.PREFIX}/predictions/delete", {"ids": [first.id, "unknown", first.id]})
        assert {"deleted_count": 1} == deleted
        upscaler.gate.set()
        assert "completed" == (await service.finished(second.id)).status
        assert [second.id] == [prediction.id for prediction in await service.found()]
    assert 1 == len(files(tmp_path / "predictions"))


async def test_a_picture_deleted_as_it_is_finished_stays_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last write to disk comes after the deletion began."""
    writing, go_on = threading.Event(), threading.Event()
    real = Store.write

    def slow(store: Store, task: Task) -> None:
        if task.finished:
            writing.set()
            go_on.wait()
        real(store, task)

    monkeypatch.setattr(Store, "write", slow)
    async with serving(tmp_path, Quick()) as service:
        image = await service.uploaded()
        first = await service.submit(image=image)
        await asyncio.to_thread(writing.wait)
        await service.post(f"{wire.PREFIX}/predictions/delete", {"ids": [first.id]})
        go_on.set()
        second = await service.finished((await service.submit(image=image)).id)
        assert [second.id] == [prediction.id for prediction in await service.found()]
    assert [f"{second.id}.json"] == [path.name for path in files(tmp_path / "predictions")]
    assert 1 == len(files(tmp_path / "outputs"))


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (errors.EngineError("The network could not be run", why="memory is short"), 5000, "memory is short"),
        (OSError(28, "No space left on device", "/secret/path"), 5000, "No space left on device"),
        (ZeroDivisionError("inside"), 5000, "the server's log says why"),
    ],
)
async def test_a_failure_of_ours_fails_the_task_and_not_the_server(
    tmp_path: Path, trouble: Exception, code: int, said: str
) -> None:
    """The next picture is made; what is inside stays inside."""
    upscaler = Quick()
    upscaler.trouble = trouble
    async with serving(tmp_path, upscaler) as service:
        image = await service.uploaded()
        finished = await service.finished((await service.submit(image=image)).id)
        assert ("failed", code) == (finished.status, finished.code)
        assert said in finished.error
        assert "secret" not in finished.error
        upscaler.trouble = None
        assert "completed" == (await service.finished((await service.submit(image=image)).id)).status


async def test_a_server_stops_even_in_the_moment_something_comes(tmp_path: Path) -> None:
    """The queue is woken and cancelled in the same turn of the event loop."""
    upscaler = Quick()
    upscaler.gate.clear()
    app = create_app(directory=tmp_path, upscaler=upscaler)
    async with asyncio.timeout(5), running(app):
        await asyncio.sleep(0.02)
        app.state.runner.ring()
    assert not app.state.runner.running


async def test_health_is_whether_pictures_are_made(tmp_path: Path) -> None:
    """A server whose queue stands still must not look well."""
    app = create_app(directory=tmp_path, upscaler=Quick(), keys=["k"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://embedded") as client:
        assert 503 == (await client.get("/healthz")).status_code
        async with running(app):
            assert {"status": "ok", "unfinished": 0} == (await client.get("/healthz")).json()


async def test_answers_name_the_public_address(tmp_path: Path) -> None:
    """Behind a proxy, requests name another host than clients know; both are ours."""
    async with serving(tmp_path, Quick(), public_url="https://pictures.example/") as service:
        ticket = await service.ticket()
        assert ticket.url.startswith("https://pictures.example/storage/")
        path = ticket.url.removeprefix("https://pictures.example")
        await service.client.put(path, content=PHOTO.read_bytes(), headers=dict(ticket.headers))
        finished = await service.finished((await service.submit(image=ticket.download_url)).id)
        assert finished.outputs[0].startswith("https://pictures.example/outputs/")
        other = ticket.download_url.replace("https://pictures.example", "http://embedded")
        assert "completed" == (await service.finished((await service.submit(image=other)).id)).status


async def test_a_webhook_and_base64_exclude_each_other(tmp_path: Path) -> None:
    """In the shape that the service uses for this one error."""
    async with serving(tmp_path, Quick()) as service:
        body = {"image": ELSEWHERE, "enable_base64_output": True}
        answer = await service.client.post(f"{MODEL}?webhook=https://example.com/hook", json=body)
        assert 400 == answer.status_code
        assert "webhook callback does not support base64 output" in answer.json()["error"]


async def test_every_model_is_listed_with_its_schema(tmp_path: Path) -> None:
    """What a client builds its form from."""
    async with serving(tmp_path, Quick()) as service:
        models = (await service.client.get(f"{wire.PREFIX}/models")).json()["data"]
        assert [wire.IMAGE_UPSCALER, "wavespeed-ai/real-esrgan"] == [model["model_id"] for model in models]
        run = models[0]["api_schema"]["api_schemas"][0]
        assert ("http://embedded", MODEL) == (run["server"], run["api_path"])
        schema = run["request_schema"]
        assert (["image"], False) == (schema["required"], schema["additionalProperties"])
        assert {"2k", "4k", "8k"} == set(schema["properties"]["target_resolution"]["enum"])
        assert (-2, 2) == (schema["properties"]["creativity"]["minimum"], schema["properties"]["creativity"]["maximum"])


@pytest.mark.parametrize("body", [{}, {"model_id": None}, {"model_id": ""}, {"model_id": ["x"]}])
async def test_a_price_is_of_a_model(tmp_path: Path, body: dict[str, Any]) -> None:
    """One that is not named is the request's mistake, and not a model that is not there."""
    async with serving(tmp_path, Quick()) as service:
        for path in ("price", "pricing"):
            answer = await service.client.post(f"{wire.PREFIX}/model/{path}", json=body)
            assert (400, 'field "model_id" is required') == (answer.status_code, answer.json()["message"][:28])


async def test_an_unknown_path_is_answered_in_the_same_shape(tmp_path: Path) -> None:
    """Also outside the API's prefix, and for a wrong method."""
    async with serving(tmp_path, Quick()) as service:
        answers = [await service.client.get("/nothing"), await service.client.delete(f"{wire.PREFIX}/balance")]
        assert [(404, 404), (405, 405)] == [(answer.status_code, answer.json()["code"]) for answer in answers]
