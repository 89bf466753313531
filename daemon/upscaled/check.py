"""`upscaled check`: would a run work? Folders, rights, mounts, key, model and price, each with its remedy.

It tries instead of asking: a directory is writable if a file could be written, renamed and removed in it. What it
writes it removes, no user's file is touched, and nothing is paid. It is separate from `config` because it looks at the
world and not at the file; what it is told about that world (kinds of file systems, the service) is passed in.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from upscaled import errors
from upscaled.api import wire
from upscaled.config import verify_folders
from upscaled.config.asking import answers
from upscaled.config.findings import spell
from upscaled.config.settings import ROLES
from upscaled.files.durable import disk_of, free_space
from upscaled.job import space

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from upscaled.config.settings import Folder, Settings
    from upscaled.job.model import Parameters

PATIENCE: Final = 10.0
"""How long a folder's disks are waited for, in seconds; one that sleeps takes as long to start."""

SILENT: Final = f"its disks have not answered for {PATIENCE:.0f} s"

STATE_WANTED: Final = 10**9
"""Bytes where the ledger lies and the spool may have to hold results."""

_RIGHTS: Final = "Give the user that upscaled runs as the right to write there (chown, chmod, or the mount's uid=)."


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``ok`` is None for what is only said, or could not be looked at."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


class Asked(Protocol):
    """What is asked of the service; both are free of charge. Raise `errors.ServiceError`."""

    async def balance(self) -> float:
        """Return the account's balance, in dollars."""

    async def price(self, model: str, inputs: Mapping[str, Any]) -> wire.Price:
        """Return what one prediction would cost."""


async def run_checks(
    settings: Settings,
    service: Asked,
    *,
    filesystem_of: Callable[[Path], str],
    is_network: Callable[[str], bool],
) -> list[Check]:
    """Look at everything a run depends on. Never raises for what it finds; every finding is a `Check`.

    ``filesystem_of`` names the kind of file system a path lies on, and ``is_network`` tells whether that kind is
    reached over a network.
    """
    disk = await asyncio.to_thread(_check_disk, settings, filesystem_of, is_network)
    return [_config(settings), *disk, *await _check_service(settings, service)]


def _config(settings: Settings) -> Check:
    folders, profiles = len(settings.folders), len(settings.profiles)
    counts = f"{folders} folder{'s' * (folders != 1)}, {profiles} profile{'s' * (profiles != 1)}"
    return Check("config", ok=True, detail=f"{settings.path or 'no file'}: {counts}, service {settings.service.url}")


# --- the disk --------------------------------------------------------------------------------------------------------


def _check_disk(
    settings: Settings, filesystem_of: Callable[[Path], str], is_network: Callable[[str], bool]
) -> list[Check]:
    problems = verify_folders(settings)
    checks = [Check(each.key, ok=False, detail=each.message, remedy=each.remedy) for each in problems]
    wrong = {problem.key for problem in problems}
    folders = list(enumerate(settings.folders))
    checks += answered(folders, lambda index, folder: _check_folder(index, folder, wrong, filesystem_of))
    if "state_dir" not in wrong:
        checks.append(_check_state(settings.state_dir, filesystem_of, is_network))
    return [*checks, *_check_space(settings)]


def answered(
    folders: Sequence[tuple[int, Folder]], look: Callable[[int, Folder], list[Check]], *, silence: str = SILENT
) -> list[Check]:
    """Return what is found of each folder; of one whose disks do not answer, that, in the words ``silence``, if any."""
    found = answers([partial(look, index, folder) for index, folder in folders], within=PATIENCE)
    return [
        check
        for (index, _), checks in zip(folders, found, strict=True)
        for check in (checks if checks is not None else _silent(index, silence))
    ]


def _silent(index: int, words: str) -> list[Check]:
    remedy = "Look at the server or disk behind it. A run goes on with the other folders, and with it when it answers."
    return [Check(spell(("folders", index)), ok=False, detail=words, remedy=remedy)] if words else []


def _check_folder(
    index: int, folder: Folder, wrong: Collection[str], filesystem_of: Callable[[Path], str]
) -> list[Check]:
    names = {role: spell(("folders", index, role)) for role in ROLES}
    checks = [
        _check_directory(name, role, getattr(folder, role), filesystem_of, keep=folder.originals == "keep")
        for role, name in names.items()
        if name not in wrong
    ]
    return [*checks, _check_move(index, folder)]


def _check_directory(
    name: str, role: str, path: Path, filesystem_of: Callable[[Path], str], *, keep: bool = False
) -> Check:
    try:
        if not path.exists():
            _try_writing(path.parent)
            return Check(name, ok=True, detail=f"{path} will be made beside the inbox")
        if role == "inbox":
            _try_listing(path)
        if role == "inbox" and keep:
            return Check(name, ok=True, detail=f"{path}: originals can be read, and stay there ({filesystem_of(path)})")
        _try_writing(path)
    except OSError as error:
        return Check(name, ok=False, detail=f"{path}: {error.strerror}", remedy=_remedy(error))
    if role == "inbox" and _sticky(path):
        detail = f"{path} has the sticky bit: only a file's owner can remove it, so originals would stay there"
        return Check(name, ok=False, detail=detail, remedy=f"chmod -t {shlex.quote(str(path))}")
    able = "originals can be read and removed" if role == "inbox" else "files can be written and renamed"
    return Check(name, ok=True, detail=f"{path}: {able} ({filesystem_of(path)})")


def _try_listing(directory: Path) -> None:
    with os.scandir(directory) as entries:
        next(entries, None)


