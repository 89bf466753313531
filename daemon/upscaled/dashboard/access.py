"""Who may see the page: its token, the cookie after login, the proof that a form is ours, and how often one may try.

Pure but for the secret of the process. The cookie is not the token: it is a time and a signature, by a key that the
token gives, so that a stolen cookie ends by itself and a new token ends them all.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

SESSION: Final = 30 * 86400.0
"""How long a login lasts, in seconds."""

TRIES: Final = 5
"""How many wrong tokens one address may show before it has to wait."""

REFILL: Final = 12.0
"""Seconds after which one more may be tried."""

REMEMBERED: Final = 1000
"""Of how many addresses the tries are counted: a flood of addresses must not fill the memory."""


class Access:
    """The locks of one page. ``token`` None: whoever can connect may look."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()
        self._key = hmac.digest(self._token or b"", b"upscaled dashboard session", "sha256")
        self._forms = secrets.token_bytes(32)

    @property
    def open(self) -> bool:
        """Is no token asked for?"""
        return self._token is None

    def right(self, token: str) -> bool:
        """Is this the token? Takes as long for a wrong one as for the right one."""
        return self._token is not None and hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def session(self, now: float) -> str:
        """Return a cookie for somebody who has shown the token."""
        issued = f"{int(now)}.{secrets.token_urlsafe(12)}"
        return f"{issued}.{self._signature(issued)}"

    def admits(self, cookie: str, now: float) -> bool:
        """Is this a cookie of ours that has not ended?"""
        issued, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(issued).encode()):
            return False
        return -60.0 <= now - int(issued.partition(".")[0]) <= SESSION

    def _signature(self, issued: str) -> str:
        return hmac.new(self._key, issued.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def form(self, cookie: str) -> str:
        """Return what a form on a page of this session carries, so that no other site's form can be taken for it."""
        return hmac.new(self._forms, cookie.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def from_us(self, form: str, cookie: str) -> bool:
        """Does a form come from a page that this process gave to this session?"""
        return hmac.compare_digest(form.encode("utf-8", "replace"), self.form(cookie).encode())


class Tries:
    """Wrong tokens by address: each address has a few, and one more every `REFILL` seconds."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Return for how many seconds this address must not try."""
        spent = self._spent(address, now)
        return 0.0 if spent <= TRIES - 1 else (spent - (TRIES - 1)) * REFILL

    def failed(self, address: str, now: float) -> None:
        """Count a wrong token."""
        self._failed[address] = (min(TRIES, self._spent(address, now) + 1), now)
        self._failed.move_to_end(address)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def _spent(self, address: str, now: float) -> float:
        spent, at = self._failed.get(address, (0.0, now))
        return max(0.0, spent - max(0.0, now - at) / REFILL)
