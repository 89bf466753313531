"""What a profile sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.configs import GOOD, load_text, problems_in

if TYPE_CHECKING:
    from pathlib import Path

DEFAULTS = {"target_resolution": "4k", "output_format": "jpeg"}


@pytest.mark.parametrize(
    ("profile", "model", "inputs"),
    [
        ("{}", "wavespeed-ai/image-upscaler", DEFAULTS),
        ("{creativity: 0}", "wavespeed-ai/image-upscaler", DEFAULTS | {"creativity": 0}),
        ("{creativity: 0.5}", "wavespeed-ai/image-upscaler", DEFAULTS | {"creativity": 0.5}),
        ("{enable_sync_mode: false}", "wavespeed-ai/image-upscaler", DEFAULTS),
        ("{enable_sync_mode: true}", "wavespeed-ai/image-upscaler", DEFAULTS | {"enable_sync_mode": True}),
        ("{enable_base64_output: true}", "wavespeed-ai/image-upscaler", DEFAULTS | {"enable_base64_output": True}),
        ("{model: wavespeed-ai/seedvr2/image}", "wavespeed-ai/seedvr2/image", DEFAULTS),
        (
            "{model: wavespeed-ai/ultimate-image-upscaler, output_format: webp}",
            "wavespeed-ai/ultimate-image-upscaler",
            DEFAULTS | {"output_format": "webp"},
        ),
        (
            "{params: {seed: 1, deep: {a: [1, null]}}}",
            "wavespeed-ai/image-upscaler",
            DEFAULTS | {"seed": 1, "deep": {"a": [1, None]}},
        ),
        ("{model: a/b}", "a/b", {}),
        ("{model: a/b, params: {scale: 4, creativity: 9}}", "a/b", {"scale": 4, "creativity": 9}),
    ],
)
def test_a_profile_sends_what_is_set(profile: str, model: str, inputs: dict[str, Any], tmp_path: Path) -> None:
    """Defaults for the upscalers, nothing that was left to the service, and `params` alone for other models."""
    settings = load_text(GOOD + f"profiles: {{p: {profile}}}\n", tmp_path)

    parameters = settings.profiles["p"].parameters()

    assert model == parameters.model
    assert inputs == parameters.inputs
    assert list(map(type, inputs.values())) == list(map(type, parameters.inputs.values()))


def test_the_default_profile_is_there_unless_it_is_written(tmp_path: Path) -> None:
    """A configuration needs no profiles, and can say what the default is."""
    other = load_text(GOOD + "profiles: {default: {target_resolution: 2k}}\n", tmp_path)

    assert "4k" == load_text(GOOD, tmp_path).folders[0].params.target_resolution
    assert "2k" == other.folders[0].params.target_resolution


def test_jobs_cannot_change_each_others_parameters(tmp_path: Path) -> None:
    """Every call makes a mapping of its own."""
    profile = load_text(GOOD, tmp_path).profiles["default"]

    assert profile.parameters().inputs is not profile.parameters().inputs


@pytest.mark.parametrize("name", ["high-res", "8k", "2024", "Café 2", "a.b_c+d"])
def test_profiles_have_the_names_that_people_give(name: str, tmp_path: Path) -> None:
    """Letters of any language, digits and a few signs."""
    assert [] == problems_in(GOOD + f"    profile: '{name}'\nprofiles: {{{name}: {{}}}}\n", tmp_path)
