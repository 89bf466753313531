from __future__ import annotations

import asyncio

import pytest

from upscaled.limits import Limits, Slots


def limits(in_flight: int, surplus: int) -> Limits:
    """Return limits of an account that is expected to queue ``surplus`` predictions."""
    return Limits(in_flight=in_flight, surplus=surplus, per_minute=None, now=lambda: 0.0, sleep=asyncio.sleep)


@pytest.mark.parametrize(
    ("in_flight", "surplus", "held", "crowded", "cap"),
    [
        (13, 3, 13, True, 12),
        (13, 3, 11, True, 10),
        (13, 3, 10, False, 13),
        (13, 3, 2, False, 13),
        (10, 0, 10, False, 10),
    ],
    ids=["one too many", "three too many", "within what it runs", "hardly any", "nothing is expected to be queued"],
)
async def test_a_refusal_beyond_what_the_service_runs_at_once_is_about_their_number(
    in_flight: int, surplus: int, held: int, crowded: bool, cap: int
) -> None:
    """Then no more are sent than were accepted; any other 429 is about the pace."""
    scarce = limits(in_flight, surplus)
    for number in range(held):
        await scarce.slots.acquire(str(number))

    assert crowded is scarce.crowded()
    assert cap == scarce.slots.cap


async def test_after_such_a_refusal_a_freed_slot_goes_to_nobody_until_there_are_few_enough() -> None:
    """The number that was accepted is not exceeded again."""
    scarce = limits(3, 1)
    for number in range(3):
        await scarce.slots.acquire(str(number))
    waiting = asyncio.create_task(scarce.slots.acquire("next"))
    await asyncio.sleep(0)

    assert scarce.crowded()
    scarce.slots.release("2")
    await asyncio.sleep(0)
    assert not waiting.done()

    scarce.slots.release("1")
    await waiting
    assert 2 == len(scarce.slots)


@pytest.mark.parametrize(
    ("surplus", "refused", "expected"),
    [(0, False, True), (1, False, False), (1, True, True)],
    ids=["nothing is queued by the service", "something is", "it refused to"],
)
async def test_a_place_that_is_waited_for_presses_unless_the_service_has_the_next_prediction_already(
    surplus: int, refused: bool, expected: bool
) -> None:
    """It would stand idle from the prediction's end until somebody notices."""
    scarce = limits(2, surplus)
    for number in range(2):
        await scarce.slots.acquire(str(number))
    assert not scarce.pressed()

    waiting = asyncio.create_task(scarce.slots.acquire("next"))
    await asyncio.sleep(0)
    if refused:
        assert scarce.crowded()
    assert expected is scarce.pressed()
    waiting.cancel()


def test_giving_back_says_whether_there_was_something_to_give() -> None:
    """So that the worker looks for another job then, and only then."""
    slots = Slots(1)
    slots.keep(["a"])

    assert [True, False] == [slots.release("a"), slots.release("a")]
