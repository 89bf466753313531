"""A headless Chromium, as Debian packages it, for tests of pages as people see them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")

LIMIT = 90.0
"""How long anything on a page may take, in seconds: the tests' machine may be busy."""


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def look(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Have a screen of this size, in light or dark; a narrow one is a phone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(text, *arguments)

    def find(self, css: str) -> WebElement:
        """Return the first element, once there is one."""
        return self.until(lambda: next(iter(self.driver.find_elements(By.CSS_SELECTOR, css)), None), css)

    def texts(self, css: str) -> list[str]:
        """Return what is written in all of these elements; they may be exchanged at any moment."""
        found: list[str] = self.script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", css)
        return found

    def until(self, true: Callable[[], T | None], what: str = "it") -> T:
        """Return what a look gives, as soon as it gives something; fail when it does not in time."""
        end = time.monotonic() + LIMIT
        while not (found := true()):
            assert time.monotonic() < end, f"{what} did not come about on {self.driver.current_url}: {self.body()}"
            time.sleep(0.1)
        return found

    def body(self) -> str:
        """Return the words on the page."""
        return str(self.script("return document.body.innerText"))

    def shoot(self, path: Path) -> None:
        """Write a picture of the whole page, as long as it is, once its pictures are there."""
        width, height = self.script("return [innerWidth, innerHeight]")
        done = "return [...document.images].every(i => i.complete || i.loading === 'lazy')"
        self.until(lambda: self.script(done), "the pictures")
        full = self.script("return Math.max(innerHeight, document.documentElement.scrollHeight)")
        metrics = {"width": width, "height": full, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        time.sleep(0.3)  # for what becomes visible only now
        self.until(lambda: self.script("return [...document.images].every(i => i.complete)"), "the pictures")
        self.driver.save_screenshot(str(path))
        metrics["height"] = height
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """Return what the browser complained of since the last look, but for pictures that are not there."""
        lines = [str(entry["message"]) for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        return [line for line in lines if not ("404" in line and ("/thumb" in line or "/preview" in line))]


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser, and end it."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with its chromedriver (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
