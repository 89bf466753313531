"""The exact requests of the client, and what it makes of answers, over a mocked transport."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.api.conftest import KEY, NOW, URL
from upscaled import __version__, errors
from upscaled.api import wire
from upscaled.api.client import Downloaded, Service, Uploaded, may_have_acted
from upscaled.job.model import Parameters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import respx

API = f"{URL}/api/v3"
ID = "6488c275a6b14d5cb1c6f0f4e4b3a2d1"
IMAGE = "https://files.example/in.png"
PARAMS = Parameters("wavespeed-ai/image-upscaler", {"target_resolution": "4k", "output_format": "png"})
SECRET = "s3cret-0123456789"
SIGNED = f"https://storage.example/bucket/in.png?X-Signature={SECRET}"
TICKET = {
    "download_url": IMAGE,
    "upload": {"method": "PUT", "url": SIGNED, "headers": {"Content-Type": "image/png", "If-None-Match": "*"}},
}


def ok(data: object, **headers: str) -> httpx.Response:
    """Return a successful answer."""
    return httpx.Response(200, json={"code": 200, "message": "success", "data": data}, headers=headers)


def body_of(call: Any) -> Any:
    """Return the JSON body of a request."""
    return json.loads(call.request.content)


# --- submit ----------------------------------------------------------------------------------------------------------


async def test_a_submit_is_one_post_with_the_inputs_flat_beside_the_image(
    service: Service, router: respx.Router
) -> None:
    """Byte for byte what the document describes."""
    route = router.post(f"{API}/wavespeed-ai/image-upscaler").mock(return_value=ok({"id": ID, "status": "created"}))

    found = await service.submit(PARAMS, IMAGE)

    assert wire.Prediction(id=ID, status="created") == found
    assert 1 == route.call_count
    request = route.calls[0].request
    assert b'{"image":"https://files.example/in.png","target_resolution":"4k","output_format":"png"}' == request.content
    assert {
        "host": "api.wavespeed.ai",
        "authorization": f"Bearer {KEY}",
        "user-agent": f"upscaled/{__version__}",
        "x-client-name": "upscaled",
        "x-client-version": __version__,
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": "87",
        "accept-encoding": "gzip, deflate",
    } == dict(request.headers)


async def test_the_parameters_of_any_model_go_through_as_they_are(service: Service, router: respx.Router) -> None:
    """Numbers stay numbers and booleans booleans."""
    route = router.post(f"{API}/wavespeed-ai/real-esrgan").mock(return_value=ok({"id": ID}))

    await service.submit(Parameters("wavespeed-ai/real-esrgan", {"scale": 4, "face_enhance": True}), IMAGE)

    assert {"image": IMAGE, "scale": 4, "face_enhance": True} == body_of(route.calls[0])


@pytest.mark.parametrize(("patience", "sync", "expected"), [(60, False, 60), (60, True, 120), (300, True, 300)])
async def test_a_synchronous_submit_waits_longer_than_the_service_does(
    router: respx.Router, patience: float, *, sync: bool, expected: float
) -> None:
    """The service answers after 90 seconds at the latest; to hang up before it would orphan a paid task."""
    route = router.post(f"{API}/a/b").mock(return_value=ok({"id": ID}))
    transport = httpx.MockTransport(router.async_handler)
    async with Service(URL, api_key=KEY, timeout=patience, transport=transport) as service:
        await service.submit(Parameters("a/b", {"enable_sync_mode": sync}), IMAGE)

    assert expected == route.calls[0].request.extensions["timeout"]["read"]


async def test_a_synchronous_answer_may_be_completed_already(service: Service, router: respx.Router) -> None:
    """Then its outputs are there, too."""
    done = {"id": ID, "status": "completed", "outputs": ["iVBORw0KGgo="]}
    router.post(f"{API}/wavespeed-ai/image-upscaler").mock(return_value=ok(done))

    assert ("iVBORw0KGgo=",) == (await service.submit(PARAMS, IMAGE)).outputs


async def test_a_synchronous_answer_that_ran_out_of_time_is_a_prediction_to_poll(
    service: Service, router: respx.Router
) -> None:
    """Code 5004 is not a failure: the task goes on."""
    late = {"id": ID, "status": "processing", "code": 5004, "error": "Sync mode timed out after 90 seconds."}
    router.post(f"{API}/wavespeed-ai/image-upscaler").mock(return_value=ok(late))

    found = await service.submit(PARAMS, IMAGE)

    assert (ID, wire.CODE_SYNC_TIMEOUT, False) == (found.id, found.code, found.terminal)


REFUSED = [
    (httpx.Response(402, json={"code": 402, "message": "Insufficient credits."}), errors.NoCredit, False),
    (httpx.Response(400, json={"code": 400, "message": "Please top up."}), errors.NoCredit, False),
    (httpx.Response(401, json={"code": 401, "message": "Invalid API key."}), errors.KeyRefused, False),
    (httpx.Response(400, json={"error": "no"}), errors.BadRequest, False),
    (httpx.Response(429, text="Too Many Requests"), errors.RateLimited, False),
    (httpx.Response(500, json={"code": 500, "message": "no"}), errors.Trouble, True),
    (httpx.Response(504, html="<html>stgw</html>"), errors.Trouble, True),
    (httpx.Response(200, json={"code": 500, "message": "no"}), errors.Trouble, True),
    (httpx.Response(200, json={"code": 200, "data": {}}), errors.Trouble, True),
    (httpx.Response(200, html="<html>login</html>"), errors.Trouble, True),
    (httpx.Response(307, headers={"Location": "https://elsewhere.example/"}), errors.Trouble, True),
]


@pytest.mark.parametrize(
    ("answer", "kind", "acted"), REFUSED, ids=[f"{r.status_code}-{k.__name__}" for r, k, _ in REFUSED]
)
async def test_an_answer_tells_whether_a_submit_may_have_been_acted_upon(
    service: Service, router: respx.Router, answer: httpx.Response, kind: type[errors.ServiceError], *, acted: bool
) -> None:
    """A definite refusal cost nothing; whatever else has no id may have."""
    route = router.post(f"{API}/wavespeed-ai/image-upscaler").mock(return_value=answer)

    with pytest.raises(errors.ServiceError) as caught:
        await service.submit(PARAMS, IMAGE)

    assert kind is type(caught.value)
    assert acted is may_have_acted(caught.value)
    assert 1 == route.call_count == router.calls.call_count


BROKEN = [
    (httpx.ConnectError("secret"), False, "Cannot reach api.wavespeed.ai"),
    (httpx.ConnectTimeout("secret"), False, "Cannot reach api.wavespeed.ai"),
    (httpx.PoolTimeout("secret"), False, "Cannot reach api.wavespeed.ai"),
    (httpx.ProxyError("secret"), False, "Cannot reach api.wavespeed.ai"),
    (httpx.UnsupportedProtocol("secret"), False, "Cannot reach api.wavespeed.ai"),
    (httpx.ReadTimeout("secret"), True, "No answer from api.wavespeed.ai: nothing came in time"),
    (httpx.ReadError("secret"), True, "No answer from api.wavespeed.ai"),
    (httpx.WriteError("secret"), True, "No answer from api.wavespeed.ai"),
    (httpx.WriteTimeout("secret"), True, "No answer from api.wavespeed.ai"),
    (httpx.RemoteProtocolError("secret"), True, "No answer from api.wavespeed.ai"),
    (httpx.LocalProtocolError("secret"), True, "No answer from api.wavespeed.ai"),
    (httpx.DecodingError("secret"), True, "No answer from api.wavespeed.ai"),
    (ConnectionResetError(104, "secret"), True, "No answer from api.wavespeed.ai: connection reset by peer"),
]


@pytest.mark.parametrize(("error", "sent", "words"), BROKEN, ids=[type(e).__name__ for e, _, _ in BROKEN])
async def test_a_broken_connection_tells_whether_the_request_may_have_arrived(
    service: Service, router: respx.Router, error: Exception, words: str, *, sent: bool
) -> None:
    """Only what failed before the first byte certainly did not; and nothing is sent a second time."""
    router.post(f"{API}/wavespeed-ai/image-upscaler").mock(side_effect=error)

    with pytest.raises(errors.Unreachable) as caught:
        await service.submit(PARAMS, IMAGE)

    assert sent is caught.value.sent is may_have_acted(caught.value)
    assert str(caught.value).startswith(words)
    assert "secret" not in str(caught.value)
    assert 1 == router.calls.call_count


# --- results and history ---------------------------------------------------------------------------------------------


async def test_a_result_is_asked_for_by_the_services_own_address(service: Service, router: respx.Router) -> None:
    """Not by the address an answer names, which could lead the key elsewhere."""
    route = router.get(f"{API}/predictions/{ID}/result").mock(
        return_value=ok({"id": ID, "status": "created", "urls": {"get": "https://evil.example/result"}})
    )

    await service.result(ID)
    await service.result(ID)

    assert 2 == route.call_count == router.calls.call_count
    assert f"Bearer {KEY}" == route.calls[0].request.headers["Authorization"]


async def test_an_id_is_never_more_than_one_part_of_a_path(service: Service, router: respx.Router) -> None:
    """It comes from a stranger."""
    router.route().mock(return_value=ok({"id": "../balance?", "status": "created"}))

    await service.result("../balance?")

    assert b"/api/v3/predictions/..%2Fbalance%3F/result" == router.calls[0].request.url.raw_path


async def test_a_result_about_another_prediction_is_trouble(service: Service, router: respx.Router) -> None:
    """It would put another picture under this one's name."""
    router.get(f"{API}/predictions/{ID}/result").mock(return_value=ok({"id": "other", "status": "completed"}))

    with pytest.raises(errors.Trouble, match="another prediction"):
        await service.result(ID)


