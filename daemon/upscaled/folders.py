"""A configured folder as its intake is to see it.

Separate because the intake must not know the configuration, and because the daemon, `why` and a reload must agree.
"""

from __future__ import annotations

from upscaled.api import wire
from upscaled.config.settings import Folder
from upscaled.inbox.model import IntakeSettings


def intake_settings(folder: Folder) -> IntakeSettings:
    """Return what an intake must know of a folder."""
    return IntakeSettings(
        inbox=folder.inbox,
        largest=wire.UPLOAD_LIMIT,
        recursive=folder.recursive,
        watch=folder.watch,
        settle=folder.settle,
        sweep=folder.sweep,
        hold=folder.hold,
        ignore=folder.ignore,
        incomplete=folder.incomplete,
    )
