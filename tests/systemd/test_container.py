from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.support.configs import GOOD, load_text

ROOT = Path(__file__).parents[2]

COMPOSE = (ROOT / "systemd" / "compose.yaml").read_text("utf-8")

UPSCALED = yaml.safe_load(COMPOSE)["services"]["upscaled"]


def test_the_page_is_for_this_machine_alone_until_somebody_says_otherwise() -> None:
    """Who starts a container need not have read about tokens."""
    assert all(port.startswith("127.0.0.1:") for port in UPSCALED["ports"])


def test_what_opens_the_page_is_a_configuration_and_gets_its_token(tmp_path: Path) -> None:
    """The line stands in the file's head and in the README, and refers to a variable that the container is given."""
    lines = {line for text in (COMPOSE, (ROOT / "README.md").read_text("utf-8")) for line in _openings(text)}

    [line] = lines
    assert "DASHBOARD_TOKEN" in UPSCALED["environment"]
    page = load_text(GOOD + line, tmp_path, {"DASHBOARD_TOKEN": "a token of its own"}).dashboard
    assert page.listen is not None
    assert not page.listen.loopback
    assert ("nas", "nas.local") == page.hosts


def _openings(text: str) -> list[str]:
    return re.findall(r"dashboard: \{listen: \"0\.0\.0\.0.*\}", text)
