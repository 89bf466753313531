"""`upscaled why PATH`: the readiness gate for one file, step by step, with numbers, and then what is planned for it.

It asks the same functions as the daemon (`inbox.ignore`, `inbox.opening`, `job.readiness`), so it cannot say something
else. What the daemon alone knows is for how long it has seen a file unchanged; here the file's change time stands for
that, which nobody can set, and a second look tells a file that is being written right now.

It reads, and changes nothing: the file is opened once, the ledger is asked, the service is not.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from upscaled import status
from upscaled.config.settings import Folder, Settings
from upscaled.why.answer import Answer, Step, World
from upscaled.why.asked import Asked
from upscaled.why.jobs import folder_rows, job_that_made

__all__ = ["Answer", "Step", "World", "explain"]

_ROLES: Final = {
    "outbox": "results are put there, and nothing is taken from it",
    "archive": "originals are put there once their result is safe, and nothing is taken from it",
    "failed": "what could not be upscaled is put there with a note; move a file back to an inbox to try it again",
}


def explain(path: Path, settings: Settings, world: World) -> Answer:
    """Return why the file at ``path`` is, or is not, being upscaled. Never raises for what it finds.

    May block on a dead share, as the daemon's intake would.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link at the end is what is asked about, so it is not resolved
    found = _inbox_of(path, settings)
    if found is None:
        return _outside(path, settings, world)
    folder, source = found
    asked = replace(Asked(path, folder, source, settings, world).answer(), folder=str(folder.inbox))
    return _with_state(asked, world)


# --- where it lies ---------------------------------------------------------------------------------------------------


def _inbox_of(path: Path, settings: Settings) -> tuple[Folder, str] | None:
    """Return the folder whose inbox a path lies in (the innermost), and its name there."""
    within = [
        (folder, relative) for folder in settings.folders if (relative := _below(path, folder.inbox)) not in (None, ".")
    ]
    innermost = max(within, key=lambda each: len(each[0].inbox.parts), default=None)
    return None if innermost is None else (innermost[0], str(innermost[1]))


def _below(path: Path, directory: Path) -> str | None:
    """Return ``path`` relative to ``directory``, whichever of its names is used, or None."""
    for one in (path, _real(path)):
        for other in (directory, directory.resolve()):
            if one.is_relative_to(other):
                return str(one.relative_to(other))
    return None


def _real(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _outside(path: Path, settings: Settings, world: World) -> Answer:
    job = job_that_made(path, world.ledger)
    if job is not None:
        word = "result" if job.output == str(path) else "original"
        text = f"It is the {word} of job {job.id} ({job.source} in {job.folder}), which is {job.standing}."
        return Answer(path, well=True, answer=text, since=job.finished_at, job=status.job_record(job))
    for folder in settings.folders:
        for role, means in _ROLES.items():
            if _below(path, getattr(folder, role)) is not None:
                return Answer(path, well=False, answer=f"It lies in the {role} {getattr(folder, role)}: {means}.")
        if _below(path, folder.inbox) == ".":
            return Answer(path, well=False, answer="It is an inbox; ask about a file in it.", folder=str(folder.inbox))
    inboxes = ", ".join(str(folder.inbox) for folder in settings.folders) or "none is configured"
    return Answer(path, well=False, answer=f"It lies in no inbox, so it is not looked at. Inboxes: {inboxes}.")


def _with_state(answer: Answer, world: World) -> Answer:
    """Add how the folder itself is doing: a file in an inbox that is offline waits for that first."""
    if not world.running:
        step = Step("folder", None, "upscaled is not running; what is ready is taken at its next start")
        return replace(answer, steps=(*answer.steps, step))
    found = [] if world.ledger is None else folder_rows(world.ledger, answer.folder or "")
    if not found:
        return replace(answer, steps=(*answer.steps, Step("folder", None, "its first sweep has not ended yet")))
    state, reason = found[0]["state"], found[0]["reason"]
    works = state in {"online", "partial"}
    step = Step("folder", works or None if state == "starting" else works, f"{state}{': ' * bool(reason)}{reason}")
    if works or state == "starting" or answer.job is not None:
        return replace(answer, steps=(*answer.steps, step))
    text = f"Its folder is {state}: {reason}"
    return replace(answer, well=False, answer=text, since=found[0]["swept_at"], steps=(*answer.steps, step))