async def test_a_prediction_that_the_service_does_not_know_is_missing(service: Service, router: respx.Router) -> None:
    """It says so itself; a page that merely is a 404 does not prove it."""
    route = router.get(f"{API}/predictions/{ID}/result")
    route.mock(return_value=httpx.Response(404, json={"code": 404, "message": "Prediction not found."}))
    with pytest.raises(errors.Missing):
        await service.result(ID)

    route.mock(return_value=httpx.Response(404, html="<h1>nginx</h1>"))
    with pytest.raises(errors.Trouble, match=r"Check service\.url"):
        await service.result(ID)


def listing(*numbers: int, **extra: object) -> httpx.Response:
    """Return a page of the history."""
    return ok({"items": [{"id": f"{number:032x}", "status": "created"} for number in numbers], **extra})


async def history(service: Service) -> list[wire.Prediction]:
    """Ask for a minute of it."""
    return await service.history(
        model="wavespeed-ai/image-upscaler",
        created_after=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        created_before=datetime(2026, 11, 22, 12, 1, tzinfo=UTC),
    )


async def test_the_history_is_asked_for_page_by_page_with_inputs(service: Service, router: respx.Router) -> None:
    """Until a page is short."""
    route = router.post(f"{API}/predictions")
    route.mock(side_effect=[listing(*range(100)), listing(*range(100, 103))])

    found = await history(service)

    assert 103 == len(found)
    assert [1, 2] == [body_of(call)["page"] for call in route.calls]
    assert {
        "page": 1,
        "page_size": 100,
        "model": "wavespeed-ai/image-upscaler",
        "created_after": "2026-11-22T12:00:00.000Z",
        "created_before": "2026-11-22T12:01:00.000Z",
        "include_inputs": True,
    } == body_of(route.calls[0])


