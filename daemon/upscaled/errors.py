"""Every error a person may meet, each saying what happened, why, and what to do.

This module is separate so that every layer can raise these without importing another layer.

    UpscaledError                 exit 1
    ├── ConfigError               exit 2   the configuration or the command line is wrong; carries every problem at once
    ├── UsageError                exit 2   a command was given something that is not there
    ├── StateError                exit 4   the ledger or the state directory cannot be used
    │   ├── Locked                         another daemon owns this state directory
    │   ├── LedgerTooNew                   written by a newer version of this program
    │   ├── LedgerTooOld                   written by an older one, and not brought up to date yet
    │   └── LedgerUnavailable              the disk refuses a write (full, read-only, failing): wait and try again
    ├── EngineError               exit 2   the built-in engine cannot work here (its extra is not installed, no memory)
    ├── FileTrouble               exit 1   a file or directory of the user's cannot be used as it must be
    │   ├── FolderOffline                  the directory is not there: a share that is not mounted, or not answering
    │   ├── WrongFolder                    a directory is there, and it is another one than it was
    │   ├── OwnedElsewhere                 another upscaled looks after this inbox
    │   ├── DiskFull                       no space left, or the quota is used up
    │   ├── ReadOnly                       the file system accepts no changes
    │   ├── NoPermission                   this user may not do that there
    │   ├── Busy                           another program holds it for the moment
    │   ├── NameRefused                    the file system does not accept such a name
    │   ├── Vanished                       the file is not there (any more)
    │   ├── NotAFile                       a link, a pipe or a directory stands where a file is needed
    │   └── PartMissing                    a downloaded result is gone, or holds other bytes than were verified
    ├── BadPicture                exit 1   a file is not the picture it has to be
    └── ServiceError              exit 3   the service did not do what it was asked
        ├── Unreachable                    no connection, or it broke before an answer came
        ├── Trouble                        an answer that is the service's own failure: 5xx, a gateway page, nonsense
        └── Rejected                       the request was understood and refused; it certainly had no effect
            ├── RateLimited                429: too many, too fast
            ├── BadRequest                 400, 404, 413, 422: this request is wrong and stays wrong
            ├── Missing                    404 for a prediction or a file that the service does not have (any more)
            └── Blocked                    nothing will be accepted until a person acts
                ├── KeyRefused             401, 403
                └── NoCredit               402, or any refusal that says so in words

``ServiceError.sent`` is the question money hangs on: may the request have reached the service? A paid request that was
sent and not answered is *ambiguous* (invariant I3); one that was rejected, or never left, is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

NOWHERE: Final = Path()
"""The path of a trouble that has not been told its own: errors must be made from their text alone to cross processes.
"""


class UpscaledError(Exception):
    """Something a person must be told: what happened, why, and what to do."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    @property
    def said(self) -> str:
        """What happened and why; what to do is told beside it."""
        return f"{self.what}: {self.why}" if self.why else self.what

    def __str__(self) -> str:
        return f"{self.said}\n  -> {self.do}" if self.do else self.said


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where it stands, what is wrong, and the remedy."""

    file: str
    line: int | None
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        head = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        return f"{head}\n  -> {self.remedy}" if self.remedy else head


def sentence(error: Exception | Problem) -> str:
    """Return what went wrong in one line, as logs and tables have it: what happened, why, and what to do."""
    return " ".join(re.sub(r"\.?\n  -> ", ". ", str(error)).splitlines())


class ConfigError(UpscaledError):
    """The configuration cannot be used. ``problems`` holds every one of them, in the file's order."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(UpscaledError):
    """A command was given something that is not there."""

    exit_code = 2


class StateError(UpscaledError):
    """The ledger or the state directory cannot be used."""

    exit_code = 4


class Locked(StateError):
    """Another daemon owns this state directory."""


class LedgerTooNew(StateError):
    """The ledger was written by a newer version of this program."""


class LedgerTooOld(StateError):
    """The ledger was written by an older version of this program, and is brought up to date when that starts."""


