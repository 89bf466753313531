"""The built-in engine's section: how its values are read, and that the engine is given them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import GOOD, load_text
from upscaled.config import Engine
from upscaled.embedded import upscaler
from upscaled.engine.gpu import Gpu
from upscaled.engine.order import Tier


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("", Engine()),
        ("tier: fast", Engine(tier="fast")),
        ("memory: 2GB", Engine(memory=2_000_000_000)),
        ("memory: 0.5 GB", Engine(memory=500_000_000)),
        ("patience: 90s", Engine(patience=90.0)),
        ("patience: off", Engine(patience=None)),
        ("gpu: off", Engine(gpu="off")),
        ("gpu: force", Engine(gpu="force")),
    ],
)
def test_the_engines_section_is_read(section: str, expected: Engine, tmp_path: Path) -> None:
    """Sizes in bytes, times in seconds; YAML's false is our off."""
    assert expected == load_text(GOOD + f"engine: {{{section}}}\n", tmp_path).engine


def test_the_engine_is_given_what_is_configured() -> None:
    """Nothing that is written is without effect."""
    engine = upscaler(Engine(tier="max", memory=10**9, patience=7.0, gpu="off"))

    assert (Tier.MAX, 10**9, 7.0, Gpu.OFF) == (engine._tier, engine._memory_limit, engine._patience, engine._gpu)
