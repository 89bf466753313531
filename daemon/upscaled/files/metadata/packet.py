"""XMP (ISO 16684-1) as text to be patched: where in a packet does which property stand?

What nobody asked to change stays as it is, to the byte: the packet is parsed to find ranges, and never written anew.
The parser is expat with document types refused, so that there are no entities to expand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from upscaled.files.metadata.model import Malformed

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_EMPTY: Final = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
).encode()

_TAG: Final = re.compile(rb"""<[^\s/>"']++(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
_ATTRIBUTE: Final = re.compile(rb"""([^\s=/>"']++)\s*+=\s*+("[^"]*"|'[^']*')""")
_NAME: Final = re.compile(rb"<([^\s/>]+)")
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_DEEPEST: Final = 200
"""Deeper than any property lies."""

_MOST: Final = 100_000
"""More elements than any packet has; it bounds the time that a hostile one can take."""

Name = tuple[str, str]
"""A property: its namespace, and its name in it."""

Change = str | None
"""What a property is to be instead: another value, or None for nothing at all."""

Rule = Callable[[Name], Change | bool]
"""Returns what a property is to be changed to; False for as it is."""


_Attribute = tuple[bytes, bytes, int, int]
"""An attribute as it is written: its name, its value in quotes, and where in its tag it begins and ends."""


@dataclass(slots=True)
class _Element:
    """An element that is open: its name, and where its start tag begins and ends."""

    name: Name
    start: int
    inside: int


@dataclass(slots=True)
class _Walk:
    """One pass over a packet."""

    data: bytes
    rule: Rule
    parser: expat.XMLParserType
    count: int = 0
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)
    open: list[_Element] = field(default_factory=list)
    inside: bool = False
    """Is an ``rdf:RDF`` open?"""
    outer: dict[bytes, bytes] = field(default_factory=dict)
    """Namespaces declared at or above ``rdf:RDF``, as they are written."""
    removing: _Element | None = None
    names: dict[Name, str] = field(default_factory=dict)
    """The properties of the document itself, with their values where they are plain."""
    about: bytes = b'""'
    body: tuple[int, int] | None = None
    """Where the inside of ``rdf:RDF`` lies."""
    hollow: _Element | None = None
    """An ``rdf:RDF`` without anything in it, whose tag must be opened first."""
    descriptions: list[tuple[int, frozenset[bytes]]] = field(default_factory=list)
    """Where the attributes of each top-level description begin, and the namespaces that it declares itself."""

    def start(self, raw: str, attributes: list[str]) -> None:
        """An element begins."""
        at = self.parser.CurrentByteIndex
        tag = _TAG.match(self.data, at)
        self.count += 1
        if tag is None or len(self.open) >= _DEEPEST or self.count > _MOST:
            raise Malformed("its elements cannot be followed")
        element = _Element(_name(raw), at, tag.end())
        is_root = element.name == (RDF, "RDF")
        if is_root and self.inside:
            raise Malformed("it holds a description within a description")
        written = list(_attributes(tag[0])) if b"=" in tag[0] else []
        if not self.inside or self._top():
            self._declare(written, at, tag[0])
        self.open.append(element)
        self.inside = self.inside or is_root
        if self.removing is None:
            self._judge(element, written, attributes)

    def end(self, _raw: str) -> None:
        """An element ends."""
        element = self.open.pop()
        hollow = self.data[element.inside - 2 : element.inside] == b"/>"
        at = element.inside if hollow else self.parser.CurrentByteIndex
        beyond = element.inside if hollow else self.data.index(b">", at) + 1
        if element.name == (RDF, "RDF"):
            self._root_ended(element, at, hollow=hollow)
        if self.removing is element:
            self.removing = None
            self.edits.append((element.start, beyond, b""))
            self._remember(element, at, hollow=hollow)
        elif self.removing is None:
            self._value(element, at, hollow=hollow)

    def _root_ended(self, element: _Element, at: int, *, hollow: bool) -> None:
        self.inside = False
        if self.body is None:
            self.body = (element.inside, at)
            self.hollow = element if hollow else None

    def _declare(self, written: list[_Attribute], at: int, tag: bytes) -> None:
        declared = {name: value for name, value, _, _ in written if name == b"xmlns" or name.startswith(b"xmlns:")}
        if not self.inside:
            self.outer |= declared
            return
        found = _NAME.match(tag)
        assert found is not None
        self.descriptions.append((at + found.end(), frozenset(declared)))
        self.about = next((value for name, value, _, _ in written if name.endswith(b"about")), self.about)

    def _top(self) -> bool:
        return bool(self.open) and self.open[-1].name == (RDF, "RDF")

    def _judge(self, element: _Element, written: list[_Attribute], attributes: list[str]) -> None:
        if element.name[0] != RDF and self.rule(element.name) is None:
            self.removing = element
            return
        own = [one for one in written if not (one[0] == b"xmlns" or one[0].startswith(b"xmlns:"))]
        if len(own) * 2 != len(attributes):
            raise Malformed("its attributes cannot be followed")
        for raw, value, one in zip(attributes[::2], attributes[1::2], own, strict=True):
            self._attribute(element, _name(raw), value, one)

    def _attribute(self, element: _Element, name: Name, value: str, one: _Attribute) -> None:
        if name[0] in {RDF, ""}:
            return
        if len(self.open) >= 2 and self.open[-2].name == (RDF, "RDF"):
            self.names[name] = value
        change = self.rule(name)
        if change is None:
            self.edits.append((element.start + one[2], element.start + one[3], b""))
        elif isinstance(change, str):
            self.edits.append((element.start + one[2], element.start + one[3], one[0] + b"=" + quoted(change)))

    def _remember(self, element: _Element, at: int, *, hollow: bool) -> None:
        if len(self.open) >= 2 and self.open[-2].name == (RDF, "RDF"):
            text = self.data[element.inside : at] if not hollow else b""
            self.names[element.name] = text.decode("utf-8", "replace").strip()

    def _value(self, element: _Element, at: int, *, hollow: bool) -> None:
        self._remember(element, at, hollow=hollow)
        change = self.rule(element.name)
        if isinstance(change, str) and not hollow and b"<" not in self.data[element.inside : at]:
            self.edits.append((element.inside, at, escape(change).encode()))


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that was read, perhaps with changes made to it; ``names`` are its properties as they were before."""

    data: bytes
    names: Mapping[Name, str]
    _end: int
    """Where its description ends, and more can be inserted."""
    _walk: _Walk
    _more: bytes = b""
    """What was inserted there."""

    @classmethod
    def read(cls, data: bytes, rule: Rule = lambda _: False) -> Packet:
        """Parse a packet and change what ``rule`` says, at any depth. Raises `Malformed`."""
        walk = _walk(_utf8(data), rule)
        if walk.body is None:
            raise Malformed("it holds no description")
        if walk.hollow is not None:
            return cls.read(_opened(walk.data, walk.hollow), rule)
        end = walk.body[1]
        end += sum(len(text) - (beyond - start) for start, beyond, text in walk.edits if start < end)
        return cls(_edited(walk.data, walk.edits), walk.names, end, walk)

    @classmethod
    def empty(cls) -> Packet:
        """Return one without any property."""
        return cls.read(_EMPTY)

    def having(self, other: Packet) -> Packet:
        """Return this packet with the properties of another one added. Raises `Malformed` where that cannot be."""
        return Packet.read(self._inserted(_inside(other._walk) + other._more).data)

    def saying(self, namespaces: Mapping[str, str], properties: Iterable[str]) -> Packet:
        """Return this packet with properties added, each given as its element's text."""
        declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in namespaces.items())
        lines = "".join(f"\n   {line}" for line in properties)
        head = b"\n  <rdf:Description xmlns:rdf=" + quoted(RDF) + b" rdf:about=" + self._walk.about
        return self._inserted(head + f"{declared}>{lines}\n  </rdf:Description>\n ".encode())

    def trimmed(self) -> Packet:
        """Return this packet without the padding that lets others write into it."""
        end = self.data.rfind(b"<?xpacket end")
        return self if end < 0 else replace(self, data=self.data[:end].rstrip() + b"\n" + self.data[end:])

    def _inserted(self, text: bytes) -> Packet:
        data = self.data[: self._end] + text + self.data[self._end :]
        return replace(self, data=data, _end=self._end + len(text), _more=self._more + text)


