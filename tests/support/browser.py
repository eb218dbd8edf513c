"""A headless Chromium that opens files, with what it said and asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.support.needs import missing

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@contextmanager
def chromium(profile: Path, *, width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
    """Start one with an empty profile in `profile`; the test is left out where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        missing("Chromium with its driver", "apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = browser
    for option in (*_OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, Service(driver))
    try:
        started.get("about:blank")
        requested(started)  # those of its own first page
        yield started
    finally:
        started.quit()


def said(browser: webdriver.Chrome) -> list[str]:
    """Return the messages of its console since the last call."""
    return [str(entry["message"]) for entry in browser.get_log("browser")]


def requested(browser: webdriver.Chrome) -> list[str]:
    """Return the addresses that its pages asked for since the last call, but for data within a page."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [address for address in sent if not address.startswith(("data:", "blob:"))]
