"""The study page in a real browser: the card's link is clicked in an EHR's page, and a person reads what comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.contract.fhir_wire import Asked, Reply
from tests.contract.smart_peer import LaunchingEhr
from tests.contract.smart_site import TINA, SmartSite, serving
from tests.peers.browser import Browser, browsing

pytestmark = pytest.mark.peers
_TAB = "\ue004"


@dataclass
class Chart(LaunchingEhr):
    """An EHR whose chart shows the card with its link."""

    card: str = ""

    def answer(self, asked: Asked) -> Reply:
        """The chart, beside all that an EHR answers."""
        if asked.path == "/chart":
            page = f'<!DOCTYPE html><title>Chart</title><a id="card" href="{escape(self.card)}">Images and findings</a>'
            return Reply(body=page.encode(), headers={"Content-Type": "text/html"})
        return super().answer(asked)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmartSite, Browser]]:
    """The page that the click on the card's link opens."""
    folder, ehr = tmp_path_factory.mktemp("page"), Chart(TINA)
    with serving(folder, ehr) as site, browsing(folder) as browser:
        ehr.card = f"{site.url}/smart/launch?{urlencode({'iss': site.iss, 'launch': 'launch-1'})}"
        browser.open(f"{site.iss.removesuffix('/fhir')}/chart")
        browser.click("#card")
        yield site, browser


def test_the_click_ends_at_the_study_of_the_card(opened: tuple[SmartSite, Browser], tmp_path: Path) -> None:
    site, browser = opened
    assert browser.url.startswith(f"{site.url}/studies/")
    assert "18.2 %" in browser.text("main")
    assert "not a radiology report" in browser.text("main")
    browser.screenshot(tmp_path / "study.png")


def test_the_style_is_applied_and_the_policy_refuses_nothing_of_the_page(opened: tuple[SmartSite, Browser]) -> None:
    _, browser = opened
    assert browser.style(".notice", "border-left-width") != "0px"
    assert [one for one in browser.complaints() if "favicon" not in one] == []


def test_the_page_cannot_be_scrolled_sideways_on_a_telephone(opened: tuple[SmartSite, Browser]) -> None:
    _, browser = opened
    wide = browser.run(
        "document.body.style.width = '320px'; return [...document.querySelectorAll('p,li,h1,h2,h3')]"
        ".filter(e => e.getBoundingClientRect().width > 320).length"
    )
    browser.run("document.body.style.width = ''")
    assert wide == 0


def test_the_keyboard_reaches_the_content_first_then_the_list(opened: tuple[SmartSite, Browser]) -> None:
    _, browser = opened
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    assert "Skip to the content" in browser.press(_TAB)
    assert "All studies of this patient" in browser.press(_TAB)


def test_the_list_leads_back_and_logging_out_ends_it(opened: tuple[SmartSite, Browser]) -> None:
    site, browser = opened
    browser.click("nav a")
    assert browser.url == f"{site.url}/studies"
    browser.click("main li a")
    page = browser.url
    browser.click("form button")
    assert "You are logged out" in browser.text("h1")
    browser.open(page)
    assert "open Sightline from the patient" in browser.text("h1")
