"""Other people's clients against the installed `upscaled serve` with its real networks, on a tiny picture."""

from __future__ import annotations

import io
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from wavespeed.api.client import Client

from tests.contract.test_engine_fuzz import OPERATIONS, Case, cases
from tests.contract.test_engine_sdk_js import installed, outcomes
from tests.e2e.test_serve import KEYS, serving
from tests.support.house import COMMAND, House, picture
from upscaled.api import wire
from upscaled.ledger import Ledger


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    with serving(tmp_path_factory.mktemp("serve")) as (_, client):
        yield str(client.base_url)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 48 x 32 pixels."""
    return picture(tmp_path_factory.mktemp("tiny") / "tiny.png", size=(48, 32))


def sized(address: str) -> tuple[str | None, tuple[int, int]]:
    """Fetch a result; return its format and size."""
    with urllib.request.urlopen(address) as answer, Image.open(io.BytesIO(answer.read())) as image:
        image.load()
        return image.format, image.size


def test_the_python_sdk_is_served(base: str, tiny: Path) -> None:
    """Upload, polling, sync mode, and the error paths, in its users' words."""
    client = Client(api_key=KEYS[0], base_url=base)
    image = client.upload(str(tiny))
    inputs = {"image": image, "target_resolution": "2k", "output_format": "webp"}
    (polled,) = client.run(wire.IMAGE_UPSCALER, inputs, poll_interval=0.1)["outputs"]
    (synced,) = client.run(wire.IMAGE_UPSCALER, inputs, enable_sync_mode=True)["outputs"]
    assert [("WEBP", (2048, 1365))] * 2 == [sized(polled), sized(synced)]
    with pytest.raises(RuntimeError, match="target_resolution"):
        client.run(wire.IMAGE_UPSCALER, {"image": image, "target_resolution": "16k"})
    with pytest.raises(RuntimeError, match="401"):
        Client(api_key="another", base_url=base).run(wire.IMAGE_UPSCALER, inputs)


def test_it_has_no_bills_to_reconcile_with(base: str, tmp_path: Path) -> None:
    """Which is said of the service, not of a model that nobody asked for."""
    house = House(tmp_path, service={"url": base, "api_key": KEYS[0]})
    Ledger.open(house.state).close()
    command = (str(COMMAND), "spend", "--reconcile", "-c", str(house.config))

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (2, "") == (done.returncode, done.stdout)
    assert "has no bills" in done.stderr


@pytest.mark.stress
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches the SDK, is not installed")
def test_the_javascript_sdk_is_served(base: str, tiny: Path, tmp_path: Path) -> None:
    """The same from the other side, and what a picture that is none leads to."""
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    broken = str(tmp_path / "broken.jpg")
    told = outcomes(installed(tmp_path), BASE=base, KEY=KEYS[1], PHOTO=str(tiny), BROKEN=broken)
    assert ("PNG", (2048, 1365)) == sized(told["polled"]["outputs"][0])
    assert 1 == len(told["sync"]["outputs"])
    assert "cannot be read" in told["failed"]["error"]
    assert "target_resolution" in told["refused"]["error"]
    assert "401" in told["stranger"]["error"]
    assert "failed" == told["noThrow"]["status"]


CASES: Final = 5
"""Requests for each operation; the many are made of a server in the test's own process."""


@pytest.mark.stress
def test_no_request_of_its_own_description_makes_it_fail(base: str) -> None:
    """The process that is installed answers as the description it gives of itself says."""
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    for method, path in OPERATIONS:
        operation = schema[path][method]

        @settings(
            max_examples=CASES, database=None, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck]
        )
        @given(case=cases(operation))
        def asked(case: Case) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {KEYS[0]}"})
            assert answer.status_code < 500, answer.text

        asked()
