"""What the pages show, and what their buttons do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.desks import Desks, desks, order
from tests.support.jobs import NOW, job, new_job
from upscaled.dashboard import history, plot
from upscaled.dashboard.feed import QUEUE, Feed
from upscaled.dashboard.history import Wanted
from upscaled.dashboard.templating import dollars, size, spent
from upscaled.events import Event
from upscaled.job.model import Standing, Step
from upscaled.ledger import Ledger

KINDS = ("100%_dog", "Cat", "Cat", "cat", "mouse")


class Attributes(HTMLParser):
    """Gathers the names of all attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the names."""
        self.names |= {name for name, _ in attrs}

    @classmethod
    def of(cls, text: str) -> set[str]:
        """Return the names of the attributes in a page."""
        parser = cls()
        parser.feed(text)
        return parser.names


SCRIPT = "<script>alert('x')</script>\" onerror=\"alert(1)\n\u202e.jpg"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desks]:
    """Give a desk on loopback."""
    with desks(tmp_path, folder={"review": "required"}) as made:
        yield made


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/?live", "/history", "/review", "/jobs/job0000000", "/jobs/job0000000?live"])
async def test_a_script_in_a_name_or_a_reason_is_text(desk: Desks, path: str) -> None:
    """Names come from cameras, mails and strangers, reasons from services."""
    desk.done("a.jpg", named=SCRIPT, review="waiting", reason=SCRIPT)
    desk.ledger.admit([new_job(1, folder=str(desk.house.inbox), source=SCRIPT + "2", held=SCRIPT)])
    async with desk.client() as client:
        text = (await client.get(path)).text

    assert "alert(" in text
    assert "<script>alert" not in text
    assert {"onerror"}.isdisjoint(Attributes.of(text))
    assert "\u202e" not in text


@pytest.mark.parametrize(
    "query", ["name=<script>alert(1)</script>", 'name="onx', "said=<b>", "after=<b>", "folder=<b>"]
)
async def test_a_script_in_a_query_is_text_or_nothing(desk: Desks, query: str) -> None:
    """A link to a page of ours is somebody else's words."""
    async with desk.client() as client:
        answer = await client.get(f"/history?{query}")

    assert 200 == answer.status_code
    assert "<script>alert" not in answer.text
    assert '"onx' not in answer.text
    assert "<b>" not in answer.text


def test_a_script_in_a_name_is_text_in_the_stream_and_cannot_end_its_line() -> None:
    """JSON of one line, which the page's script writes as text."""
    feed = Feed()

    async def read() -> str:
        stream = feed.read(beat=60)
        await anext(stream)
        feed(Event(job(source=SCRIPT), Step.AWAIT, "done", SCRIPT))
        return await anext(stream)

    event, data, *rest = asyncio.run(read()).split("\n")

    assert ("event: job", ["", ""]) == (event, rest)
    assert "<script>" in json.loads(data.removeprefix("data: "))["source"]
    assert "\n" not in json.loads(data.removeprefix("data: "))["source"]


async def test_names_that_are_no_utf8_are_shown(desk: Desks) -> None:
    """As escapes, on every page."""
    made = desk.done("a.jpg", named="caf\udce9.jpg", review="waiting")
    async with desk.client() as client:
        for path in ("/", "/history", "/review", f"/jobs/{made}"):
            answer = await client.get(path)
            assert 200 == answer.status_code
            assert "caf\\xe9.jpg" in answer.text


async def test_the_overview_names_what_needs_a_person_first(desk: Desks) -> None:
    """Held jobs with their reason, folders in trouble, notices, results in review, failures."""
    inbox = str(desk.house.inbox)
    desk.done(review="waiting")
    desk.ledger.record_folder(inbox, state="offline", reason="It is not mounted.", seen={}, swept_at=NOW)
    desk.ledger.admit([new_job(1, folder=inbox, source="held.jpg")])
    desk.change("job0000001", standing="held", reason="It may have been paid.")
    await desk.ledger.notice("service", "The key is refused.", now=NOW)
    async with desk.client() as client:
        text = (await client.get("/")).text

    needs = text[text.index('id="needs"') : text.index('class="counts"')]
    for words in ("The key is refused.", "It is not mounted.", "held.jpg", "It may have been paid.", "1 result waits"):
        assert words in needs