async def test_a_service_that_does_not_turn_pages_is_not_asked_for_ever(service: Service, router: respx.Router) -> None:
    """The same full page again brings nothing new."""
    route = router.post(f"{API}/predictions").mock(side_effect=lambda _: listing(*range(100)))

    assert 100 == len(await history(service))
    assert 2 == route.call_count


async def test_a_history_that_moved_between_two_pages_has_everything_once(
    service: Service, router: respx.Router
) -> None:
    """Newer predictions push older ones onto the next page."""
    router.post(f"{API}/predictions").mock(side_effect=[listing(*range(100)), listing(98, 99, 100)])

    assert 101 == len({found.id for found in await history(service)})


async def test_half_a_history_is_an_error(service: Service, router: respx.Router) -> None:
    """Never a shorter list."""
    router.post(f"{API}/predictions").mock(side_effect=[listing(*range(100)), httpx.Response(503)])

    with pytest.raises(errors.Trouble):
        await history(service)


async def test_predictions_are_deleted_by_their_ids(service: Service, router: respx.Router) -> None:
    """In one call."""
    route = router.post(f"{API}/predictions/delete").mock(return_value=ok({"deleted_count": 2}))

    await service.delete(("a", "b"))

    assert {"ids": ["a", "b"]} == body_of(route.calls[0])


