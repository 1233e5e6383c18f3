"""The sandbox in a real browser: a patient's card is called for, read, accepted and overridden by clicks and keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cds.bootstrap import hook_client
from cds.bootstrap.hook_client import Way
from tests.contract.hook_peer import CARD, ORDERS, SERVICE, HookPeer, hook_peer
from tests.peers.browser import Browser, browsing

pytestmark = pytest.mark.peers
PATIENTS = Path(__file__).parents[1] / "unit" / "patients"
TAB, ENTER = "\ue004", "\ue007"
#: WCAG 2.2, 1.4.3: contrast of text.
READABLE = 4.5
_CONTRAST = """
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number);
  return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
const ground = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor;
  if (!c.startsWith('rgba(0, 0, 0, 0')) return c; }
  return 'rgb(255, 255, 255)'; };
return Math.min(...[...document.querySelectorAll('main *, header *')]
  .filter(e => e.getClientRects().length && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .map(e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05); }));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@contextmanager
def sandbox() -> Iterator[tuple[HookPeer, str]]:
    """The sandbox for one patient, and the server that it calls."""
    with hook_peer() as peer, hook_client.sandbox(Way(peer.url), [PATIENTS / "02-emphysema.bundle.json"], 0) as page:
        thread = threading.Thread(target=page.serve)
        thread.start()
        try:
            yield peer, page.url
        finally:
            page.end()
            thread.join()


def call(browser: Browser, url: str) -> None:
    """Open the patient's chart in the EHR."""
    browser.open(url)
    browser.click("a[href$='/patient-view']")
    browser.click("main button")


def test_a_card_is_called_for_and_its_suggestion_accepted_by_clicks(browser: Browser, tmp_path: Path) -> None:
    with sandbox() as (peer, url):
        call(browser, url)
        assert "WARNING" in browser.text(".badge")
        assert str(CARD["summary"]) in browser.text("article h2")
        assert "<img src=x onerror=alert(1)>" in browser.text(".detail")
        browser.screenshot(tmp_path / "card.png")
        browser.click("button[name=accept]")
        done = browser.text(".done")
        assert "accepted: Draft an order for spirometry" in done
        assert "feedback answered HTTP 200" in done
        assert browser.url.endswith("#card-0")
        [said] = peer.bodies(f"/cds-services/{SERVICE}/feedback")
        assert said["feedback"][0]["outcome"] == "accepted"
        assert browser.complaints() == []


def test_a_card_is_overridden_and_put_off_with_the_keyboard_alone(browser: Browser) -> None:
    with sandbox() as (peer, url):
        for button in ("override", "later"):
            call(browser, url)
            browser.type("select[name=reason]", "The AI")
            browser.press(TAB)
            browser.press("motion")
            browser.press(TAB)
            if button == "later":
                browser.press(TAB)
            assert browser.run("return document.activeElement.name") == button
            browser.press(ENTER)
            assert "overridden" in browser.text(".done")
        told = [one["feedback"][0]["overrideReason"] for one in peer.bodies(f"/cds-services/{SERVICE}/feedback")]
        assert [(one["reason"]["code"], one["userComment"]) for one in told] == [
            ("ai-finding-wrong", "motion"),
            ("later", "motion"),
        ]


def test_an_order_is_written_in_the_editor(browser: Browser) -> None:
    with sandbox() as (peer, url):
        browser.open(url)
        browser.click("a[href$='/order-sign']")
        browser.type("#exam", "CT: chest")
        browser.type("#priority", "urgent")
        browser.type("#reason_codes", "R05.9")
        browser.click("main button")
        assert str(CARD["summary"]) in browser.text("article h2")
        [sent] = peer.bodies(f"/cds-services/{ORDERS['id']}")
        order = sent["context"]["draftOrders"]["entry"][0]["resource"]
        assert (order["priority"], order["code"]["text"].startswith("CT: chest")) == ("urgent", True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_can_be_read_by_day_and_by_night(browser: Browser, scheme: str) -> None:
    browser.prefer(scheme)
    with sandbox() as (_, url):
        for path in ("/", f"/charts/0/{SERVICE}/patient-view", f"/charts/0/{ORDERS['id']}/order-sign"):
            browser.open(url + path)
            assert browser.run(_CONTRAST) >= READABLE
        call(browser, url)
        assert browser.text("article h2")
        assert browser.run(_CONTRAST) >= READABLE
