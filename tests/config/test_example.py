"""config.example.yaml holds every key with its default, and it loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from upscaled.config import EXAMPLE, load
from upscaled.config.schema import REQUIRED, SECTIONS

WRITTEN_OTHERWISE = {"folders.failed", "service.api_key"} | {f"folders.{role}" for role in REQUIRED}
"""Keys whose default depends on others, or that have none."""


def section(name: str) -> dict[str, Any]:
    """Return a section of the example as YAML has it; of folders and profiles, the first."""
    data: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    if name == "folders":
        return dict(data[name][0])
    if name == "profiles":
        return dict(data[name]["default"])
    for part in name.split(".") if name else ():
        data = data[part]
    return dict(data)


KEYS = [(name, key) for name, model in SECTIONS.items() for key in model.model_fields]


@pytest.mark.parametrize(("name", "key"), KEYS, ids=[f"{name}.{key}".lstrip(".") for name, key in KEYS])
def test_every_key_stands_in_the_example_with_its_default(name: str, key: str) -> None:
    """A key that is added to a model, or whose default is changed, has to be so in the example."""
    written = section(name)

    assert key in written
    field = SECTIONS[name].model_fields[key]
    if f"{name}.{key}" in WRITTEN_OTHERWISE or f"{name}.{key}".lstrip(".") in SECTIONS:
        return
    checked = None if written[key] is None else getattr(SECTIONS[name].model_validate({key: written[key]}), key)
    assert field.get_default(call_default_factory=True) == checked


@pytest.mark.parametrize("name", [name for name in SECTIONS if name not in {"", "profiles"}])
def test_the_example_has_no_key_that_does_not_exist(name: str) -> None:
    """A key that is removed has to leave the example too."""
    assert set() == section(name).keys() - SECTIONS[name].model_fields.keys()


def test_the_example_loads(tmp_path: Path) -> None:
    """With its own paths."""
    file = tmp_path / "config.yaml"
    file.write_text(EXAMPLE.read_text().replace("/srv/photos", str(tmp_path)))

    settings = load(file, environ={"WAVESPEED_API_KEY": "k", "HOME": "/home/ann"}, cwd=tmp_path)

    assert ["default", "real-esrgan"] == list(settings.profiles)
    assert tmp_path / "inbox" == settings.folders[0].inbox


def test_every_key_of_the_example_has_its_comment() -> None:
    """One line each."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if re.match(r" *(- )?[a-z_]+: \S", line)]

    assert [] == [line for line in lines if " # " not in line]
