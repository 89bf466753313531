"""The service's address, what may be in flight there, and where its key comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.configs import FOLDER, GOOD, load_text, problems_in
from upscaled.config import Service

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "wsk-0123456789abcdef"


def key_of(service: Service) -> str | None:
    """Return the key in the clear."""
    return None if service.api_key is None else service.api_key.get_secret_value()


# --- address and pace ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("embedded", "embedded"),
        ("https://api.wavespeed.ai", "https://api.wavespeed.ai"),
        ("https://api.wavespeed.ai/", "https://api.wavespeed.ai"),
        ("https://api.wavespeed.ai/api/v3", "https://api.wavespeed.ai"),
        ("https://API.wavespeed.ai/api/v3/", "https://api.wavespeed.ai"),
        ("http://nas:8777", "http://nas:8777"),
        ("http://[::1]:8777/up/api/v3", "http://[::1]:8777/up"),
    ],
)
def test_an_address_is_kept_without_its_prefix(written: str, expected: str, tmp_path: Path) -> None:
    """However the address was copied, the same service is meant."""
    text = FOLDER + f"service: {{url: '{written}', api_key: k}}\n"

    assert expected == load_text(text, tmp_path).service.url


@pytest.mark.parametrize("url", ["ftp://h", "https://", "http://h h", "//h", "http://[h", "https:h", "http://h:99999"])
def test_what_is_no_address_is_refused(url: str, tmp_path: Path) -> None:
    """One problem, and no second one about a key for it."""
    [problem] = problems_in(FOLDER + f"service: {{url: '{url}'}}\n", tmp_path)

    assert "service.url" == problem.key


@pytest.mark.parametrize("url", [f"https://user:{SECRET}@h/x", f"https://h/?key={SECRET}", f"user:{SECRET}@h"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    """It would stand in every message of the client."""
    [problem] = problems_in(FOLDER + f"service: {{url: '{url}'}}\n", tmp_path)

    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    ("tier", "per_minute", "cap"),
    [("bronze", 2, 3), ("silver", 500, 330), ("gold", 3000, 3300), ("ultra", 5000, 11000)],
)
def test_a_tier_sets_the_pace(tier: str, per_minute: int, cap: int) -> None:
    """The account's rate, and its concurrency with a tenth more that the service queues."""
    service = Service(url="https://api.wavespeed.ai", tier=tier)

    assert (per_minute, cap) == (service.per_minute, service.in_flight_cap)


def test_what_is_asked_for_beats_the_tier() -> None:
    """Own limits are obeyed as they are, above or below the tier's."""
    service = Service(url="https://h", tier="silver", max_in_flight=5, max_per_minute=0.5, queue_ahead=90)

    assert (0.5, 5) == (service.per_minute, service.in_flight_cap)
    assert 390 == Service(url="https://h", tier="silver", queue_ahead=90).in_flight_cap
    assert 2 == Service(url="https://h", tier="bronze", queue_ahead=0).in_flight_cap


def test_only_the_service_itself_is_bronze_by_default(tmp_path: Path) -> None:
    """The engine, here or on another machine, has no accounts: no rate, and four in flight."""
    bronze = load_text(FOLDER + "service: {api_key: k}\n", tmp_path).service
    other = load_text(FOLDER + "service: {api_key: k, url: 'http://nas:8777', tier: auto}\n", tmp_path).service
    engine = load_text(GOOD, tmp_path).service

    assert ("bronze", 2.0, 3) == (bronze.tier, bronze.per_minute, bronze.in_flight_cap)
    assert (None, None, 4) == (other.tier, other.per_minute, other.in_flight_cap)
    assert (None, None, 4, True) == (engine.tier, engine.per_minute, engine.in_flight_cap, engine.embedded)
    assert 6 == Service(url="embedded", queue_ahead=2).in_flight_cap


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        "service: {api_key: KEY}",
        "service: {api_key: '${MINE}'}",
        "service: {api_key: '  KEY '}",
        "service: {api_key_file: key.txt}",
        "service: {api_key: '${WAVESPEED_API_KEY}', api_key_file: key.txt}",
        "service:",
    ],
)
def test_the_key_comes_from_wherever_it_is_kept(section: str, tmp_path: Path) -> None:
    """Written, in a variable, in a file, or in the environment; white space around it is nothing."""
    (tmp_path / "key.txt").write_text(f"\n {SECRET}\r\n")
    environ = {"MINE": SECRET, "WAVESPEED_API_KEY": "wrong" if "file" in section else SECRET}

    service = load_text(FOLDER + section.replace("KEY ", SECRET).replace(": KEY}", f": {SECRET}}}"), tmp_path, environ)

    assert SECRET == key_of(service.service)


def test_the_default_written_out_is_the_same_as_leaving_it_out(tmp_path: Path) -> None:
    """`api_key: ${WAVESPEED_API_KEY}` needs no variable where the key comes from elsewhere or none is needed."""
    engine = "service:\n  url: embedded\n  api_key: ${WAVESPEED_API_KEY}\n"

    assert key_of(load_text(FOLDER + engine, tmp_path).service) is None
    [problem] = problems_in(FOLDER + "service:\n  api_key: ${WAVESPEED_API_KEY}\n", tmp_path)
    assert (6, "service.api_key") == (problem.line, problem.key)
    assert "there is no key for https://api.wavespeed.ai" in problem.message


