"""A YAML text as plain data that remembers the line of every key, with its variables expanded.

It is separate from the schema because it knows nothing of ours: what a key means is decided elsewhere, and here only
whether the text can be read at all. It reads YAML as the safe loader composes it, but for two surprises of YAML 1.1:
``22:00`` is not a number of minutes and ``2024-01-01`` is not a date; both stay text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from upscaled.config.findings import Findings, Keys
from upscaled.config.variables import Undefined, expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NODE_LIMIT: Final = 20_000
"""More values than any configuration has; it stops a few aliases from unfolding into billions."""

DEPTH_LIMIT: Final = 40
"""Deeper than any configuration is; a chain of aliases would otherwise exhaust the stack."""

_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = _TAG + "merge"
_TEXT: Final = _TAG + "str"
_PLAIN: Final[tuple[tuple[str, re.Pattern[str], str, Callable[[str], object]], ...]] = (
    (_TAG + "null", re.compile(r"~|null|Null|NULL|", re.ASCII), "~nN", lambda _: None),
    (
        _TAG + "bool",
        re.compile(r"(?i:true|false|yes|no|on|off)", re.ASCII),
        "tTfFyYnNoO",
        lambda text: text.lower() in {"true", "yes", "on"},
    ),
    (_TAG + "int", re.compile(r"[-+]?[0-9]+", re.ASCII), "-+0123456789", int),
    (
        _TAG + "float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII),
        "-+.0123456789",
        float,
    ),
)
"""Tag, form, first characters and reader of the scalars that are not text."""


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars above and no others; only its composer is used."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as declared by PyYAML


for _tag, _form, _first, _ in _PLAIN:
    # The resolver asks with `match`, so the end has to be part of the form; the empty scalar has no first character.
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_form.pattern})\\Z", _form.flags), [*_first])
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"\Z"), [""])
_Loader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), ["<"])


class _TooMuch(Exception):
    """The document unfolds into more, or deeper, than a configuration can be; ``keys`` is where that was seen."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.keys = keys


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration as data: mappings, lists, text, numbers, switches and None.

    ``expanded`` holds, for every text that came out of variables, what YAML would make of it were it written there.
    """

    data: Mapping[str, Any]
    expanded: Mapping[Keys, Any] = field(default_factory=dict)


def parse(text: str, findings: Findings, *, environ: Mapping[str, str], unset: Mapping[Keys, str]) -> Document | None:
    """Read YAML text. What is wrong goes to ``findings``; None means that nothing can be made of it.

    ``unset`` names the keys for which one text says no more than leaving the key out.
    """
    node = _compose(text, findings)
    if node is None:
        return None
    walk = _Walk(findings, environ, unset)
    try:
        data = walk.value(node, ())
    except _TooMuch as error:
        message = f"it unfolds into more than {NODE_LIMIT} values or {DEPTH_LIMIT} levels"
        findings.add(error.keys, message, "Use fewer aliases and brackets.")
        return None
    if not isinstance(data, dict):
        findings.add((), f"it is {kind_of(data)}, not a mapping of keys", "Begin with a key, such as `folders:`.")
        return None
    return Document(data, walk.expanded)


def read_plain(text: str) -> Any:
    """Return what YAML makes of an unquoted text: a number, a switch, None or the text.

    Raises ValueError for a number beyond 64 bits.
    """
    for _, form, _, reader in _PLAIN:
        if form.fullmatch(text):
            return _bounded(reader(text))
    return text


def kind_of(value: object) -> str:
    """Return what a value is in the words of YAML, with its article."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return "empty" if value is None else "a single value"


def _bounded(value: object) -> object:
    """Refuse numbers that JSON, SQLite or a float could not carry."""
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) < 2**63):
        raise ValueError("the number is too large")
    return value


def _compose(text: str, findings: Findings) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        findings.at_line(mark.line + 1 if mark else None, *_sentence(error, text))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        findings.at_line(line, f"the character U+{error.character:04X} cannot stand in YAML", "Remove it.")
        return None
    except RecursionError:
        findings.at_line(None, "it is nested too deeply to be read", "Remove levels of brackets or indentation.")
        return None
    except (ValueError, OverflowError):
        # PyYAML reads an escape such as "\UFFFFFFFF" without looking whether there is such a character.
        line = text.count("\n", 0, max(0, text.find("\\U"))) + 1
        findings.at_line(line, "not valid YAML: `\\U` is not followed by a character's number", "Correct the escape.")
        return None
    if node is None:
        findings.at_line(None, "the file is empty", "`upscaled init` writes a configuration to start from.")
    return node


def _sentence(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str]:
    """Return a syntax error's message and remedy. Names of aliases and tags stay out: one may be the head of a key."""
    problem = str(error.problem or error.context or "it cannot be read")
    mark = error.problem_mark
    if mark is not None and "${" in text.split("\n")[min(mark.line, text.count("\n"))][: mark.column + 1]:
        return "not valid YAML: `${…}` stands unquoted within { } or [ ]", 'Put it in quotes: "${NAME}".'
    if "\\t" in problem:
        return "a tab is used for indentation", "Indent with spaces; YAML allows no tabs there."
    if re.search("alias|anchor|tag", f"{problem} {error.context}"):
        return "not valid YAML: a value begins with `*`, `&` or `!`", "Put the value in quotes."
    context = f"{error.context}, " if error.context and error.context != problem else ""
    return f"not valid YAML: {context}{problem}", "Look at the indentation, colons and quotes here and a line above."


