"""The client against a service that has an account and misbehaves: what was said is held against what was charged."""

from __future__ import annotations

import base64
import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from PIL import Image

from tests.support.service import ApiServer, Fault, Settings, World, application, serve
from upscaled import errors
from upscaled.api import wire
from upscaled.api.client import Service, decode_output, may_have_acted
from upscaled.job.model import Parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

MODEL = "wavespeed-ai/image-upscaler"
SMALL = Settings(targets={"2k": 90, "4k": 180, "8k": 360})


def params(**inputs: Any) -> Parameters:
    """Return the parameters of a small picture."""
    return Parameters(MODEL, {"target_resolution": "2k", **inputs})


@pytest.fixture(scope="module")
def running() -> Iterator[ApiServer]:
    """One server for all tests; each gets a world of its own state through `server`."""
    with serve(SMALL) as made:
        yield made


@pytest.fixture
def server(running: ApiServer) -> ApiServer:
    """The server, well-behaved and with its first settings."""
    running.script()
    running.world.settings = SMALL
    running.world.tasks.clear()
    running.world.requests.clear()
    return running


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Service]:
    """A client of it, by the transport that is used in earnest."""
    async with Service(server.url, api_key=server.key, timeout=5) as made:
        yield made


async def upload(client: Service, picture: Path, name: str = "in.jpg") -> str:
    """Bring the picture there and return its address."""
    return (await client.upload(picture, name=name, content_type="image/jpeg")).url


async def completed(client: Service, picture: Path, **inputs: Any) -> wire.Prediction:
    """Have the picture upscaled."""
    made = await client.submit(params(**inputs), await upload(client, picture))
    return await client.result(made.id)


@pytest.mark.parametrize("method", ["ticket", "binary"])
@pytest.mark.parametrize("format_", ["jpeg", "png", "webp"])
async def test_a_picture_goes_the_whole_way(
    server: ApiServer, client: Service, picture: Path, format_: str, *, method: Literal["ticket", "binary"]
) -> None:
    """Uploaded, upscaled, downloaded; and paid once."""
    sent = await client.upload(picture, name="a b.jpg", content_type="image/jpeg", method=method)
    made = await client.submit(params(output_format=format_), sent.url)
    done = await client.result(made.id)
    file = io.BytesIO()
    got = await client.download(done.outputs[0], file)

    assert ("completed", f"image/{format_}") == (done.status, got.content_type)
    with Image.open(file) as result:
        assert ((90, 60), format_.upper()) == (result.size, result.format)
    assert hashlib.sha256(file.getvalue()).hexdigest() == got.fingerprint
    assert {sent.fingerprint: 1} == server.stats()["by_image"]
    assert 99.99 == await client.balance()


async def test_the_key_goes_to_the_api_and_nowhere_else(server: ApiServer, client: Service, picture: Path) -> None:
    """Looked at from the other side."""
    done = await completed(client, picture)
    await client.download(done.outputs[0], io.BytesIO())

    seen = {(note["kind"], note["authorization"]) for note in server.stats()["requests"]}
    assert {("ticket", True), ("put", False), ("submit", True), ("result", True), ("output", False)} == seen


@pytest.mark.parametrize("sync", [False, True])
async def test_a_result_may_come_as_text(client: Service, picture: Path, *, sync: bool) -> None:
    """In the answer to the submit, or to a poll."""
    made = await client.submit(
        params(enable_base64_output=True, enable_sync_mode=sync, output_format="png"), await upload(client, picture)
    )
    done = made if sync else await client.result(made.id)
    file = io.BytesIO()
    await decode_output(done.outputs[0], file)

    assert not wire.is_url(done.outputs[0])
    with Image.open(file) as result:
        assert "PNG" == result.format


SUBMITS = [
    ("drop", errors.Unreachable, 0),
    ("create-drop", errors.Unreachable, 1),
    ("create-drop-headers", errors.Unreachable, 1),
    ("create-drop-body", errors.Unreachable, 1),
    ("504", errors.Trouble, 0),
    ("create-504", errors.Trouble, 1),
    ("500", errors.Trouble, 0),
    ("create-500", errors.Trouble, 1),
    ("200-code", errors.Trouble, 0),
    ("create-200-code", errors.Trouble, 1),
    ("200-no-id", errors.Trouble, 0),
    ("create-200-no-id", errors.Trouble, 1),
    ("html", errors.Trouble, 0),
    ("400", errors.BadRequest, 0),
    ("error-shape", errors.BadRequest, 0),
    ("401", errors.KeyRefused, 0),
    ("403", errors.KeyRefused, 0),
    ("402", errors.NoCredit, 0),
    ("400-credit", errors.NoCredit, 0),
    ("429", errors.RateLimited, 0),
]


