from __future__ import annotations

import pytest

from upscaled.errors import FileTrouble, Problem, UpscaledError, sentence


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpscaledError("It broke"), "It broke"),
        (FileTrouble("It broke", why="no space", do="Free some."), "It broke: no space. Free some."),
        (UpscaledError("It broke.", do="Mend it."), "It broke. Mend it."),
        (UpscaledError("It broke", why="of two\nlines"), "It broke: of two lines"),
        (UpscaledError("/in/a  b.jpg is gone"), "/in/a  b.jpg is gone"),
        (Problem("a.yaml", 3, "key", "it is wrong", "Correct it."), "a.yaml:3: key: it is wrong. Correct it."),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception | Problem, expected: str) -> None:
    """As logs and tables have it, which would show a line break as an escape."""
    assert expected == sentence(error)
