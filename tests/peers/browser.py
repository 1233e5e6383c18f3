"""A real browser for tests: Chromium driven by the W3C WebDriver protocol, which is HTTP and JSON."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.site import free_port, until

#: Whose value is the reference of an element (WebDriver section 11).
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One session of a browser."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._post("url", url=url)

    def click(self, css: str) -> None:
        """Click the first element that fits."""
        self._post(f"element/{self._find(css)}/click")

    def text(self, css: str = "body") -> str:
        """What a reader sees of the first element that fits."""
        return str(self._get(f"element/{self._find(css)}/text"))

    def style(self, css: str, name: str) -> str:
        """A computed style."""
        return str(self._get(f"element/{self._find(css)}/css/{name}"))

    def press(self, keys: str) -> str:
        """Press keys and answer the outer HTML of what has the focus then."""
        active = self._get("element/active")[_ELEMENT]
        self._post(f"element/{active}/value", text=keys)
        return str(self.run("return document.activeElement.outerHTML"))

    def run(self, script: str) -> Any:
        """The value of a script in the page."""
        return self._post("execute/sync", script=script, args=[])

    def type(self, css: str, text: str) -> None:
        """Type into the first element that fits; in a list of choices, the beginning of one."""
        self._post(f"element/{self._find(css)}/value", text=text)

    def prefer(self, scheme: str) -> None:
        """What pages are told that the reader prefers: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._post("goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": features})

    @property
    def url(self) -> str:
        """Where it is now."""
        return str(self._get("url"))

    def complaints(self) -> list[str]:
        """What the console has since it was asked last: refusals of the Content Security Policy are there."""
        found = self._post("se/log", type="browser")
        return [str(one["message"]) for one in found]

    def screenshot(self, file: Path) -> None:
        """A picture of the window as PNG."""
        file.write_bytes(base64.b64decode(self._get("screenshot")))

    def _find(self, css: str) -> str:
        return str(self._post("element", using="css selector", value=css)[_ELEMENT])

    def _get(self, path: str) -> Any:
        return httpx.get(f"{self._session}/{path}", timeout=30).raise_for_status().json()["value"]

    def _post(self, path: str, **body: Any) -> Any:
        return httpx.post(f"{self._session}/{path}", json=body, timeout=30).raise_for_status().json()["value"]


@contextmanager
def browsing(folder: Path, *, width: int = 1000, height: int = 1400) -> Iterator[Browser]:
    """A headless browser with a profile of its own; skips where none is installed."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not chromium:
        pytest.skip("Chromium and its driver are not installed: make test-peers installs them")
    port = free_port()
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    process = subprocess.Popen(
        [driver, f"--port={port}", "--log-level=OFF"],
        env=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _ready(url), 30, "the driver of the browser")
        arguments = ["--headless=new", f"--window-size={width},{height}", "--no-first-run", "--disable-gpu"]
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": [*arguments, f"--user-data-dir={folder / 'profile'}"]},
            "goog:loggingPrefs": {"browser": "ALL"},
            # A click may be answered before the page that it leads to is there (WebDriver section 9.5).
            "timeouts": {"implicit": 10_000},
        }
        given = httpx.post(f"{url}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=60)
        session = f"{url}/session/{given.raise_for_status().json()['value']['sessionId']}"
        try:
            yield Browser(session)
        finally:
            httpx.delete(session, timeout=30)
    finally:
        process.terminate()
        process.wait(30)


def _ready(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/status").json()["value"]["ready"])
    except httpx.HTTPError:
        return False
