"""Whether the soak would notice: runs made up of numbers, with and without something that grows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.growth import Sample, grown, written

Grows = Callable[[int], float]


def nothing(_: int) -> float:
    """It does not grow."""
    return 0.0


def run(*, jobs: int = 6000, memory: Grows = nothing, files: Grows = nothing, threads: Grows = nothing) -> list[Sample]:
    """Return the samples of half an hour; what a number grows by is a function of the jobs done."""
    done = [jobs * n // 360 for n in range(360)]
    wave = [n % 7 - 3 for n in range(360)]
    return [
        Sample(
            5.0 * n, done, int(120e6 + 2e5 * up + memory(done)), int(70 + up + files(done)), int(33 + threads(done)), 3
        )
        for n, (done, up) in enumerate(zip(done, wave, strict=True))
    ]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (run(), []),
        (run(memory=lambda done: 20e6 * (1 - math.exp(-done / 700))), []),
        (run(memory=lambda done: 2000 * done), ["memory"]),
        (run(memory=lambda done: 20e6 * (1 - math.exp(-done / 700)) + 2000 * done), ["memory"]),
        (run(files=lambda done: done // 500), ["files"]),
        (run(threads=lambda done: done // 500), ["threads"]),
        (run(threads=lambda done: done > 5000), []),
    ],
    ids=[
        "steady",
        "caches fill",
        "2 KB a job",
        "2 KB a job beside caches",
        "descriptors",
        "threads",
        "one thread more",
    ],
)
def test_what_grows_is_told_from_what_fills_up(samples: list[Sample], expected: list[str]) -> None:
    """Two kilobytes a job, and a descriptor or thread each 500 jobs, are found out; caches with a bound are not."""
    assert expected == [line.split(":")[0] for line in grown(samples)]


def test_a_run_that_is_too_short_tells_nothing() -> None:
    """Nor may it pass for a good one."""
    with pytest.raises(AssertionError, match="too short"):
        list(grown(run(jobs=150)))


def test_what_was_only_read_is_not_counted(tmp_path: Path) -> None:
    """As with libraries, it depends on others whether it is ours alone."""
    lines = ("Rss: 900 kB", "Private_Clean: 700 kB", "Private_Dirty: 30 kB", "Anonymous: 30 kB", "Swap: 4 kB")
    (tmp_path / "smaps_rollup").write_text("\n".join(lines))
    assert 34 * 1024 == written(tmp_path)
