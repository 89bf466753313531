"""The kinds of value that keys take: how each is read, and what a person is told when it is something else.

Every kind says itself what it allows, so that no message speaks of types of Python or pydantic.
"""

from __future__ import annotations

import difflib
import grp
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from upscaled.api import wire
from upscaled.config.document import kind_of
from upscaled.config.listening import Address as ListenAddress
from upscaled.config.listening import read_address
from upscaled.hooks import PLACEHOLDERS
from upscaled.job import hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import ValidatorFunctionWrapHandler

WAVESPEED: Final = "https://api.wavespeed.ai"

EMBEDDED: Final = "embedded"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST: Final = 3650 * 86400.0
_DURATIONS: Final = "Write it like 200ms, 5s, 10m, 2h or 7d."
_CORRECT: Final = "Correct the value, or remove the key to have the default."


def refusal(message: str, remedy: str = "") -> PydanticCustomError:
    """Return what a validator raises: a message and a remedy that reach the person as they are."""
    return PydanticCustomError("refused", "{message}", {"message": message, "remedy": remedy})


def shown(value: object) -> str:
    """Return a value as a message shows it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        return kind_of(value)
    short = value if len(value) <= 60 else f"{value[:59]}…"
    return f'"{short}"' if short.isprintable() else ascii(short)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def says(allowed: str, remedy: str = _CORRECT) -> WrapValidator:
    """Answer anything the inner validation refuses with what is allowed and what was given."""

    def check(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise refusal(f"must be {allowed}; it is {shown(value)}", remedy) from None

    return WrapValidator(check)


def _choice(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
    try:
        return inner(value)
    except ValidationError as error:
        allowed = re.findall("'([^']*)'", error.errors(include_url=False)[0].get("ctx", {}).get("expected", ""))
    meant = nearest(value, allowed) if isinstance(value, str) else None
    remedy = f"Did you mean {meant}?" if meant else "Write one of these."
    raise refusal(f"must be {_listed(allowed)}; it is {shown(value)}", remedy)


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _text(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
    try:
        return inner(value)
    except ValidationError:
        remedy = f'Put it in quotes: "{shown(value)}".' if isinstance(value, int | float) else "Write some text."
        given = "empty" if isinstance(value, str) and not value.strip() else shown(value)
        raise refusal(f"must be text; it is {given}", remedy) from None


def _list(what: str, remedy: str) -> BeforeValidator:
    """Refuse what is no list; the texts in it answer for themselves."""

    def check(value: Any) -> Any:
        if value is not None and not isinstance(value, list):
            raise refusal(f"must be a list of {what}; it is {shown(value)}", remedy)
        return value

    return BeforeValidator(check)


def _auto(value: Any) -> Any:
    return None if value == "auto" else value


def _off(value: Any) -> Any:
    return None if value == "off" or value is False else value


def _off_switch(value: Any) -> Any:
    """YAML reads ``off`` as false."""
    return "off" if value is False else value


def _seconds(value: Any) -> float:
    """Read a duration such as ``5s``, in seconds."""
    if value in (0, "0") and not isinstance(value, bool):
        return 0.0
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)", value) if isinstance(value, str) else None
    if match is None:
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        remedy = f"Write {value}s for seconds or {value}m for minutes." if bare else _DURATIONS
        raise refusal(f"must be a duration with its unit; it is {shown(value)}", remedy)
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise refusal(f"must be at most 3650d; it is {shown(value)}", "Write a shorter duration.")
    return seconds


_SIZES: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _bytes(value: Any) -> Any:
    """Read a size such as ``2GB``, in bytes; None passes."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([KMGT]B)", value) if isinstance(value, str) else None
    size = int(float(match[1]) * _SIZES[match[2]]) if match else 0
    if size < 1:
        raise refusal(f"must be a size with its unit; it is {shown(value)}", "Write it like 500MB or 2GB.")
    return size