@pytest.mark.parametrize(("fault", "kind", "paid"), SUBMITS)
async def test_a_submit_that_certainly_did_nothing_cost_nothing(
    server: ApiServer, client: Service, picture: Path, fault: str, *, kind: type[errors.ServiceError], paid: int
) -> None:
    """And one that was charged always counts as possibly acted upon. Neither is sent again."""
    url = await upload(client, picture)
    server.script(Fault("submit", fault))

    with pytest.raises(errors.ServiceError) as caught:
        await client.submit(params(), url)

    stats = server.stats()
    assert kind is type(caught.value)
    assert paid == stats["paid"]
    assert 1 == [note["kind"] for note in stats["requests"]].count("submit")
    assert issubclass(kind, errors.Rejected) is not may_have_acted(caught.value)
    assert may_have_acted(caught.value) or not stats["tasks"]


async def test_a_submit_whose_answer_was_lost_is_found_in_the_history(
    server: ApiServer, client: Service, picture: Path
) -> None:
    """By the address of its upload, which no other has; among a hundred and fifty others, on a second page."""
    lost = await upload(client, picture, "lost.jpg")
    other = await upload(client, picture, "other.jpg")
    server.script(Fault("submit", "create-drop", match="lost"))
    with pytest.raises(errors.Unreachable):
        await client.submit(params(), lost)
    for _ in range(150):
        server.world.submit(MODEL, {"image": other})

    now = datetime.now(UTC) + timedelta(seconds=client.skew)
    found = await client.history(
        model=MODEL, created_after=now - timedelta(minutes=5), created_before=now + timedelta(minutes=5)
    )

    assert 151 == len(found)
    assert [lost] == [item.image for item in found if item.image == lost]


@pytest.mark.parametrize(("listed", "expected"), [("inputs", True), ("input", True), (None, False)])
async def test_the_history_may_or_may_not_show_inputs(
    server: ApiServer, client: Service, picture: Path, listed: str | None, *, expected: bool
) -> None:
    """It is undocumented."""
    server.world.set(listing_inputs=listed)
    await completed(client, picture)

    now = datetime.now(UTC)
    found = await client.history(
        model=MODEL, created_after=now - timedelta(minutes=5), created_before=now + timedelta(minutes=5)
    )

    assert [expected] == [item.image is not None for item in found]


@pytest.mark.parametrize("fault", ["500", "503", "html", "drop"])
async def test_a_history_in_trouble_is_no_empty_history(server: ApiServer, client: Service, fault: str) -> None:
    """Or a lost prediction would be paid for again."""
    server.script(Fault("history", fault))
    now = datetime.now(UTC)

    with pytest.raises(errors.ServiceError):
        await client.history(model=MODEL, created_after=now, created_before=now)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("unknown-status", ("warming-up", False)),
        ("nulls", ("completed", True)),
        ("missing-fields", ("completed", True)),
        ("nanoseconds", ("completed", True)),
        ("objects", ("completed", True)),
        ("failed", ("failed", True)),
        ("cancelled", ("cancelled", True)),
        ("timeout", ("timeout", True)),
        ("deleted", ("deleted", True)),
    ],
)
async def test_every_shape_of_a_result_is_understood(
    server: ApiServer, client: Service, picture: Path, fault: str, expected: tuple[str, bool]
) -> None:
    """Odd and final ones alike."""
    made = await client.submit(params(), await upload(client, picture))
    server.script(Fault("result", fault))

    found = await client.result(made.id)

    assert expected == (found.status, found.terminal)
    assert (found.status == "completed") == bool(found.outputs)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("503", errors.Trouble),
        ("html", errors.Trouble),
        ("504", errors.Trouble),
        ("404", errors.Missing),
        ("429", errors.RateLimited),
        ("drop", errors.Unreachable),
        ("another-id", errors.Trouble),
    ],
)
async def test_a_poll_that_fails_says_how(
    server: ApiServer, client: Service, picture: Path, fault: str, kind: type[errors.ServiceError]
) -> None:
    """Once; the next one is answered."""
    made = await client.submit(params(), await upload(client, picture))
    # A GET may be sent again by the library when its connection breaks; nobody pays for that.
    server.script(Fault("result", fault, nth=(1, 2) if fault == "drop" else 1))

    with pytest.raises(errors.ServiceError) as caught:
        await client.result(made.id)

    assert kind is type(caught.value)
    assert made.id == (await client.result(made.id)).id


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("ticket", "500"), errors.Trouble),
        (Fault("ticket", "429", args={"retry_after": 7}), errors.RateLimited),
        (Fault("ticket", "401"), errors.KeyRefused),
        (Fault("ticket", "no-address"), errors.Trouble),
        (Fault("ticket", "drop"), errors.Unreachable),
        (Fault("ticket", "expired"), errors.Trouble),
        (Fault("put", "403"), errors.Trouble),
        (Fault("put", "412"), errors.Trouble),
        (Fault("put", "413"), errors.BadRequest),
        (Fault("put", "500"), errors.Trouble),
        (Fault("put", "drop"), errors.Unreachable),
        (Fault("put", "store-drop"), errors.Unreachable),
    ],
    ids=lambda value: f"{value.on}-{value.do}" if isinstance(value, Fault) else "",
)
async def test_an_upload_that_fails_is_worth_another_from_the_start(
    server: ApiServer, client: Service, picture: Path, fault: Fault, kind: type[errors.ServiceError]
) -> None:
    """With a fresh ticket, whatever became of the first."""
    server.script(fault)
    with pytest.raises(errors.ServiceError) as caught:
        await upload(client, picture)
    server.script()

    assert kind is type(caught.value)
    assert (await completed(client, picture)).outputs


