"""What a worker process does around the calls that it is given; see `upscaled.processes`.

Separate because the process imports the module in which these lie, and that shall be no more than they need.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

NICE: Final = 5
"""How far behind the daemon these processes stand for the processor: a picture can wait, the event loop should not."""

_PR_SET_PDEATHSIG: Final = 1


def begin(memory: int) -> None:
    """Stand back, leave signals to the daemon, and die with it: nothing may be left behind by a kill -9.

    ``memory`` is what this process may use, in bytes.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def timed(seconds: int, call: Callable[[], T]) -> T:
    """Return what ``call`` returns. Beyond the time the process ends by an alarm, which not even C code can put off."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        return call()
    finally:
        signal.alarm(0)