# --- money -----------------------------------------------------------------------------------------------------------


async def test_a_price_is_asked_for_by_model_and_inputs(service: Service, router: respx.Router) -> None:
    """It may depend on both."""
    route = router.post(f"{API}/model/price").mock(return_value=ok({"price": 0.02, "discounted_price": 0.01}))

    assert wire.Price(0.01) == await service.price("a/b", {"scale": 4})
    assert {"model_id": "a/b", "inputs": {"scale": 4}} == body_of(route.calls[0])


@pytest.mark.parametrize(
    "answer", [httpx.Response(404, text="Not Found"), httpx.Response(404, json={"code": 404, "message": "no route"})]
)
async def test_a_service_with_the_older_price_call_is_asked_by_that(
    service: Service, router: respx.Router, answer: httpx.Response
) -> None:
    """Whichever way it says that it has not the newer one."""
    router.post(f"{API}/model/price").mock(return_value=answer)
    route = router.post(f"{API}/model/pricing").mock(return_value=ok({"unit_price": 0.03}))

    assert wire.Price(0.03) == await service.price("a/b", {})
    assert 1 == route.call_count


async def test_a_model_that_neither_price_call_knows_is_missing(service: Service, router: respx.Router) -> None:
    """In the words of the first."""
    router.post(f"{API}/model/price").mock(
        return_value=httpx.Response(404, json={"code": 404, "message": 'Model "a/b" not found.'})
    )
    router.post(f"{API}/model/pricing").mock(return_value=httpx.Response(404, json={"code": 404, "message": "x"}))

    with pytest.raises(errors.Missing, match='Model "a/b" not found'):
        await service.price("a/b", {})


async def test_a_parameter_out_of_range_is_refused_by_the_price_call(service: Service, router: respx.Router) -> None:
    """That makes it a free check; the older call is not asked then."""
    router.post(f"{API}/model/price").mock(return_value=httpx.Response(400, json={"code": 400, "message": "9k"}))

    with pytest.raises(errors.BadRequest, match="9k"):
        await service.price("a/b", {})
    assert 1 == router.calls.call_count


async def test_the_balance_is_in_dollars(service: Service, router: respx.Router) -> None:
    """By the call that every client uses."""
    router.get(f"{API}/balance").mock(return_value=ok({"balance": 12.34}))

    assert 12.34 == await service.balance()


# --- uploads ---------------------------------------------------------------------------------------------------------


