"""`upscaled upscale`: the engine on files and directories, without folders, a ledger or a server.

For a first look and for scripts. A result appears under its name when it is whole, and never over another file: the
first free version of the name is taken. What a killed run leaves are hidden parts, which may be deleted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from upscaled import config, errors
from upscaled.embedded import upscaler
from upscaled.engine.order import Order, PictureRefused, Report, Upscaler
from upscaled.files import durable
from upscaled.files.moves import place
from upscaled.files.names import PICTURES, fit, part_name, printable

FORMATS: Final = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}
"""Endings that say which format a result is to have."""

READ: Final = frozenset(FORMATS) | {".jpe", ".jfif", ".gif", ".bmp", ".tif", ".tiff"}
"""Endings of what is taken from a directory; a file that is named is tried whatever its ending."""


@dataclass(frozen=True, slots=True)
class Work:
    """One picture: where it is, where its result goes, under which name, and in which format."""

    source: Path
    directory: Path
    name: str
    format: str


def planned(pictures: Sequence[Path], out: Path, form: str | None) -> list[Work]:
    """Return what there is to do; subdirectories are mirrored below ``out``.

    Raises `errors.UsageError` for what is not there, when there is no picture at all, and where ``out`` has a picture's
    name that does not fit: it is hardly meant as a directory.
    """
    if out.suffix.lower() in PICTURES and not out.is_dir():
        return [_named(pictures, out, form)]
    works = [_work(source, out / relative, form or "jpeg") for source, relative in _found(pictures, out)]
    if not works:
        raise errors.UsageError("There is no picture there", do=f"Endings that are taken: {', '.join(sorted(READ))}.")
    return works


def _named(pictures: Sequence[Path], out: Path, form: str | None) -> Work:
    """The only picture, under the new name that it is given."""
    told = FORMATS.get(out.suffix.lower())
    if told is None:
        raise errors.UsageError(f"{out} is no name for a result", do=f"Let it end in one of {', '.join(FORMATS)}.")
    if form not in {None, told}:
        raise errors.UsageError(f"{out} says {told}, and --format {form}", do="Leave one of the two away.")
    if [picture.is_dir() for picture in pictures] != [False]:
        raise errors.UsageError(
            f"{out} is the name of one picture, and there may be more", do="Give a directory, such as -o upscaled."
        )
    ((source, _),) = _found(pictures, out)
    return Work(source, out.parent, out.name, told)


def _work(source: Path, directory: Path, form: str) -> Work:
    ending = source.suffix if FORMATS.get(source.suffix.lower()) == form else f".{'jpg' if form == 'jpeg' else form}"
    return Work(source, directory, fit(source.stem + ending), form)


def _found(pictures: Sequence[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    for picture in pictures:
        if picture.is_file():
            yield picture, Path()
        elif picture.is_dir():
            within = (path for path in sorted(picture.rglob("*")) if not _below(path, out, picture))
            for path in within:
                relative = path.relative_to(picture)
                if path.is_file() and path.suffix.lower() in READ and not _hidden(relative):
                    yield path, relative.parent
        else:
            raise errors.UsageError(f"There is no {picture}", do="Give pictures, or directories of pictures.")


def _below(path: Path, out: Path, picture: Path) -> bool:
    """Is it a result of an earlier run, in a directory of results below the directory of pictures?"""
    results = out.resolve()
    return picture.resolve() in results.parents and results in path.resolve().parents


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


async def upscale_all(works: Sequence[Work], order: Order, settings: config.Engine, console: Console) -> int:
    """Do it all, one picture after the other, and tell; return how many failed.

    Raises `errors.EngineError` when the engine cannot work here, and `asyncio.CancelledError` after SIGTERM.
    """
    _heed_sigterm()
    engine = upscaler(settings)
    await engine.start()
    try:
        with _bar(console) as bar:
            done = [await _tried(work, order, engine, bar) for work in works]
    finally:
        await engine.close()
    return done.count(False)


def _heed_sigterm() -> None:
    """Have SIGTERM end the running task as Ctrl-C does: tidily. A second one ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)


def _bar(console: Console) -> Progress:
    """Return a live bar on a terminal; elsewhere nothing but the lines that are printed."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def _tried(work: Work, order: Order, engine: Upscaler, bar: Progress) -> bool:
    shown = bar.add_task(printable(str(work.source)), total=1.0)
    began = time.monotonic()
    try:
        path, report = await _made(work, order, engine, bar, shown)
    except (PictureRefused, errors.EngineError, errors.FileTrouble) as error:
        bar.console.print(Text(printable(f"{work.source}: {errors.sentence(error)}"), style="red"))
        return False
    except OSError as error:
        bar.console.print(Text(printable(f"{work.source}: the result cannot be written: {error}"), style="red"))
        return False
    finally:
        bar.remove_task(shown)
    size = f"{report.width}x{report.height}, {time.monotonic() - began:.1f} s"
    note = f"; {report.note}" if report.note else ""
    bar.console.print(Text(printable(f"{work.source} -> {path} ({size}{note})")))
    return True


async def _made(work: Work, order: Order, engine: Upscaler, bar: Progress, shown: TaskID) -> tuple[Path, Report]:
    part = work.directory / part_name(work.name, f"upscale-{os.getpid()}")
    await asyncio.to_thread(_prepare, part)

    def estimated(seconds: float) -> None:
        bar.update(shown, description=printable(f"{work.source} (about {seconds:.0f} s)"))

    try:
        report = await engine.upscale(
            *(work.source, part, replace(order, format=work.format)),
            progress=lambda share: bar.update(shown, completed=share),
            estimated=estimated,
        )
        return await asyncio.to_thread(_kept, part, work), report
    finally:
        part.unlink(missing_ok=True)


def _prepare(part: Path) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    durable.create_part(part).close()


def _kept(part: Path, work: Work) -> Path:
    with part.open("r+b") as file:
        durable.sync(file)
    return place(part, work.directory, work.name)
