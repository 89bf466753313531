"""The process that makes the pictures: ``python -m upscaled.engine.child``, used by `process` alone.

A process of its own so that memory running out or a graphics driver crashing costs one picture a retry and not the
server, and so that stopping at once is safe. It takes one JSON line an order from standard input and answers with
lines on standard output: ``estimate``
once, ``progress`` any number of times, then ``report``, ``refused`` or ``failed``. It ends when
its input does, which is also what happens when the server is killed.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from upscaled import errors
from upscaled.engine.order import Order, PictureRefused, Tier
from upscaled.engine.render import Renderer

NICENESS: Final = 5
"""How far the process steps back for everything else on the machine, the server's own answers first of all."""

_TELL_EVERY: Final = 0.2
"""Least time between two tellings of progress, in seconds."""


class Lines:
    """JSON lines to the parent; nothing else can get between them, as C code may print to standard output too."""

    def __init__(self) -> None:
        self._file: IO[str] = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._told = 0.0

    def say(self, **message: Any) -> None:
        """Send one line; with nobody left to read it, there is nobody to work for."""
        try:
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()
        except BrokenPipeError:
            os._exit(0)

    def progress(self, share: float) -> None:
        """Send how far the picture is, now and then."""
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            self.say(progress=share)

    def estimate(self, seconds: float) -> None:
        """Send how long the picture will take."""
        self.say(estimate=seconds)


def serve(renderer: Renderer, lines: Lines, orders: queue.Queue[dict[str, Any] | None]) -> None:
    """Make what comes, one after the other, until None comes."""
    while (message := orders.get()) is not None:
        wanted = message["order"]
        order = Order(**{**wanted, "tier": Tier(wanted["tier"]) if wanted["tier"] else None})
        try:
            report = renderer.render(
                *(Path(message["source"]), Path(message["output"]), order),
                progress=lines.progress,
                estimated=lines.estimate,
            )
        except PictureRefused as refused:
            lines.say(refused={"what": refused.what, "why": refused.why, "do": refused.do, "code": refused.code})
        except errors.EngineError as error:
            lines.say(failed={"what": error.what, "why": error.why, "do": error.do})
        except MemoryError:
            lines.say(failed={"what": "There is too little memory for this picture", "why": "", "do": ""})
        except OSError as error:
            lines.say(disk={"number": error.errno, "text": error.strerror})
        except Exception as error:  # noqa: BLE001 -- the server waits for an answer; the trace is for its log
            traceback.print_exc()
            lines.say(failed={"what": "The engine failed at this picture", "why": repr(error), "do": ""})
        else:
            lines.say(report=asdict(report))


def main() -> None:
    """Get ready, say so, and serve."""
    lines = Lines()
    settings = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")  # damaged metadata in a picture is no news for the server's log
    with suppress(OSError):  # a sandbox may forbid it; the pictures are made all the same
        os.nice(NICENESS)
    try:
        renderer = Renderer(
            workers=settings["workers"],
            tier=Tier(settings["tier"]),
            patience=settings["patience"],
            gpu=settings["gpu"],
            edge=settings["edge"],
            limit=settings["limit"],
        )
        rates = renderer.measure()
    except errors.EngineError as error:
        lines.say(failed={"what": error.what, "why": error.why, "do": error.do})
        return
    lines.say(ready={"workers": renderer.workers, "rates": rates})
    orders: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=serve, args=(renderer, lines, orders), daemon=True).start()
    for line in sys.stdin:
        orders.put(json.loads(line))
    # The server is gone or wants no more: nobody waits for what is half made.
    os._exit(0)


if __name__ == "__main__":
    main()
