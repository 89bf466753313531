"""Every error a person may meet, each saying what happened, why, and what to do.

This module is separate so that every layer can raise these without importing another layer.

    UpscaledError                 exit 1
    ├── ConfigError               exit 2   the configuration or the command line is wrong; carries every problem at once
    ├── StateError                exit 4   the ledger or the state directory cannot be used
    │   ├── Locked                         another daemon owns this state directory
    │   ├── LedgerTooNew                   written by a newer version of this program
    │   └── LedgerUnavailable              the disk refuses a write (full, read-only, failing): wait and try again
    ├── EngineError               exit 2   the built-in engine cannot work here (its extra is not installed, no memory)
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

from dataclasses import dataclass


class UpscaledError(Exception):
    """Something a person must be told: what happened, why, and what to do."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.why else self.what
        return f"{text}\n  -> {self.do}" if self.do else text


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


class ConfigError(UpscaledError):
    """The configuration cannot be used. ``problems`` holds every one of them, in the file's order."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StateError(UpscaledError):
    """The ledger or the state directory cannot be used."""

    exit_code = 4


class Locked(StateError):
    """Another daemon owns this state directory."""


class LedgerTooNew(StateError):
    """The ledger was written by a newer version of this program."""


class LedgerUnavailable(StateError):
    """The disk under the ledger refuses a write; nothing was recorded, and a later attempt may succeed."""


class EngineError(UpscaledError):
    """The built-in engine cannot work here."""

    exit_code = 2


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
