from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.jobs import attempt, job
from upscaled.errors import FolderOffline, OwnedElsewhere
from upscaled.job.model import Cancelled, Cause, Done, Job, NotYet, Outcome, Retry, Stage, Step
from upscaled.steps import STEPS, Ports, guarded
from upscaled.steps.ports import Folder

ROLES = ("inbox", "outbox", "archive", "failed")


@dataclass
class Dirs:
    """The four directories, none of them on a disk."""

    inbox: Path = Path("/in")
    outbox: Path = Path("/out")
    archive: Path = Path("/archive")
    failed: Path = Path("/failed")
    originals: str = "archive"
    name: str = "{stem}{ext}"
    metadata: str = "keep"
    provenance: bool = False


@dataclass
class Watch:
    """A guard that knows which directories are away, and since which look."""

    away: set[str] = field(default_factory=set)
    looks_until_away: int = 0
    looks: int = 0
    foreign: bool = False

    def require(self, directory: Path) -> None:
        """Look at one directory."""
        self.looks += 1
        if self.looks > self.looks_until_away and str(directory).strip("/") in self.away:
            raise FolderOffline(f"{directory} is away", path=directory)

    def check(self, folder: Folder) -> None:
        """Look at all of them."""
        if self.foreign:
            raise OwnedElsewhere("it is another's", path=folder.inbox)
        for role in ROLES:
            self.require(getattr(folder, role))


@dataclass
class World:
    """As much of the ports as the guard needs."""

    guard: Watch
    spool: Path | None = None

    def folder(self, _job: Job) -> Dirs:
        """Return the one folder."""
        return Dirs()

    @property
    def ports(self) -> Ports:
        """Return what the steps are given."""
        return cast("Ports", self)


PLACES = {"inbox": "in", "outbox": "out", "archive": "archive", "failed": "failed"}

NEEDS: Mapping[Step, tuple[str, ...]] = {
    Step.PREPARE: ROLES,
    Step.REUSE: ROLES,
    Step.UPLOAD: ROLES,
    Step.SUBMIT: ROLES,
    Step.DOWNLOAD: ("outbox",),
    Step.PUBLISH: ("outbox",),
    Step.ARCHIVE: ("inbox", "archive"),
    Step.REJECT: ("inbox", "failed"),
}


def doing(step: Step) -> Job:
    """Return a job that has come to this step."""
    if step is Step.PUBLISH:
        return job(stage=Stage.DOWNLOADED, part="/out/a/.b.jpg.abcdefghjk.part", result_hash="00", result_width=1)
    return job()


@pytest.mark.parametrize(("step", "role"), [(step, role) for step, roles in NEEDS.items() for role in roles])
async def test_no_step_begins_without_the_directories_it_relies_on(step: Step, role: str) -> None:
    """It waits, and touches nothing: the world of this test has nothing that could be touched."""
    outcome = await STEPS[step](doing(step), World(Watch({PLACES[role]})).ports)

    assert isinstance(outcome, Retry)
    assert (Cause.FOLDER, f"/{PLACES[role]} is away") == (outcome.cause, outcome.reason)


@pytest.mark.parametrize("step", [Step.PREPARE, Step.REUSE, Step.UPLOAD, Step.SUBMIT])
async def test_nothing_is_begun_in_an_inbox_that_is_another_s(step: Step) -> None:
    """It would be paid for twice."""
    outcome = await STEPS[step](job(), World(Watch(foreign=True)).ports)

    assert isinstance(outcome, Retry)


def returning(outcome: Outcome) -> guarded.Run:
    """Return a step that comes to this outcome."""

    async def step(_job: Job, _ports: Ports) -> Outcome:
        return outcome

    return step


GONE = Cancelled("The file is no longer in the inbox.")
UNMOVED = Done(Stage.ARCHIVED, {"archived": None})


@pytest.mark.parametrize(
    ("step", "looks"), [(guarded.whole(returning(GONE)), 4), (guarded.leaving(returning(UNMOVED), "archive"), 2)]
)
async def test_a_file_that_is_missing_proves_nothing_if_the_share_went_meanwhile(step: guarded.Run, looks: int) -> None:
    """The share was there at the first look and is not at the second."""
    outcome = await step(job(), World(Watch({"in"}, looks_until_away=looks)).ports)

    assert isinstance(outcome, Retry)


@pytest.mark.parametrize("outcome", [GONE, UNMOVED, Done(Stage.UPLOADED), NotYet(1.0)])
async def test_with_everything_there_the_step_s_own_word_stands(outcome: Outcome) -> None:
    """The guard adds nothing."""
    assert outcome == await guarded.whole(returning(outcome))(job(), World(Watch()).ports)


@pytest.mark.parametrize(("facts", "looks"), [({"archived": None}, 4), ({"archived": "/archive/b.jpg"}, 2), ({}, 2)])
async def test_what_was_found_is_not_looked_for_again(facts: Mapping[str, Any], looks: int) -> None:
    """A second look is for what was missed."""
    watch = Watch()

    await guarded.leaving(returning(Done(Stage.ARCHIVED, facts)), "archive")(job(), World(watch).ports)

    assert looks == watch.looks


async def test_a_submit_whose_fate_is_unknown_is_looked_up_although_the_folder_is_away() -> None:
    """That is free, and what was paid must be known."""
    unresolved = job(stage=Stage.UPLOADED, attempt=attempt())

    assert NotYet(1.0) == await guarded.whole(returning(NotYet(1.0)))(unresolved, World(Watch({"in"})).ports)
