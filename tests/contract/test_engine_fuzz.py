"""The server against requests made of its own description: whatever comes, it is never the server that fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.support.quick import Quick
from tests.support.uvicorn_thread import served
from upscaled.api import wire
from upscaled.engine.app import create_app
from upscaled.engine.models import MODELS

Operation = APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]

KEY: Final = "fuzz-key"

API: Final = (
    ("GET", "/predictions/{id}"),
    ("GET", "/predictions/{id}/result"),
    ("POST", "/predictions"),
    ("POST", "/predictions/delete"),
    ("POST", "/media/uploads"),
    ("POST", "/media/upload/binary"),
    ("GET", "/balance"),
    ("POST", "/model/price"),
    ("POST", "/model/pricing"),
    ("GET", "/models"),
    ("GET", "/webhook/secret"),
)
OPEN: Final = (
    ("PUT", "/storage/{token}/{secret}"),
    ("GET", "/media/{token}/{filename}"),
    ("GET", "/outputs/{name}"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
)
OPERATIONS: Final = (
    *((method, wire.PREFIX + path) for method, path in (*API, *(("POST", f"/{model}") for model in MODELS))),
    *OPEN,
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.schemas.BaseSchema]:
    """The description that a running server gives of itself."""
    app = create_app(directory=tmp_path_factory.mktemp("fuzz"), upscaler=Quick(), keys=[KEY], sync_limit=0.2)
    with served(app) as base:
        yield schemathesis.openapi.from_url(f"{base}/openapi.json")


def test_every_operation_is_tried(schema: schemathesis.schemas.BaseSchema) -> None:
    """One that is added to the description has to be added here."""
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert set(OPERATIONS) == {(o.method.upper(), o.path) for o in found}


def cases(operation: Operation) -> st.SearchStrategy[Case]:
    """Requests that the description allows, and, where it forbids any, such as it forbids."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.method.upper() == "GET":
        return allowed
    return allowed | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


@pytest.mark.parametrize("examples", [25, pytest.param(160, marks=pytest.mark.stress)])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_makes_the_server_fail(
    schema: schemathesis.schemas.BaseSchema, method: str, path: str, examples: int
) -> None:
    """Every answer is below 500 and as the description says: over 300 requests by default, over 2,000 under stress."""
    operation = schema[path][method]

    @settings(max_examples=examples, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=cases(operation))
    def asked(case: Case) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            operation.validate_response(answer)

    asked()