class Misread(ValueError):
    """A value that was not understood: what is wrong with it, and how it is written."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read_seconds(text: str) -> float:
    """Return the seconds of a duration such as ``7d``. Raises `Misread`."""
    return float(_plainly(_seconds, text))


def read_bytes(text: str) -> int:
    """Return the bytes of a size such as ``2GB``. Raises `Misread`."""
    return int(_plainly(_bytes, text))


def _plainly(read: Callable[[Any], Any], text: str) -> Any:
    try:
        return read(text)
    except PydanticCustomError as error:
        context = error.context or {}
        raise Misread(context["message"], context["remedy"]) from None


def _at_least(shortest: float, spelled: str) -> BeforeValidator:
    """Read a duration that has a lower bound, in seconds; None passes, for ``auto``."""

    def check(value: Any) -> Any:
        seconds = None if value is None else _seconds(value)
        if seconds is not None and seconds < shortest:
            raise refusal(f"must be at least {spelled}; it is {shown(value)}", f"Write {spelled} or more.")
        return seconds

    return BeforeValidator(check)


def _address(value: Any) -> str:
    """Read the service's address: ``embedded``, or an HTTP origin without its ``/api/v3``."""
    allowed = "`embedded` or an address such as https://api.wavespeed.ai"
    if value == EMBEDDED:
        return EMBEDDED
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s\\]", value):
        raise refusal(f"must be {allowed}; it is {_unsecret(value)}", "Write the address with http:// or https://.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise refusal("must be an address without a name, password, `?` or `#`", "The key belongs in api_key_file.")
    if parts.scheme == "http" and (parts.hostname or "").endswith("wavespeed.ai"):
        raise refusal("would send the key unencrypted", "Write https:// instead of http://.")
    path = parts.path.rstrip("/").removesuffix(wire.PREFIX).rstrip("/")
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def _unsecret(value: object) -> str:
    """An address that was not understood may still hold a password before its ``@``."""
    return shown(value if not isinstance(value, str) else re.sub(r"[^/]*@", "…@", value))


def _pattern(value: Any) -> Any:
    """Check the pattern that results are named by."""
    if not isinstance(value, str):
        raise refusal(f"must be text; it is {shown(value)}", "Write it like {stem}{ext}.")
    rest = re.sub(r"\{(stem|ext|profile|resolution|date|job)\}", "", value)
    if "{" in rest or "}" in rest:
        unknown = re.search(r"\{[^{}]*\}", rest)
        given = f"the field {unknown[0]} is not known" if unknown else "a brace stands alone"
        raise refusal(f"{given} in {shown(value)}", f"Known fields: {', '.join(NAME_FIELDS)}.")
    if rest and re.search(r"[/\0-\x1f\x7f]", rest):
        raise refusal(f"must be a file name without a slash; it is {shown(value)}", _SUBFOLDERS)
    if "{stem}" not in value and "{job}" not in value:
        raise refusal(f"gives every result the same name; it is {shown(value)}", "Add {stem} or {job} to it.")
    return value


def _hours(value: Any) -> Any:
    """Check at which hours pictures are to be submitted."""
    if not isinstance(value, str):
        raise refusal(f"must be text; it is {shown(value)}", hours.FORM)
    try:
        hours.parse(value)
    except ValueError as error:
        raise refusal(f"{shown(value)} cannot be read: {error}", hours.FORM) from None
    return value


def _listen(value: Any) -> Any:
    """Read where the dashboard listens; None passes, for ``off``."""
    if value is None or isinstance(value, ListenAddress):
        return value
    try:
        return read_address(value if isinstance(value, str) else "")
    except ValueError:
        remedy = "Write it like 127.0.0.1:8765, or off."
        raise refusal(f"must be off or HOST:PORT; it is {shown(value)}", remedy) from None


TOKEN_LENGTH: Final = 12
"""A dashboard's token is no shorter, in characters: it is all that stands between a network and the pictures."""


def _token(value: Any) -> Any:
    """Read the dashboard's token; None passes."""
    if value is not None and isinstance(value, str) and len(value) < TOKEN_LENGTH:
        raise refusal(f"must have at least {TOKEN_LENGTH} characters", "`openssl rand -hex 16` makes one.")
    return value if value is None else _secret(value)


def _hosts(value: Any) -> Any:
    """Check the names that a page may be asked for by."""
    for name in value if isinstance(value, list) else []:
        if isinstance(name, str) and not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", name):
            remedy = "Write the name alone, such as nas.example, without http:// and port."
            raise refusal(f"must be names of hosts; one is {shown(name)}", remedy)
    return value


def _public_url(value: Any) -> Any:
    """Read the address under which the internet reaches `run`; None passes."""
    if value is None:
        return None
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\\]", value):
        message = f"must be an address without a name, password, `?` or `#`; it is {_unsecret(value)}"
        raise refusal(message, "Write it like https://pictures.example.")
    return value.rstrip("/")


NAME_FIELDS: Final = ("{stem}", "{ext}", "{profile}", "{resolution}", "{date}", "{job}")
_SUBFOLDERS: Final = "Remove it; subfolders of the inbox are mirrored by themselves."

