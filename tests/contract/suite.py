"""What every implementation of the API must do, seen through plain HTTP. Subclass `Contract` and provide ``service``.

It holds what clients rely on and nothing more, so that implementations may differ where the service's own documents
leave it open.
"""

from __future__ import annotations

import asyncio
import base64
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from upscaled.api import wire

if TYPE_CHECKING:
    import httpx

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"
MODEL = f"{wire.PREFIX}/{wire.IMAGE_UPSCALER}"


@dataclass(frozen=True, slots=True)
class Service:
    """One implementation: ``client`` sends a good key and knows the address, ``anyone`` sends no key."""

    client: httpx.AsyncClient
    anyone: httpx.AsyncClient

    async def post(self, path: str, body: object) -> Any:
        """Post JSON and return the data of a successful answer."""
        return wire.unwrap(*_seen(await self.client.post(path, json=body)))

    async def ticket(self, name: str = "cat.jpg", size: int | None = None, kind: str = "image/jpeg") -> wire.Ticket:
        """Ask for leave to upload."""
        size = PHOTO.stat().st_size if size is None else size
        body = {"filename": name, "size": size, "content_type": kind}
        return wire.parse_ticket(await self.post(f"{wire.PREFIX}/media/uploads", body))

    async def put(self, ticket: wire.Ticket, content: bytes) -> httpx.Response:
        """Use a ticket exactly as it says, without a key."""
        return await self.anyone.request(ticket.method, ticket.url, headers=dict(ticket.headers), content=content)

    async def uploaded(self, content: bytes | None = None) -> str:
        """Upload a picture and return its address."""
        content = PHOTO.read_bytes() if content is None else content
        ticket = await self.ticket(size=len(content))
        (await self.put(ticket, content)).raise_for_status()
        return ticket.download_url

    async def submit(self, **inputs: Any) -> wire.Prediction:
        """Submit, small by default."""
        return wire.parse_prediction(await self.post(MODEL, {"target_resolution": "2k", **inputs}))

    async def finished(self, prediction_id: str) -> wire.Prediction:
        """Poll until nothing will change any more."""
        while True:
            answer = await self.client.get(f"{wire.PREFIX}/predictions/{prediction_id}/result")
            prediction = wire.parse_prediction(wire.unwrap(*_seen(answer)))
            if prediction.terminal:
                return prediction
            await asyncio.sleep(0.01)

    async def found(self, **wanted: Any) -> list[wire.Prediction]:
        """Look into the history."""
        data = await self.post(f"{wire.PREFIX}/predictions", {"page": 1, "page_size": 100, **wanted})
        return [wire.parse_prediction(item) for item in data["items"]]


