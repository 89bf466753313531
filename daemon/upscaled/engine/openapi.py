"""The server's description, OpenAPI 3.1, made from the table of models that requests are checked against."""

from __future__ import annotations

from typing import Any, Final

from upscaled.api import wire
from upscaled.engine.answers import JSON_LIMIT
from upscaled.engine.models import MODELS
from upscaled.engine.store import STATUSES

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_ID, _TOKEN, _SECRET, _FILENAME, _NAME = (
    {"name": name, "in": "path", "required": True, "schema": _TEXT}
    for name in ("id", "token", "secret", "filename", "name")
)

_PREDICTION: Final = {
    "type": "object",
    "required": ["id", "model", "status", "outputs", "urls", "created_at", "error", "timings"],
    "properties": {
        "id": _TEXT,
        "model": _TEXT,
        "status": {"type": "string", "enum": list(STATUSES)},
        "outputs": {"type": "array", "items": _TEXT, "description": "URLs, or bare base64 where that was asked for."},
        "urls": {"type": "object", "properties": {"get": _TEXT}},
        "has_nsfw_contents": {"type": "array", "items": {"type": "boolean"}, "description": "Empty: nobody looks."},
        "created_at": {"type": "string", "format": "date-time"},
        "error": _TEXT,
        "code": {"type": "integer"},
        "timings": {
            "type": "object",
            "description": "Milliseconds; the estimate is made when the picture is begun.",
            "properties": {"inference": {"type": "integer"}, "estimate": {"type": "integer"}},
        },
        "inputs": {"type": "object", "description": "In the history, where include_inputs is true."},
        "engine": {
            "type": "object",
            "description": "What was done; no networks: the picture was resampled only.",
            "properties": {"networks": {"type": "array", "items": _TEXT}, "note": _TEXT, "progress": _NUMBER},
        },
    },
}
_PAGE: Final = {
    "type": "object",
    "required": ["page", "page_size"],
    "properties": {
        "page": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 100},
        "model": _TEXT,
        "status": {"type": "string", "enum": list(STATUSES)},
        "created_after": {"type": "string", "format": "date-time"},
        "created_before": {"type": "string", "format": "date-time"},
        "include_inputs": {"type": "boolean"},
    },
}
_TICKET: Final = {
    "type": "object",
    "required": ["filename"],
    "properties": {
        "filename": {"type": "string", "minLength": 1},
        "size": {"type": "integer", "minimum": 0, "maximum": wire.UPLOAD_LIMIT},
        "content_type": _TEXT,
    },
}
_FORM: Final = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
_PRICED: Final = {
    "type": "object",
    "required": ["model_id"],
    "properties": {"model_id": {"type": "string", "enum": list(MODELS)}, "inputs": {"type": "object"}},
}
_IDS: Final = {
    "type": "object",
    "required": ["ids"],
    "properties": {"ids": {"type": "array", "items": _TEXT}},
}
_FILE: Final = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_REF: Final = {"$ref": "#/components/schemas/Prediction"}


def document(base: str, version: str) -> dict[str, Any]:
    """Return the description of a server that is reached under ``base``."""
    prefix = wire.PREFIX
    webhook = {"name": "webhook", "in": "query", "schema": _TEXT, "description": "Told when it is finished."}
    paths: dict[str, Any] = {
        f"{prefix}/predictions/{{id}}": {"get": _operation("A prediction", _REF, parameters=[_ID])},
        f"{prefix}/predictions/{{id}}/result": {"get": _operation("A prediction", _REF, parameters=[_ID])},
        f"{prefix}/predictions": {"post": _operation("The history, newest first", _object(items=_list(_REF)), _PAGE)},
        f"{prefix}/predictions/delete": {
            "post": _operation("Delete predictions", _object(deleted_count={"type": "integer"}), _IDS)
        },
        f"{prefix}/media/uploads": {
            "post": _operation(
                "A ticket for one upload", _object(download_url=_TEXT, upload={"type": "object"}), _TICKET
            )
        },
        f"{prefix}/media/upload/binary": {
            "post": _operation("Upload a file", _object(download_url=_TEXT), _FORM, kind="multipart/form-data")
        },
        f"{prefix}/balance": {"get": _operation("The balance", _object(balance=_NUMBER))},
        f"{prefix}/model/price": {"post": _operation("The price of a request", _object(price=_NUMBER), _PRICED)},
        f"{prefix}/model/pricing": {"post": _operation("The same, older", _object(unit_price=_NUMBER), _PRICED)},
        f"{prefix}/models": {"get": _operation("What is offered", _list({"type": "object"}))},
        f"{prefix}/webhook/secret": {"get": _operation("The key of webhooks", _object(secret=_TEXT))},
        "/storage/{token}/{secret}": {"put": _open("Use a ticket", {}, [_TOKEN, _SECRET], body=_FILE)},
        "/media/{token}/{filename}": {"get": _open("An upload", _FILE, [_TOKEN, _FILENAME])},
        "/outputs/{name}": {"get": _open("A result", _FILE, [_NAME])},
        "/healthz": {"get": _open("Whether pictures are made; 503 if not", _json({"type": "object"}))},
        "/metrics": {"get": _open("Numbers for Prometheus", {"text/plain": {"schema": _TEXT}})},
    }
    for model in MODELS.values():
        operation = _operation(model.description, _REF, model.schema(), parameters=[webhook])
        paths[f"{prefix}/{model.id}"] = {"post": operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "upscaled", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": base}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Prediction": _PREDICTION, "Error": _ERROR},
            "responses": {
                "Error": {"description": "Refused", "content": _json({"$ref": "#/components/schemas/Error"})}
            },
        },
    }


def _operation(
    summary: str,
    data: dict[str, Any],
    body: dict[str, Any] | None = None,
    *,
    kind: str = "application/json",
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    envelope = _object(code={"const": 200}, message=_TEXT, data=data)
    refusals = {str(status): {"$ref": "#/components/responses/Error"} for status in (400, 401, 404, 413, 429)}
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": parameters or [],
        "responses": {"200": {"description": "Success", "content": _json(envelope)}, **refusals},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body}}}
    return operation


def _open(
    summary: str,
    content: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return an operation beside the API: without a key, and without the envelope of success."""
    refusals = {str(status): {"$ref": "#/components/responses/Error"} for status in (400, 403, 404, 412, 413)}
    success = {"description": "Success", **({"content": content} if content else {})}
    operation: dict[str, Any] = {
        "summary": summary,
        "security": [],
        "parameters": parameters or [],
        "responses": {"200": success, **(refusals if parameters else {})},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_ERROR: Final = {
    "type": "object",
    "description": "One error comes as {error: ...} alone, as at the service.",
    "properties": {"code": {"type": "integer"}, "message": _TEXT, "error": _TEXT},
}
_DESCRIPTION: Final = (
    "The API of WaveSpeedAI's image upscaler, answered by this machine. A JSON body may have "
    f"{JSON_LIMIT >> 20} MB, an upload {wire.UPLOAD_LIMIT // 1_000_000} MB."
)
