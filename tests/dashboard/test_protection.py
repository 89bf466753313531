"""What stands in front of every page, a rule a test."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.desks import HERE, TOKEN, Desks, desks, form_token, order
from tests.support.jobs import NOW
from tests.support.uvicorn_thread import served
from upscaled.config import Address
from upscaled.dashboard.access import SESSION, TRIES, Access, Tries
from upscaled.dashboard.protection import COOKIE, HEADERS, Extras, Hosts
from upscaled.dashboard.server import CONNECTIONS, LARGEST_HEAD, _config
from upscaled.dashboard.site import create_app

EVERYWHERE = Address("0.0.0.0", 8765)
JOB = "/jobs/job0000000"
BEYOND = "http://192.0.2.7:8765"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str | None, Desks]]:
    """Make two desks, one with a token: making one takes longer than most tests here."""
    with desks(tmp_path_factory.mktemp("open")) as free, desks(tmp_path_factory.mktemp("token"), token=TOKEN) as locked:
        yield {None: free, TOKEN: locked}


def afresh(desk: Desks) -> Desks:
    """Return a desk as if it were new."""
    desk.time = NOW
    desk.desk.tries._failed.clear()
    desk.ledger.change(lambda c: c.execute("DELETE FROM paused").rowcount + c.execute("DELETE FROM jobs").rowcount)
    return desk


@pytest.fixture
def desk(doors: dict[str | None, Desks]) -> Desks:
    """Give a desk on loopback, without a token."""
    return afresh(doors[None])


@pytest.fixture
def locked(doors: dict[str | None, Desks]) -> Desks:
    """Give a desk with a token."""
    return afresh(doors[TOKEN])


# --- Host ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "here", "beyond"),
    [
        ("127.0.0.1:8765", True, True),
        ("localhost:8765", True, True),
        ("LOCALHOST", True, True),
        ("[::1]:8765", True, True),
        ("127.8.8.8", True, True),
        ("box", True, True),
        ("box.local:8765", True, True),
        ("nas.example", True, True),
        ("192.0.2.7:8765", False, True),
        ("evil.example:8765", False, False),
        ("localhost.evil.example", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("evil.example@127.0.0.1", False, False),
        ("127.0.0.1/evil", False, False),
        ("[::1", False, False),
        ("", False, False),
    ],
)
def test_a_page_is_asked_for_by_a_name_that_is_ours(host: str, here: bool, beyond: bool) -> None:
    """Any other name for our address is somebody else's: DNS rebinding. An address cannot be rebound."""
    names = (["nas.example"], "box")

    assert here == Hosts(Address("127.0.0.1", 1), names[0], machine=names[1]).ours(host)
    assert beyond == Hosts(EVERYWHERE, names[0], machine=names[1]).ours(host)


@pytest.mark.parametrize("path", ["/", "/history", "/jobs/x/after", "/events", "/static/dashboard.js", "/login"])
async def test_a_foreign_host_gets_nothing_of_any_page(desk: Desks, path: str) -> None:
    """Also not what is the same for everybody."""
    async with desk.client() as client:
        answer = await client.get(path, headers={"Host": "evil.example"})

    assert (421, "text/plain; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert "dashboard.hosts" in answer.text


# --- token -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/history", "/review", "/jobs/job0000000", "/jobs/job0000000/after", "/jobs/job0000000/thumb", "/events"],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong-token-of-mine"}, {"Cookie": f"{COOKIE}=1.2.3"}]
)
async def test_without_the_token_nothing_is_shown(locked: Desks, path: str, headers: dict[str, str]) -> None:
    """Neither without one, nor with a wrong one, nor with a made-up cookie."""
    locked.done()
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        answer = await client.get(path, headers=headers)

    assert 401 == answer.status_code
    assert "a.jpg" not in answer.text


async def test_a_browser_is_led_to_the_login_and_back(locked: Desks) -> None:
    """The cookie is HttpOnly and SameSite=Strict, ends by itself, and is not the token."""
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        first = await client.get("/history", headers={"Accept": "text/html"})
        assert (303, "/login?next=/history") == (first.status_code, first.headers["location"])
        page = await client.get(first.headers["location"])
        fields = {"token": TOKEN, "form_token": form_token(page.text)}
        second = await client.post(first.headers["location"], data=fields)
        third = await client.get("/history")

    assert (303, "/history") == (second.status_code, second.headers["location"])
    cookie = second.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", f"max-age={int(SESSION)}", "path=/"))
    assert "secure" not in cookie
    assert TOKEN not in second.headers["set-cookie"]
    assert 200 == third.status_code