@dataclass(slots=True)
class _Walk:
    """One way through the nodes: makes the data and notes where each key stands."""

    findings: Findings
    environ: Mapping[str, str]
    unset: Mapping[Keys, str]
    expanded: dict[Keys, Any] = field(default_factory=dict)
    count: int = 0
    above: list[int] = field(default_factory=list)

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        self.count += 1
        if self.count > NODE_LIMIT:
            raise _TooMuch(keys)
        self.findings.lines.setdefault(keys, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, keys)
        if id(node) in self.above:
            self.findings.add(keys, "it contains itself through an alias", "Write the value out instead.")
            return None
        self.enter(node, keys)
        result = self.collection(node, keys)
        self.above.pop()
        return result

    def enter(self, node: yaml.Node, keys: Keys) -> None:
        if id(node) in self.above or len(self.above) >= DEPTH_LIMIT:
            raise _TooMuch(keys)
        self.above.append(id(node))

    def collection(self, node: yaml.Node, keys: Keys) -> Any:
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, keys)
        return self.foreign(keys)

    def mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        pairs = dict(self.own(node, keys))
        for key_node, value_node in self.merged(node, keys):
            pairs.setdefault(str(key_node.value), (key_node, value_node))
        result: dict[str, Any] = {}
        for name, (key_node, value_node) in pairs.items():
            self.findings.lines[*keys, name] = key_node.start_mark.line + 1
            result[name] = self.value(value_node, (*keys, name))
        return result

    def own(self, node: yaml.MappingNode, keys: Keys) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """The pairs that are written in the mapping itself; of a key given twice, the first."""
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode) or not _encodable(key_node.value):
                self.findings.at_line(line, "a key has to be plain text", "Write `key: value`.", keys)
            elif key_node.value in seen:
                message = f"the key is given twice; it stands on line {seen[key_node.value]} already"
                self.findings.at_line(line, message, "Remove one of the two.", (*keys, key_node.value))
            else:
                seen[key_node.value] = line
                yield key_node.value, (key_node, value_node)

    def merged(self, node: yaml.MappingNode, keys: Keys) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The pairs that ``<<`` brings in, nearest first."""
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in sources:
                self.count += 1
                if not isinstance(source, yaml.MappingNode) or self.count > NODE_LIMIT or source is node:
                    message = "`<<` takes an alias of a mapping"
                    self.findings.at_line(key_node.start_mark.line + 1, message, "Write `<<: *name`.", keys)
                    continue
                yield from self.pairs_of(source, keys)

    def pairs_of(self, source: yaml.MappingNode, keys: Keys) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        self.enter(source, keys)
        for key_node, value_node in source.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE and _encodable(key_node.value):
                yield key_node, value_node
        yield from self.merged(source, keys)
        self.above.pop()

    def scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        if node.tag == _TEXT:
            return self.text(node, keys)
        for tag, form, _, reader in _PLAIN:
            if tag == node.tag:
                return self.number(node.value, form, reader, keys)
        return self.foreign(keys)

    def number(self, text: str, form: re.Pattern[str], reader: Callable[[str], object], keys: Keys) -> Any:
        try:
            return _bounded(reader(text)) if form.fullmatch(text) else self.foreign(keys)
        except (ValueError, OverflowError):
            self.findings.add(keys, "the number is too large", "Numbers have at most 18 digits.")
            return None

    def text(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        if self.unset.get(keys) == node.value:
            return None
        if not _encodable(node.value):
            self.findings.add(
                keys, "the text holds an escape that is no character", "Remove the \\0, \\x or \\u escape."
            )
            return None
        try:
            text = expand(node.value, self.environ)
        except Undefined as error:
            for message in error.messages:
                self.findings.add(keys, message, error.remedy)
            return None
        if "${" not in node.value:
            return text
        return self.variable(text, keys, quoted=node.style is not None)

    def variable(self, text: str, keys: Keys, *, quoted: bool) -> Any:
        """Note both readings of an expanded text: as it is, and as YAML would read it in that place."""
        if not _encodable(text):
            self.findings.add(keys, "the variable's value is not UTF-8 text", "Correct it where it is set.")
            return None
        try:
            reading = read_plain(text)
        except (ValueError, OverflowError):
            reading = text
        self.expanded[keys] = reading
        return text if quoted or not _free(keys) else reading

    def foreign(self, keys: Keys) -> None:
        self.findings.add(keys, "the value's tag (`!…`) is not allowed", "Remove the tag, or put the value in quotes.")


def _free(keys: Keys) -> bool:
    """Is this a value inside ``params``, where no type tells which of the two readings is meant?"""
    return "params" in keys[:-1]


def _encodable(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False
