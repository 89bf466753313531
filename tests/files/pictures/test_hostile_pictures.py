from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import hostile
from upscaled.processes import Processes

EACH = 160
"""Seven kinds of so many are more than a thousand."""


@pytest.mark.parametrize("kind", hostile.KINDS)
async def test_no_hostile_picture_takes_anything_down_or_leaves_anything_behind(tmp_path: Path, kind: str) -> None:
    """In a worker process with its limits: it is refused with a reason, or it is a picture after all."""
    processes = Processes(1, memory=700 << 20, seconds=120)
    try:
        tried, refused, wrong = await processes(hostile.survived, str(tmp_path), kind, EACH)
    finally:
        processes.close()

    assert [] == wrong
    assert tried >= (EACH if kind != "bomb" else 12)
    assert refused > 0 or kind in {"profile", "profile of inks", "EXIF"}
