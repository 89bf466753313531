from __future__ import annotations

import logging
import socket

import pytest

from upscaled import errors
from upscaled.engine.outside import Reach
from upscaled.serving import Offer, discreet, listening


@pytest.mark.parametrize(
    ("fetch", "tell"), [(Reach.NONE, Reach.PUBLIC), (Reach.PUBLIC, Reach.PUBLIC), (Reach.ANY, Reach.ANY)]
)
def test_webhooks_go_to_ones_own_network_where_pictures_come_from_it(fetch: Reach, tell: Reach) -> None:
    """A daemon beside the server can be told; whoever may not reach the network through the server cannot."""
    assert tell == Offer(fetch=fetch).tell


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", ":0"])
def test_what_is_given_is_listened_to(listen: str) -> None:
    """Before the engine is started, so that nothing is announced that does not come."""
    with listening(listen) as listener, socket.create_connection(listener.getsockname()[:2], timeout=5):
        pass


@pytest.mark.parametrize(
    ("host", "why"), [("127.0.0.1", "another program listens there"), ("192.0.2.1", "this machine has no such address")]
)
def test_an_address_that_cannot_be_listened_to_is_a_usage_error(host: str, why: str) -> None:
    """It is named, with the option that gives another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"{host}:{taken.getsockname()[1]}"
        with pytest.raises(errors.UsageError) as raised:
            listening(listen)

    assert f"Cannot listen on {listen}: {why}" in str(raised.value)
    assert "--listen HOST:PORT" in raised.value.do


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/v3/wavespeed-ai/x?webhook=https://me/?token=s3cret", "/api/v3/wavespeed-ai/x…"),
        ("/storage/0123/s3cret", "/storage/…"),
        ("/media/s3cret/cat.jpg?x", "/media/…"),
        ("/outputs/s3cret-u1.jpeg", "/outputs/…"),
        ("/api/v3/predictions/0123/result", "/api/v3/predictions/0123/result"),
        ("/healthz", "/healthz"),
    ],
)
def test_the_access_log_opens_nothing_to_its_readers(path: str, logged: str) -> None:
    """Addresses that need no key are the key, and a webhook's may hold one."""
    form, arguments = '%s - "%s %s HTTP/%s" %d', ("127.0.0.1:5", "GET", path, "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, form, arguments, None)
    assert discreet(record)
    assert f'127.0.0.1:5 - "GET {logged} HTTP/1.1" 200' == record.getMessage()