async def test_a_ticket_upload_puts_the_bytes_where_the_ticket_says_without_the_key(
    service: Service, router: respx.Router, picture: Path, content: bytes
) -> None:
    """With exactly the ticket's headers, for they are signed, and no other than the program's name."""
    asked = router.post(f"{API}/media/uploads").mock(return_value=ok(TICKET))
    put = router.put(SIGNED).mock(return_value=httpx.Response(204))

    found = await service.upload(picture, name="1-in.jpg", content_type="image/jpeg")

    assert Uploaded(IMAGE, hashlib.sha256(content).hexdigest(), len(content)) == found
    assert {"filename": "1-in.jpg", "size": len(content), "content_type": "image/jpeg"} == body_of(asked.calls[0])
    request = put.calls[0].request
    assert content == request.content
    assert {
        "host": "storage.example",
        "user-agent": f"upscaled/{__version__}",
        "content-type": "image/png",
        "if-none-match": "*",
        "content-length": str(len(content)),
    } == dict(request.headers)


async def test_a_binary_upload_is_a_form_with_one_file(
    service: Service, router: respx.Router, picture: Path, content: bytes
) -> None:
    """Made by hand, so that its length is known and it never lies in memory."""
    route = router.post(f"{API}/media/upload/binary").mock(return_value=ok({"download_url": IMAGE}))

    found = await service.upload(picture, name='a "b".jpg', content_type="image/jpeg", method="binary")

    assert Uploaded(IMAGE, hashlib.sha256(content).hexdigest(), len(content)) == found
    request = route.calls[0].request
    boundary = request.headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    assert (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a %22b%22.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode() + content + f"\r\n--{boundary}--\r\n".encode() == request.content
    assert str(len(request.content)) == request.headers["Content-Length"]
    assert f"Bearer {KEY}" == request.headers["Authorization"]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ((403, b"<Error><Code>AccessDenied</Code></Error>"), (errors.Trouble, "expired, perhaps.*AccessDenied")),
        ((412, b""), (errors.Trouble, "used before")),
        ((400, b"<Error><Code>RequestTimeout</Code></Error>"), (errors.Trouble, "did not take.*RequestTimeout")),
        ((401, b""), (errors.Trouble, "did not take")),
        ((402, b"please top up"), (errors.Trouble, "did not take")),
        ((500, b""), (errors.Trouble, "HTTP 500")),
        ((429, b""), (errors.RateLimited, "slower")),
        ((413, b""), (errors.BadRequest, "too large")),
        ((400, b"<Error><Code>EntityTooLarge</Code></Error>"), (errors.BadRequest, "too large")),
    ],
)
async def test_a_storage_that_refuses_never_speaks_about_the_key(
    service: Service, router: respx.Router, picture: Path, refused: tuple[int, bytes], expected: tuple[type, str]
) -> None:
    """All but "too large" is mended by a fresh ticket; none stops the service as a whole."""
    router.post(f"{API}/media/uploads").mock(return_value=ok(TICKET))
    router.put(SIGNED).mock(return_value=httpx.Response(refused[0], content=refused[1]))

    with pytest.raises(errors.ServiceError, match=expected[1]) as caught:
        await service.upload(picture, name="x", content_type="image/jpeg")

    assert expected[0] is type(caught.value)


async def test_a_ticket_that_is_refused_asks_no_storage(service: Service, router: respx.Router, picture: Path) -> None:
    """There is nowhere to go."""
    router.post(f"{API}/media/uploads").mock(return_value=httpx.Response(429, text="slow"))

    with pytest.raises(errors.RateLimited):
        await service.upload(picture, name="x", content_type="image/jpeg")
    assert 1 == router.calls.call_count


async def test_a_file_that_cannot_be_read_is_a_fault_of_the_file(service: Service, tmp_path: Path) -> None:
    """Not of the service."""
    with pytest.raises(FileNotFoundError):
        await service.upload(tmp_path / "gone.jpg", name="x", content_type="image/jpeg")


