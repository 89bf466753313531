"""What a person at a terminal sees of work that goes on: a live table there, plain lines elsewhere."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from upscaled import errors
from upscaled.board import Board, board
from upscaled.events import Event
from upscaled.files.names import printable
from upscaled.job.budget import dollars
from upscaled.job.model import TERMINAL, Job, Stage, Standing
from upscaled.ledger import Ledger

_DOING: Final = {
    Stage.ADMITTED: "uploading",
    Stage.UPLOADED: "waiting for a place",
    Stage.SUBMITTED: "being upscaled",
    Stage.RENDERED: "downloading",
    Stage.DOWNLOADED: "being checked",
    Stage.PUBLISHED: "moving the original",
}

_ENDS: Final = {
    Standing.DONE: ("done", "green"),
    Standing.FAILED: ("failed", "red"),
    Standing.HELD: ("needs you", "red"),
    Standing.CANCELLED: ("called off", "yellow"),
}

_BAR: Final = 40
"""Width of the bar, in characters."""

Read = Callable[[], Board | None]


def doing(job: Job) -> str:
    """Return in a word or two what is happening to a job."""
    if job.standing in _ENDS:
        return _ENDS[job.standing][0]
    if job.standing is Standing.WAITING:
        return f"waiting: {job.reason}"
    return _DOING.get(job.stage, str(job.stage))


def reading(opened: Callable[[], Ledger], *, since: float, now: Callable[[], float] = time.time) -> Read:
    """Return what reads the board of a ledger; None while there is none, or it cannot be read."""
    found: list[Ledger] = []

    def read() -> Board | None:
        try:
            if not found:
                found.append(opened())
            return board(found[0], since=since, now=now())
        except (errors.StateError, sqlite3.Error):
            return None

    return read


class Progress:
    """A subscriber that prints a line for each job that ends, and on a terminal keeps a live table below them.

    Use it as a context manager. ``read`` gives what is under way.
    """

    def __init__(self, console: Console, read: Read) -> None:
        self._console = console
        self._read = read
        self._live = (
            Live(console=console, refresh_per_second=2, transient=True, get_renderable=self._table)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Print the line of a job that is over."""
        job = event.job
        if job.standing in TERMINAL or job.standing is Standing.HELD:
            self._console.print(_line(job))

    def _table(self) -> RenderableType:
        found = self._read()
        return Text("starting ...", style="dim") if found is None else table(found)


def table(found: Board) -> RenderableType:
    """Return the live table: the stage of each active job, then a bar and the totals."""
    jobs = Table(box=None, show_header=False, pad_edge=False)
    jobs.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    jobs.add_column(overflow="fold", ratio=3)
    for job in found.active:
        jobs.add_row(Text(printable(job.source)), Text(printable(doing(job)), style="cyan"))
    if found.running > len(found.active):
        jobs.add_row(Text(f"and {found.running - len(found.active)} more"), Text(""))
    ended = sum(count for _, count in found.ended)
    bar = ProgressBar(total=max(1, found.total), completed=ended, width=_BAR)
    totals = Table.grid(padding=(0, 1))
    totals.add_row(bar, Text(printable(line(found))))
    return Group(jobs, totals)


def line(found: Board) -> str:
    """Return the totals in a line: what ended of how many, the rate, the time left, the cost."""
    parts = [f"{count} {standing}" for standing, count in found.ended] or ["nothing done yet"]
    head = ", ".join(parts) + (f" of {found.total}" if found.total else "")
    head += "".join(f", {count} {word}" for count, word in _open(found) if count)
    rate = "" if found.rate is None else f"{found.rate:.1f} a minute"
    left = "" if found.left is None else f"about {_span(found.left)} left"
    reserved = f" and {dollars(found.reserved)} reserved" if found.reserved else ""
    return "; ".join(part for part in (head, rate, left, dollars(found.dollars) + reserved) if part)


def _open(found: Board) -> Iterator[tuple[int, str]]:
    yield found.running, "under way"
    yield found.waiting, "waiting"
    yield found.held, "need you" if found.held > 1 else "needs you"


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def watch(console: Console, read: Read, *, running: Callable[[], bool], pause: Callable[[], None]) -> None:
    """Show a running daemon's work until it stops or somebody interrupts: a live table, or a line for each change."""
    if not console.is_terminal:
        _print_changes(console, read, running, pause)
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while running():
            found = read()
            live.update(Text("starting ...", style="dim") if found is None else table(found), refresh=True)
            pause()


def _print_changes(console: Console, read: Read, running: Callable[[], bool], pause: Callable[[], None]) -> None:
    said = ""
    while running():
        found = read()
        text = "starting ..." if found is None else _countable(found)
        if found is not None and text != said:
            console.print(Text(printable(line(found))))
        said = text
        pause()


def _countable(found: Board) -> str:
    """Return what is worth another line when it changes; the rate and the time left change all the time."""
    return repr((found.ended, found.running, found.waiting, found.held))


def _line(job: Job) -> Text:
    word, style = _ENDS[job.standing]
    text = Text.assemble((f"{word:<10}", style), " ", printable(job.source))
    if job.standing is Standing.DONE and job.output is not None:
        text.append(f" -> {printable(job.output)}")
        if job.width and job.result_width:
            text.append(f"  ({job.width}x{job.height} -> {job.result_width}x{job.result_height})", style="dim")
    elif job.reason:
        text.append(f": {printable(job.reason)}")
    return text
