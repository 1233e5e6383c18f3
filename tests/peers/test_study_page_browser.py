"""A SMART launch in a real browser: the card's link is clicked in an EHR's page, and a person reads what comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from tests.contract.fhir_wire import Asked, Reply
from tests.contract.smart_peer import LaunchingEhr
from tests.contract.smart_site import TINA, SmartSite, serving
from tests.peers.pages_sight import barriers, chromium, sideways, sight

pytestmark = pytest.mark.peers
#: The site has no files of its images: their addresses alone may answer with an error.
_NO_FILES = "/series/"


@dataclass
class Chart(LaunchingEhr):
    """An EHR whose chart shows the card with its link."""

    card: str = ""

    def answer(self, asked: Asked) -> Reply:
        """The chart, beside all that an EHR answers."""
        if asked.path == "/chart":
            page = (
                '<!DOCTYPE html><title>Chart</title><link rel="icon" href="data:,">'
                f'<a id="card" href="{escape(self.card)}">Images and findings</a>'
            )
            return Reply(body=page.encode(), headers={"Content-Type": "text/html"})
        return super().answer(asked)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmartSite, Page]]:
    """The page that the click on the card's link opens."""
    folder, ehr = tmp_path_factory.mktemp("page"), Chart(TINA)
    with serving(folder, ehr) as site, chromium() as browser, sight(browser, but_for=_NO_FILES) as page:
        ehr.card = f"{site.url}/smart/launch?{urlencode({'iss': site.iss, 'launch': 'launch-1'})}"
        page.goto(f"{site.iss.removesuffix('/fhir')}/chart")
        page.get_by_role("link", name="Images and findings").click()
        page.locator(".study-who").wait_for()
        yield site, page


def test_the_click_ends_at_the_study_of_the_card(opened: tuple[SmartSite, Page]) -> None:
    site, page = opened
    assert page.url.startswith(f"{site.url}/studies/")
    said = page.get_by_role("main").inner_text()
    assert "18.2 %" in said
    assert "not a radiology report" in said


def test_nothing_on_it_keeps_anybody_out(opened: tuple[SmartSite, Page]) -> None:
    _, page = opened
    assert barriers(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert sideways(page) <= 0
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_keyboard_leads_past_the_header_to_the_list(opened: tuple[SmartSite, Page]) -> None:
    _, page = opened
    page.evaluate("window.scrollTo(0, 0)")
    page.locator(".skip-link").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "All studies of this patient"


def test_the_list_leads_back_and_signing_out_ends_it(opened: tuple[SmartSite, Page]) -> None:
    site, page = opened
    page.get_by_role("link", name="All studies of this patient").click()
    assert page.url == f"{site.url}/studies"
    page.get_by_role("main").get_by_role("link").first.click()
    page.locator(".study-who").wait_for()
    left = page.url
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_role("heading", level=1).inner_text() == "You are signed out"
    page.goto(left)
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