async def test_over_https_the_cookie_is_secure(locked: Desks) -> None:
    """It must not leave by a link to http."""
    async with locked.client("https://192.0.2.7", listen=EVERYWHERE) as client:
        token = form_token((await client.get("/login")).text)
        answer = await client.post("/login", data={"token": TOKEN, "form_token": token})

    assert "secure" in answer.headers["set-cookie"].lower()


async def test_a_program_shows_the_token_as_bearer(locked: Desks) -> None:
    """Prometheus, curl."""
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        answer = await client.get("/", headers={"Authorization": f"Bearer {TOKEN}"})

    assert 200 == answer.status_code


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nb: c"])
async def test_the_login_leads_to_no_other_site(locked: Desks, target: str) -> None:
    """A link to the login could else be a link to anywhere."""
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        token = form_token((await client.get("/login")).text)
        fields = {"token": TOKEN, "form_token": token}
        answer = await client.post("/login", params={"next": target}, data=fields)

    assert (303, "/") == (answer.status_code, answer.headers["location"])


async def test_wrong_tokens_may_be_tried_a_few_times(locked: Desks) -> None:
    """Then the address waits, also with the right one; others do not."""
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        fields = {"form_token": form_token((await client.get("/login")).text)}
        tried = [(await client.post("/login", data={**fields, "token": f"wrong {n}"})).status_code for n in range(7)]
        refused = await client.post("/login", data={**fields, "token": TOKEN})
        bearer = await client.get("/", headers={"Authorization": f"Bearer {TOKEN}"})
        locked.time += float(refused.headers["retry-after"])
        later = await client.post("/login", data={**fields, "token": TOKEN})

    assert [403] * TRIES + [429] * (7 - TRIES) == tried
    assert (429, 429, 303) == (refused.status_code, bearer.status_code, later.status_code)


def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    """The oldest are forgotten."""
    tries = Tries()
    for number in range(5000):
        tries.failed(f"2001:db8::{number:x}", 0.0)

    assert 1000 == len(tries._failed)


def test_a_cookie_ends_and_belongs_to_its_token() -> None:
    """After thirty days, with another token, or changed by a letter, it opens nothing."""
    access = Access(TOKEN)
    cookie = access.session(1000.0)

    assert access.admits(cookie, 1000.0 + SESSION)
    assert not access.admits(cookie, 1001.0 + SESSION)
    assert not Access("another-token-of-mine").admits(cookie, 1000.0)
    assert not access.admits("2" + cookie[1:], 1000.0)
    assert not access.admits(cookie[:-1], 1000.0)
    assert not access.admits("", 1000.0)
    assert not access.admits("\udc80.\udc80", 1000.0)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard library's function for that, and by nothing else."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("upscaled.dashboard.access.hmac.compare_digest", compare)

    assert not Access(TOKEN).right(TOKEN)
    assert [(TOKEN.encode(), TOKEN.encode())] == compared


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost:8765"},
    ],
)
async def test_another_sites_post_changes_nothing(desk: Desks, headers: dict[str, str]) -> None:
    """Even one that carries a right form token, as the origin is looked at first."""
    async with desk.client() as client:
        token = form_token((await client.get("/")).text)
        answer = await client.post("/folders/all/pause", data={"form_token": token}, headers=headers)

    assert 403 == answer.status_code
    assert [] == desk.ledger.query("SELECT * FROM paused")


@pytest.mark.parametrize("fields", [{}, {"form_token": ""}, {"form_token": "0" * 64}])
async def test_a_post_without_the_forms_proof_changes_nothing(desk: Desks, fields: dict[str, str]) -> None:
    """What an old browser sends that says nothing of where it comes from."""
    async with desk.client() as client:
        answer = await client.post("/folders/all/pause", data=fields, headers={"Origin": "null"})

    assert 403 == answer.status_code
    assert [] == desk.ledger.query("SELECT * FROM paused")


