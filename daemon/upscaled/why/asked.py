"""One file of an inbox on its way through the readiness gate, one method a step."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Any, Final

from upscaled import status
from upscaled.config.settings import Folder, Settings
from upscaled.files.durable import identity_at, identity_of, translate
from upscaled.folders import intake_settings
from upscaled.inbox import ignore, mounts
from upscaled.inbox.ignore import Ignore
from upscaled.inbox.model import pace, rules
from upscaled.inbox.opening import Changed, Unreadable, Vanished
from upscaled.inbox.sweep import KINDS
from upscaled.job.model import Identity, Job, Parameters, Standing
from upscaled.job.plan import Verdict
from upscaled.job.readiness import LeaveAlone, Ready, Refuse, Rules, Shape, Track, Wait, Waiting, quiet
from upscaled.planning import Planner
from upscaled.why.answer import Answer, Step, World, clock
from upscaled.why.jobs import job_of_source
from upscaled.why.paying import before_paying

SECOND_LOOK: Final = 1.0
"""Between two looks at a file that changed a moment ago, in seconds."""

_GOES_ON: Final = frozenset({Standing.READY, Standing.RUNNING, Standing.WAITING, Standing.DONE})


class _Stop(Exception):
    """The gate ends here, with this answer."""

    def __init__(self, answer: str, *, well: bool, since: float | None = None, job: Job | None = None) -> None:
        super().__init__(answer)
        self.answer, self.well, self.since, self.job = answer, well, since, job


class Asked:
    """One file of an inbox on its way through the gate."""

    def __init__(self, path: Path, folder: Folder, source: str, settings: Settings, world: World) -> None:
        self._path, self._folder, self._source = path, folder, source
        self._settings, self._world = settings, world
        self._steps: list[Step] = []
        self._plan: dict[str, Any] = {}

    def answer(self) -> Answer:
        """Take the file through the gate as far as it comes."""
        try:
            self._gate()
        except _Stop as stop:
            job = None if stop.job is None else status.job_record(stop.job)
            return Answer(
                self._path,
                well=stop.well,
                answer=stop.answer,
                since=stop.since,
                steps=tuple(self._steps),
                plan=self._plan,
                job=job,
            )
        raise AssertionError("the gate always ends with an answer")

    def _gate(self) -> None:
        self._name()
        found = self._kind()
        identity = identity_of(found)
        self._known(identity)
        limits, network = self._rules()
        track = self._quiet(identity, limits, network)
        self._content(track, limits)

    def _pass(self, name: str, detail: str) -> None:
        self._steps.append(Step(name, passed=True, detail=detail))

    def _fail(
        self, name: str, detail: str, answer: str = "", *, well: bool = False, since: float | None = None
    ) -> _Stop:
        self._steps.append(Step(name, passed=False, detail=detail))
        return _Stop(answer or f"It is not taken: {detail}", well=well, since=since)

    def _name(self) -> None:
        """Step 1: no part of the path is ignored."""
        ignored = Ignore(self._folder.ignore)
        for part in Path(self._source).parts:
            pattern = ignored.reason(part)
            if pattern:
                raise self._fail("name", _ignored_by(part, pattern))
        if not self._folder.recursive and len(Path(self._source).parts) > 1:
            raise self._fail("name", "it lies in a subfolder, and the folder says `recursive: false`")
        self._pass("name", "no pattern ignores it")

    def _kind(self) -> os.stat_result:
        """Step 2: a regular file, and there."""
        try:
            found = self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            raise self._gone() from None
        except OSError as error:
            trouble = translate(error, self._path, "look at")
            raise self._fail("kind", trouble.said) from None
        if stat.S_ISDIR(found.st_mode):
            detail = "a folder: ask about a file in it; its files are looked at one by one"
            raise self._fail("kind", detail if self._folder.recursive else "a folder, and `recursive` is off")
        if not stat.S_ISREG(found.st_mode):
            detail = KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
            raise self._fail("kind", f"{detail}: only regular files are taken", since=found.st_ctime)
        self._pass("kind", f"a regular file of {found.st_size:,} bytes")
        return found

    def _gone(self) -> _Stop:
        job = job_of_source(self._world.ledger, str(self._folder.inbox), self._source)
        if job is None:
            return self._fail("kind", "there is no such file", "There is no such file, and the ledger knows none.")
        self._steps.append(Step("kind", None, "it is not in the inbox any more"))
        return _stop_for(job)

    def _known(self, identity: Identity) -> None:
        """Has this version of the file a job already?"""
        job = job_of_source(self._world.ledger, str(self._folder.inbox), self._source)
        if job is None:
            return
        same = _same_version(job.identity, identity)
        if job.finished_at is None and not same:
            detail = f"job {job.id} is of an earlier version; it is called off, and then this one is taken"
            self._steps.append(Step("job", None, detail))
        elif same and (job.finished_at is None or self._stays(job)):
            self._steps.append(Step("job", passed=job.standing in _GOES_ON, detail=_described(job)))
            raise _stop_for(job)
        elif job.finished_at is not None:
            self._steps.append(Step("job", None, f"before this, {_described(job)}"))

    def _stays(self, job: Job) -> bool:
        assert self._world.ledger is not None
        return self._source in self._world.ledger.stayed(job.folder)

    def _rules(self) -> tuple[Rules, str]:
        kind = self._world.kind_of(self._folder.inbox)
        network = mounts.is_network(kind)
        settings = intake_settings(self._folder, self._settings.hooks)
        return rules(settings, pace(settings, network=network)), f"{'network' if network else 'local'}, {kind}"

    def _quiet(self, identity: Identity, limits: Rules, place: str) -> Track:
        """Steps 3 to 5: not empty, settled, held long enough."""
        changed = identity.ctime_ns / 1e9
        age = self._world.now() - changed
        track = _track(max(0.0, age) if age > -1.0 else float("inf"), identity)
        wait = quiet(track, limits)
        if wait is not None and wait.on is Waiting.EMPTY:
            raise self._fail("size", wait.reason, f"It waits: {wait.reason}", since=changed)
        self._pass("size", f"{identity.size:,} bytes; no more than {limits.largest:,} are taken")
        if wait is not None and wait.on is Waiting.SETTLING:
            detail = f"{wait.reason} ({place}); last change {clock(changed)}{self._moving(identity)}"
            raise self._fail("settle", detail, f"It waits: {detail}", well=True, since=changed)
        self._pass("settle", f"{_settled(age, limits)} ({place}); last change {clock(changed)}")
        if wait is not None:
            raise self._fail("hold", wait.reason, f"It waits: {wait.reason}", well=True, since=changed)
        if limits.hold:
            self._pass("hold", f"longer than {limits.hold:g} s here")
        return track

    def _moving(self, identity: Identity) -> str:
        """Look once more, and say what a moment brought."""
        self._world.sleep(SECOND_LOOK)
        later = identity_at(self._path)
        if later is None:
            return "; it has gone this moment"
        if later == identity:
            return ""
        return f"; it is being written: {later.size - identity.size:+,} bytes within {SECOND_LOOK:g} s"

    def _content(self, track: Track, limits: Rules) -> None:
        """Steps 6 to 8: it opens, is a picture of ours, and whole."""
        since = track.identity.ctime_ns / 1e9
        found = self._world.opener.examine(self._path, track, limits)
        match found:
            case Vanished():
                raise self._gone()
            case Changed():
                raise self._fail("open", "it changed this moment", "It waits: it is being written", well=True)
            case Unreadable(why):
                text = f"It waits, and is tried again from every 5 s to every 5 min: {why}"
                raise self._fail("open", why, text, since=since)
        self._pass("open", "it can be read")
        match found:
            case LeaveAlone(reason):
                raise self._fail("type", reason, f"It is left alone: {reason}", since=since)
            case Wait(on=Waiting.SETTLING, reason=reason):
                raise self._fail("type", reason, f"It waits: {reason}", well=True, since=since)
            case Wait(reason=reason):
                detail = f"{reason}; so far {track.seen - track.since:.0f} s"
                # Without another change it is not going to be upscaled, unless the folder says so.
                raise self._fail("whole", detail, f"It waits: {detail}", well=limits.submit_incomplete, since=since)
            case Refuse(failure, shape):
                self._pass("type", shape.format.upper())
                text = f"It is refused, unpaid, and goes to the failed folder: {failure.what}. {failure.do}"
                raise self._fail("whole", failure.what, text, since=since)
            case Ready(shape):
                self._ready(shape, track.identity)

    def _ready(self, shape: Shape, identity: Identity) -> None:
        self._pass("type", f"{shape.format.upper()}, {shape.width} x {shape.height} pixels")
        self._pass("whole", "its structure is complete to its end")
        verdict, self._plan = self._planned(identity)
        when = "at the next sweep" if self._world.running else "when upscaled runs"
        held = self._held_back(shape, identity) if verdict is Verdict.SUBMIT else ""
        if held:
            raise _Stop(f"It is taken {when}, and then it waits, unpaid: {held}", well=True)
        raise _Stop(f"Nothing is in its way: it is taken {when}.", well=True)

    def _held_back(self, shape: Shape, identity: Identity) -> str:
        """Step 10: return what keeps it from being paid for, or ''."""
        world, budget = self._world, self._settings.budget
        steps = list(before_paying(self._folder, budget, world.ledger, (shape, identity.size), now=world.now()))
        self._steps += steps
        return next((step.detail for step in steps if step.passed is False), "")

    def _planned(self, identity: Identity) -> tuple[Verdict, dict[str, Any]]:
        """Ask the planner about this one file, as `upscaled plan` does about all; the service is not asked a price."""
        folder, params = self._folder, self._folder.params
        price = self._settings.budget.price

        async def known(_: Parameters) -> float | None:
            return price

        planner = Planner(self._settings, self._world.ledger, known)
        item = asyncio.run(planner.judge(folder, self._source, identity))
        options = ", ".join(f"{name} {value}" for name, value in params.inputs.items())
        cost = "at the price the service names" if price is None else f"for ${price:.4g}"
        return item.verdict, {
            "does": str(item.verdict),
            "reason": item.reason,
            "profile": f"profile {folder.profile}: {params.model}" + f" ({options})" * bool(options),
            "price": cost if item.verdict is Verdict.SUBMIT and not self._settings.service.embedded else "free",
        }


def _track(age: float, identity: Identity) -> Track:
    """Return what the daemon's looks would amount to, had it looked since the last change."""
    return Track(identity, first=-age, since=-age, seen=0.0, looks=2)


