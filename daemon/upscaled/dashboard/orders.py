"""What the buttons do: the same orders as the command line's, through `upscaled.commands` and `upscaled.verdicts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from upscaled import commands, verdicts
from upscaled.commands import ALL, Said
from upscaled.dashboard.desk import Desk
from upscaled.dashboard.forms import form_of, not_from_us, onward
from upscaled.dashboard.images import exact
from upscaled.dashboard.protection import refused
from upscaled.errors import UpscaledError, sentence
from upscaled.files.names import printable
from upscaled.job.model import Cause, Job, Standing

Fields = Mapping[str, str]
JobOrder = Callable[[Desk, list[Job], Fields], Sequence[Said]]


def _redo(desk: Desk, jobs: list[Job], fields: Fields) -> Sequence[Said]:
    asked = verdicts.asked_of(desk.settings().profiles, fields.get("profile"))
    return desk.court.redo(jobs, asked, now=desk.now(), new_id=desk.new_id)


JOB_ORDERS: Final[Mapping[str, JobOrder]] = {
    "retry": lambda desk, jobs, _: commands.retry(desk.ledger, jobs, now=desk.now()),
    "cancel": lambda desk, jobs, _: commands.cancel(desk.ledger, jobs, now=desk.now()),
    "release": lambda desk, jobs, _: commands.release(desk.ledger, jobs, now=desk.now()),
    "keep": lambda desk, jobs, _: desk.court.keep(jobs, now=desk.now()),
    "reject": lambda desk, jobs, _: desk.court.reject(jobs, now=desk.now()),
    "redo": _redo,
}
"""The orders that jobs are given."""

MOST: Final = 200
"""How many jobs one order may be for."""


async def for_jobs(desk: Desk, request: Request) -> Response:
    """Carry out an order for the jobs that a form names, and go back to its page."""
    fields = await form_of(desk, request)
    if fields is None:
        return not_from_us()
    order = JOB_ORDERS.get(request.path_params["order"])
    if order is None:
        return refused(404, "There is no such order.")
    ids = fields.get("jobs", "").split()[:MOST]
    said = await asyncio.to_thread(_carried_out, desk, order, ids, fields)
    target = fields.get("next", "/")
    if order is _redo and len(said) == 1 and said[0].done:
        target = f"/jobs/{said[0].job}"
    return onward(desk, target, told(said))


def _carried_out(desk: Desk, order: JobOrder, ids: Sequence[str], fields: Fields) -> Sequence[Said]:
    jobs = [job for job_id in ids if (job := exact(desk, job_id)) is not None]
    try:
        return order(desk, jobs, fields)
    except UpscaledError as error:
        return [Said("", "", done=False, text=sentence(error))]


async def for_folder(desk: Desk, request: Request) -> Response:
    """Carry out an order for a folder, by its number in the configuration, or for all of them."""
    fields = await form_of(desk, request)
    if fields is None:
        return not_from_us()
    order, which = request.path_params["order"], request.path_params["folder"]
    inboxes = [str(folder.inbox) for folder in desk.settings().folders]
    if which != "all" and not (which.isdecimal() and int(which) < len(inboxes)):
        return refused(404, "There is no such folder.")
    inbox = ALL if which == "all" else inboxes[int(which)]
    if order not in FOLDER_ORDERS:
        return refused(404, "There is no such order.")
    text = await asyncio.to_thread(FOLDER_ORDERS[order], desk, inbox)
    return onward(desk, fields.get("next", "/"), text)


def _pause(desk: Desk, inbox: str) -> str:
    commands.pause(desk.ledger, inbox, now=desk.now())
    return f"{_name(inbox)} is paused: nothing more is submitted; what is paid is still delivered."


def _resume(desk: Desk, inbox: str) -> str:
    commands.resume(desk.ledger, inbox)
    return f"{_name(inbox)} goes on."


def _release(desk: Desk, inbox: str) -> str:
    return told(commands.release(desk.ledger, _crowd(desk, inbox), now=desk.now()))


def _cancel(desk: Desk, inbox: str) -> str:
    return told(commands.cancel(desk.ledger, _crowd(desk, inbox), now=desk.now()))


FOLDER_ORDERS: Final[Mapping[str, Callable[[Desk, str], str]]] = {
    "pause": _pause,
    "resume": _resume,
    "release": _release,
    "cancel": _cancel,
}
"""The orders that folders are given."""


def _crowd(desk: Desk, inbox: str) -> list[Job]:
    """The files of a folder that came all at once."""
    held = desk.ledger.jobs(standing=Standing.HELD, folder=inbox or None)
    return [job for job in held if job.cause is Cause.MASS]


def _name(inbox: str) -> str:
    return printable(inbox) if inbox else "Every folder"


def told(said: Sequence[Said]) -> str:
    """Return what became of an order, in a line or two."""
    if not said:
        return "There is no such job."
    if len(said) == 1:
        name = f"{printable(said[0].source)}: " if said[0].source else ""
        return f"{name}{printable(said[0].text)}"
    bad = [one for one in said if not one.done]
    text = f"{len(said) - len(bad)} of {len(said)} done."
    return f"{text} {printable(bad[0].source)}: {printable(bad[0].text)}" if bad else text
