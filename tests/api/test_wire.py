"""The contract as it was seen in recorded answers, in the service's documents, and in what gateways put in between."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled import errors
from upscaled.api import wire

ID = "6488c275a6b14d5cb1c6f0f4e4b3a2d1"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
FIELDS = ("id", "status", "outputs", "urls", "code", "error", "timings", "created_at", "has_nsfw_contents", "inputs")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("aZ09:-. {\n\ud7ff", max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=2),
    max_leaves=6,
)


def envelope(data: object, code: object = 200) -> bytes:
    """Return an answer's body as the service writes it."""
    return json.dumps({"code": code, "message": "success", "data": data}).encode()


CREATED = {
    "id": ID,
    "model": "wavespeed-ai/image-upscaler",
    "outputs": [],
    "urls": {"get": f"https://api.wavespeed.ai/api/v3/predictions/{ID}/result"},
    "has_nsfw_contents": [],
    "status": "created",
    "created_at": "2025-09-29T23:09:43.027Z",
    "error": "",
    "executionTime": 0,
    "timings": {"inference": 0},
}
COMPLETED: dict[str, Any] = {
    "id": ID,
    "code": 0,
    "model": "wavespeed-ai/image-upscaler",
    "status": "completed",
    "urls": {"get": f"https://api.wavespeed.ai/api/v3/predictions/{ID}/result"},
    "outputs": ["https://d2p7pge43lyniu.cloudfront.net/output/52d1aada-u2_81bcfded.jpeg"],
    "error": "",
    "timings": {"inference": 46945},
    "created_at": "2026-09-13T04:10:03.210344148Z",
}


# --- predictions -----------------------------------------------------------------------------------------------------


def test_a_created_prediction_is_read_from_the_answer_to_a_submit() -> None:
    """The recorded answer of 2025, with its older fields."""
    found = wire.read_prediction(200, envelope(CREATED))

    assert (
        wire.Prediction(
            id=ID,
            status="created",
            model="wavespeed-ai/image-upscaler",
            get_url=f"https://api.wavespeed.ai/api/v3/predictions/{ID}/result",
            created_at=datetime(2025, 9, 29, 23, 9, 43, 27000, UTC),
            inference_ms=0,
        )
        == found
    )
    assert not found.terminal


def test_a_completed_prediction_is_read_from_a_result() -> None:
    """The shape of 2026, without the older fields and with nanoseconds."""
    found = wire.read_prediction(200, envelope(COMPLETED))

    assert (COMPLETED["outputs"][0],) == found.outputs
    assert "" == found.note
    assert datetime(2026, 9, 13, 4, 10, 3, 210344, UTC) == found.created_at
    assert (0, 46945, True) == (found.code, found.inference_ms, found.terminal)


@pytest.mark.parametrize(
    ("engine", "note"), [({"note": "resampled only"}, "resampled only"), ({"note": None}, ""), ([], ""), ("x", "")]
)
def test_what_the_engine_notes_is_read(engine: object, note: str) -> None:
    """Only the built-in engine says it, and whatever comes must not break a result."""
    assert note == wire.read_prediction(200, envelope({**COMPLETED, "engine": engine})).note


@pytest.mark.parametrize("field", [field for field in COMPLETED if field not in ("id", "outputs")])
@pytest.mark.parametrize("how", ["null", "missing", "nonsense"])
def test_any_field_but_the_id_may_be_null_or_missing(field: str, how: str) -> None:
    """The documents of the service disagree about all of them."""
    body: dict[str, Any] = {key: value for key, value in COMPLETED.items() if key != field}
    if how != "missing":
        body[field] = None if how == "null" else [[{}]]

    found = wire.read_prediction(200, envelope(body))

    assert ID == found.id
    assert (COMPLETED["outputs"][0],) == found.outputs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ()),
        (None, ()),
        (["https://a/b.png"], ("https://a/b.png",)),
        ([{"url": "https://a/b.png"}], ("https://a/b.png",)),
        (["", None, 7, {"path": "x"}], ()),
        (["iVBORw0KGgo="], ("iVBORw0KGgo=",)),
    ],
)
def test_outputs_are_strings_or_objects_with_an_address(given: object, expected: tuple[str, ...]) -> None:
    """Two official clients tolerate objects."""
    assert expected == wire.parse_prediction({"id": ID, "outputs": given}).outputs