async def test_a_forms_proof_belongs_to_its_session(locked: Desks) -> None:
    """One session's form is of no use to another."""
    async with locked.client(BEYOND, listen=EVERYWHERE) as client:
        client.cookies.set(COOKIE, locked.desk.access.session(locked.time))
        token = form_token((await client.get("/")).text)
        client.cookies.clear()
        client.cookies.set(COOKIE, locked.desk.access.session(locked.time))
        answer = await client.post("/folders/all/pause", data={"form_token": token})

    assert 403 == answer.status_code


async def test_our_own_forms_work(desk: Desks) -> None:
    """Else the tests above would prove nothing."""
    async with desk.client() as client:
        answer = await order(client, "/folders/all/pause")

    assert 303 == answer.status_code
    assert 1 == len(desk.ledger.query("SELECT * FROM paused"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/folders/all/pause", "/orders/cancel", "/logout"])
async def test_nothing_but_a_post_changes_anything(desk: Desks, method: str, path: str) -> None:
    """A link or an image can make a browser GET."""
    async with desk.client() as client:
        answer = await client.request(method, path)

    assert answer.status_code in {404, 405}
    assert [] == desk.ledger.query("SELECT * FROM paused")


# --- headers and sizes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/history", "/nothing", "/static/dashboard.js", "/static/../desk.py"])
async def test_every_answer_is_dressed(desk: Desks, path: str) -> None:
    """Also a refusal and a file."""
    async with desk.client() as client:
        answer = await client.get(path)

    assert set() == {(name, value) for name, value in HEADERS.items() if answer.headers.get(name) != value}


async def test_no_page_needs_what_its_policy_forbids(desk: Desks) -> None:
    """No script or style within a page, nothing from elsewhere."""
    job = desk.done(review="waiting")
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    async with desk.client() as client:
        for path in ("/", "/history", "/review", "/login", f"/jobs/{job}"):
            text = (await client.get(path)).text
            assert 1 == text.count("<script")
            assert "<style" not in text
            assert " style=" not in text
            assert " onclick=" not in text
            assert "http://" not in text
            assert "https://" not in text


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}])
async def test_a_body_that_is_larger_than_any_form_is_not_read(desk: Desks, headers: dict[str, str]) -> None:
    """Neither announced nor in pieces."""
    async with desk.client() as client:
        answer = await client.post("/orders/cancel", content=b"a=" + b"x" * 20_000, headers=headers)

    assert answer.status_code in {411, 413}


async def test_a_form_of_too_many_fields_is_not_read(desk: Desks) -> None:
    """Reading them all would take time."""
    async with desk.client() as client:
        answer = await client.post("/orders/cancel", data={f"f{n}": "" for n in range(200)})

    assert 403 == answer.status_code


def test_the_real_server_refuses_oversized_heads_and_crowds(desk: Desks) -> None:
    """As it is configured for the daemon."""
    config = _config(create_app(desk.desk, Address("127.0.0.1", 0)))

    assert (LARGEST_HEAD, CONNECTIONS, "h11") == (
        config.h11_max_incomplete_event_size,
        config.limit_concurrency,
        config.http,
    )


def test_an_oversized_head_is_refused_on_the_wire(desk: Desks) -> None:
    """h11 answers 400 and closes, and goes on serving others."""
    config = _config(create_app(desk.desk, Address("127.0.0.1", 0)))
    with served(config.app, config=config) as address:  # type: ignore[arg-type]
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
            refused = line.recv(100)
        assert 200 == httpx.get(address, timeout=10).status_code

    assert refused.startswith(b"HTTP/1.1 400")


# --- routes of others ------------------------------------------------------------------------------------------------


async def test_open_routes_look_after_themselves_and_others_do_not(locked: Desks) -> None:
    """A webhook comes from elsewhere by design; a closed route is behind the same door as every page."""

    async def answer(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    routes = [Route("/hook", answer, methods=["POST"]), Route("/closed", answer)]
    async with locked.client(HERE, extras=Extras(routes, frozenset({"/hook"}))) as client:
        hook = await client.post("/hook", content=b"x" * 50_000, headers={"Host": "public.example"})
        below = await client.get("/hook/../closed", headers={"Host": "public.example"})
        closed = await client.get("/closed")

    assert (200, 421, 401) == (hook.status_code, below.status_code, closed.status_code)
