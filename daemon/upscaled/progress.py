"""What a person at a terminal sees while `once` and `demo` work: a live table there, plain lines elsewhere."""

from __future__ import annotations

from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from upscaled.events import Event
from upscaled.files.names import printable
from upscaled.job.model import TERMINAL, Job, Stage, Standing

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

_SHOWN: Final = 12
"""Most active jobs in the table, in lines."""


def doing(job: Job) -> str:
    """Return in a word or two what is happening to a job."""
    if job.standing in _ENDS:
        return _ENDS[job.standing][0]
    if job.standing is Standing.WAITING:
        return f"waiting: {job.reason}"
    return _DOING.get(job.stage, str(job.stage))


class Progress:
    """A subscriber that keeps a live table of the jobs under way. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._active: dict[str, Job] = {}
        self._counts: dict[Standing, int] = {}
        self._dollars = 0.0
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take an event into the table; a job that is over leaves it with one line above."""
        job = event.job
        self._active[job.id] = job
        if job.standing in TERMINAL or job.standing is Standing.HELD:
            del self._active[job.id]
            self._counts[job.standing] = self._counts.get(job.standing, 0) + 1
            self._dollars += job.price or 0.0 if job.standing is Standing.DONE else 0.0
            self._console.print(_line(job))

    def _table(self) -> Table:
        counts = ", ".join(f"{n} {_ENDS[standing][0]}" for standing, n in self._counts.items()) or "nothing done yet"
        table = Table(box=None, show_header=False, pad_edge=False, title=Text(counts), title_justify="left")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column(overflow="fold", ratio=3)
        for job in list(self._active.values())[:_SHOWN]:
            table.add_row(Text(printable(job.source)), Text(doing(job), style="cyan"))
        if len(self._active) > _SHOWN:
            table.add_row(Text(f"and {len(self._active) - _SHOWN} more"), Text(""))
        return table


def _line(job: Job) -> Text:
    word, style = _ENDS[job.standing]
    line = Text.assemble((f"{word:<10}", style), " ", printable(job.source))
    if job.standing is Standing.DONE and job.output is not None:
        line.append(f" -> {printable(job.output)}")
        if job.width and job.result_width:
            line.append(f"  ({job.width}x{job.height} -> {job.result_width}x{job.result_height})", style="dim")
    elif job.reason:
        line.append(f": {printable(job.reason)}")
    return line
