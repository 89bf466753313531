"""Whatever stands in a configuration, it becomes settings or problems, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.configs import GOOD, load_text, problems_in
from upscaled.config.schema import SECTIONS
from upscaled.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = sorted({key for model in SECTIONS.values() for key in model.model_fields})

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.binary(max_size=4),
    st.sampled_from(
        ["auto", "off", "5s", "4k", "${HOME}", "${X}", "${X:-1}", "embedded", "{stem}", "~", "/", "..", "~x"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KNOWN), st.text(max_size=4), st.integers()), inner, max_size=5),
    ),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        name: value
        for key, model in SECTIONS.items()
        for inner in [st.fixed_dictionaries({}, optional=dict.fromkeys(model.model_fields, VALUES))]
        for name, value in [
            (key, st.lists(inner, max_size=3) if key == "folders" else st.fixed_dictionaries({"p": inner}))
            if key in {"folders", "profiles"}
            else (key, inner)
        ]
        if key
    },
)

BILLIONS = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(30))
"""Thirty lines that unfold into a billion values."""

RELAXED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def outcome(text: str | bytes, directory: Path) -> None:
    """Load, and look at every problem as it would be printed."""
    with suppress(ConfigError):
        load_text(text, directory)
        return
    problems = problems_in(text, directory)
    assert problems
    for problem in problems:
        assert problem.message
        assert problem.remedy
        str(problem).encode()


@RELAXED
@given(text=st.one_of(st.text(), st.text("[]{}:,-#&*!|>'\"%@`$ \n\tabz0.~<"), st.text("[]{}:,-&*! \nab<")))
@example(text="[" * 3000)
@example(text="a: " + "[" * 100 + "]" * 100)
@example(text=BILLIONS)
@example(text="a: &a {<<: *a}")
@example(text="a: &a {b: {<<: *a}}")
@example(text="a: &a\n  <<: [*a, {x: 1}]\n  <<: 5")
@example(text='a: "\\UFFFFFFFF"')
@example(text='a: "\\ud800"')
@example(text='"\\ud800": 1')
@example(text="!!binary x: 1")
@example(text="? {a: 1}\n: 2")
@example(text="- !!int x")
@example(text="service: {url: !!null x}")
@example(text="log: !!str {a: 1}")
@example(text="%YAML 9.9\n---\na: 1")
@example(text="=: 1")
@example(text="a: 0x1F\nb: .inf\nc: -.NaN\nd: 190:20:30.15")
def test_any_text_is_settings_or_problems(text: str, tmp_path_factory: Any) -> None:
    """Neither PyYAML nor we answer a text with a traceback."""
    outcome(text.encode("utf-8", "surrogatepass"), tmp_path_factory.getbasetemp())


@RELAXED
@given(content=st.binary(max_size=40))
def test_any_bytes_are_settings_or_problems(content: bytes, tmp_path_factory: Any) -> None:
    """A picture named by mistake, too."""
    outcome(content, tmp_path_factory.getbasetemp())


@settings(RELAXED, max_examples=100)
@given(data=SHAPED)
def test_any_values_under_known_keys_are_settings_or_problems(data: dict[str, Any], tmp_path_factory: Any) -> None:
    """What YAML can say about the keys that there are."""
    outcome(yaml.dump(data, allow_unicode=True), tmp_path_factory.getbasetemp())


@RELAXED
@given(key=st.sampled_from(KNOWN), value=VALUES)
def test_any_value_of_one_key_is_settings_or_problems(key: str, value: Any, tmp_path_factory: Any) -> None:
    """One thing in a folder that is right otherwise, so that the checks across folders run."""
    addition = yaml.dump({key: value}).replace("\n", "\n    ")
    outcome(f"{GOOD}    {addition}\n", tmp_path_factory.getbasetemp())