async def test_a_file_that_shrinks_meanwhile_is_a_fault_of_the_file(
    service: Service, router: respx.Router, picture: Path
) -> None:
    """Nobody blames the network for it."""

    def shrink(_: httpx.Request) -> httpx.Response:
        picture.write_bytes(b"short")
        return ok(TICKET)

    router.post(f"{API}/media/uploads").mock(side_effect=shrink)
    router.put(SIGNED).mock(return_value=httpx.Response(200))

    with pytest.raises(OSError, match="became shorter"):
        await service.upload(picture, name="x", content_type="image/jpeg")


async def test_a_file_that_grows_meanwhile_is_sent_as_long_as_it_was(
    service: Service, router: respx.Router, picture: Path, content: bytes
) -> None:
    """Its fingerprint tells that of the bytes sent, for whoever compares."""

    def grow(_: httpx.Request) -> httpx.Response:
        picture.write_bytes(content + b"more")
        return ok(TICKET)

    router.post(f"{API}/media/uploads").mock(side_effect=grow)
    put = router.put(SIGNED).mock(return_value=httpx.Response(200))

    found = await service.upload(picture, name="x", content_type="image/jpeg")

    assert (hashlib.sha256(content).hexdigest(), len(content)) == (found.fingerprint, found.size)
    assert content == put.calls[0].request.content


# --- downloads -------------------------------------------------------------------------------------------------------

OUTPUT = f"https://cdn.example/output/x.jpeg?token={SECRET}"


async def test_an_output_is_fetched_without_the_key(service: Service, router: respx.Router) -> None:
    """And uncompressed, so that its length can be checked."""
    route = router.get(OUTPUT).mock(
        return_value=httpx.Response(200, content=b"abc", headers={"Content-Type": "Image/JPEG; q=1"})
    )
    file = io.BytesIO()

    found = await service.download(OUTPUT, file)

    assert Downloaded(3, hashlib.sha256(b"abc").hexdigest(), "image/jpeg") == found
    assert b"abc" == file.getvalue()
    assert {
        "host": "cdn.example",
        "user-agent": f"upscaled/{__version__}",
        "accept-encoding": "identity",
    } == dict(route.calls[0].request.headers)


async def test_a_redirect_of_an_output_is_followed_without_the_key(service: Service, router: respx.Router) -> None:
    """Even to the service itself."""
    router.get(OUTPUT).mock(return_value=httpx.Response(302, headers={"Location": f"{URL}/files/x.jpeg"}))
    route = router.get(f"{URL}/files/x.jpeg").mock(return_value=httpx.Response(200, content=b"abc"))
    file = io.BytesIO()

    await service.download(OUTPUT, file)

    assert b"abc" == file.getvalue()
    assert "authorization" not in route.calls[0].request.headers


async def test_an_output_that_redirects_in_circles_is_trouble(service: Service, router: respx.Router) -> None:
    """After a few rounds."""
    router.get(OUTPUT).mock(return_value=httpx.Response(302, headers={"Location": OUTPUT}))

    with pytest.raises(errors.Trouble, match="in circles"):
        await service.download(OUTPUT, io.BytesIO())
    assert 6 == router.calls.call_count


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, errors.Missing),
        (404, errors.Missing),
        (410, errors.Missing),
        (429, errors.RateLimited),
        (401, errors.Trouble),
        (402, errors.Trouble),
        (500, errors.Trouble),
        (503, errors.Trouble),
    ],
)
async def test_an_output_that_is_refused_is_gone_or_comes_later(
    service: Service, router: respx.Router, status: int, kind: type[errors.ServiceError]
) -> None:
    """Its host never speaks about the key or the credit."""
    router.get(OUTPUT).mock(return_value=httpx.Response(status, text="top up", headers={"Retry-After": "3"}))
    file = io.BytesIO()

    with pytest.raises(errors.ServiceError) as caught:
        await service.download(OUTPUT, file)

    assert kind is type(caught.value)
    assert b"" == file.getvalue()
    assert SECRET not in str(caught.value)


