from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """What systemd warns about, it warns about on every user's machine."""
    # The command need not be installed where the unit is checked, but it must be a command.
    text = unit.read_text("utf-8").replace("/usr/local/bin/upscaled", "/bin/true")
    copy = tmp_path / unit.name
    copy.write_text(text, "utf-8")

    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


def test_there_is_a_unit_to_check() -> None:
    """The table above must not be empty."""
    assert UNITS
