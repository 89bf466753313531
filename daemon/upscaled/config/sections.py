"""One section of the file against its model: every mistake in it is noted, and the rest of it is still used.

What is left of a section with mistakes takes part in the checks across sections (overlap, unknown profiles), so that
one wrong number does not hide a wrong folder until the next try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from upscaled.config.document import kind_of
from upscaled.config.schema import SECTIONS, Section
from upscaled.config.values import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from upscaled.config.document import Document
    from upscaled.config.findings import Findings, Keys

M = TypeVar("M", bound=Section)


def read_section(model: type[M], raw: object, keys: Keys, document: Document, findings: Findings) -> M:
    """Check the section that stands under ``keys`` and return it without what is wrong in it.

    A key without a value is as good as left out, as is a section.
    """
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        if not findings.within(keys):
            findings.add(keys, f"must be a mapping of keys; it is {_given(raw)}", "Write `key: value` lines below it.")
        return model()
    given = {key: value for key, value in raw.items() if value is not None or key not in model.model_fields}
    return _without_mistakes(model, given, keys, document, findings)


def _without_mistakes(model: type[M], given: dict[str, Any], keys: Keys, document: Document, findings: Findings) -> M:
    """Validate until nothing is left to complain about; each round takes the keys out that were refused."""
    read_again: set[str] = set()
    while True:
        try:
            return model.model_validate(given)
        except ValidationError as error:
            details = error.errors(include_url=False)
        again = _read_as_yaml(details, given, keys, document) - read_again
        if again:
            read_again |= again
            given |= {key: document.expanded[*keys, key] for key in again}
            continue
        for detail in details:
            _report(model, detail, keys, findings)
            given.pop(str(detail["loc"][0]), None)


def _read_as_yaml(details: list[ErrorDetails], given: Mapping[str, Any], keys: Keys, document: Document) -> set[str]:
    """The refused keys whose text came out of a variable and would be something else to YAML."""
    refused = {str(detail["loc"][0]) for detail in details if len(detail["loc"]) == 1}
    return {key for key in refused if key in given and (*keys, key) in document.expanded}


def _report(model: type[Section], detail: ErrorDetails, keys: Keys, findings: Findings) -> None:
    where = (*keys, *detail["loc"])
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        findings.add(where, "this key is not known", _meant(model, name))
    elif findings.within(where):
        # It could not be read, and that is reported already.
        return
    elif detail["type"] == "refused":
        context = detail["ctx"]
        findings.add(where, context["message"], context["remedy"])
    else:
        findings.add(where, detail["msg"], "Correct the value.")


def _meant(model: type[Section], name: str) -> str:
    close = nearest(name, model.model_fields)
    if close is not None:
        return f"Did you mean `{close}`?"
    homes = [title or "the top of the file" for title, other in SECTIONS.items() if name in other.model_fields]
    if homes:
        return f"It belongs under {homes[0]}."
    return f"Known here: {', '.join(model.model_fields)}."


def _given(raw: object) -> str:
    return kind_of(raw) if isinstance(raw, list) else shown(raw)
