"""What people decide who have looked at a result: keep it, reject it, or have it done again another way.

Separate from `upscaled.commands` because these need the configured folders. As there, what cannot be done is said and
not raised, and a running daemon notices. Files are moved before the ledger is told: if the process dies between the
two, `settle` finds by the bytes what was done, as it does for results that people take out of review by hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from upscaled.commands import Said, bring_back, carry_out
from upscaled.errors import FileTrouble, PartMissing, UsageError, sentence
from upscaled.files import durable, names, review
from upscaled.files.names import printable
from upscaled.job.model import Job, Parameters, Review, Standing
from upscaled.ledger import Ledger, orders
from upscaled.ledger.orders import Asked
from upscaled.steps.ports import Folder, Guarding

BY_HAND: Final = "It was taken out of the review folder by hand, so it counts as kept."

Verdict = Callable[[Job, Folder], tuple[Review, Path | None, str]]


class Profile(Protocol):
    """What a redo reads of a configured profile."""

    def parameters(self) -> Parameters:
        """Return what it asks the service for."""


def asked_of(profiles: Mapping[str, Profile], name: str | None) -> Asked:
    """Return what a profile asks for. Raises `UsageError` when there is none of that name."""
    profile = profiles.get(name or "")
    if profile is None or name is None:
        raise UsageError(
            f"There is no profile {name}" if name else "No profile is named",
            do=f"Name one with --profile: {', '.join(profiles)}.",
        )
    return Asked(name, profile.parameters())


class Court:
    """Carries verdicts out for one ledger. ``folders`` are those in force, by inbox. Called in threads."""

    def __init__(self, ledger: Ledger, folders: Mapping[str, Folder], guard: Guarding) -> None:
        self._ledger = ledger
        self._folders = folders
        self._guard = guard

    # --- keep and reject ---

    def keep(self, jobs: Sequence[Job], *, now: float) -> list[Said]:
        """Deliver results that are in review to the outbox."""
        return [self._judged(job, self._keep, now) for job in jobs]

    def reject(self, jobs: Sequence[Job], *, now: float) -> list[Said]:
        """Put results that are in review away, into the failed folder's ``rejected``. Nothing is deleted."""
        return [self._judged(job, self._reject, now) for job in jobs]

    def _judged(self, job: Job, verdict: Verdict, now: float) -> Said:
        folder = self._folders.get(job.folder)
        if folder is None:
            return _refused(job, "its folder is not in the configuration any more")
        if job.review is not Review.WAITING or review.relative_of(Path(job.output or ""), folder.outbox) is None:
            return _refused(job, f"its result is not in review; it is {job.review or job.standing}")
        try:
            self._guard.require(folder.outbox)
            judged, path, text = verdict(job, folder)
        except FileTrouble as error:
            return _refused(job, sentence(error))
        if path is None:
            return _refused(job, "its result is not in the review folder any more")
        self._ledger.change(lambda c: orders.judge(c, job, now, review=judged, output=str(path), text=text))
        return Said(job.id, job.source, done=True, text=text)

    def _keep(self, job: Job, folder: Folder) -> tuple[Review, Path, str]:
        assert job.output is not None
        assert job.result_hash is not None
        overwrite = folder.on_collision == "overwrite"
        try:
            path = review.deliver(Path(job.output), folder.outbox, job.result_hash, overwrite=overwrite)
        except PartMissing as error:
            what = f"{printable(job.output)} is not there any more, or was changed"
            raise FileTrouble(what, do="Move it into the outbox by hand.", path=error.path) from error
        return Review.KEPT, path, f"kept: it is now {printable(str(path))}"

    def _reject(self, job: Job, folder: Folder) -> tuple[Review, Path | None, str]:
        assert job.output is not None
        assert job.result_hash is not None
        self._guard.require(folder.failed)
        path = review.put_away(Path(job.output), folder.outbox, folder.failed, job.result_hash)
        return Review.REJECTED, path, f"rejected: its result is now {printable(str(path))}"

    # --- redo ---

    def redo(self, jobs: Sequence[Job], asked: Asked, *, now: float, new_id: Callable[[], str]) -> list[Said]:
        """Have pictures done again with other parameters, each as a new job of the same original.

        The archived original stays where it is (I1): a copy of it goes back into the inbox, and the new job is admitted
        in the transaction in which that copy gets its name, so that no sweep can take it for a new picture. A job that
        failed or was called off has nothing to keep, and begins again itself. A result in review is rejected thereby.

        Dying between name and commit leaves a picture in the inbox that is taken as a copy of one that was done: free.
        """
        return [self._redone(job, asked, now, new_id) for job in jobs]

    def _redone(self, job: Job, asked: Asked, now: float, new_id: Callable[[], str]) -> Said:
        if job.standing in {Standing.FAILED, Standing.CANCELLED}:
            begin = lambda c, job, now: bring_back(c, job, now, forced=False, asked=asked)  # noqa: E731
            (said,) = carry_out(self._ledger, [job], begin, now)
            return said
        folder = self._folders.get(job.folder)
        if folder is None:
            return _refused(job, "its folder is not in the configuration any more")
        if job.standing is not Standing.DONE:
            return _refused(job, f"it is not over; it stands at {job.standing}")
        try:
            said = self._again(job, folder, asked, now, new_id())
        except FileTrouble as error:
            return _refused(job, sentence(error))
        except sqlite3.IntegrityError:
            return _refused(job, "its file in the inbox belongs to another job by now")
        if job.review is Review.WAITING:
            self.reject([job], now=now)
        return said

    def _again(self, job: Job, folder: Folder, asked: Asked, now: float, new: str) -> Said:
        self._guard.require(folder.inbox)
        assert job.fingerprint is not None
        source = PurePosixPath(job.source)
        if job.archived is None:
            return self._in_place(job, folder, asked, now, new)
        part = review.copy_back(Path(job.archived), folder.inbox, source, job.fingerprint, job.id)

        def admit(connection: sqlite3.Connection) -> str:
            path, identity = review.name_part(part, source.name)
            again = path.relative_to(folder.inbox).as_posix()
            orders.admit_again(connection, job, now, new_id=new, source=again, identity=identity, asked=asked)
            return again

        return _begun(new, self._ledger.change(admit), asked)

    def _in_place(self, job: Job, folder: Folder, asked: Asked, now: float, new: str) -> Said:
        """Admit an original once more that was never moved, as the folder keeps its originals."""
        path = folder.inbox / job.source
        identity = durable.identity_at(path)
        if identity is None or not durable.holds(path, job.fingerprint or ""):
            return _refused(job, "its original is not there any more, or was changed")
        admit = orders.admit_again
        self._ledger.change(lambda c: admit(c, job, now, new_id=new, source=job.source, identity=identity, asked=asked))
        return _begun(new, job.source, asked)

    # --- what people do by hand ---

    def settle(self, *, now: float) -> int:
        """Note which results are no longer in review because somebody moved them; return how many.

        A result that is not there says something only where its outbox is, and is the one that it was (I6).
        """
        gone = [job for job in self._ledger.in_review() if self._is_gone(job)]
        return sum(self._settled(job, now) for job in gone)

    def _is_gone(self, job: Job) -> bool:
        assert job.output is not None
        folder = self._folders.get(job.folder)
        if folder is None:
            return False
        try:
            if durable.identity_at(Path(job.output)) is not None:
                return False
            # Looked for once more, as its share may have come back after the first look.
            self._guard.require(folder.outbox)
            return durable.identity_at(Path(job.output)) is None
        except FileTrouble:
            return False

    def _settled(self, job: Job, now: float) -> bool:
        folder, path = self._folders[job.folder], Path(job.output or "")
        relative = review.relative_of(path, folder.outbox) or PurePosixPath(path.name)
        for root, judged, text in (
            (folder.outbox, Review.KEPT, BY_HAND),
            (folder.failed / names.REJECTED, Review.REJECTED, "It was rejected."),
        ):
            try:
                there = review.found(path, root, relative, job.result_hash or "", job.result_size)
            except FileTrouble:
                return False
            if there is not None:
                return self._note(job, judged, there, text, now)
        return self._note(job, Review.KEPT, path, BY_HAND, now)

    def _note(self, job: Job, judged: Review, path: Path, text: str, now: float) -> bool:
        return self._ledger.change(lambda c: orders.judge(c, job, now, review=judged, output=str(path), text=text))


def _refused(job: Job, text: str) -> Said:
    return Said(job.id, job.source, done=False, text=text)


def _begun(new: str, source: str, asked: Asked) -> Said:
    return Said(new, source, done=True, text=f"it is done again as job {new}, with profile {asked.profile}")
