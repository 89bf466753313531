"""The service's official JavaScript SDK, unmodified and fetched with npm, against our server."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from tests.support.quick import Quick
from tests.support.uvicorn_thread import served
from upscaled.engine.app import create_app
from upscaled.engine.order import Order, Report

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"
SCRIPT = Path(__file__).with_name("sdk.cjs")

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="npm, which fetches the SDK, is not installed")


class Hesitant(Quick):
    """Takes longer than any request is held open for where all creativity is asked for."""

    async def upscale(
        self,
        source: Path,
        output: Path,
        order: Order,
        *,
        progress: Callable[[float], None] | None = None,
        estimated: Callable[[float], None] | None = None,
    ) -> Report:
        """Wait, and do it quickly."""
        if order.creativity == 2:
            await anyio.sleep_forever()
        return await super().upscale(source, output, order, progress=progress, estimated=estimated)


def installed(directory: Path) -> Path:
    """Install the SDK into a directory."""
    npm = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix", str(directory)]
    done = subprocess.run([*npm, "wavespeed@0.3"], capture_output=True, text=True, check=False, cwd=directory)
    assert 0 == done.returncode, done.stderr
    return directory / "node_modules"


def outcomes(modules: Path, **environ: str) -> dict[str, Any]:
    """Run the script of calls, and return what came of each."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        env={**os.environ, **environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What its users are told, call by call."""
    directory = tmp_path_factory.mktemp("js")
    modules = installed(directory)
    (directory / "broken.jpg").write_bytes(b"no picture")
    app = create_app(directory=directory / "state", upscaler=Hesitant(), keys=["sdk-key"], sync_limit=2.0)
    with served(app) as base:
        found = outcomes(modules, BASE=base, KEY="sdk-key", PHOTO=str(PHOTO), BROKEN=str(directory / "broken.jpg"))
        with urllib.request.urlopen(found["polled"]["outputs"][0]) as answer:
            found["picture"] = answer.read()
    return found


def test_it_uploads_polls_and_is_given_the_picture(told: dict[str, Any]) -> None:
    """What its users do, in their words."""
    with Image.open(io.BytesIO(told["picture"])) as image:
        assert ("PNG", 2048) == (image.format, max(image.size))


def test_it_runs_in_sync_mode_and_with_base64(told: dict[str, Any]) -> None:
    """One request, one answer; and bare base64, without a prefix."""
    assert 1 == len(told["sync"]["outputs"])
    with Image.open(io.BytesIO(base64.b64decode(told["base64"]["outputs"][0], validate=True))) as image:
        assert 2048 == max(image.size)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("failed", "cannot be read"),
        ("refused", "target_resolution"),
        ("model", 'Model \\"wavespeed-ai/nothing\\" not found'),
        ("stranger", "401"),
        ("upload", "401"),
        ("slow", "still processing"),
    ],
)
def test_it_reports_what_went_wrong(told: dict[str, Any], call: str, said: str) -> None:
    """The server's own words reach its user, and a request held open too long is told from a failure."""
    assert said in told[call]["error"]


def test_its_other_form_reports_a_failure_too(told: dict[str, Any]) -> None:
    """The one that throws nothing."""
    assert "failed" == told["noThrow"]["status"]
    assert "cannot be read" in told["noThrow"]["error"]