def _try_writing(directory: Path) -> None:
    """Write, rename and remove a file of our own. Raises OSError.

    Its name is hidden and ends as our other temporary files do, so that a daemon that runs meanwhile leaves it alone. A
    crash in between leaves an empty file.
    """
    name = f".upscaled-check-{uuid.uuid4().hex}"
    first, second = directory / f"{name}.1.part", directory / f"{name}.2.part"
    try:
        with first.open("xb") as file:
            file.write(b"upscaled")
            file.flush()
            os.fsync(file.fileno())
        first.rename(second)
        second.unlink()
    finally:
        first.unlink(missing_ok=True)


def _sticky(path: Path) -> bool:
    """May only the owners of files remove them here, and are we neither of those who may anyway?"""
    status = path.stat()
    return bool(status.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, status.st_uid)


def _remedy(error: OSError) -> str:
    return _RIGHTS if isinstance(error, PermissionError) else "Look at the disk or mount: full, read-only or gone?"


def _check_move(index: int, folder: Folder) -> Check:
    name = spell(("folders", index))
    try:
        same = folder.inbox.stat().st_dev == folder.archive.stat().st_dev
    except OSError:
        return Check(name, ok=None, detail="how originals reach the archive: not looked at")
    way = "are moved to the archive by a rename"
    other = "are copied to the archive, compared, and then removed (another file system)"
    return Check(name, ok=None, detail=f"originals {way if same else other}")


def _check_state(path: Path, filesystem_of: Callable[[Path], str], is_network: Callable[[str], bool]) -> Check:
    # `check` makes nothing that stays, so for a directory yet to be made it asks the nearest one that is there.
    there = next(each for each in (path, *path.parents) if each.exists())
    kind = filesystem_of(there)
    if is_network(kind):
        detail = f"{path} is on a share ({kind}), where the ledger would not be safe"
        return Check("state_dir", ok=False, detail=detail, remedy="Set state_dir to a directory on a local disk.")
    try:
        _try_writing(there) if there == path else _ask_writable(there)
    except OSError as error:
        return Check("state_dir", ok=False, detail=f"{there}: {error.strerror}", remedy=_remedy(error))
    made = "" if there == path else ", to be made"
    return Check("state_dir", ok=True, detail=f"{path}: local and writable ({kind}{made})")


def _ask_writable(directory: Path) -> None:
    if not directory.is_dir():
        raise NotADirectoryError(20, "it is not a directory")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, "no directory can be made there")


def _check_space(settings: Settings) -> Iterator[Check]:
    """One line for each disk that is written to, with the most that is asked of it."""
    wanted: dict[Path, int] = {}
    free: dict[Path, int] = {}
    asked = list(_wanted(settings))
    for (_, need), found in zip(asked, answers([partial(_room, path) for path, _ in asked]), strict=True):
        if found is not None:
            disk, free[disk] = found
            wanted[disk] = max(wanted.get(disk, 0), need)
    for disk, need in wanted.items():
        enough = free[disk] >= need
        remedy = "" if enough else "Make room: without it pictures wait, unpaid. How much it takes is `min_free`."
        detail = f"{space.spelled(free[disk])} free at {disk}, and {space.spelled(need)} are wanted"
        yield Check("space", ok=enough, detail=detail, remedy=remedy)


def _room(path: Path) -> tuple[Path, int] | None:
    """Return the disk of a directory and what is free there; None where its own check says that it is missing."""
    try:
        return disk_of(path), free_space(path)
    except errors.FileTrouble:
        return None


def _wanted(settings: Settings) -> Iterator[tuple[Path, int]]:
    yield settings.state_dir, STATE_WANTED
    for folder in settings.folders:
        side = wire.TARGETS.get(folder.params.target_resolution or "")
        largest = space.expected(folder.params, side=side, fmt=None, pixels=None, size=0)
        yield folder.outbox, space.needed(folder.min_free, largest)
        yield folder.archive, 0


# --- the service -----------------------------------------------------------------------------------------------------


async def _check_service(settings: Settings, service: Asked) -> list[Check]:
    try:
        balance = await service.balance()
    except errors.ServiceError as error:
        name = "key" if isinstance(error, errors.KeyRefused) else "service"
        return [_refused(name, error), Check("price", ok=None, detail="not asked, as the service did not answer")]
    asked = {_identity(folder.params): folder.params for folder in settings.folders}
    prices = [await _check_price(service, params) for params in asked.values()]
    return [Check("service", ok=True, detail=_accepted(settings, balance)), *prices]


def _accepted(settings: Settings, balance: float) -> str:
    if settings.service.embedded:
        return "the built-in engine answers"
    return f"{settings.service.url} accepts the key; the balance is ${balance:.2f}"


async def _check_price(service: Asked, params: Parameters) -> Check:
    try:
        price = await service.price(params.model, params.inputs)
    except errors.ServiceError as error:
        return _refused("price", error, about=f"{params.model}: ")
    options = ", ".join(str(value) for value in params.inputs.values())
    return Check("price", ok=True, detail=f"{params.model} ({options}): ${price.dollars:.4g} a picture")


def _identity(params: Parameters) -> str:
    return f"{params.model} {sorted(params.inputs.items(), key=str)}"


def _refused(name: str, error: errors.ServiceError, *, about: str = "") -> Check:
    why = f": {error.why}" if error.why else ""
    wrong = isinstance(error, errors.BadRequest)
    remedy = error.do or ("Correct the profile's model or parameters." if wrong else "Try again later.")
    return Check(name, ok=False, detail=f"{about}{error.what}{why}", remedy=remedy)
