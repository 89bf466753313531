"""The dashboard as a person sees it: a real daemon, a real browser. Set $UPSCALED_SCREENSHOTS to keep the pictures."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.e2e.conftest import started, wait_for
from tests.support.browser import Browser, browsing
from tests.support.house import PHOTOS, House, digest
from tests.support.jobs import new_job
from tests.support.service import ApiServer, Fault, Settings, serve
from upscaled.ledger import Ledger

WIDTHS = (1440, 390)


@dataclass(frozen=True)
class Running:
    """A daemon that runs, with the service it uses."""

    house: House
    second: House
    server: ApiServer
    url: str

    def id_of(self, name: str) -> str:
        """Return the newest job of a source."""
        with closing(self.house.ledger()) as ledger:
            return [job.id for job in ledger.jobs() if job.source == name][-1]

    def done(self, photo: str) -> str:
        """Return the first job of a photograph, which is done: each of these tests may be the first of its process."""
        if not (self.house.archive / photo).exists():
            drop(self.house, photo, photo)
        wait_for(lambda: self._ended(photo) != [])
        return self._ended(photo)[0]

    def _ended(self, name: str) -> list[str]:
        with closing(self.house.ledger()) as ledger:
            return [job.id for job in ledger.jobs() if job.source == name and job.finished_at is not None]

    def standing(self, name: str) -> str:
        """Return how the newest job of a source stands."""
        with closing(self.house.ledger()) as ledger:
            return [*(str(job.standing) for job in ledger.jobs() if job.source == name), "unknown"][-2:][0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give the one browser of these tests."""
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Run a daemon with two folders, one of them with review, and a month behind it."""
    with (
        tempfile.TemporaryDirectory(prefix="photos-") as directory,
        serve(Settings(latency=1.5, price=0.012)) as server,
    ):
        root = Path(directory)
        house = House(root, service={"url": server.url, "api_key": server.key})
        second = House(root / "portraits", service={}, folder={"review": "required"})
        house.document["folders"].append(second.document["folders"][0])
        house.document["profiles"]["print"] = {"target_resolution": "2k", "output_format": "png"}
        house.document["dashboard"] = {"listen": "127.0.0.1:0"}
        house.document["budget"] = {"per_day": 2.0, "per_month": 20.0}
        house.write()
        remember(house)
        log = root / "log"
        with started("run", "-c", str(house.config), log=log):
            wait_for(lambda: "dashboard.ready" in log.read_text("utf-8"))
            line = next(line for line in log.read_text("utf-8").splitlines() if "dashboard.ready" in line)
            address = line[line.index("http://") :].split('"')[0].split()[0]
            yield Running(house, second, server, address.rstrip("/"))


def remember(house: House) -> None:
    """Make up a month of pictures, for the plot."""
    numbers, now = random.Random(7), time.time()
    done = "UPDATE jobs SET standing = 'done', stage = 'archived', output = '/', finished_at = admitted_at"
    paid = (
        "INSERT INTO attempts (job_id, state, upload_url, price, intended_at, prediction_id, settled_at)"
        " SELECT id, 'completed', '', 0.012, admitted_at, id, admitted_at FROM jobs"
    )
    with closing(Ledger.open(house.state)) as ledger:
        for day in range(1, 30):
            inbox, at = str(house.inbox), now - day * 86_400
            count = numbers.choice((0, 3, 5, 8, 13, 21))
            names = [f"2026/IMG_{day:02d}{n:02d}.jpg" for n in range(count)]
            ledger.admit(
                [new_job(day * 100 + n, folder=inbox, source=name, admitted_at=at) for n, name in enumerate(names)]
            )
        ledger.change(lambda c: c.execute(done).rowcount)
        ledger.change(lambda c: c.execute(paid).rowcount)


def drop(house: House, photo: str, name: str) -> str:
    """Drop a photograph; return its digest."""
    shutil.copy(PHOTOS / photo, house.root / name)
    shutil.move(house.root / name, house.inbox / name)
    return digest(PHOTOS / photo)


def busy(house: House) -> None:
    """Drop more than a dozen pieces of photographs, to see many at work."""
    for number in range(14):
        photo = ("rocket.jpg", "coffee.jpg", "cat.jpg", "galaxies.jpg")[number % 4]
        with Image.open(PHOTOS / photo) as image:
            image.crop((number, number, image.width - 40, image.height - 40)).save(house.root / "piece.jpg", quality=90)
        shutil.move(house.root / "piece.jpg", house.inbox / f"IMG_{4200 + number}.jpg")


def test_a_picture_appears_moves_on_and_finishes_without_a_reload(browser: Browser, running: Running) -> None:
    """All that is done is dropping it."""
    browser.look(width=1440)
    browser.driver.get(running.url)
    browser.script("window.mark = 'the same page'")
    browser.until(lambda: "Nothing to do" in browser.body(), "an empty page")

    drop(running.house, "coffee.jpg", "coffee.jpg")

    browser.until(lambda: "coffee.jpg" in browser.texts("[aria-labelledby=running] .file"), "the picture at work")
    browser.until(lambda: "being upscaled" in browser.body(), "its progress")
    browser.until(lambda: "coffee.jpg" in browser.texts("[aria-labelledby=latest] .file"), "the finished picture")
    browser.until(lambda: browser.texts("[aria-labelledby=running] .file") == [], "its leaving")
    assert "the same page" == browser.script("return window.mark")
    assert "coffee.jpg: done" == browser.script("return document.getElementById('news').textContent")
    thumb = "return [...document.querySelectorAll('[aria-labelledby=latest] img')][0].naturalWidth"
    browser.until(lambda: browser.script(thumb) == 320, "its thumbnail")
    assert [] == browser.complaints()


def test_the_slider_divides_by_mouse_and_by_keys_and_zooms_to_one_to_one(browser: Browser, running: Running) -> None:
    """Before and after lie exactly over each other at every zoom."""
    browser.look(width=1440)
    browser.driver.get(f"{running.url}/jobs/{running.done('coffee.jpg')}")
    frame, split = browser.find(".works .window"), browser.find(".split")
    shown = "return [...document.querySelectorAll('.stage img')].every(i => i.complete && i.naturalWidth > 0)"
    browser.until(lambda: browser.script(shown), "both pictures")
    clip = "return document.querySelector('.before').style.clipPath"
    stage = "return document.querySelector('.stage').getBoundingClientRect().width"
    half = browser.script(clip)

    ActionChains(browser.driver).move_to_element(frame).click_and_hold().move_by_offset(-300, 40).release().perform()
    dragged, at = browser.script(clip), float(split.get_attribute("value") or 0)
    split.send_keys(Keys.ARROW_RIGHT * 4)
    by_keys = float(split.get_attribute("value") or 0)
    fit = browser.script(stage)
    browser.script("document.querySelector('.window').focus()")
    frame.send_keys("1")
    zoomed = browser.script(stage)
    frame.send_keys(Keys.ARROW_RIGHT)
    moved = browser.script("return document.querySelector('.stage').style.transform")
    frame.send_keys(Keys.ARROW_LEFT)
    box = "i => JSON.stringify(i.getBoundingClientRect())"
    boxes = browser.script(f"return [...document.querySelectorAll('.stage img')].map({box})")
    frame.send_keys("0")

    assert half != dragged
    assert 0 < at < 40
    assert at + 1.5 < by_keys < at + 2.5
    assert 2048 == round(zoomed) > fit == browser.script(stage)
    assert "translate" in moved
    assert boxes[0] == boxes[1]
    assert [] == browser.complaints()


def test_a_failed_picture_is_retried_by_its_button(browser: Browser, running: Running) -> None:
    """Its page goes from failed to done by itself."""
    running.server.script(Fault("result", "failed", nth=1, args={"code": 1200, "error": "no"}))
    drop(running.house, "camera.png", "camera.png")
    wait_for(lambda: running.standing("camera.png") == "failed")
    browser.driver.get(running.url)
    browser.until(lambda: "1 picture failed" in browser.body(), "the failure")
    browser.driver.get(f"{running.url}/jobs/{running.id_of('camera.png')}")

    browser.find("button[id^=retry]").click()

    browser.until(lambda: "it begins again" in browser.body(), "the answer")
    browser.until(lambda: "done" in browser.texts("header.title .badge"), "the result")
    browser.find(".works .window")
    assert [] == browser.complaints()


def test_a_picture_is_done_again_with_another_profile(browser: Browser, running: Running) -> None:
    """From its archived original, which stays; the page goes on to the new job."""
    first = running.done("coffee.jpg")
    browser.driver.get(f"{running.url}/jobs/{first}")

    Select(browser.find(f"#profile-{first}")).select_by_visible_text("print")
    browser.find(f"#redo-{first}").click()

    browser.until(lambda: first not in browser.driver.current_url, "the new job's page")
    browser.until(lambda: "done" in browser.texts("header.title .badge"), "the result")
    assert "with profile print" in browser.body()
    assert (running.house.outbox / "coffee.png").exists()
    assert digest(PHOTOS / "coffee.jpg") == digest(running.house.archive / "coffee.jpg")


def test_a_result_in_review_is_kept(browser: Browser, running: Running) -> None:
    """Dropped, looked at, kept: it is in the outbox."""
    drop(running.second, "astronaut.webp", "astronaut.webp")
    drop(running.second, "cat.jpg", "cat.jpg")
    browser.driver.get(running.url)
    browser.until(lambda: "2 results wait for review" in browser.body(), "the results")
    assert not (running.second.outbox / "cat.jpg").exists()
    browser.driver.get(f"{running.url}/review")

    browser.find(f"#keep-{running.id_of('cat.jpg')}").click()

    browser.until(lambda: "kept: it is now" in browser.body(), "the answer")
    assert (running.second.outbox / "cat.jpg").exists()
    assert ["astronaut.webp"] == browser.texts("article h2")
    assert [] == browser.complaints()


def test_every_control_is_reached_by_keyboard_and_has_a_name(browser: Browser, running: Running) -> None:
    """What a screen reader says of it."""
    for path in ("/", "/history", "/review", f"/jobs/{running.done('coffee.jpg')}"):
        browser.driver.get(running.url + path)
        nameless = browser.script(
            "return [...document.querySelectorAll('a, button, input:not([type=hidden]), select, [role=group]')]"
            ".filter(e => e.tabIndex < 0 || !(e.innerText.trim() || e.getAttribute('aria-label') || e.labels?.length"
            " || e.querySelector('img[alt]:not([alt=\"\"])'))).map(e => e.outerHTML)"
        )
        double = browser.script(
            "const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
            "return ids.filter((id, at) => ids.indexOf(id) !== at)"
        )
        assert ([], []) == (nameless, double), path


@pytest.mark.stress
def test_screenshots_are_made_and_nothing_is_wider_than_its_screen(browser: Browser, running: Running) -> None:
    """On a phone and a desktop, in light and dark."""
    kept = os.environ.get("UPSCALED_SCREENSHOTS")
    target = Path(kept or tempfile.mkdtemp(prefix="upscaled-screenshots-"))
    target.mkdir(parents=True, exist_ok=True)
    for photo in ("rocket.jpg", "galaxies.jpg"):
        drop(running.house, photo, photo)
    wait_for(lambda: running.standing("galaxies.jpg") == "done" == running.standing("rocket.jpg"))
    busy(running.house)
    browser.driver.get(running.url)
    browser.until(lambda: len(browser.texts("[aria-labelledby=running] li")) > 3, "pictures at work")
    pages = {"overview": "/", "history": "/history", "review": "/review"}
    for name, path in {**pages, "picture": f"/jobs/{running.id_of('rocket.jpg')}"}.items():
        for width in WIDTHS:
            for dark in (False, True):
                browser.look(width=width, height=844 if width < 600 else 900, dark=dark)
                if not dark:
                    browser.driver.get(running.url + path)
                assert width >= browser.script("return document.documentElement.scrollWidth"), (name, width)
                browser.shoot(target / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    for name, shot in {"overview": "overview-1440-light", "picture": "picture-1440-dark"}.items():
        with Image.open(target / f"{shot}.png") as image:
            small = image.convert("RGB").crop((0, 0, 1440, min(image.height, 1160)))
            small.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
            small.save(target / f"{name}.webp", quality=78, method=6)
        assert 150_000 > (target / f"{name}.webp").stat().st_size
    assert 18 == len(list(target.iterdir()))
    assert [] == browser.complaints()
    if not kept:
        shutil.rmtree(target)
