"""Asking file systems, of which some may never answer."""

from __future__ import annotations

import threading
import time

import pytest

from upscaled.config.asking import answers


def test_each_answer_stands_where_its_question_stood_and_silence_is_none() -> None:
    """One that hangs keeps no other from answering, and all are waited for together, not one after the other."""
    hangs = threading.Event()
    began = time.monotonic()

    found = answers([hangs.wait, lambda: True, hangs.wait, lambda: False], within=0.3)

    assert [None, True, None, False] == found
    assert time.monotonic() - began < 0.55
    hangs.set()


def test_what_came_too_late_is_done_all_the_same() -> None:
    """A share that comes back finds what was to be done there under way."""
    back, done = threading.Event(), threading.Event()

    def work() -> None:
        back.wait()
        done.set()

    assert [None] == answers([work], within=0.0)
    assert not done.is_set()
    back.set()

    assert done.wait(5)


@pytest.mark.parametrize("error", [OSError(13, "Permission denied"), TimeoutError(110, "Connection timed out")])
def test_an_error_of_a_question_is_raised(error: OSError) -> None:
    """Also one that a dead share answers with, which is an answer."""

    def refuse() -> None:
        raise error

    with pytest.raises(OSError, match=error.strerror) as raised:
        answers([refuse], within=5.0)
    assert error is raised.value