@pytest.mark.parametrize(("given", "expected"), [(None, ()), ([], ()), ([True, False], (True, False)), ([None], ())])
def test_nsfw_flags_may_be_null_absent_or_empty(given: object, expected: tuple[bool, ...]) -> None:
    """Newer results have null there, older ones an array."""
    assert expected == wire.parse_prediction({"id": ID, "has_nsfw_contents": given}).nsfw


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout", "deleted", "FAILED"])
def test_five_statuses_are_final(status: str) -> None:
    """In any spelling of case."""
    assert wire.parse_prediction({"id": ID, "status": status}).terminal


@pytest.mark.parametrize("status", ["created", "processing", "warming-up", "", None, 3])
def test_every_other_status_means_ask_again(status: object) -> None:
    """Known or not."""
    assert not wire.parse_prediction({"id": ID, "status": status}).terminal


@pytest.mark.parametrize("key", ["inputs", "input"])
def test_the_image_of_a_listed_prediction_is_read_under_either_name(key: str) -> None:
    """The history's undocumented inputs have been seen under both."""
    assert "https://a/b" == wire.parse_prediction({"id": ID, key: {"image": "https://a/b"}}).image


@pytest.mark.parametrize("inputs", [None, {}, {"image": None}, {"image": ["https://a/b"]}, "https://a/b"])
def test_a_prediction_without_readable_inputs_has_no_image(inputs: object) -> None:
    """Nothing is adopted by an image that is not one."""
    assert wire.parse_prediction({"id": ID, "inputs": inputs}).image is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, envelope(CREATED | {"status": "failed", "code": 1200, "error": "Content flagged"}), ("failed", 1200)),
        (200, envelope(CREATED | {"status": "processing", "code": 5004, "error": "Sync mode"}), ("processing", 5004)),
        (200, envelope(CREATED, code=500), ("created", None)),
        (500, envelope(CREATED, code=500), ("created", None)),
        (402, envelope(CREATED | {"status": "failed", "error": "no"}, code=402), ("failed", None)),
        (500, envelope({"id": ID}), ("created", None)),
        (404, envelope(CREATED | {"status": "deleted"}, code=404), ("deleted", None)),
        (200, json.dumps(CREATED).encode(), ("created", None)),
    ],
)
def test_an_answer_that_names_a_prediction_is_believed_whatever_else_it_says(
    status: int, body: bytes, expected: tuple[str, int | None]
) -> None:
    """An id may have been paid for: it is not thrown away because of a code beside it."""
    found = wire.read_prediction(status, body)

    assert (ID, *expected) == (found.id, found.status, found.code)


@pytest.mark.parametrize(
    "data", [None, [], {}, {"id": ""}, {"id": None}, {"id": 7}, {"status": "created"}, "text", {"id": ["x"]}]
)
def test_an_answer_without_an_id_is_trouble(data: object) -> None:
    """HTTP 200 and "success", but nothing that could be asked about again: perhaps paid, perhaps not."""
    with pytest.raises(errors.Trouble, match="names no prediction"):
        wire.read_prediction(200, envelope(data))


def test_a_404_needs_more_than_an_id_to_be_a_prediction() -> None:
    """Else an error that repeats the id asked about would be polled for ever."""
    with pytest.raises(errors.Missing):
        wire.read_prediction(404, json.dumps({"code": 404, "message": "No.", "data": {"id": ID}}).encode())


def test_an_errors_own_id_is_not_a_prediction() -> None:
    """Some gateways number their error pages."""
    with pytest.raises(errors.BadRequest):
        wire.read_prediction(400, json.dumps({"id": "req-1", "status": 400, "error": "bad"}).encode())


@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5), status=st.integers(100, 599))
def test_reading_a_prediction_raises_nothing_but_service_errors(body: dict[str, Any], status: int) -> None:
    """Whatever JSON comes."""
    with contextlib.suppress(errors.ServiceError):
        assert wire.read_prediction(status, json.dumps({"code": body.get("code"), "data": body}).encode()).id


@given(st.binary(max_size=300), st.integers(100, 599))
def test_unwrapping_raises_nothing_but_service_errors(body: bytes, status: int) -> None:
    """Whatever bytes come."""
    with contextlib.suppress(errors.ServiceError):
        wire.unwrap(status, body)