async def test_what_there_is_no_job_for_is_a_page_that_says_so(desk: Desks) -> None:
    """Not a trace."""
    async with desk.client() as client:
        answer = await client.get("/jobs/nothing")

    assert (404, True) == (answer.status_code, "no such job" in answer.text)


@pytest.mark.parametrize(("amount", "text"), [(0.0, "$0.00"), (0.012, "$0.012"), (1234.512, "$1,234.51"), (None, "?")])
def test_dollars_show_fractions_of_a_cent_where_there_are_any(amount: float | None, text: str) -> None:
    """A picture costs about one."""
    assert text == dollars(amount)


def test_lengths_and_sizes_are_said_in_their_own_units() -> None:
    """Never more than two at once."""
    assert ["0.2 s", "42 s", "2 min 5 s", "3 h 0 min", "3 days"] == [spent(s) for s in (0.2, 42, 125, 10_800, 259_200)]
    assert ["999 B", "1.0 KB", "2.5 MB", "3.1 GB"] == [size(n) for n in (999, 1000, 2_500_000, 3_100_000_000)]


# --- orders ----------------------------------------------------------------------------------------------------------


async def test_orders_act_and_say_what_came_of_them(desk: Desks) -> None:
    """Keep delivers; a second keep has nothing to keep; the words are shown once the page is there again."""
    made = desk.done()
    review = desk.house.outbox / ".review"
    review.mkdir()
    (desk.house.outbox / "a.jpg").rename(review / "a.jpg")
    desk.change(made, output=str(review / "a.jpg"), review="waiting")
    async with desk.client() as client:
        first = await order(client, "/orders/keep", jobs=made, next="/review")
        shown = await client.get(first.headers["location"])
        second = await order(client, "/orders/keep", jobs=made, next=f"/jobs/{made}")

    assert (desk.house.outbox / "a.jpg").exists()
    assert first.headers["location"].startswith("/review?said=")
    assert "kept: it is now" in shown.text
    assert 303 == second.status_code


async def test_redo_leads_to_the_new_job(desk: Desks) -> None:
    """With the profile that was chosen; one that there is not is said."""
    made = desk.done()
    async with desk.client() as client:
        wrong = await order(client, "/orders/redo", jobs=made, profile="nope", next=f"/jobs/{made}")
        right = await order(client, "/orders/redo", jobs=made, profile="print", next=f"/jobs/{made}")
        said = await client.get(wrong.headers["location"])

    assert "There is no profile nope" in said.text
    new = right.headers["location"].removeprefix("/jobs/").partition("?")[0]
    again = desk.ledger.job(new)
    assert again is not None
    assert ("print", "a.jpg", Standing.READY) == (again.profile, again.source, again.standing)


@pytest.mark.parametrize("path", ["/orders/format", "/folders/7/pause", "/folders/0/format", "/folders/x/pause"])
async def test_an_order_that_there_is_not_does_nothing(desk: Desks, path: str) -> None:
    """Orders and folders come from a table."""
    async with desk.client() as client:
        assert 404 == (await order(client, path, jobs="x")).status_code


async def test_a_crowd_is_released_or_cancelled_as_one(desk: Desks) -> None:
    """Other held jobs stay held."""
    inbox = str(desk.house.inbox)
    desk.ledger.admit([new_job(n, folder=inbox, held="too many") for n in range(3)])
    desk.ledger.admit([new_job(9, folder=inbox)])
    desk.change("job0000009", standing="held", reason="in doubt")
    async with desk.client() as client:
        overview = await client.get("/")
        await order(client, "/folders/0/release")

    assert "/folders/0/release" in overview.text
    held = desk.ledger.jobs(standing="held")
    assert ["job0000009"] == [each.id for each in held]


# --- history ---------------------------------------------------------------------------------------------------------


def walk(ledger: Ledger, wanted: Wanted, size: int = 7) -> list[str]:
    """Return all jobs that are wanted, page by page."""
    found, after = [], None
    while True:
        page = history.page(ledger, wanted, after, size=size)
        found += [each.id for each in page.jobs]
        if (after := page.after) is None:
            return found