class LedgerUnavailable(StateError):
    """The disk under the ledger refuses a write; nothing was recorded, and a later attempt may succeed."""


class EngineError(UpscaledError):
    """The built-in engine cannot work here."""

    exit_code = 2


class FileTrouble(UpscaledError):
    """A file or directory of the user's cannot be used as it must be; nothing was lost. ``path`` is the one concerned.

    ``transient``: time, or a person who mends the disk, helps. ``missing``: the file itself is not there as a file.
    """

    transient: ClassVar[bool] = True
    missing: ClassVar[bool] = False

    def __init__(self, what: str, *, why: str = "", do: str = "", path: Path = NOWHERE) -> None:
        super().__init__(what, why=why, do=do)
        self.path = path


class FolderOffline(FileTrouble):
    """The directory is not there: a share that is not mounted, or does not answer."""


class WrongFolder(FileTrouble):
    """A directory is there, and its marker says that it is another one than it was."""


class OwnedElsewhere(FileTrouble):
    """Another upscaled, with a state directory of its own, looks after this inbox."""


class DiskFull(FileTrouble):
    """No space is left, or the quota is used up."""


class ReadOnly(FileTrouble):
    """The file system accepts no changes."""


class NoPermission(FileTrouble):
    """The user that the daemon runs as may not do that there."""


class Busy(FileTrouble):
    """Another program holds the file for the moment."""


class NameRefused(FileTrouble):
    """The file system does not accept such a name."""

    transient = False


class Vanished(FileTrouble):
    """The file is not there (any more), though its directory may be."""

    missing = True


class NotAFile(FileTrouble):
    """A link, a pipe, a device or a directory stands where a file is needed."""

    transient = False
    missing = True


class PartMissing(FileTrouble):
    """A downloaded result is gone, or holds other bytes than those that were verified: it must be downloaded again."""

    transient = False
    missing = True


class Flaw(StrEnum):
    """What is wrong with a picture."""

    UNREADABLE = "unreadable"
    """It is no picture, or a damaged one."""
    TRUNCATED = "truncated"
    """It is a picture that stops before its end."""
    FORMAT = "format"
    """It is of another format than was asked for."""
    SHAPE = "shape"
    """Its sides are in another ratio than the source's."""
    SMALLER = "smaller"
    """It has fewer pixels along its sides than the source."""
    ABSURD = "absurd"
    """It has more pixels than any result could have, or takes more memory than there is for it."""
    BLANK = "blank"
    """It is of a single colour, and its source is not."""
    MANY = "many"
    """It is several pictures in one file."""


class BadPicture(UpscaledError):
    """A file is not the picture it has to be; ``flaw`` says in which way."""

    def __init__(self, what: str, *, why: str = "", do: str = "", flaw: Flaw = Flaw.UNREADABLE) -> None:
        super().__init__(what, why=why, do=do)
        self.flaw = flaw


class ServiceError(UpscaledError):
    """The service did not do what it was asked.

    ``sent`` tells whether the request may have reached it; ``retry_after`` is how long it asks us to wait, in seconds.
    """

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        do: str = "",
        status: int | None = None,
        sent: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, why=why, do=do)
        self.status = status
        self.sent = sent
        self.retry_after = retry_after


class Unreachable(ServiceError):
    """No connection, or it broke before an answer came."""


class Trouble(ServiceError):
    """An answer that is the service's own failure: 5xx, a gateway page, or nothing that can be understood."""


class Rejected(ServiceError):
    """The request was understood and refused; it certainly had no effect."""


class RateLimited(Rejected):
    """Too many requests, or too fast."""


class BadRequest(Rejected):
    """This request is wrong, and would be wrong again."""


class Missing(BadRequest):
    """The service does not have this prediction or file, or not any more."""


class Blocked(Rejected):
    """Nothing will be accepted until a person acts."""


class KeyRefused(Blocked):
    """The key is wrong, lacks the right, or its account is suspended."""


class NoCredit(Blocked):
    """The account has no credit left."""
