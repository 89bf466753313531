"""Asking each of several file systems at once, with patience for all of them together.

Separate because of what a dead share does: a call to it returns when the share does, which may be never, and no thread
can be ended from outside. So each is asked in a thread that nobody waits for, not even the end of the process.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

ANSWER_WITHIN: Final = 5.0
"""How long a folder's file systems are waited for before a run goes on without their answer, in seconds."""


def answers(questions: Sequence[Callable[[], T]], *, within: float = ANSWER_WITHIN) -> list[T | None]:
    """Return what each question returns, None for those that are not answered ``within`` so many seconds.

    Those go on in their threads, and what they do besides answering is done when their share comes back. An exception
    of a question is raised here.
    """
    asked = [_ask(question) for question in questions]
    end = time.monotonic() + within
    return [_answer(future, max(0.0, end - time.monotonic())) for future in asked]


def _ask(question: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is wanted
            future.set_exception(error)

    threading.Thread(target=work, name="asking", daemon=True).start()
    return future


def _answer(future: Future[T], patience: float) -> T | None:
    try:
        return future.result(patience)
    except TooLate:
        return future.result() if future.done() else None  # done: the error is the question's own