def test_what_is_written_is_read_back() -> None:
    """The engine writes with this module and the client reads with it."""
    prediction = wire.Prediction(
        id=ID,
        status="completed",
        model="wavespeed-ai/image-upscaler",
        outputs=("http://embedded/output/x.png",),
        get_url="http://embedded/get",
        nsfw=(False,),
        created_at=datetime(2026, 9, 13, 4, 10, 3, 210000, UTC),
        error="",
        code=0,
        inference_ms=1200,
        inputs={"image": "http://embedded/in.png"},
    )

    assert prediction == wire.read_prediction(200, json.dumps(wire.success(wire.write_prediction(prediction))).encode())


# --- errors ----------------------------------------------------------------------------------------------------------

HTML = b"<html><head><title>504 Gateway Time-out</title></head><body>stop upstream, stgw</body></html>"
ANSWERS: list[tuple[int, bytes, type[errors.ServiceError]]] = [
    (400, b'{"code":400,"message":"field \\"x\\" must be one of [a b], got string \\"c\\""}', errors.BadRequest),
    (400, b'{"error":"webhook callback does not support base64 output"}', errors.BadRequest),
    (400, b'{"code":400,"message":"Insufficient credits. Please top up."}', errors.NoCredit),
    (400, b'{"code":1407,"message":"Insufficient credits."}', errors.NoCredit),
    (402, b'{"code":402,"message":"Insufficient credits. Please top up"}', errors.NoCredit),
    (402, b'{"code":402,"message":"no","data":{"status":"failed","error":"Insufficient balance"}}', errors.NoCredit),
    (402, b"Payment Required", errors.NoCredit),
    (401, b'{"code":401,"message":"Invalid API key. Verify the key on your dashboard."}', errors.KeyRefused),
    (403, b'{"code":403,"message":"The role member may not run models."}', errors.KeyRefused),
    (404, b'{"code":404,"message":"Prediction not found."}', errors.Missing),
    (404, b'{"code":404,"message":"Model \\"a/b\\" not found. Please check the model identifier."}', errors.Missing),
    (404, HTML, errors.Trouble),
    (404, b"Not Found", errors.Trouble),
    (408, b"", errors.Trouble),
    (413, HTML, errors.BadRequest),
    (422, b'{"detail":"nope"}', errors.BadRequest),
    (429, b"Too Many Requests", errors.RateLimited),
    (429, b'{"code":429,"message":"Rate limit exceeded."}', errors.RateLimited),
    (500, b'{"code":500,"message":"Internal server error"}', errors.Trouble),
    (502, b"", errors.Trouble),
    (504, HTML, errors.Trouble),
    (200, HTML, errors.Trouble),
    (200, b"", errors.Trouble),
    (200, b"[]", errors.Trouble),
    (200, b'{"code":200,"message":"success"}', errors.Trouble),
    (200, b'{"code":500,"message":"Something went wrong."}', errors.Trouble),
    (200, b'{"code":400,"message":"field is required"}', errors.BadRequest),
    (200, b'{"code":1401,"message":"invalid parameter"}', errors.BadRequest),
    (200, b'{"code":1405,"message":"task failed"}', errors.Trouble),
    (200, b'{"code":401,"message":"Invalid API key."}', errors.KeyRefused),
    (200, b'{"code":402,"message":"Insufficient credits."}', errors.NoCredit),
    (200, b'{"code":429,"message":"slow down"}', errors.RateLimited),
    (200, b'{"code":"500","message":"a number as a string"}', errors.Trouble),
    (301, b"", errors.Trouble),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS, ids=[f"{s}-{b[:40]!r}" for s, b, _ in ANSWERS])
def test_every_kind_of_refusal_is_told_apart(status: int, body: bytes, expected: type[errors.ServiceError]) -> None:
    """By status, by the code inside, and where need be by the words."""
    with pytest.raises(errors.ServiceError) as caught:
        wire.unwrap(status, body)

    assert expected is type(caught.value)


@pytest.mark.parametrize("code", [None, 0, 200, "200"])
def test_a_success_brings_its_data(code: object) -> None:
    """Also where the code is missing, zero, or a string."""
    assert {"balance": 1} == wire.unwrap(200, envelope({"balance": 1}, code))