Text = Annotated[str, Field(pattern=r"\S"), WrapValidator(_text)]
Size = Annotated[int | None, BeforeValidator(_bytes)]
Switch = Annotated[bool, says("true or false")]
Auto = BeforeValidator(_auto)
Off = BeforeValidator(_off)
MinFree = Annotated[int | None, BeforeValidator(_bytes), Off]
Patience = Annotated[float | None, _at_least(0, "0s"), Off]
Retain = Annotated[float | None, _at_least(86_400.0, "1d"), Off]
OffSwitch = BeforeValidator(_off_switch)
Choice = WrapValidator(_choice)
Duration = Annotated[float, _at_least(0, "0s")]
Interval = Annotated[float, _at_least(0.01, "10ms")]
AutoDuration = Annotated[float | None, _at_least(0, "0s"), Auto]
SweepInterval = Annotated[float | None, _at_least(0.1, "100ms"), Auto]
Count = Annotated[int | None, Field(ge=1, le=100_000), says("a whole number from 1 to 100000"), Auto]
MaxNew = Annotated[int | None, Field(ge=1, le=100_000), says("off or a whole number from 1 to 100000"), Off]
Hours = Annotated[str, BeforeValidator(_hours)]
Ahead = Annotated[int | None, Field(ge=0, le=100_000), says("auto or a whole number from 0 to 100000"), Auto]
Rate = Annotated[float | None, Field(gt=0, le=100_000), says("a number from 0 (excluded) to 100000"), Auto]
Dollars = Annotated[float | None, Field(ge=0, le=1_000_000), says("an amount of dollars of at least 0")]
AutoDollars = Annotated[
    float | None, Field(ge=0, le=1_000_000), says("auto or an amount of dollars of at least 0"), Auto
]
Priority = Annotated[int, Field(ge=-1000, le=1000), says("a whole number from -1000 to 1000")]
Creativity = Annotated[
    float | None,
    Field(ge=wire.CREATIVITY[0], le=wire.CREATIVITY[1]),
    says(f"a number from {wire.CREATIVITY[0]:g} to {wire.CREATIVITY[1]:g}"),
]
Model = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$"),
    says("a model's id such as wavespeed-ai/image-upscaler", "Copy the id from the model's page."),
]
Address = Annotated[str, BeforeValidator(_address)]
PublicUrl = Annotated[str | None, BeforeValidator(_public_url)]
NamePattern = Annotated[str, BeforeValidator(_pattern)]
Texts = Annotated[list[Text], _list("texts", 'Write it like ["*.tmp", "drafts"].')]


def _hook(name: str) -> BeforeValidator:
    """Refuse placeholders that a hook does not have; they would reach its program as they are."""
    known = PLACEHOLDERS[name]

    def check(value: Any) -> Any:
        for text in value if isinstance(value, list) else []:
            for found in re.findall(r"\{([a-z_]+)\}", text) if isinstance(text, str) else []:
                if found not in known:
                    remedy = f"It has {', '.join(sorted(f'{{{each}}}' for each in known))}."
                    raise refusal(f"has no {{{found}}} to put into {shown(text)}", remedy)
        if value == []:
            raise refusal("must name a program; the list is empty", "Remove the key, or name one.")
        return value

    return BeforeValidator(check)


_COMMAND = _list("a program and its arguments", 'Write it like ["/usr/bin/env", "true"].')
Convert = Annotated[list[Text] | None, _hook("convert"), _COMMAND]
BeforeSubmit = Annotated[list[Text] | None, _hook("before_submit"), _COMMAND]
AfterPublish = Annotated[list[Text] | None, _hook("after_publish"), _COMMAND]
AfterFailure = Annotated[list[Text] | None, _hook("after_failure"), _COMMAND]


def _mode(value: Any) -> Any:
    """Read permissions, three octal digits. A number is refused: whether 0644 is octal, every YAML sees differently."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise refusal(f"must be permissions in octal, in quotes; it is {shown(value)}", 'Write it like "0664".')
    if not int(value, 8) & 0o200:
        raise refusal(f"must let the owner write; it is {shown(value)}", 'Write it like "0664".')
    return int(value, 8)


def _group(value: Any) -> Any:
    """Read a group's name, or its number, as its number."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    try:
        return grp.getgrnam(value if isinstance(value, str) else "").gr_gid
    except KeyError:
        remedy = "`getent group` lists those there are; a number is taken as it is."
        raise refusal(f"must be a group of this computer; it is {shown(value)}", remedy) from None


FileMode = Annotated[int | None, BeforeValidator(_mode)]
Group = Annotated[int | None, BeforeValidator(_group)]
Params = Annotated[dict[str, Any], says("a mapping of the model's parameters", "Write it like {scale: 4}.")]


def _secret(value: Any) -> SecretStr:
    if not isinstance(value, str):
        raise refusal(f"must be text; it is {kind_of(value)}", "Put it in quotes.")
    return SecretStr(value)


Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Token = Annotated[SecretStr | None, BeforeValidator(_token)]
Listen = Annotated[ListenAddress | None, BeforeValidator(_listen), Off]
Hosts = Annotated[list[Text], BeforeValidator(_hosts), _list("names of hosts", 'Write it like ["nas.example"].')]

Resolution = Annotated[Literal["2k", "4k", "8k"], Choice]
Format = Annotated[Literal["jpeg", "png", "webp"], Choice]
