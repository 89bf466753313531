from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from upscaled.job.reconcile import Adopt, Finding, LookAgain, NotCreated, Unknown, identify

OURS = "https://files.example/ours"
OTHER = "https://files.example/other"
REWRITTEN = "https://cdn.example/abc"
OVER = datetime(2026, 11, 22, 1, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Item:
    """A listed prediction."""

    id: str
    image: str | None = None
    created_at: datetime | None = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("listed", "ours", "age", "sole", "finding"),
    [
        ([Item("p", OURS)], (), 0.0, True, Adopt("p")),
        ([Item("x", OTHER), Item("p", OURS)], (), 500.0, False, Adopt("p")),
        ([Item("failed", OURS), Item("p", OURS)], ("failed",), 0.0, True, Adopt("p")),
        ([Item("failed", OURS)], ("failed",), 30.0, True, NotCreated()),
        ([], (), 3.0, True, LookAgain(5.0)),
        ([], (), 28.0, True, LookAgain(2.0)),
        ([], (), 30.0, True, NotCreated()),
        ([Item("x", OTHER)], (), 30.0, True, NotCreated()),
        ([Item("x"), Item("y")], ("x", "y"), 30.0, True, NotCreated()),
        ([Item("p")], (), 5.0, True, LookAgain(5.0)),
        ([Item("p")], (), 30.0, True, Adopt("p")),
        ([Item("p"), Item("x")], ("x",), 30.0, True, Adopt("p")),
        ([Item("p")], (), 30.0, False, Unknown(1)),
        ([Item("p", REWRITTEN)], (), 30.0, True, Adopt("p")),
        ([Item("p", REWRITTEN), Item("q", REWRITTEN)], (), 30.0, True, Unknown(2)),
        ([Item("p", None, LATER)], (), 30.0, True, NotCreated()),
        ([Item("p"), Item("q")], (), 30.0, True, Unknown(2)),
    ],
    ids=[
        "its own upload",
        "its own upload among others, however late",
        "its own upload, of which an earlier attempt failed",
        "only the earlier attempt of its own upload",
        "nothing yet",
        "nothing yet, the last look at the end of the lag",
        "nothing after the lag",
        "only others' uploads",
        "only predictions that jobs of ours have",
        "one without inputs, but a better match may follow",
        "the only one it can be",
        "the only one it can be beside one of ours",
        "another lost submit could be it as well",
        "the only one it can be, its image told in another form",
        "two with images told in another form",
        "one that was created after the request was over",
        "two it could be",
    ],
)
def test_a_lost_submit_is_found_or_known_not_to_exist_or_admitted_to_be_unknown(
    listed: list[Item], ours: tuple[str, ...], age: float, sole: bool, finding: Finding
) -> None:
    """I3: only what is certain is acted upon."""
    assert finding == identify(OURS, listed, ours=ours, age=age, sole=sole, over=OVER)