async def test_an_output_shorter_than_promised_is_trouble(service: Service, router: respx.Router) -> None:
    """A cut picture often still opens."""
    router.get(OUTPUT).mock(return_value=httpx.Response(200, content=b"abc", headers={"Content-Length": "9"}))

    with pytest.raises(errors.Trouble, match="3 of 9 bytes"):
        await service.download(OUTPUT, io.BytesIO())


async def test_a_compressed_output_is_measured_as_it_was_sent(service: Service, router: respx.Router) -> None:
    """Some hosts compress whatever one asks for."""
    packed = gzip.compress(b"abc" * 100)
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(packed))}
    router.get(OUTPUT).mock(side_effect=lambda _: httpx.Response(200, content=packed, headers=headers))
    file = io.BytesIO()

    found = await service.download(OUTPUT, file)

    assert (300, b"abc" * 100) == (found.size, file.getvalue())


async def test_an_output_larger_than_the_limit_is_given_up(service: Service, router: respx.Router) -> None:
    """Before it fills the disk."""
    router.get(OUTPUT).mock(return_value=httpx.Response(200, content=b"x" * 1000))

    with pytest.raises(errors.Trouble, match="larger than any picture"):
        await service.download(OUTPUT, io.BytesIO(), limit=999)


async def test_a_disk_that_is_full_is_a_fault_of_the_disk(service: Service, router: respx.Router) -> None:
    """Not of the network, though both are OSErrors."""

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    router.get(OUTPUT).mock(return_value=httpx.Response(200, content=b"abc"))

    with pytest.raises(OSError, match="No space left"):
        await service.download(OUTPUT, Full())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x/", "/relative.jpeg", "C:\\x", "\x00", ""])
async def test_an_output_address_that_is_none_is_an_error_for_people(service: Service, url: str) -> None:
    """It comes from a stranger."""
    with pytest.raises(errors.ServiceError):
        await service.download(url, io.BytesIO())


# --- the key and other secrets ---------------------------------------------------------------------------------------


async def test_without_a_key_none_is_sent(router: respx.Router) -> None:
    """The embedded engine has none."""
    route = router.get("http://embedded/api/v3/balance").mock(return_value=ok({"balance": 0}))
    async with Service("http://embedded", api_key=None, transport=httpx.MockTransport(router.async_handler)) as service:
        await service.balance()

    assert "authorization" not in route.calls[0].request.headers


@pytest.mark.parametrize(
    "base", ["http://nas:8765", "http://nas:8765/", "http://nas:8765/api/v3", "http://nas:8765/api/v3/"]
)
async def test_the_address_of_a_service_may_be_written_in_several_ways(router: respx.Router, base: str) -> None:
    """With or without what every path begins with."""
    router.get("http://nas:8765/api/v3/balance").mock(return_value=ok({"balance": 1}))
    async with Service(base, api_key=KEY, transport=httpx.MockTransport(router.async_handler)) as service:
        assert 1.0 == await service.balance()
        assert "nas:8765" == service.name


async def test_an_api_that_redirects_is_not_followed(service: Service, router: respx.Router) -> None:
    """The key would go with it."""
    router.get(f"{API}/balance").mock(
        return_value=httpx.Response(302, headers={"Location": f"https://elsewhere.example/?token={SECRET}"})
    )

    with pytest.raises(errors.Trouble, match=r"redirects.*elsewhere\.example") as caught:
        await service.balance()

    assert SECRET not in str(caught.value)
    assert 1 == router.calls.call_count


