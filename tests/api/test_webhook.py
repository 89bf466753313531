"""Which deliveries are genuine. The signature is made here by the documentation, not by the code that checks it."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaled.api.webhook import WINDOW, NotGenuine, prediction_of

NOW = 1_790_000_000
SECRET = "whsec_0123456789abcdef"
BODY = b'{"id":"p1","status":"completed","outputs":["https://x/y"]}'


def signed(body: bytes = BODY, *, key: str = "0123456789abcdef", at: int = NOW, delivery: str = "d1") -> dict[str, str]:
    """Return the headers of a delivery."""
    digest = hmac.new(key.encode(), f"{delivery}.{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"webhook-id": delivery, "webhook-timestamp": str(at), "webhook-signature": f"v3,{digest}"}


@pytest.mark.parametrize("off", [-WINDOW, 0, WINDOW])
def test_a_genuine_delivery_names_its_prediction(off: float) -> None:
    """Within five minutes of our clock."""
    assert "p1" == prediction_of(SECRET, signed(), BODY, NOW + off)


@pytest.mark.parametrize("secret", ["whsec_other", "", "0123456789abcdeF"])
def test_another_secret_signs_nothing(secret: str) -> None:
    """With or without its prefix."""
    with pytest.raises(NotGenuine, match="signature"):
        prediction_of(secret, signed(), BODY, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "now", "why"),
    [
        ({}, BODY, NOW, "not signed"),
        (signed() | {"webhook-id": ""}, BODY, NOW, "not signed"),
        (signed() | {"webhook-timestamp": "1e9"}, BODY, NOW, "not signed"),
        (signed() | {"webhook-timestamp": "9" * 400}, BODY, NOW, "not signed"),
        (signed(), BODY, NOW + WINDOW + 1, "too old"),
        (signed(), BODY, NOW - WINDOW - 1, "too old"),
        (signed() | {"webhook-timestamp": str(NOW + 1)}, BODY, NOW, "signature"),
        (signed() | {"webhook-id": "d2"}, BODY, NOW, "signature"),
        (signed(), BODY + b" ", NOW, "signature"),
        (signed() | {"webhook-signature": signed()["webhook-signature"].replace("v3", "v1")}, BODY, NOW, "signature"),
        (signed() | {"webhook-signature": ""}, BODY, NOW, "signature"),
        (signed() | {"webhook-signature": "v3,\xff\u20ac"}, BODY, NOW, "signature"),
        (signed(b"[]"), b"[]", NOW, "names no prediction"),
        (signed(b"{"), b"{", NOW, "names no prediction"),
        (signed(b'{"id":7}'), b'{"id":7}', NOW, "names no prediction"),
    ],
)
def test_what_is_not_genuine(headers: dict[str, str], body: bytes, now: float, why: str) -> None:
    """Unsigned, old, changed, or about nothing."""
    with pytest.raises(NotGenuine, match=why):
        prediction_of(SECRET, headers, body, now)


def test_one_right_signature_of_several_is_enough() -> None:
    """While a secret is being exchanged."""
    both = f"v3,{'0' * 64} {signed()['webhook-signature']}"

    assert "p1" == prediction_of(SECRET, signed() | {"webhook-signature": both}, BODY, NOW)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), st.binary()
)
def test_nobody_gets_in_by_chance(headers: dict[str, str], body: bytes) -> None:
    """And nothing that is sent can do worse than be refused."""
    with pytest.raises(NotGenuine):
        prediction_of(SECRET, headers, body, NOW)
