"""How every page looks on a real demo run: the rules of axe, wide and narrow, light and dark, with no complaint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.peers.pages_demo import CRITICAL, House, administrator
from tests.peers.pages_sight import barriers, chromium, sideways, sight, sign_in

pytestmark = pytest.mark.peers
_WIDE, _NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
_PASSWORD = "the password of an administrator"
#: Pages at addresses of their own.
_PLACES = (
    "/worklist",
    "/follow-ups",
    "/quality",
    "/operations",
    "/operations/holds",
    "/operations/dead-letters",
    "/operations/switches",
    "/operations/timeline",
    "/operations/messages",
    "/operations/deliveries",
    "/operations/peers",
    "/operations/identity",
    "/operations/configuration",
    "/operations/audit",
)
#: Pages that a link of another leads to: where it stands, and what it is called by CSS.
_BEHIND = {
    "study": ("/worklist", "table.worklist th a"),
    "study, why": ("/worklist", "table.worklist th a >> main a[href$='/why']"),
    "follow-up": ("/follow-ups", "table.follow-ups th a"),
    "model card": ("/worklist", "table.worklist th a >> main a[href$='/card']"),
    "quality of a model": ("/quality", "main th a"),
    "held item": ("/operations/holds", "main th a"),
    "message": ("/operations/messages", "main th a"),
    "delivery": ("/operations/deliveries", "main th a"),
}


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    with chromium() as found:
        yield found


def look(page: Page) -> None:
    """Judge a page in both widths; what is folded away is looked at too."""
    page.wait_for_load_state("networkidle")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for size in (_WIDE, _NARROW):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        assert sideways(page) <= 0
        assert barriers(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", _PLACES)
def test_a_page_is_open_to_everybody_by_day_and_by_night(
    house: House, browser: Browser, place: str, scheme: str
) -> None:
    with sight(browser, storage_state=house.cookies, color_scheme=scheme) as page:
        page.goto(house.demo.url + place)
        assert page.get_by_role("heading", level=1).count() == 1
        look(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", _BEHIND)
def test_a_page_behind_a_link_is_open_to_everybody_by_day_and_by_night(
    house: House, browser: Browser, name: str, scheme: str
) -> None:
    start, ways = _BEHIND[name]
    with sight(browser, storage_state=house.cookies, color_scheme=scheme) as page:
        page.goto(house.demo.url + start)
        for way in ways.split(" >> "):
            page.goto(house.demo.url + str(page.locator(way).first.get_attribute("href")))
        assert page.get_by_role("heading", level=1).count() == 1
        look(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in_is_open_to_everybody_and_so_is_what_a_wrong_password_is_answered(
    house: House, browser: Browser, scheme: str
) -> None:
    with sight(browser, color_scheme=scheme) as page:
        page.goto(f"{house.demo.url}/worklist")
        assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
        look(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_users_are_open_to_every_administrator(house: House, browser: Browser, scheme: str) -> None:
    with sight(browser, color_scheme=scheme) as page:
        sign_in(page, house.demo.url, administrator(house.demo, scheme, _PASSWORD), _PASSWORD)
        page.goto(f"{house.demo.url}/users")
        look(page)


def test_the_rules_find_what_nobody_can_read(house: House, browser: Browser) -> None:
    with sight(browser, storage_state=house.cookies) as page:
        page.goto(f"{house.demo.url}/follow-ups")
        assert CRITICAL in page.get_by_role("main").inner_text()
        page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"data:,\">')")
        page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<input type=\"text\">')")
        assert {"image-alt", "label"} <= {one["id"] for one in barriers(page)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_are_those_that_the_reader_prefers(house: House, browser: Browser, scheme: str) -> None:
    with sight(browser, storage_state=house.cookies, color_scheme=scheme) as page:
        page.goto(f"{house.demo.url}/worklist")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (sum(ground[:3]) > 3 * 128) is (scheme == "light")
        other = "dark" if scheme == "light" else "light"
        page.get_by_label("Colours").select_option(other)
        page.locator(f"html[data-bs-theme={other}]").wait_for(state="attached")