ASKED: dict[str, Callable[[Service, Path], Awaitable[object]]] = {
    "balance": lambda service, _: service.balance(),
    "submit": lambda service, _: service.submit(PARAMS, OUTPUT),
    "result": lambda service, _: service.result(ID),
    "ticket": lambda service, path: service.upload(path, name="x", content_type="image/jpeg"),
    "binary": lambda service, path: service.upload(path, name="x", content_type="image/jpeg", method="binary"),
    "put": lambda service, path: service.upload(path, name="x", content_type="image/jpeg"),
    "download": lambda service, _: service.download(OUTPUT, io.BytesIO()),
}
RAISED = {"read": httpx.ReadError, "connect": httpx.ConnectTimeout, "invalid": httpx.InvalidURL, "os": OSError}


def show(request: httpx.Request) -> str:
    """Return everything secret about a request, as an indiscreet library or server might repeat it."""
    return f"{request.url} {request.headers.get('authorization')} {SIGNED} {OUTPUT} Bearer {KEY}"


def failing(how: str) -> Callable[[httpx.Request], httpx.Response]:
    """Return a server that fails in an indiscreet way: with an exception, a status, or a success that is none."""

    def fail(request: httpx.Request) -> httpx.Response:
        if how in RAISED:
            raise RAISED[how](show(request))
        if how == "text":
            return httpx.Response(500, text=show(request))
        if how == "xml":
            return httpx.Response(403, text=f"<Error><Code>X</Code><StringToSign>{SECRET}</StringToSign></Error>")
        return httpx.Response(int(how), json={"message": show(request)})

    return fail


# A storage shows its signature in XML; and whatever it answers with 200 is no error.
WAYS = [(asked, how) for asked in ASKED for how in (*RAISED, "text", "400", "401", "500")]
WAYS += [(asked, "xml" if asked in ("put", "download") else "200") for asked in ASKED]


@pytest.mark.parametrize(("asked", "how"), WAYS)
async def test_no_error_shows_the_key_or_a_signature(
    service: Service, router: respx.Router, picture: Path, asked: str, how: str
) -> None:
    """Neither its message nor the traceback that a log would print."""
    if asked == "put":
        router.post(f"{API}/media/uploads").mock(return_value=ok(TICKET))
    router.route().mock(side_effect=failing(how))

    with pytest.raises(errors.ServiceError) as caught:
        await ASKED[asked](service, picture)

    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert SECRET not in shown


# --- the service's clock ---------------------------------------------------------------------------------------------


def date(offset: float) -> str:
    """Return a moment by our clock as HTTP writes it."""
    return datetime.fromtimestamp(NOW + offset, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


async def test_the_skew_of_the_clocks_is_learned_from_any_answer(service: Service, router: respx.Router) -> None:
    """Also from a refusal; until then it is taken for none."""
    assert 0.0 == service.skew
    router.get(f"{API}/balance").mock(return_value=httpx.Response(500, headers={"Date": date(3600)}))

    with pytest.raises(errors.Trouble):
        await service.balance()

    assert 3600.5 == service.skew


async def test_the_hosts_of_the_outputs_tell_nothing_about_the_services_clock(
    service: Service, router: respx.Router
) -> None:
    """They are others' machines, and caches."""
    router.get(OUTPUT).mock(return_value=httpx.Response(200, content=b"x", headers={"Date": date(3600)}))

    await service.download(OUTPUT, io.BytesIO())

    assert 0.0 == service.skew


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": date(30)}, 30.0),
        ({"Retry-After": date(3630), "Date": date(3600)}, 30.0),
    ],
)
async def test_the_wait_that_is_asked_for_comes_with_the_error(
    service: Service, router: respx.Router, headers: dict[str, str], expected: float | None
) -> None:
    """In seconds; a date is read against the service's own clock."""
    router.post(f"{API}/wavespeed-ai/image-upscaler").mock(return_value=httpx.Response(429, headers=headers))

    with pytest.raises(errors.RateLimited) as caught:
        await service.submit(PARAMS, IMAGE)

    assert expected == caught.value.retry_after