class Contract:
    """The suite."""

    @pytest.mark.parametrize(("form", "expected"), [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
    async def test_a_picture_goes_up_and_its_result_comes_down(
        self, service: Service, form: str, expected: str
    ) -> None:
        """Ticket, upload without a key, submit, poll, download without a key."""
        submitted = await service.submit(image=await service.uploaded(), output_format=form)
        assert submitted.id
        assert wire.IMAGE_UPSCALER == submitted.model
        finished = await service.finished(submitted.id)
        assert ("completed", "") == (finished.status, finished.error)
        assert 1 == len(finished.outputs)
        content = (await service.anyone.get(finished.outputs[0])).raise_for_status().content
        with Image.open(io.BytesIO(content)) as image:
            assert (expected, 2048) == (image.format, max(image.size))

    async def test_a_form_is_an_upload_too(self, service: Service) -> None:
        """The older way, which most third parties use."""
        answer = await service.client.post(
            f"{wire.PREFIX}/media/upload/binary", files={"file": ("cat.jpg", PHOTO.read_bytes(), "image/jpeg")}
        )
        url = wire.parse_download_url(wire.unwrap(*_seen(answer)))
        finished = await service.finished((await service.submit(image=url)).id)
        assert "completed" == finished.status

    async def test_both_result_paths_say_the_same(self, service: Service) -> None:
        """The documents name one with and one without its last part."""
        finished = await service.finished((await service.submit(image=await service.uploaded())).id)
        bare = await service.client.get(f"{wire.PREFIX}/predictions/{finished.id}")
        full = await service.client.get(f"{wire.PREFIX}/predictions/{finished.id}/result")
        assert full.json() == bare.json()

    async def test_an_address_is_written_once(self, service: Service) -> None:
        """What was uploaded cannot be changed behind a prediction's back."""
        ticket = await service.ticket()
        assert 200 <= (await service.put(ticket, PHOTO.read_bytes())).status_code < 300
        assert 412 == (await service.put(ticket, PHOTO.read_bytes())).status_code

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [({"target_resolution": "16k"}, "target_resolution"), ({"output_format": "gif"}, "output_format")],
    )
    async def test_a_wrong_value_is_refused_by_name(self, service: Service, wrong: dict[str, Any], named: str) -> None:
        """A refusal has a code and a message, and no data."""
        answer = await service.client.post(MODEL, json={"image": await service.uploaded(), **wrong})
        assert 400 == answer.status_code
        assert 400 == answer.json()["code"]
        assert named in answer.json()["message"]
        assert "data" not in answer.json()

    async def test_without_a_picture_nothing_is_made(self, service: Service) -> None:
        """The one required parameter."""
        answer = await service.client.post(MODEL, json={"target_resolution": "2k"})
        assert 400 == answer.status_code
        assert "image" in answer.json()["message"]

    async def test_what_does_not_exist_is_404(self, service: Service) -> None:
        """Models and predictions."""
        answers = [
            await service.client.post(f"{wire.PREFIX}/wavespeed-ai/no-such-model", json={"image": "https://a/b"}),
            await service.client.get(f"{wire.PREFIX}/predictions/0123456789abcdef0123456789abcdef/result"),
        ]
        assert [404, 404] == [answer.status_code for answer in answers]
        assert [404, 404] == [answer.json()["code"] for answer in answers]
        assert 'Model "wavespeed-ai/no-such-model" not found' in answers[0].json()["message"]
        assert "Prediction not found." == answers[1].json()["message"]

    async def test_a_wrong_key_is_401(self, service: Service) -> None:
        """With none and with another's, wherever a key is asked for."""
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            for method, path in (("GET", "/balance"), ("POST", "/predictions"), ("POST", f"/{wire.IMAGE_UPSCALER}")):
                answer = await service.anyone.request(method, wire.PREFIX + path, headers=headers)
                assert 401 == answer.status_code
                assert answer.json()["message"].startswith("Invalid API key.")

    async def test_a_failed_task_is_a_good_answer_with_a_code(self, service: Service) -> None:
        """HTTP and the envelope are 200; what failed is in the data."""
        finished = await service.finished((await service.submit(image=await service.uploaded(b"no picture"))).id)
        assert "failed" == finished.status
        assert wire.CODE_MEDIA == finished.code
        assert finished.error
        assert () == finished.outputs

    async def test_the_history_finds_a_lost_prediction_by_its_picture(self, service: Service) -> None:
        """How a client that died after submitting finds out that it did."""
        url = await service.uploaded()
        submitted = await service.submit(image=url)
        now = datetime.now(UTC)
        around = {
            "created_after": wire.write_time(now - timedelta(hours=1)),
            "created_before": wire.write_time(now + timedelta(hours=1)),
        }
        found = await service.found(model=wire.IMAGE_UPSCALER, include_inputs=True, **around)
        assert [submitted.id] == [prediction.id for prediction in found if prediction.image == url]
        before = {"created_before": wire.write_time(now - timedelta(hours=1))}
        assert [] == await service.found(include_inputs=True, **before)

    async def test_the_history_comes_newest_first_and_in_pages(self, service: Service) -> None:
        """Two pages of one are one page of two."""
        image = await service.uploaded()
        first, second = await service.submit(image=image), await service.submit(image=image)
        pages = [await service.found(page=page, page_size=1) for page in (1, 2)]
        assert [[second.id], [first.id]] == [[item.id for item in page] for page in pages]

    async def test_a_sync_request_is_answered_with_the_result(self, service: Service) -> None:
        """For those who cannot poll."""
        finished = await service.submit(image=await service.uploaded(), enable_sync_mode=True)
        assert "completed" == finished.status
        assert 1 == len(finished.outputs)

    async def test_base64_output_is_the_file_itself(self, service: Service) -> None:
        """Bare base64, without a data: prefix, when polled too."""
        submitted = await service.submit(image=await service.uploaded(), enable_base64_output=True)
        finished = await service.finished(submitted.id)
        with Image.open(io.BytesIO(base64.b64decode(finished.outputs[0], validate=True))) as image:
            assert 2048 == max(image.size)

    @pytest.mark.parametrize("path", ["/model/price", "/model/pricing"])
    async def test_a_price_is_told_without_making_anything(self, service: Service, path: str) -> None:
        """And it checks model and values, free of charge."""
        body = {"model_id": wire.IMAGE_UPSCALER, "inputs": {"target_resolution": "8k"}}
        price = wire.parse_price(await service.post(wire.PREFIX + path, body))
        assert price.dollars >= 0
        wrong = await service.client.post(wire.PREFIX + path, json={"model_id": "no/model", "inputs": {}})
        assert 404 == wrong.status_code
        body["inputs"] = {"target_resolution": "16k"}
        assert 400 == (await service.client.post(wire.PREFIX + path, json=body)).status_code
        assert [] == await service.found()

    async def test_a_balance_is_told(self, service: Service) -> None:
        """Also how clients check their key."""
        answer = await service.client.get(f"{wire.PREFIX}/balance")
        assert wire.parse_balance(wire.unwrap(*_seen(answer))) >= 0

    async def test_a_deleted_prediction_is_gone(self, service: Service) -> None:
        """From results and from the history."""
        submitted = await service.submit(image=await service.uploaded())
        await service.finished(submitted.id)
        await service.post(f"{wire.PREFIX}/predictions/delete", {"ids": [submitted.id]})
        answer = await service.client.get(f"{wire.PREFIX}/predictions/{submitted.id}/result")
        assert 404 == answer.status_code
        assert [] == await service.found()


def _seen(answer: httpx.Response) -> tuple[int, bytes]:
    return answer.status_code, answer.content
