"""Endpoints about the account and what is offered: balance, prices, models; and about the server: health,
metrics, description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from upscaled import __version__
from upscaled.api import wire
from upscaled.engine import metrics
from upscaled.engine.answers import Answer, Refusal, json_body, success
from upscaled.engine.models import MODELS, InvalidInput, Model
from upscaled.engine.openapi import document
from upscaled.engine.predictions import model_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from upscaled.engine.house import House

FREE = 0.0
"""What everything costs here, and what the account holds, in dollars: no money exists on this machine."""


class Account:
    """The endpoints about the account and the models."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(f"{wire.PREFIX}/balance", self.balance, methods=["GET"]),
            Route(f"{wire.PREFIX}/model/price", self.price, methods=["POST"]),
            Route(f"{wire.PREFIX}/model/pricing", self.pricing, methods=["POST"]),
            Route(f"{wire.PREFIX}/models", self.models, methods=["GET"]),
            Route(f"{wire.PREFIX}/webhook/secret", self.secret, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.description, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
        ]

    async def balance(self, _: Request) -> Response:
        """Nothing is owned and nothing is charged."""
        return success({"balance": FREE})

    async def price(self, request: Request) -> Response:
        """Price a request without making it; its parameters are checked, its picture is not looked at."""
        model = await self._priced(request)
        price = {"price": FREE, "discounted_price": FREE, "discount_rate": 100, "currency": "USD"}
        return success({"model_id": model.id, **price})

    async def pricing(self, request: Request) -> Response:
        """Price a request in the older shape."""
        model = await self._priced(request)
        return success({"model_id": model.id, "unit_price": FREE, "currency": "USD"})

    async def models(self, request: Request) -> Response:
        """List what can be asked for, each with the schema of its request."""
        base = self._house.base(request)
        return success([_listed(index, model, base) for index, model in enumerate(MODELS.values())])

    async def secret(self, _: Request) -> Response:
        """Tell the key that webhooks are signed with."""
        return success({"secret": self._house.webhooks.secret})

    async def health(self, _: Request) -> Response:
        """Tell whether pictures are being made; 503 when the queue stands still."""
        running = self._house.runner.running
        waiting = len(self._house.store.unfinished())
        return Answer({"status": "ok" if running else "stopped", "unfinished": waiting}, 200 if running else 503)

    async def metrics(self, _: Request) -> Response:
        """Numbers for Prometheus; they tell nothing about anybody's pictures, and so need no key."""
        store = self._house.store
        kept = len(store.newest(self._house.clock()))
        text = metrics.text(self._house.runner.tally, unfinished=len(store.unfinished()), kept=kept)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    async def description(self, request: Request) -> Response:
        """Describe this server."""
        return Answer(document(self._house.base(request), __version__))

    async def _priced(self, request: Request) -> Model:
        body = await json_body(request)
        model_id = body.get("model_id")
        if not isinstance(model_id, str) or not model_id:
            raise Refusal(400, 'field "model_id" is required and must be a string')
        model = model_of(model_id)
        inputs = body.get("inputs") or {}
        if not isinstance(inputs, dict):
            raise Refusal(400, 'field "inputs" must be an object')
        known = {field.name for field in model.fields}
        try:
            # As at the service, option names it does not know do not change a price.
            model.check({name: value for name, value in inputs.items() if name in known}, partly=True)
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error
        return model


def _listed(index: int, model: Model, base: str) -> dict[str, Any]:
    run = {
        "type": "model_run",
        "method": "POST",
        "server": base,
        "api_path": f"{wire.PREFIX}/{model.id}",
        "request_schema": model.schema(),
    }
    return {
        "model_id": model.id,
        "name": model.name,
        "base_price": FREE,
        "description": model.description,
        "type": "image-to-image",
        "sort_order": index,
        "api_schema": {"api_schemas": [run]},
    }
