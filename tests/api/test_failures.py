"""Was it sent? asked of every exception that the libraries are known to raise."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from httpx_aiohttp import transport
from yarl import URL

from upscaled import errors
from upscaled.api import failures

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ConnectionKey("service.invalid", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
INFO = aiohttp.RequestInfo(URL("https://service.invalid/?s3cret"), "POST", None, URL("https://service.invalid/"))  # type: ignore[arg-type]
DNS = OSError(-2, "Name or service not known")

RAISED: dict[str, tuple[Callable[[], Exception], bool, str]] = {
    "dns": (lambda: aiohttp.ClientConnectorDNSError(KEY, DNS), False, "its name cannot be resolved"),
    "refused": (lambda: aiohttp.ClientConnectorError(KEY, OSError(111, "x")), False, "connection refused"),
    "no route": (lambda: aiohttp.ClientConnectorError(KEY, OSError(113, "x")), False, "no route to host"),
    "tls": (lambda: aiohttp.ClientConnectorSSLError(KEY, OSError(1, "x")), False, "no secure connection"),
    "certificate": (
        lambda: aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("x")),
        False,
        "its certificate is not trusted",
    ),
    "proxy": (lambda: aiohttp.ClientProxyConnectionError(KEY, OSError(111, "x")), False, "the proxy"),
    "proxy refuses": (lambda: aiohttp.ClientHttpProxyError(INFO, (), status=403), False, "the proxy"),
    "connect timeout": (aiohttp.ConnectionTimeoutError, False, "does not take the connection in time"),
    "address": (lambda: aiohttp.InvalidURL("http://"), False, "not one that can be fetched"),
    "scheme": (lambda: aiohttp.NonHttpUrlClientError("x"), False, "not one that can be fetched"),
    "read timeout": (aiohttp.SocketTimeoutError, True, "nothing came in time"),
    "timeout": (aiohttp.ServerTimeoutError, True, "nothing came in time"),
    "own timeout": (TimeoutError, True, "nothing came in time"),
    "disconnected": (aiohttp.ServerDisconnectedError, True, "closed before the answer"),
    "reset": (lambda: aiohttp.ClientOSError(104, "x"), True, "connection reset by peer"),
    "pipe": (lambda: aiohttp.ClientOSError(32, "x"), True, "broken pipe"),
    "closing": (lambda: aiohttp.ClientConnectionResetError("x"), True, "the connection failed"),
    "payload": (lambda: aiohttp.ClientPayloadError("x"), True, "the answer broke off"),
    "not http": (lambda: aiohttp.ClientResponseError(INFO, ()), True, "not HTTP"),
    "connection": (lambda: aiohttp.ClientConnectionError("x"), True, "the connection failed"),
    "anything": (lambda: aiohttp.ClientError("x"), True, "the connection failed"),
}


def mapped(error: Exception) -> Exception:
    """Return what the transport under httpx makes of an exception of aiohttp's."""
    with pytest.raises(Exception) as caught, transport.map_aiohttp_exceptions():  # noqa: PT011 - whatever it is
        raise error
    return caught.value


@pytest.mark.parametrize("through", ["httpx", "bare"])
@pytest.mark.parametrize("name", RAISED)
def test_only_what_failed_before_the_first_byte_was_not_sent(name: str, through: str) -> None:
    """Whatever httpx's name for it is: its transport calls nearly everything a connect timeout."""
    make, sent, words = RAISED[name]

    found = failures.unreachable(mapped(make()) if through == "httpx" else make(), "service.invalid")

    assert isinstance(found, errors.Unreachable)
    assert sent is found.sent
    assert words in found.why
    assert ("No answer from" if sent else "Cannot reach") + " service.invalid" == found.what
    assert "s3cret" not in str(found)
    assert found.do
