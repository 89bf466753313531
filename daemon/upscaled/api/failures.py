"""What went wrong on the way to an answer, as `upscaled.errors`: once, here, in words for people.

It is separate from the client because of the one question it must get right: may the request have reached the service?
httpx's own exceptions do not tell. Its aiohttp transport reports a connection that broke after the request as a
``ConnectTimeout``; so the exception below it is asked where there is one, and whatever is not known to have failed
before the first byte counts as sent.

No message repeats an exception's text, and none is chained to one: they hold whole URLs, and a signed URL is a key.
"""

from __future__ import annotations

import os
import re
import ssl

import aiohttp
import httpx

from upscaled import errors
from upscaled.api.lenient import without_queries

BREAKS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, OSError)
"""Everything that a request or the reading of its answer is known to end with."""

_UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)

_AGAIN = "Check the network; upscaled tries again by itself."


def cause_of(error: Exception) -> Exception:
    """Return the exception that aiohttp raised, where httpx's was made from it; else the exception itself."""
    cause = error.__cause__
    return cause if isinstance(cause, aiohttp.ClientError | OSError) and isinstance(error, httpx.HTTPError) else error


def unreachable(error: Exception, host: str) -> errors.ServiceError:
    """Return what a broken request amounts to. ``host`` is named in the message."""
    cause = cause_of(error)
    sent = not isinstance(cause, _UNSENT)
    if isinstance(cause, httpx.TooManyRedirects):
        return errors.Trouble(f"{host} redirects in circles")
    what = f"No answer from {host}" if sent else f"Cannot reach {host}"
    return errors.Unreachable(what, why=reason(cause), do=remedy(cause), sent=sent)


def reason(cause: Exception) -> str:
    """Return why a connection failed or broke, in words."""
    for kinds, words in _REASONS:
        if isinstance(cause, kinds):
            return words
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        words = os.strerror(cause.errno)
        return words[:1].lower() + words[1:]
    return f"the connection failed ({type(cause).__name__})"


def remedy(cause: Exception) -> str:
    """Return what a person can do about it."""
    if isinstance(cause, _CERTIFICATE):
        return "Check the system's clock and its certificates (ca-certificates, SSL_CERT_FILE)."
    if isinstance(cause, _PROXY):
        return "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment."
    return _AGAIN


_CERTIFICATE = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
_PROXY = (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError, httpx.ProxyError)
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (_CERTIFICATE, "its certificate is not trusted"),
    (_PROXY, "the proxy does not let us through"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorSSLError, "no secure connection could be agreed on"),
    ((aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout), "it does not take the connection in time"),
    (httpx.PoolTimeout, "all connections stayed busy"),
    ((aiohttp.SocketTimeoutError, httpx.TimeoutException, TimeoutError), "nothing came in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before the answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "what came is not HTTP"),
    ((httpx.RemoteProtocolError, httpx.ReadError), "the connection was closed before the answer was whole"),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol, httpx.InvalidURL),
        "the address is not one that can be fetched",
    ),
)


# --- answers of others than the API ----------------------------------------------------------------------------------


def refused_upload(status: int, body: bytes, *, retry_after: float | None) -> errors.ServiceError:
    """Return what a storage's refusal of a PUT amounts to. Every kind but "too large" is worth a fresh ticket.

    A storage never speaks about our key or our credit, so neither is ever concluded from its answers.
    """
    code = _storage_code(body)
    why = f"HTTP {status}" + (f", {code}" if code else "")
    if status == 413 or code == "EntityTooLarge":
        return errors.BadRequest("The file is too large for the service's storage", why=why, status=status)
    if status == 429:
        return errors.RateLimited("The storage asks for a slower pace", why=why, status=status, retry_after=retry_after)
    what = {
        403: "The upload ticket is not accepted (expired, perhaps)",
        412: "The upload ticket was used before",
    }.get(status, "The service's storage did not take the upload")
    return errors.Trouble(what, why=why, status=status, retry_after=retry_after)


def refused_download(status: int, host: str, *, retry_after: float | None) -> errors.ServiceError:
    """Return what the refusal of an output amounts to: gone (403, 404, 410), or trouble that passes."""
    why = f"HTTP {status} from {host}"
    if status in (403, 404, 410):
        return errors.Missing("The result is not there (any more)", why=why, status=status)
    if status == 429:
        return errors.RateLimited("The host of the results asks for a slower pace", why=why, retry_after=retry_after)
    return errors.Trouble("The result cannot be fetched", why=why, status=status, retry_after=retry_after)


def broke_off(error: Exception | None, got: int, expected: int | None) -> errors.ServiceError:
    """Return the error for an output of which only a part came; ``got`` and ``expected`` in bytes."""
    parts = f"{got} of {expected} bytes came" if expected is not None else f"{got} bytes came"
    why = f"{parts}; {reason(cause_of(error))}" if error else parts
    return errors.Trouble("The result did not come whole", why=why, do="upscaled fetches it again by itself.")


def redirected(status: int, location: str) -> errors.ServiceError:
    """Return the error for an API that redirects; it is not followed, as it would carry the key elsewhere."""
    where = without_queries(location) if location else "nowhere"
    return errors.Trouble(
        "The service redirects, which is not followed",
        why=f"HTTP {status} to {where}",
        do="Check service.url.",
        status=status,
    )


def _storage_code(body: bytes) -> str:
    """The error code of an S3-like XML body. The rest of such a body can hold signatures and is not shown."""
    found = re.search(rb"<Code>([A-Za-z]{1,60})</Code>", body[:4096])
    return found[1].decode() if found else ""