def _settled(age: float, limits: Rules) -> str:
    if age <= -1.0:
        return f"the file's clock is {-age:.0f} s ahead of ours, which does not matter to the daemon"
    return f"unchanged for {_span(max(0.0, age))}, {limits.settle:g} s are asked for"


def _ignored_by(name: str, pattern: str) -> str:
    if pattern == ignore.OURS:
        return f"{name} is one of upscaled's own files, which are never taken"
    if pattern in ignore.DEFAULTS:
        return f"{name} is ignored by the built-in pattern {pattern}; to take it, add `ignore: ['!{pattern}']`"
    return f"{name} is ignored by the folder's own pattern {pattern}; to take it, remove that from `ignore`"


def _same_version(one: Identity, other: Identity) -> bool:
    """Compare without device and inode, which change when a share is mounted anew."""
    return (one.size, one.mtime_ns, one.ctime_ns) == (other.size, other.mtime_ns, other.ctime_ns)


def _described(job: Job) -> str:
    reason = job.failure.what if job.failure and not job.reason else job.reason
    return f"job {job.id} is {job.standing}, {job.stage}" + (f": {reason}" if reason else "")


def _stop_for(job: Job) -> _Stop:
    where = f" Its result is {job.output}." if job.output and job.standing is Standing.DONE else ""
    moved = f" Its original is now {job.archived}." if job.archived else ""
    since = job.finished_at or job.admitted_at
    text = f"It has a job: {_described(job).rstrip('.')}.{where}{moved} More: `upscaled show {job.id}`"
    return _Stop(text, well=job.standing in _GOES_ON, since=since, job=job)


def _span(seconds: float) -> str:
    """Return a duration as a person says it."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"