def test_pages_follow_each_other_without_gaps_or_repeats(desk: Desks) -> None:
    """Also where many jobs were admitted at one moment, and with every filter."""
    inbox = str(desk.house.inbox)
    many = [
        new_job(
            n,
            folder=inbox if n % 3 else "/other",
            source=f"{n}-{'Cat' if n % 5 else '100%_dog'}.jpg",
            admitted_at=NOW + n // 10,
        )
        for n in range(60)
    ]
    desk.ledger.admit(many)
    for n in range(0, 60, 4):
        desk.change(f"job{n:07d}", standing="held")
    order_ = [new.id for new in sorted(many, key=lambda new: (new.admitted_at, new.id), reverse=True)]

    def expected(*numbers: int) -> list[str]:
        return [job_id for job_id in order_ if int(job_id[3:]) in numbers]

    assert order_ == walk(desk.ledger, Wanted())
    assert expected(*[n for n in range(60) if n % 3]) == walk(desk.ledger, Wanted(folder=inbox))
    assert expected(*range(0, 60, 4)) == walk(desk.ledger, Wanted(standing="held"))
    assert expected(*range(0, 60, 5)) == walk(desk.ledger, Wanted(name="100%_DOG"))
    assert expected(*[n for n in range(0, 60, 4) if n % 3]) == walk(desk.ledger, Wanted(folder=inbox, standing="held"))
    assert [] == walk(desk.ledger, Wanted(name="_00%"))
    assert [] == walk(desk.ledger, Wanted(day="2001-01-01"))
    assert order_ == walk(desk.ledger, Wanted(standing="nonsense", day="2026-13-99"))


def test_a_days_page_holds_that_day(desk: Desks) -> None:
    """By the local calendar."""
    since, until = history.day_of("2026-03-29") or (0.0, 0.0)
    desk.ledger.admit([new_job(n, admitted_at=at) for n, at in enumerate([since - 1, since, until - 1, until])])

    assert ["job0000002", "job0000001"] == walk(desk.ledger, Wanted(day="2026-03-29"))


@pytest.mark.parametrize("after", ["", "x", "1~", "~x", "1e9~job", "1~' OR 1", "9" * 40 + "~a"])
def test_a_page_that_begins_nowhere_is_the_first(desk: Desks, after: str) -> None:
    """Whatever stands in the address."""
    desk.ledger.admit([new_job(1)])

    assert 1 == len(history.page(desk.ledger, Wanted(), after).jobs)


# --- the plot --------------------------------------------------------------------------------------------------------


def test_the_plot_counts_by_local_days_up_to_today(desk: Desks) -> None:
    """Today is the last; a bar of anything is seen."""
    desk.done(number=1, finished_at=NOW)
    desk.done("b.jpg", number=2, finished_at=NOW - 86_400)
    days = plot.days_of(desk.ledger, NOW)

    assert 30 == len(days)
    assert [0, 1, 1] == [day.pictures for day in days[-3:]]
    bars = plot.bars([0, 1, 1000], ["a", "b", "c"])
    assert [0.0, 2.0, 100.0] == [bar.height for bar in bars]
    assert [0.0] * 3 == [bar.height for bar in plot.bars([0, 0, 0], ["a", "b", "c"])]


# --- the feed --------------------------------------------------------------------------------------------------------


def test_a_slow_reader_loses_words_and_holds_up_nobody() -> None:
    """Its queue is bounded, and the end reaches it all the same."""
    feed = Feed()

    async def read() -> int:
        stream = feed.read(beat=60)
        await anext(stream)
        pending = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        (queue,) = feed._readers
        for _ in range(10 * QUEUE):
            feed(Event(job(), Step.AWAIT, "await", ""))
        assert QUEUE == queue.qsize()
        feed.close()
        await pending
        return len([word async for word in stream])

    assert 0 == asyncio.run(read())
    assert feed.full


def test_nobody_looking_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the words are made."""
    monkeypatch.setattr("upscaled.dashboard.feed.told", None)

    Feed()(Event(job(), Step.AWAIT, "await", ""))


def test_a_reader_that_left_is_forgotten() -> None:
    """A page that was closed takes no place."""
    feed = Feed()

    async def read() -> None:
        async for _ in feed.read(beat=60):
            break

    async def main() -> None:
        for _ in range(200):
            await read()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert not feed.full
