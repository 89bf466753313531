"""The configured directories as they are on the disk: are they there, and apart from each other?

Loading a configuration does not touch them, so that a share that hangs cannot keep a person from seeing a typo. What is
here asks each folder in a thread of its own: one that hangs keeps no other from being looked after.
"""

from __future__ import annotations

import shlex
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from upscaled.config.asking import answers
from upscaled.config.overlap import Place, overlaps
from upscaled.config.parts import APART
from upscaled.config.settings import ROLES

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterator

    from upscaled.config.findings import Keys
    from upscaled.config.settings import Folder, Settings
    from upscaled.errors import Problem


def verify_folders(settings: Settings, *, awaited: Collection[Path] = ()) -> list[Problem]:
    """Return what is wrong with the directories, in the file's order; nothing is created or changed.

    A directory that is missing may be a share that is not mounted, so it is a problem and never made by the way; only a
    failed folder in its default place beside an inbox that is there may be made (see `make_failed_folders`). Those that
    are ``awaited`` may be away: the daemon knows them again when they come, and goes on without them until then. Of a
    folder that does not answer nothing can be said; whoever looks after it will report that.
    """
    looks = answers([partial(_look, settings, index, awaited) for index in range(len(settings.folders))])
    seen = [look for look in looks if look is not None]
    places = [place for _, places in seen for place in places]
    places.append(Place(("state_dir",), "state", settings.state_dir, resolved_chain(settings.state_dir)))
    problems = [problem for problems, _ in seen for problem in problems]
    problems += [settings.problem(overlap.keys, overlap.message, APART) for overlap in overlaps(places)]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _look(settings: Settings, index: int, awaited: Collection[Path]) -> tuple[list[Problem], list[Place]]:
    """Return what is wrong with a folder's own directories, and where they all are."""
    directories = [(keys, path) for keys, path in _directories(settings) if keys[1] == index]
    there = [(keys, path) for keys, path in directories if path not in awaited]
    problems = [problem for keys, path in there if (problem := _absent(settings, keys, path))]
    return problems, [Place(keys, str(keys[2]), path, resolved_chain(path)) for keys, path in directories]


def make_folders(settings: Settings) -> list[Path]:
    """Create every configured directory that is missing, and return those.

    Raises OSError where one cannot be made. Safe to repeat after a crash anywhere in it.
    """
    return [made for _, path in _directories(settings) for made in make_directory(path)]


def make_failed_folders(settings: Settings) -> list[Path]:
    """Create the failed folders that are missing in their default place, and return those.

    One on a share that does not answer is made when the share does. Raises OSError where one cannot be made.
    """
    folders = [folder for folder in settings.folders if folder.failed_beside_inbox]
    return [path for made in answers([partial(_make_failed, folder) for folder in folders]) for path in made or ()]


def _make_failed(folder: Folder) -> list[Path]:
    return make_directory(folder.failed) if folder.inbox.is_dir() else []


def make_directory(path: Path) -> list[Path]:
    """Create a directory and what is missing above it; return it if it was made."""
    if path.is_dir():
        return []
    path.mkdir(parents=True, exist_ok=True)
    return [path]


def _directories(settings: Settings) -> Iterator[tuple[Keys, Path]]:
    for index, folder in enumerate(settings.folders):
        for role in ROLES:
            yield ("folders", index, role), getattr(folder, role)


def _absent(settings: Settings, keys: Keys, path: Path) -> Problem | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if _to_be_made(settings.folders[int(keys[1])], str(keys[2])):
            return None
        return settings.problem(keys, f"{path} does not exist", _create(path))
    except OSError as error:
        message = f"{path} cannot be reached: {error.strerror}"
        return settings.problem(keys, message, "Correct the path, its permissions or its mount.")
    if not stat.S_ISDIR(mode):
        return settings.problem(keys, f"{path} is not a directory", "Name a directory.")
    return None


def _create(path: Path) -> str:
    return f"If it is on a share, mount the share; else create it: mkdir -p {shlex.quote(str(path))}"


def _to_be_made(folder: Folder, role: str) -> bool:
    return role == "failed" and folder.failed_beside_inbox and folder.inbox.is_dir()


# --- where they really are -------------------------------------------------------------------------------------------


def resolved_chain(path: Path) -> tuple[Hashable, ...]:
    """Identify a directory and those around it by device and inode, so that links and bind mounts are seen through.

    What does not exist (yet) is identified by its path below the nearest directory that does.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        # A loop of links; it is reported as a directory that cannot be reached.
        real = path
    return tuple(_identity(each) for each in (real, *real.parents))


def _identity(path: Path) -> Hashable:
    for ancestor in (path, *path.parents):
        try:
            status = ancestor.stat()
        except OSError:
            continue
        # Some network file systems number their files with 0 or not at all; there the path has to do.
        here = (status.st_dev, status.st_ino) if status.st_ino else (str(ancestor),)
        return (*here, str(path.relative_to(ancestor)))
    return (str(path),)
