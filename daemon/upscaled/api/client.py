"""The client of the API: what the service can be asked, each as one method that asks once.

Nothing here is retried, as only the caller knows what a repetition costs; `may_have_acted` tells it what it must know
for that. How a request is sent and an answer read is `upscaled.api.exchange`; what they mean is `upscaled.api.wire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self
from urllib.parse import quote

from upscaled import errors
from upscaled.api import failures, wire
from upscaled.api.clock import ServiceClock
from upscaled.api.connections import Connections
from upscaled.api.exchange import Exchange, Observe, body_of, host_of, length_of, unobserved
from upscaled.api.transfer import DOWNLOAD_LIMIT, Downloaded, Incoming, Outgoing, Uploaded, decode_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import httpx

    from upscaled.api.transfer import Begin
    from upscaled.job.model import Parameters

__all__ = ["DOWNLOAD_LIMIT", "Downloaded", "Service", "Uploaded", "decode_output", "may_have_acted"]

PICTURE_LIMIT = DOWNLOAD_LIMIT * 4 // 3
"""Largest answer read where a picture may lie in it as base64, in bytes."""

SYNC_TIMEOUT = 120.0
"""How long a synchronous request may be silent, in seconds: the service gives up after `wire.SYNC_LIMIT`."""

PAGE = 100
"""Predictions in a page of the history, the most that the service gives."""


def may_have_acted(error: errors.ServiceError) -> bool:
    """May the request that ended with ``error`` have had its effect all the same?

    False means certainly not: it was refused, or never left. For a paid request that is the difference between trying
    again and looking up what became of it (invariant I3).
    """
    return error.sent and not isinstance(error, errors.Rejected)


class Service:
    """One service and one key. Every method but `close` raises `errors.ServiceError`; use it in one event loop.

    ``base_url`` may have a path of its own and may end in ``/api/v3``. ``timeout`` is how long the service may be
    silent, in seconds, not how long a transfer may take. ``transfers`` is the number of connections for uploads, and
    of those for downloads. ``transport`` replaces the network; ``observe`` is told of every request that was sent;
    ``webhook`` is the address that the service is to tell of finished predictions.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        timeout: float = 60.0,
        now: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
        transfers: int = 8,
        observe: Observe = unobserved,
        webhook: str | None = None,
    ) -> None:
        root = base_url.rstrip("/").removesuffix(wire.PREFIX) + wire.PREFIX
        self._timeout = timeout
        self._webhook = webhook
        self._clock = ServiceClock(now)
        self._uploads = asyncio.Semaphore(transfers)
        self._connections = Connections.open(timeout=timeout, transfers=transfers, transport=transport)
        self._exchange = Exchange(
            root, api_key, silence=timeout, clock=self._clock, connections=self._connections, observe=observe
        )

    @property
    def name(self) -> str:
        """The service's host, for messages."""
        return self._exchange.name

    @property
    def skew(self) -> float:
        """The service's clock minus ours, in seconds, right to about one; 0 until an answer told."""
        return self._clock.skew

    async def close(self) -> None:
        """Close every connection; what is under way breaks off."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- predictions -------------------------------------------------------------------------------------------------

    async def submit(self, params: Parameters, image_url: str) -> wire.Prediction:
        """Ask for a prediction: one POST, which costs money and is sent at most once, whatever happens.

        Ask `may_have_acted` about an error. In sync mode the prediction returned may be completed already. A process
        that dies in here leaves an intent without a fact.
        """
        answer = await self._exchange.ask(
            "POST",
            "/" + quote(params.model, safe="/") + self._tell(params),
            {"image": image_url, **params.inputs},
            kind="submit",
            paid=True,
            silence=max(self._timeout, SYNC_TIMEOUT) if params.sync else self._timeout,
            limit=PICTURE_LIMIT,
        )
        return answer.prediction()

    def tells(self, params: Parameters) -> bool:
        """Will the service tell of a prediction with these parameters by a webhook?

        It refuses to for base64 outputs (https://wavespeed.ai/docs/base64-output), and need not in sync mode.
        """
        return self._webhook is not None and not params.sync and params.inputs.get("enable_base64_output") is not True

    def _tell(self, params: Parameters) -> str:
        return f"?webhook={quote(self._webhook or '', safe='')}" if self.tells(params) else ""

    async def webhook_secret(self) -> str:
        """Ask for the secret that webhooks are signed with."""
        return wire.parse_webhook_secret((await self._exchange.ask("GET", "/webhook/secret", kind="secret")).data())

    async def result(self, prediction_id: str) -> wire.Prediction:
        """Ask how a prediction is getting on. Raises `errors.Missing` when the service does not know it (any more)."""
        # The address is made here although the service names one (urls.get): an answer must not say where the key goes.
        path = f"/predictions/{quote(prediction_id, safe='')}/result"
        prediction = (await self._exchange.ask("GET", path, kind="result", limit=PICTURE_LIMIT)).prediction()
        if prediction.id != prediction_id:
            why = f"it spoke of {prediction.id}, not of {prediction_id}"
            raise errors.Trouble("The service answered about another prediction", why=why)
        return prediction

    async def history(self, *, model: str, created_after: datetime, created_before: datetime) -> list[wire.Prediction]:
        """Return every prediction of a model between two times by the service's clock: all of them, or an error."""
        wanted = {
            "page_size": PAGE,
            "model": model,
            "created_after": wire.write_time(created_after),
            "created_before": wire.write_time(created_before),
            "include_inputs": True,
        }
        found: dict[str, wire.Prediction] = {}
        number, more = 1, True
        while more:
            data = await self._post("history", "/predictions", {"page": number, **wanted})
            page = wire.parse_page(data, asked=PAGE, seen=len(found))
            fresh = {item.id: item for item in page.items if item.id not in found}
            found |= fresh
            # A page with nothing new on it comes from a service that does not turn pages.
            number, more = number + 1, page.more and bool(fresh)
        return list(found.values())

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete predictions and their outputs at the service."""
        await self._post("delete", "/predictions/delete", {"ids": list(ids)})

    # --- money -------------------------------------------------------------------------------------------------------

    async def price(self, model: str, inputs: Mapping[str, Any]) -> wire.Price:
        """Ask what one prediction would cost; free. Raises `errors.Missing` for a model that does not exist."""
        body = {"model_id": model, "inputs": dict(inputs)}
        try:
            return wire.parse_price(await self._post("price", "/model/price", body))
        except errors.ServiceError as missing:
            if missing.status != 404:
                raise
            # Either there is no such model, or this service knows the call by its older name only.
            with contextlib.suppress(errors.Missing):
                return wire.parse_price(await self._post("price", "/model/pricing", body))
            raise

    async def balance(self) -> float:
        """Ask what is left on the account, in dollars."""
        return wire.parse_balance((await self._exchange.ask("GET", "/balance", kind="balance")).data())

    async def bills(self, *, start: datetime, end: datetime) -> list[wire.Bill]:
        """Ask what was charged and refunded between two times by the service's clock: all of it, or an error."""
        wanted = {"page_size": PAGE, "start_time": wire.write_time(start), "end_time": wire.write_time(end)}
        found: list[wire.Bill] = []
        number, more = 1, True
        while more:
            bills, more = wire.parse_bills(await self._post("bills", "/billings/search", {"page": number, **wanted}))
            found += bills
            number, more = number + 1, more and bool(bills)
        return found

    # --- transfers ---------------------------------------------------------------------------------------------------

    async def upload(
        self, path: Path, *, name: str, content_type: str, method: Literal["ticket", "binary"] = "ticket"
    ) -> Uploaded:
        """Bring a file to the service, free of charge. ``name`` is to be a new one for every attempt.

        An upload that failed is repeated as a whole: a ticket is good for one. Raises OSError when the file cannot be
        read or shrinks meanwhile. A process that dies in here leaves a file at the service that expires by itself.
        """
        # Not in the pool of connections, where who waits for another's upload would be taken for one that hangs.
        async with self._uploads:
            return await self._upload(path, name, content_type, method)

    async def _upload(self, path: Path, name: str, content_type: str, method: str) -> Uploaded:
        with await asyncio.to_thread(path.open, "rb") as file:
            outgoing = Outgoing(file)
            if method == "ticket":
                url = await self._upload_by_ticket(outgoing, name, content_type)
            else:
                url = await self._upload_as_form(outgoing, name, content_type)
        return Uploaded(url, outgoing.fingerprint, outgoing.size)

    async def download(
        self, url: str, file: BinaryIO, *, limit: int = DOWNLOAD_LIMIT, begin: Begin | None = None
    ) -> Downloaded:
        """Write an output to ``file``, from its current position on; the caller truncates, syncs and closes it.

        ``begin`` may have it begin in another way.
        Raises `errors.Missing` when it is not there (any more), `errors.Trouble` when it does not come whole, and
        OSError when it cannot be written.
        """
        async with self._exchange.fetch(url) as response:
            if not response.is_success:
                wait = self._clock.retry_after(response.headers)
                raise failures.refused_download(response.status_code, host_of(url), retry_after=wait)
            packed = "Content-Encoding" in response.headers
            incoming = Incoming(file, limit, begin=begin, promised=None if packed else length_of(response))
            async with contextlib.aclosing(body_of(response)) as chunks:
                async for chunk in chunks:
                    await incoming.add(chunk)
            claimed = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return await incoming.end(claimed)

    async def _upload_by_ticket(self, outgoing: Outgoing, name: str, content_type: str) -> str:
        wanted = {"filename": name, "size": outgoing.size, "content_type": content_type}
        ticket = wire.parse_ticket(await self._post("ticket", "/media/uploads", wanted))
        answer = await self._exchange.send(ticket.method, ticket.url, ticket.headers, outgoing)
        if not 200 <= answer.status < 300:
            raise failures.refused_upload(answer.status, answer.body, retry_after=answer.retry_after)
        return ticket.download_url

    async def _upload_as_form(self, outgoing: Outgoing, name: str, content_type: str) -> str:
        boundary = secrets.token_hex(16)
        before = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_in_quotes(name)}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        headers = self._exchange.own_headers() | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        url = f"{self._exchange.root}/media/upload/binary"
        frame = before.encode(), f"\r\n--{boundary}--\r\n".encode()
        answer = await self._exchange.send("POST", url, headers, outgoing, frame=frame)
        return wire.parse_download_url(answer.data())

    async def _post(self, kind: str, path: str, body: Mapping[str, Any]) -> Any:
        return (await self._exchange.ask("POST", path, body, kind=kind)).data()


def _in_quotes(name: str) -> str:
    """A file name as browsers write it in a form: the characters that would end it are escaped."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