def text_of(value: str) -> str:
    """Return a value as the text of an element; what XML cannot hold is left out."""
    return escape(_UNFIT.sub("", value))


def quoted(value: str) -> bytes:
    """Return a value as that of an attribute, with its quotes."""
    return b'"' + escape(_UNFIT.sub("", value), {'"': "&quot;"}).encode() + b'"'


def _walk(data: bytes, rule: Rule) -> _Walk:
    parser = expat.ParserCreate(namespace_separator=" ")
    walk = _Walk(data, rule, parser)
    parser.ordered_attributes = True
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)  # noqa: FBT003 - the standard library's way of saying: that was all
    except expat.ExpatError as error:
        raise Malformed(f"it is not well-formed: {error}") from error
    except ValueError as error:
        raise Malformed("its elements cannot be followed") from error
    finally:
        # It holds the walk, which holds it: until garbage is collected, which may be a thousand pictures later.
        parser.StartElementHandler = parser.EndElementHandler = None
    return walk


def _attributes(tag: bytes) -> Iterator[_Attribute]:
    name = _NAME.match(tag)
    for one in _ATTRIBUTE.finditer(tag, name.end() if name else 0):
        yield one[1], one[2], one.start(), one.end()


def _refuse(*_: object) -> None:
    raise Malformed("it declares a document type, which XMP never does")


def _name(raw: str) -> Name:
    namespace, _, local = raw.rpartition(" ")
    return namespace, local


_ENCODINGS: Final = ((b"\xfe\xff", "utf-16"), (b"\xff\xfe", "utf-16"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
"""How a packet begins that is not UTF-8."""


def _utf8(data: bytes) -> bytes:
    """Return a packet in the encoding that all formats take, without what is not part of it."""
    encoding = next((name for head, name in _ENCODINGS if data.startswith(head)), None)
    if encoding is None:
        return data.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r\n")
    try:
        return data.decode(encoding).strip("\0 \t\r\n").encode()
    except UnicodeError as error:
        raise Malformed("it is not in the encoding that it begins in") from error


def _edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    parts, at = [], 0
    for start, end, text in sorted(edits):
        if start >= at:
            parts += [data[at:start], text]
            at = end
    return b"".join((*parts, data[at:]))


def _opened(data: bytes, hollow: _Element) -> bytes:
    """Return a packet whose ``rdf:RDF`` was one tag, and now is two."""
    found = _NAME.match(data, hollow.start)
    assert found is not None
    return data[: hollow.inside - 2] + b"></" + found[1] + b">" + data[hollow.inside :]


def _inside(walk: _Walk) -> bytes:
    """Return the descriptions so that they can stand elsewhere: with the namespaces that were declared around them."""
    assert walk.body is not None
    start, end = walk.body
    edits = [edit for edit in walk.edits if start <= edit[0] < end]
    for at, own in ((at, own) for at, own in walk.descriptions if start <= at < end):
        missing = {name: value for name, value in walk.outer.items() if name not in own}
        text = b"".join(b" " + name + b"=" + value for name, value in missing.items())
        edits.append((at, at, text))
    return _edited(walk.data[:end], edits)[start:]
