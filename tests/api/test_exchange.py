"""Requests are told of, whatever becomes of them."""

from __future__ import annotations

import io
from pathlib import Path

import httpx

from tests.support.jobs import PARAMS
from upscaled import errors
from upscaled.api.client import Service
from upscaled.api.exchange import Asked

URL = "https://api.example"


def answer(request: httpx.Request) -> httpx.Response:
    """Be a service that knows a balance, takes uploads, refuses submits, and hangs up on everything else."""
    path = request.url.path
    if path.endswith("/balance"):
        return httpx.Response(200, json={"code": 200, "data": {"balance": 1.5}})
    if path.endswith("/media/uploads"):
        upload = {"method": "PUT", "url": "https://files.example/put", "headers": {}}
        return httpx.Response(
            200, json={"code": 200, "data": {"download_url": "https://f.example/a", "upload": upload}}
        )
    if request.url.host == "files.example":
        return httpx.Response(200)
    if request.url.host == "out.example":
        return httpx.Response(404)
    if path.endswith("/image-upscaler"):
        return httpx.Response(429, json={"code": 429, "message": "slow down"})
    raise httpx.ConnectError("no")


async def test_every_request_is_told_of_by_its_kind_and_status(tmp_path: Path) -> None:
    """Answered or not, refused or not; and how long it took."""
    told: list[Asked] = []
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x")
    transport = httpx.MockTransport(answer)
    async with Service(URL, api_key="k", transport=transport, observe=told.append) as service:
        await service.balance()
        await service.upload(picture, name="a.jpg", content_type="image/jpeg")
        for refused in (
            service.submit(PARAMS, "https://f.example/a"),
            service.result("p"),
            service.download("https://out.example/o.jpg", io.BytesIO()),
        ):
            try:
                await refused
            except errors.ServiceError:
                continue
            raise AssertionError

    expected = [
        ("balance", 200),
        ("ticket", 200),
        ("upload", 200),
        ("submit", 429),
        ("result", None),
        ("download", 404),
    ]
    assert expected == [(asked.kind, asked.status) for asked in told]
    assert all(asked.seconds > 0 for asked in told)
