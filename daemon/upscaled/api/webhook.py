"""The service's webhooks: is a delivery genuine, and which prediction is it about?

Signed with HMAC-SHA256 in hex over ``{webhook-id}.{webhook-timestamp}.{body}``, with the secret's text without
``whsec_`` as the key (https://wavespeed.ai/docs/docs-api/verifying_webhook). Nothing else in a delivery is believed: it
only says which prediction to ask for, so a forged, late or repeated one could at most cause a question.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from upscaled.api import lenient
from upscaled.errors import UpscaledError

PREFIX: Final = "whsec_"

VERSION: Final = "v3"

WINDOW: Final = 300.0
"""How far a delivery's time may be from ours, in seconds."""

LARGEST: Final = 256 * 1024
"""The largest body that is read, in bytes: a prediction is a few hundred."""


class NotGenuine(UpscaledError):
    """A delivery that is not, or cannot be shown to be, the service's."""


def prediction_of(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Return the id of the prediction that a genuine delivery is about. Raises `NotGenuine`.

    ``headers`` by their names in small letters, ``body`` as it came, ``now`` in seconds since the epoch.
    """
    delivery, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (delivery and at.isascii() and at.isdecimal() and len(at) < 16):
        raise NotGenuine("It is not signed")
    if abs(now - int(at)) > WINDOW:
        raise NotGenuine("It is too old, or the clocks differ by more than five minutes")
    expected = signature(secret, delivery, at, body)
    given = headers.get("webhook-signature", "").split()
    # In constant time, each; there may be several while a secret is being exchanged.
    if not any(hmac.compare_digest(expected.encode(), one.encode("utf-8", "replace")) for one in given):
        raise NotGenuine("Its signature is not right")
    found = lenient.text(lenient.mapping(lenient.json_of(body)).get("id"))
    if not found:
        raise NotGenuine("It names no prediction")
    return found


def signature(secret: str, delivery: str, at: str, body: bytes) -> str:
    """Return what ``webhook-signature`` has to be."""
    signed = f"{delivery}.{at}.".encode() + body
    return f"{VERSION},{hmac.new(secret.removeprefix(PREFIX).encode(), signed, hashlib.sha256).hexdigest()}"