def test_a_refusal_repeats_the_services_own_words() -> None:
    """They name the parameter that is wrong, which nobody else knows."""
    with pytest.raises(errors.BadRequest, match='field "x" must be one of'):
        wire.unwrap(400, b'{"code":400,"message":"field \\"x\\" must be one of [a b]"}')


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": "outer", "data": {"error": "inner"}}, "inner"),
        ({"message": "success", "error": "second"}, "second"),
        ({"error": {"message": "third"}}, "third"),
        ({"detail": "fourth"}, "fourth"),
        ({"message": ""}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_truest_sentence_of_an_error_is_chosen(body: object, expected: str) -> None:
    """The error of the task is more exact than the envelope's message."""
    assert expected == wire.message_of(body)


@pytest.mark.parametrize(
    "text", ["stop upstream", "a gateway that stops uploading", "insufficiently credited", "topupper"]
)
def test_words_that_only_look_like_no_credit_are_not_taken_for_it(text: str) -> None:
    """No credit stops all submitting until somebody pays, so a gateway's page must not look like it."""
    assert errors.Trouble is type(wire.rejection(504, text))


def test_the_wait_that_is_asked_for_is_passed_on() -> None:
    """Whatever the refusal is."""
    for status in (402, 401, 429, 400, 503):
        with pytest.raises(errors.ServiceError) as caught:
            wire.unwrap(status, b"{}", retry_after=7.5)

        assert 7.5 == caught.value.retry_after


def test_no_message_shows_the_query_of_an_address() -> None:
    """A signed address is a key to what it names."""
    signed = "https://bucket.example/in.png?X-Signature=s3cret&Expires=9"
    for body in ({"code": 400, "message": f"cannot read {signed}"}, {"unexpected": signed}):
        with pytest.raises(errors.ServiceError) as caught:
            wire.unwrap(400 if "code" in body else 200, json.dumps(body).encode())

        assert "https://bucket.example/in.png?…" in str(caught.value)
        assert "s3cret" not in str(caught.value)
    failed = wire.parse_prediction({"id": ID, "error": f"cannot read {signed}"})
    assert "cannot read https://bucket.example/in.png?…" == failed.error


# --- uploads, money, history -----------------------------------------------------------------------------------------

TICKET = {
    "type": "image",
    "download_url": "https://files.example/image.png",
    "filename": "image.png",
    "size": 1024000,
    "upload": {
        "method": "PUT",
        "url": "https://storage.example/image.png?signature=x",
        "headers": {"Content-Type": "image/png", "If-None-Match": "*"},
        "expires_at": "2026-08-11T06:00:00Z",
    },
}


def test_a_ticket_is_read_with_exactly_its_headers() -> None:
    """The storage checks them against the signature."""
    assert wire.Ticket(
        download_url="https://files.example/image.png",
        method="PUT",
        url="https://storage.example/image.png?signature=x",
        headers={"Content-Type": "image/png", "If-None-Match": "*"},
    ) == wire.parse_ticket(TICKET)


@pytest.mark.parametrize("upload", [None, {}, {"method": "PUT"}, {"url": ""}, []])
def test_a_ticket_without_an_address_is_trouble(upload: object) -> None:
    """There is nowhere to send the file."""
    with pytest.raises(errors.Trouble, match="without an address"):
        wire.parse_ticket(TICKET | {"upload": upload})


@pytest.mark.parametrize("data", [{"download_url": "https://a/b"}, {"url": "https://a/b"}])
def test_the_address_of_an_upload_is_read_under_either_name(data: dict[str, str]) -> None:
    """The oldest upload call named it ``url``."""
    assert "https://a/b" == wire.parse_download_url(data)


@pytest.mark.parametrize("data", [None, {}, {"download_url": None}, "https://a/b"])
def test_an_upload_without_an_address_is_trouble(data: object) -> None:
    """It is there, but nobody can refer to it."""
    with pytest.raises(errors.Trouble):
        wire.parse_download_url(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"price": 0.02, "discounted_price": 0.01, "currency": "USD"}, wire.Price(0.01, "USD")),
        ({"price": 0.02, "discounted_price": None}, wire.Price(0.02, "USD")),
        ({"unit_price": 3, "currency": "EUR"}, wire.Price(3.0, "EUR")),
        ({"price": 0}, wire.Price(0.0, "USD")),
    ],
)
def test_the_price_is_what_is_paid_after_discount(data: object, expected: wire.Price) -> None:
    """In the current shape and in the one before."""
    assert expected == wire.parse_price(data)


@pytest.mark.parametrize("price", [None, "0.01", -1, True, float("inf"), float("nan"), 10**400])
def test_what_is_not_a_price_is_trouble(price: object) -> None:
    """A budget is counted in it."""
    with pytest.raises(errors.Trouble, match="no price"):
        wire.parse_price({"price": price})


