"""The service's official Python SDK, unmodified, against our server."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from wavespeed.api.client import Client

from tests.support.quick import Quick
from tests.support.uvicorn_thread import served
from upscaled.api import wire
from upscaled.engine.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """A server with a key."""
    with served(create_app(directory=tmp_path, upscaler=Quick(), keys=["sdk-key"])) as base:
        yield base


def test_it_uploads_runs_and_reads_the_result(base: str) -> None:
    """What its users do, in their words."""
    client = Client(api_key="sdk-key", base_url=base)
    url = client.upload(str(PHOTO))
    inputs = {"image": url, "target_resolution": "2k", "output_format": "png"}
    outputs = client.run(wire.IMAGE_UPSCALER, inputs, poll_interval=0.05)["outputs"]
    with urllib.request.urlopen(outputs[0]) as answer, Image.open(io.BytesIO(answer.read())) as image:
        assert ("PNG", 2048) == (image.format, max(image.size))


def test_it_runs_in_sync_mode(base: str) -> None:
    """One request, one answer."""
    client = Client(api_key="sdk-key", base_url=base)
    inputs = {"image": client.upload(str(PHOTO)), "target_resolution": "2k"}
    assert 1 == len(client.run(wire.IMAGE_UPSCALER, inputs, enable_sync_mode=True)["outputs"])


def test_it_reports_a_wrong_key(base: str) -> None:
    """The server's sentence reaches its user."""
    client = Client(api_key="another-key", base_url=base)
    with pytest.raises(RuntimeError, match="401"):
        client.run(wire.IMAGE_UPSCALER, {"image": "https://example.com/a.jpg"})


def test_it_reports_a_failed_task(base: str, tmp_path: Path) -> None:
    """A picture that is none."""
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    client = Client(api_key="sdk-key", base_url=base)
    url = client.upload(str(tmp_path / "no.jpg"))
    with pytest.raises(RuntimeError, match="cannot be read"):
        client.run(wire.IMAGE_UPSCALER, {"image": url}, poll_interval=0.05)


def test_it_reports_a_wrong_value(base: str) -> None:
    """The refused parameter is named."""
    client = Client(api_key="sdk-key", base_url=base)
    with pytest.raises(RuntimeError, match="target_resolution"):
        client.run(wire.IMAGE_UPSCALER, {"image": "https://example.com/a.jpg", "target_resolution": "16k"})