@pytest.mark.parametrize("fault", ["500", "drop", "store-drop"])
async def test_a_binary_upload_that_fails_says_how(
    server: ApiServer, client: Service, picture: Path, fault: str
) -> None:
    """It costs nothing either way."""
    server.script(Fault("binary", fault))

    with pytest.raises(errors.ServiceError):
        await client.upload(picture, name="x", content_type="image/jpeg", method="binary")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("short", errors.Trouble),
        ("403", errors.Missing),
        ("404", errors.Missing),
        ("410", errors.Missing),
        ("500", errors.Trouble),
        ("429", errors.RateLimited),
        ("drop", errors.Unreachable),
    ],
)
async def test_a_download_that_fails_says_how(
    server: ApiServer, client: Service, picture: Path, fault: str, kind: type[errors.ServiceError]
) -> None:
    """And can be had again, free."""
    done = await completed(client, picture)
    server.script(Fault("output", fault))
    with pytest.raises(errors.ServiceError) as caught:
        await client.download(done.outputs[0], io.BytesIO())
    server.script()

    assert kind is type(caught.value)
    assert (await client.download(done.outputs[0], io.BytesIO())).size
    assert 1 == server.stats()["paid"]


async def test_a_redirect_of_an_output_is_followed(server: ApiServer, client: Service, picture: Path) -> None:
    """The server refuses an output that is asked for with a key."""
    done = await completed(client, picture)
    server.script(Fault("output", "redirect"))

    assert (await client.download(done.outputs[0], io.BytesIO())).size


async def test_limits_and_an_empty_account_are_told_apart(server: ApiServer, client: Service, picture: Path) -> None:
    """The one passes by itself, the other when somebody pays."""
    url = await upload(client, picture)
    server.world.set(max_per_minute=0, retry_after="seconds")
    with pytest.raises(errors.RateLimited) as caught:
        await client.submit(params(), url)
    server.world.set(max_per_minute=None, balance=0.005)
    with pytest.raises(errors.NoCredit):
        await client.submit(params(), url)

    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 60
    assert 0 == server.stats()["paid"]


async def test_a_price_is_a_check_of_key_model_and_values(client: Service) -> None:
    """Free of charge."""
    assert wire.Price(0.01) == await client.price(MODEL, {"target_resolution": "4k"})
    with pytest.raises(errors.BadRequest, match="must be one of"):
        await client.price(MODEL, {"target_resolution": "9k"})
    with pytest.raises(errors.Missing, match="not found"):
        await client.price("nothing", {})


async def test_a_deleted_prediction_is_gone(client: Service, picture: Path) -> None:
    """And its output with it."""
    done = await completed(client, picture)
    await client.delete([done.id])

    with pytest.raises(errors.Missing):
        await client.result(done.id)
    with pytest.raises(errors.Missing):
        await client.download(done.outputs[0], io.BytesIO())


async def test_all_of_it_works_in_process() -> None:
    """Without any network, as with the embedded engine; both origins are one application there."""
    world = World(SMALL)
    transport = httpx.ASGITransport(application(world))
    made = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(made, "png")
    async with Service("http://service.test", api_key="test-key", transport=transport) as client:
        image = "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()
        done = await client.submit(params(enable_sync_mode=True), image)
        file = io.BytesIO()
        await client.download(done.outputs[0], file)

    with Image.open(file) as result:
        assert (90, 60) == result.size