def test_the_systemd_credential_is_found_and_beats_the_environment(tmp_path: Path) -> None:
    """LoadCredential=wavespeed-api-key is enough, and naming its file as well is no contradiction."""
    (tmp_path / "wavespeed-api-key").write_text(SECRET)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "WAVESPEED_API_KEY": "wrong"}

    named = FOLDER + "service:\n  api_key_file: ${CREDENTIALS_DIRECTORY}/wavespeed-api-key\n"
    assert SECRET == key_of(load_text(FOLDER, tmp_path, environ).service)
    assert SECRET == key_of(load_text(named, tmp_path, environ).service)
    assert "wrong" == key_of(load_text(FOLDER, tmp_path, environ | {"CREDENTIALS_DIRECTORY": "/nowhere"}).service)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("{api_key: SECRET, api_key_file: key.txt}", "service.api_key_file"),
        ("{api_key: SECRET}", "service.api_key"),
        ("{api_key_file: key.txt}", "service.api_key_file"),
    ],
)
def test_two_keys_are_a_contradiction(section: str, key: str, tmp_path: Path) -> None:
    """Nobody has to guess which of them is paid with."""
    (tmp_path / "key.txt").write_text("another")
    (tmp_path / "wavespeed-api-key").write_text("a third")
    text = FOLDER + f"service: {section.replace('SECRET', SECRET)}\n"

    [problem] = problems_in(text, tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert (5, key, "Keep one of them.") == (problem.line, problem.key, problem.remedy)
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"wsk-\x0001", "no key has"),
        (b"wsk-01\nwsk-02", "no key has"),
        (b"wsk-\xe9", "no key has"),
        (b"x" * 5000, "longer than 4096 characters"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_key_file_that_holds_no_key_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    """Anything that could not stand in a header, without showing it."""
    if content is not None:
        (tmp_path / "key.txt").write_bytes(content)

    [problem] = problems_in(FOLDER + "service: {api_key_file: key.txt}\n", tmp_path)

    assert message in problem.message
    assert "wsk" not in str(problem)


@pytest.mark.parametrize("section", ["{api_key: ''}", '{api_key: "wsk\\n01"}', "{api_key: 12}", "{api_key: [wsk]}"])
def test_a_written_key_that_is_none_is_refused(section: str, tmp_path: Path) -> None:
    """Empty, of two lines, a number, a list: one problem, without showing it."""
    [problem] = problems_in(FOLDER + f"service: {section}\n", tmp_path)

    assert "service.api_key" == problem.key
    assert "wsk" not in str(problem)
    assert "12" not in problem.message


def test_an_empty_variable_is_a_problem_only_where_a_key_is_needed(tmp_path: Path) -> None:
    """`WAVESPEED_API_KEY=` in a unit file is a mistake, unless nobody asks for a key."""
    environ = {"WAVESPEED_API_KEY": ""}

    [problem] = problems_in(FOLDER, tmp_path, environ)

    assert "the variable WAVESPEED_API_KEY is empty" == problem.message
    assert [] == problems_in(GOOD, tmp_path, environ)


def test_no_text_of_the_settings_shows_the_key(tmp_path: Path) -> None:
    """A log line with all settings gives nothing away."""
    settings = load_text(FOLDER + f"service: {{api_key: {SECRET}}}\n", tmp_path)

    assert SECRET not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "line",
    [
        "apikey: SECRET",
        "api_key: *SECRET",
        "api_key: !SECRET x",
        "api_key: &SECRET",
        "api_key: [SECRET",
        "api_key: {SECRET",
    ],
)
def test_no_message_about_a_mistake_near_the_key_shows_it(line: str, tmp_path: Path) -> None:
    """A misspelled key, or characters that mean something to YAML."""
    problems = problems_in(FOLDER + f"service:\n  url: embedded\n  {line.replace('SECRET', SECRET)}\n", tmp_path)

    assert SECRET not in "".join(map(str, problems))


def test_every_secret_is_known_to_be_one(tmp_path: Path) -> None:
    """So that the log can leave them out, the parts of receivers' addresses that may be tokens among them; no word."""
    text = (
        FOLDER + "service: {url: 'https://h', api_key: the-key, webhook: {public_url: 'https://me', secret: whsec_1}}\n"
        "dashboard: {token: twelve-letters}\n"
        "notify: {urls: ['https://hooks.example/upscaled/T0KEN123', 'mailto://ann:pass@mail.example']}\n"
    )

    urls = {"https://hooks.example/upscaled/T0KEN123", "mailto://ann:pass@mail.example"}
    expected = {"the-key", "whsec_1", "twelve-letters", "T0KEN123", "pass"} | urls
    assert expected == load_text(text, tmp_path).secrets
