"""The models that the engine offers: their parameters, how they are checked, and the orders they amount to.

Checks, the answer of ``GET /models`` and the API's description are all made from the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from upscaled.api import wire
from upscaled.engine.order import Order

REAL_ESRGAN: Final = "wavespeed-ai/real-esrgan"


class InvalidInput(Exception):
    """A parameter is wrong; the text names it, as the service's own messages do."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter. ``kind`` is a JSON type; ``low`` and ``high`` are inclusive; ``refused`` says why True is not."""

    name: str
    kind: str
    description: str
    default: object = None
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    refused: str = ""

    def schema(self) -> dict[str, Any]:
        """Return it as JSON schema."""
        schema: dict[str, Any] = {"type": self.kind, "description": self.description}
        if self.default is not None:
            schema["default"] = self.default
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.low is not None:
            schema |= {"minimum": self.low, "maximum": self.high}
        return schema

    def check(self, value: object) -> None:
        """Raise `InvalidInput` unless the value is allowed."""
        if not _is(self.kind, value):
            raise self._wrong(f"must be a {self.kind}", value)
        if self.choices and value not in self.choices:
            raise self._wrong(
                f"must be one of [{', '.join(self.choices)}]", value, "please use one of the allowed values"
            )
        if isinstance(value, int | float) and not _within(value, self.low, self.high):
            raise self._wrong(f"must be between {self.low} and {self.high}", value)
        if self.refused and value is True:
            raise self._wrong(self.refused, value)

    def _wrong(self, rule: str, value: object, remedy: str = "") -> InvalidInput:
        text = f'field "{self.name}" {rule}, got {named(value)}'
        return InvalidInput(f"{text}; {remedy}" if remedy else text)


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its identifier, what a person is told about it, and its parameters."""

    id: str
    name: str
    description: str
    fields: tuple[Field, ...]

    def schema(self) -> dict[str, Any]:
        """Return the request body as JSON schema."""
        return {
            "type": "object",
            "properties": {field.name: field.schema() for field in self.fields},
            "required": [field.name for field in self.fields if field.required],
            "additionalProperties": False,
            "x-order-properties": [field.name for field in self.fields],
        }

    def check(self, inputs: Mapping[str, Any], *, partly: bool = False) -> None:
        """Raise `InvalidInput` for the first thing wrong; ``partly`` tolerates that required ones are missing."""
        known = {field.name: field for field in self.fields}
        for name, value in inputs.items():
            if name not in known:
                raise InvalidInput(f'field "{name}" is not known to {self.id}; it takes {", ".join(known)}')
            if value is not None or known[name].required:
                known[name].check(value)
        for field in self.fields:
            if field.required and not partly and not inputs.get(field.name):
                raise InvalidInput(f'field "{field.name}" is required and must not be empty')

    def order(self, inputs: Mapping[str, Any]) -> Order:
        """Return what checked inputs ask for; a null counts as not given."""
        given: dict[str, Any] = {field.name: field.default for field in self.fields}
        given.update({name: value for name, value in inputs.items() if value is not None})
        if self.id == REAL_ESRGAN:
            # No choice of format exists for this model; PNG loses nothing and keeps transparency.
            return Order(creativity=None, scale=float(given["scale"]), format="png")
        return Order(
            creativity=float(given["creativity"] or 0),
            long_side=wire.TARGETS[given["target_resolution"]],
            format=given["output_format"],
        )


_IMAGE: Final = Field(
    "image", "string", "An upload's address at this server, an http(s) URL, or a data: URI.", required=True
)

MODELS: Final = {
    model.id: model
    for model in (
        Model(
            wire.IMAGE_UPSCALER,
            "Image Upscaler",
            "Enlarges a picture to a resolution; creativity is how much it is cleaned and sharpened.",
            (
                _IMAGE,
                Field(
                    "creativity",
                    "number",
                    "From -2, nearest to the source, to 2, sharpest and the restoring network alone; 0 if unset.",
                    low=wire.CREATIVITY[0],
                    high=wire.CREATIVITY[1],
                ),
                Field(
                    "target_resolution",
                    "string",
                    "The long side: 2k is 2048, 4k is 3840, 8k is 7680 pixels.",
                    "4k",
                    choices=tuple(wire.TARGETS),
                ),
                Field("output_format", "string", "The result's format.", "jpeg", choices=wire.FORMATS),
                Field("enable_base64_output", "boolean", "Answer with the file itself in base64.", default=False),
                Field("enable_sync_mode", "boolean", "Answer when it is finished, at most 90 s later.", default=False),
            ),
        ),
        Model(
            REAL_ESRGAN,
            "Real-ESRGAN",
            "Enlarges a picture by a factor with the restoring network alone.",
            (
                _IMAGE,
                Field("scale", "number", "How many times as wide and high.", 4, low=1, high=10),
                Field(
                    "face_enhance",
                    "boolean",
                    "Faces are not treated apart here; only false is accepted.",
                    default=False,
                    refused="must be false, as this server has no network for faces",
                ),
            ),
        ),
    )
}


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _is(kind: str, value: object) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def named(value: object) -> str:
    """Return a value with its JSON type before it, as the service's messages name it; cut where it is long."""
    kind = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}.get(
        type(value), "value"
    )
    text = json.dumps(value)
    return f"{kind} {text if len(text) <= 80 else text[:79] + '…'}"
