"""A configured folder as its intake is to see it.

Separate because the intake must not know the configuration, and because the daemon, `why` and a reload must agree.
"""

from __future__ import annotations

from upscaled.config.settings import Folder, Hooks
from upscaled.files import pictures
from upscaled.inbox.model import IntakeSettings
from upscaled.job import readiness


def intake_settings(folder: Folder, hooks: Hooks) -> IntakeSettings:
    """Return what an intake must know of a folder, and of the programs that are run."""
    return IntakeSettings(
        inbox=folder.inbox,
        largest=readiness.LARGEST,
        recursive=folder.recursive,
        watch=folder.watch,
        settle=folder.settle,
        sweep=folder.sweep,
        hold=folder.hold,
        ignore=folder.ignore,
        incomplete=folder.incomplete,
        develops=hooks.convert is not None,
        missing=pictures.missing(),
    )