@pytest.mark.parametrize(("balance", "expected"), [(12.34, 12.34), (0, 0.0), (-0.5, -0.5)])
def test_a_balance_is_a_number_of_dollars(balance: float, expected: float) -> None:
    """It may be negative."""
    assert expected == wire.parse_balance({"balance": balance})


@pytest.mark.parametrize("balance", [None, "12", True, float("nan")])
def test_what_is_not_a_balance_is_trouble(balance: object) -> None:
    """Rather than an empty account."""
    with pytest.raises(errors.Trouble, match="no balance"):
        wire.parse_balance({"balance": balance})


@pytest.mark.parametrize(
    ("extra", "count", "seen", "more"),
    [
        ({}, 0, 0, False),
        ({}, 3, 0, False),
        ({}, 100, 0, True),
        ({"total": 103}, 3, 100, False),
        ({"total": 150}, 3, 100, True),
        ({"has_more": True}, 3, 0, True),
        ({"page_size": 50}, 50, 0, True),
        ({"page_size": 50}, 49, 50, False),
        ({"total": 500}, 0, 100, False),
    ],
)
def test_a_short_page_is_the_last_unless_the_service_speaks_of_more(
    extra: dict[str, Any], count: int, seen: int, *, more: bool
) -> None:
    """A prediction overlooked on a further page would be paid for twice."""
    items = [{"id": f"{number:032x}", "status": "created"} for number in range(count)]

    page = wire.parse_page({"page": 1, "items": items, **extra}, asked=100, seen=seen)

    assert (count, more) == (len(page.items), page.more)


@pytest.mark.parametrize("data", [{}, {"page": 1, "items": None}, {"items": []}, []])
def test_an_empty_history_may_come_without_items(data: object) -> None:
    """Null is how some languages write an empty list."""
    assert wire.Page((), more=False) == wire.parse_page(data, asked=100, seen=0)


@pytest.mark.parametrize("data", [None, "text", 7, {"items": "text"}, {"items": {}}, {"items": [{"status": "x"}]}])
def test_a_history_that_cannot_be_read_is_never_taken_for_an_empty_one(data: object) -> None:
    """From "not there" it is concluded that nothing was paid."""
    with pytest.raises(errors.Trouble):
        wire.parse_page(data, asked=100, seen=0)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("https://a/b.jpeg", True),
        ("HTTP://a/b", True),
        ("data:image/png;base64,AAAA", False),
        ("iVBORw0KGgo=", False),
        ("httpsABC", False),
        ("", False),
    ],
)
def test_an_output_is_an_address_or_the_picture_itself(output: str, *, expected: bool) -> None:
    """The letters of an address's start are base64, too; its colon is not."""
    assert expected is wire.is_url(output)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-09-13T04:10:03Z", 0),
        ("2026-09-13T04:10:03.5Z", 500000),
        ("2026-09-13T04:10:03.027Z", 27000),
        ("2026-09-13T04:10:03.90675875Z", 906758),
        ("2026-09-13T04:10:03.956541611Z", 956541),
        ("2026-09-13T04:10:03.956541611", 956541),
        ("2026-09-13T06:10:03.956541611+02:00", 956541),
        (" 2026-09-13 04:10:03 ", 0),
    ],
)
def test_times_have_any_number_of_digits_and_any_zone(text: str, microseconds: int) -> None:
    """From none to nine were seen."""
    assert datetime(2026, 9, 13, 4, 10, 3, microseconds, UTC) == wire.parse_time(text)


@pytest.mark.parametrize("value", [None, "", "yesterday", 1699999999, "2026-13-41T00:00:00Z", [], "0"])
def test_what_is_not_a_time_is_none(value: object) -> None:
    """Times inform; nothing fails for want of one."""
    assert wire.parse_time(value) is None


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_times_are_written_to_the_millisecond(moment: datetime) -> None:
    """As the service writes them, and so that they are read back."""
    read = wire.parse_time(wire.write_time(moment))

    assert read is not None
    assert timedelta() <= moment - read < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 13:00:30 +0100", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, expected: float | None) -> None:
    """Seconds, or a date, which never lies in the past."""
    assert expected == wire.parse_retry_after(value, NOW)


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_nothing(value: str) -> None:
    """It comes from a stranger."""
    found = wire.parse_retry_after(value, NOW)

    assert found is None or found >= 0
