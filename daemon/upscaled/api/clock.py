"""How far the service's clock is from ours, learned from the ``Date`` of its answers; and when it says "later".

It is separate because it is the only memory the client has: everything else about an answer is gone once it is read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from upscaled.api import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROMPT = 5.0
"""An answer that took longer, in seconds, tells too little about when its ``Date`` was written."""


class ServiceClock:
    """The service's clock as far as it is known. ``skew`` is service minus ours, in seconds, right to about one."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.skew = 0.0
        self._known = False

    def observe(self, headers: Mapping[str, str], sent_at: float) -> None:
        """Learn from an answer to a request that was sent at ``sent_at`` by our clock."""
        date = _date(headers)
        waited = self.now() - sent_at
        if date is None or waited < 0 or (waited > PROMPT and self._known):
            return
        # Date is cut to whole seconds, hence the half; and it was written somewhere between sending and receiving.
        self.skew = date.timestamp() + 0.5 - (sent_at + waited / 2)
        self._known = True

    def retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Return how long an answer asks us to wait, in seconds. A point in time counts from the answer's own date."""
        if (wanted := headers.get("Retry-After")) is None:
            return None
        at = _date(headers) or datetime.fromtimestamp(self.now(), UTC)
        return wire.parse_retry_after(wanted, at)


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
