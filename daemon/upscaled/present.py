"""Tables for people: what `status`, `jobs`, `show` and `check` print when nobody asked for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from upscaled.check import Check
from upscaled.files.names import printable

_STYLES: Final = {"done": "green", "failed": "red", "held": "red", "waiting": "yellow", "running": "cyan"}
_SHOW: Final = (
    ("folder", "Folder"),
    ("profile", "Profile"),
    ("standing", "Standing"),
    ("stage", "Stage"),
    ("reason", "Reason"),
    ("prediction_id", "Prediction"),
    ("attempts", "Paid requests"),
    ("output", "Result"),
    ("review", "Review"),
    ("archived", "Original now"),
    ("fingerprint", "Fingerprint"),
)


def summary(console: Console, status: Mapping[str, Any]) -> None:
    """Print what `status` knows."""
    console.print("upscaled is running." if status["running"] else "upscaled is not running.")
    for notice in status["notices"]:
        console.print(Text(printable(notice["text"]), style="red"))
    for folder in status["paused"]:
        console.print(Text(f"Paused: {printable(folder) or 'every folder'}", style="yellow"))
    counts = [f"{n} {standing}" for standing, n in status["jobs"].items() if n]
    console.print(f"Jobs: {', '.join(counts) or 'none yet'}")
    spend = status["spend"]
    console.print(
        f"Spent: ${spend['today']:.2f} today, ${spend['month']:.2f} this month; ${spend['reserved']:.2f} reserved "
        f"for {status['in_flight']} under way"
    )
    for wait in status["waits"]:
        until = datetime.fromisoformat(wait["until"]).astimezone()
        console.print(f"{wait['jobs']} waiting until {until:%Y-%m-%d %H:%M}: {printable(wait['reason'])}")
    if status["in_review"]:
        console.print(f"{status['in_review']} results wait for review: `upscaled keep` or `reject`, or the dashboard")
    console.print(_folders(status["folders"]))
    for job in status["needs_you"]:
        console.print(
            Text(f"{job['id']} {printable(job['source'])} needs you: {printable(job['reason'])}", style="red")
        )


def _folders(folders: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("Folder", "State", "Waiting there", "Left alone", "Reason"):
        table.add_column(heading, overflow="fold")
    for folder in folders:
        table.add_row(
            printable(folder["inbox"]),
            folder["state"],
            _counts(folder.get("waiting", {})),
            _counts(folder.get("left_alone", {})),
            printable(folder["reason"]),
        )
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {printable(reason)}" for reason, n in counts.items() if n)


def jobs(console: Console, records: Iterable[Mapping[str, Any]]) -> None:
    """Print one row a job."""
    table = Table(box=None, pad_edge=False)
    for heading in ("Job", "Source", "Standing", "Stage", "Price", "Result or reason"):
        table.add_column(heading, overflow="fold")
    for record in records:
        table.add_row(
            record["id"],
            printable(record["source"]),
            Text(record["standing"], style=_STYLES.get(record["standing"], "")),
            record["stage"],
            "" if record["price"] is None else f"${record['price']:.3f}",
            printable(record["reason"] or record["output"] or ""),
        )
    console.print(table)


def story(console: Console, record: Mapping[str, Any]) -> None:
    """Print a job with its whole story."""
    console.print(Text(printable(record["source"]), style="bold"), Text(f" (job {record['id']})"), sep="")
    facts = Table(box=None, show_header=False, pad_edge=False)
    for key, label in _SHOW:
        if record[key] not in (None, ""):
            facts.add_row(label, printable(str(record[key])))
    facts.add_row("Asked for", ", ".join(f"{name} {value}" for name, value in record["params"].items()))
    facts.add_row("Size", _sizes(record))
    if record["price"] is not None:
        facts.add_row("Price", f"${record['price']:.4f}")
    if record["has_nsfw_contents"]:
        facts.add_row("Flagged", "the service marks the result as not safe for work")
    console.print(facts)
    for event in record["events"]:
        at = datetime.fromisoformat(event["at"]).astimezone()
        console.print(Text(f"{at:%Y-%m-%d %H:%M:%S}  {event['kind']:<10} {printable(event['text'])}"))


def _sizes(record: Mapping[str, Any]) -> str:
    before = f"{record['width']}x{record['height']}" if record["width"] else "not known yet"
    return f"{before} -> {record['result_width']}x{record['result_height']}" if record["result_width"] else before


def checks(console: Console, found: Iterable[Check]) -> None:
    """Print one line a check, each that is not well with its remedy."""
    marks = {True: ("ok  ", "green"), False: ("BAD ", "red"), None: ("    ", "dim")}
    for check in found:
        word, style = marks[check.ok]
        console.print(Text.assemble((word, style), check.name, ": ", printable(check.detail)))
        if check.remedy and check.ok is not True:
            console.print(Text(f"      -> {check.remedy}"))
