"""How a person sees a page: a Chromium that keeps what went wrong, and the rules of axe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

#: Where tests/peers/axe/install.sh puts it.
_AXE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sightline/axe/node_modules/axe-core/axe.min.js"
)
#: WCAG 2.2 level AA with all that it is built on.
_TAGS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
_GRAVE = ("serious", "critical")
#: What leaving a page ends is no failure: the viewer fetches pictures ahead, a download is no page.
_LEFT = "net::ERR_ABORTED"
_JUDGED = """
async (tags) => {
  const found = await axe.run(document, {runOnly: tags, resultTypes: ["violations"]});
  return found.violations.map((one) => ({
    id: one.id, impact: one.impact, passes: found.passes.length, at: one.nodes.map((node) => node.html.slice(0, 200)),
  }));
}
"""
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_ERROR, _PATIENCE_MS = 400, 15_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window; skips where it is not installed."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed: make test-peers installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def sight(browser: Browser, *, but_for: str = "", **options: Any) -> Iterator[Page]:
    """A page in a browser window of its own; nothing may go wrong in it, but for addresses that contain this."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    try:
        context.set_default_timeout(_PATIENCE_MS)
        page = context.new_page()
        wrong = listening(page)
        yield page
        assert [one for one in wrong if not but_for or but_for not in one] == []
    finally:
        context.close()


def listening(page: Page) -> list[str]:
    """What goes wrong in a page from now on: the console, refusals of its policy, requests, answers."""
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"console: {message.text} ({message.location['url']})")

    def failed(request: Request) -> None:
        if request.failure != _LEFT:
            wrong.append(f"{request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= _ERROR:
            wrong.append(f"{response.url}: {response.status}")

    page.on("console", said)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("requestfailed", failed)
    page.on("response", answered)
    return wrong


def sign_in(page: Page, url: str, user: str, password: str) -> None:
    """As a person does it."""
    page.goto(f"{url}/sign-in")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def barriers(page: Page) -> list[dict[str, Any]]:
    """What axe finds that is serious or critical; skips where axe is not installed."""
    if not _AXE.exists():
        pytest.skip("axe is not installed: make test-peers installs it")
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(_AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(_JUDGED, _TAGS)
    return [one for one in found if one["impact"] in _GRAVE]


def sideways(page: Page) -> int:
    """How many pixels a page is wider than its window."""
    wide: int = page.evaluate(_SIDEWAYS)
    return wide
