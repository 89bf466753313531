"""Killing a function at every instant at which it has just changed something on a disk.

Python's trace hook stops between any two lines of any module, the standard library's included. A first run in a child
notes at which of those stops the directories look different from the stop before; then, from the same beginning, one
child after another is killed with SIGKILL at one of them. What a killed process leaves is what the kernel has, which is
all that a second run gets to see.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

Snapshot = dict[str, bytes | None]

_FAILED: Final = 99


def snapshot(roots: Iterable[Path]) -> Snapshot:
    """Return every path below the roots with its content (None for directories)."""
    paths = (path for root in roots for path in sorted(root.rglob("*")))
    return {str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None for path in paths}


def at_every_stop(action: Callable[[], object], visit: Callable[[int], None], *, only: str = "") -> None:
    """Run ``action`` and call ``visit`` with 0, 1, 2 ... between any two lines of it.

    ``only`` leaves out the lines of files whose path does not contain it.
    """
    count = -1

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        nonlocal count
        if only not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
            sys.settrace(None)
            visit(count)
            sys.settrace(trace)
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(previous)


def stops_that_changed(action: Callable[[], object], roots: Iterable[Path]) -> list[int]:
    """Return the stops of ``action`` right after each change below the roots; it runs in a child."""
    roots = list(roots)

    def note(report: Path) -> None:
        changed: list[int] = [0]
        before = snapshot(roots)

        def look(stop: int) -> None:
            nonlocal before
            now = snapshot(roots)
            if now != before:
                changed.append(stop)
            before = now

        at_every_stop(action, look)
        report.write_text(" ".join(map(str, changed)))

    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "stops")
        status = _in_child(lambda: note(report))
        assert status == 0, f"the run that only takes notes failed: {status}"
        return [int(stop) for stop in report.read_text().split()]


def kill_at(action: Callable[[], object], stop: int) -> None:
    """Run ``action`` in a child that is killed at this stop."""

    def die(number: int) -> None:
        if number == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    status = _in_child(lambda: at_every_stop(action, die))
    assert status == -signal.SIGKILL, f"the run was not killed at stop {stop}: {status}"


def _in_child(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:  # noqa: BLE001 - whatever it is, this child must not go on as a second pytest
            os._exit(_FAILED)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
