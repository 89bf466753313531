"""Which disk a path lies on, as people know disks: by where they are mounted.

Separate because both the words of errors and the question for free space need it, and neither may import the other.
"""

from __future__ import annotations

import os
from pathlib import Path


def disk_of(path: Path) -> Path:
    """Return the mount point of the disk that ``path`` lies on, or would; never raises."""
    # By os.path, which answers where pathlib raises: the path may be gone, or its share.
    place = os.path.realpath(path)
    while not os.path.ismount(place):
        place = os.path.dirname(place)  # noqa: PTH120
    return Path(place)
