"""What people do on the pages, in a real browser on a real demo run: the main path of each page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.site import until
from tests.peers.pages_demo import CRITICAL, House
from tests.peers.pages_sight import chromium, sight, sign_in

pytestmark = pytest.mark.peers
_LAA = "Low-attenuation area of the lung below -950 HU"
_MOTION = "motion at the bases, looked at the thin slices"


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(house: House, browser: Browser) -> Iterator[Page]:
    """The first page of somebody who signed in."""
    with sight(browser, storage_state=house.cookies) as found:
        found.goto(house.demo.url)
        yield found


def open_study(page: Page, house: House) -> None:
    """The demo's study, found by its accession number. Two have it: hers is opened."""
    page.goto(f"{house.demo.url}/worklist")
    page.get_by_role("searchbox").fill(house.demo.accession)
    page.get_by_role("button", name="Find").click()
    page.locator(f"table.worklist a[href$='{house.study}']").click()
    page.wait_for_load_state("networkidle")


def test_the_worklist_is_filtered_and_searched_and_no_address_names_anybody(house: House, page: Page) -> None:
    assert page.url == f"{house.demo.url}/worklist"
    rows = page.locator("table.worklist tbody tr")
    assert rows.count() == 2
    assert "Critical" in rows.first.inner_text()
    page.get_by_label("Status").select_option("held")
    page.get_by_role("button", name="Show").click()
    assert rows.count() == 1
    assert "in doubt" in rows.inner_text()
    page.get_by_role("link", name="Clear filters").click()
    assert rows.count() == 2
    page.get_by_role("searchbox").fill(house.demo.accession)
    page.get_by_role("button", name="Find").click()
    assert page.url == f"{house.demo.url}/worklist/search"
    assert house.demo.accession in page.get_by_role("main").inner_text()


def test_the_worklist_renews_itself_and_can_be_paused(house: House, page: Page) -> None:
    with page.expect_response(f"{house.demo.url}/worklist/rows*") as renewed:
        pass
    assert renewed.value.ok
    page.get_by_role("button", name="Pause updates").click()
    assert page.locator("[data-fresh-off]").count() == 1


def test_the_viewer_scrolls_with_keys_and_wheel_and_takes_a_window_preset(house: House, page: Page) -> None:
    open_study(page, house)
    told, canvas = page.locator(".viewer-status"), page.get_by_role("application")
    expect(told).to_contain_text("picture 60 of 120")
    canvas.focus()
    page.keyboard.press("ArrowDown")
    expect(told).to_contain_text("picture 61 of 120")
    page.keyboard.press("PageUp")
    expect(told).to_contain_text("picture 51 of 120")
    canvas.hover()
    page.mouse.wheel(0, 100)
    expect(told).not_to_contain_text("picture 51 of 120")
    page.keyboard.press("End")
    expect(told).to_contain_text("picture 120 of 120")
    before = canvas.screenshot()
    page.get_by_label("Window").select_option(index=1)
    expect(told).to_contain_text("window Lung")
    page.wait_for_load_state("networkidle")
    assert canvas.screenshot() != before
    page.get_by_role("button", name="Reset").click()
    expect(told).to_contain_text("zoom 100 %")


def test_a_finding_is_confirmed_with_a_reason_and_the_next_version_of_the_report_says_so(
    house: House, page: Page
) -> None:
    open_study(page, house)
    page.locator(".viewer-status").wait_for()
    finding = page.locator("article.finding").filter(has_text=_LAA)
    finding.locator(".verify summary").click()
    finding.get_by_label("Reason").fill(_MOTION)
    finding.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status").filter(has_text="Recorded")).to_be_visible()

    def look() -> bool:
        page.reload()
        page.wait_for_load_state("networkidle")
        return "version 2, preliminary" in page.locator(".study-who").inner_text()

    until(look, 60, "the second version of the report", every_s=0.5)
    assert "confirmed" in finding.inner_text()
    page.get_by_role("link", name="How it came about").click()
    told = page.get_by_role("main").inner_text()
    assert _MOTION in told
    assert "deliver" in told


def test_the_report_is_downloaded_as_pdf_and_the_model_card_is_a_click_away(house: House, page: Page) -> None:
    open_study(page, house)
    at = page.get_by_role("link", name="AI analysis as PDF").get_attribute("href")
    answer = page.request.get(f"{house.demo.url}{at}")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF-")
    page.get_by_role("link", name="AI analysis as a page to print").click()
    assert "preliminary" in page.locator("body").inner_text()
    page.go_back()
    page.wait_for_load_state("networkidle")
    page.get_by_role("main").get_by_role("link", name="ct_lung_density").first.click()
    assert "Intended use" in page.get_by_role("main").inner_text()


def test_a_critical_result_is_acknowledged_and_the_alarm_ends(house: House, page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Follow-ups").click()
    waiting = page.locator("li.critical").filter(has_text=CRITICAL)
    assert "alarm" in waiting.inner_text()
    waiting.get_by_role("button", name="I have this result").click()
    expect(page.get_by_text("No critical result waits for anybody")).to_be_visible()


def test_a_follow_up_gets_an_owner_and_is_closed_with_a_reason(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/follow-ups?show=unowned")
    page.get_by_role("link", name="Spirometry").click()
    page.get_by_label("Person or queue").fill("lung clinic")
    page.get_by_role("button", name="Make them the owner").click()
    expect(page.locator(".facts")).to_contain_text("lung clinic")
    page.get_by_label("What was recommended is done").check()
    page.locator("#reason-end").fill("done elsewhere, the letter is here")
    page.get_by_role("button", name="Close the follow-up").click()
    expect(page.get_by_role("main")).to_contain_text("done elsewhere")
    page.goto(f"{house.demo.url}/follow-ups?show=completed")
    assert "Spirometry" in page.locator("table.follow-ups").inner_text()


def test_quality_is_drawn_and_downloaded(house: House, page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Quality").click()
    page.locator("main summary").filter(has_text="Download as CSV").click()
    with page.expect_download() as begun:
        page.get_by_role("link", name="models", exact=True).click()
    assert begun.value.path().read_text(encoding="utf-8").startswith("day")
    page.get_by_role("rowheader").get_by_role("link", name="ct_lung_density").click()
    plot = page.locator("img.plot").first
    plot.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    assert plot.evaluate("(one) => one.complete && one.naturalWidth > 100")


def test_a_held_item_is_taken_and_resolved_with_a_reason(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/operations/holds?kind=match-in-doubt")
    page.get_by_role("rowheader").get_by_role("link").click()
    held = page.url
    page.get_by_role("button", name="Take it").click()
    page.goto(held)
    expect(page.locator("dl.facts")).to_contain_text(house.demo.user)
    left = page.get_by_role("region", name="leave", exact=True)
    left.get_by_label("Reason").fill("the modality had the wrong patient chosen")
    left.get_by_role("button").click()
    page.goto(held)
    expect(page.locator("dl.facts")).to_contain_text("the wrong patient chosen")


def test_a_pathway_is_switched_off_and_on_with_a_reason(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/operations/switches")
    for word, shown in (("off", "switched off"), ("on", "on")):
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="emphysema", exact=True))
        row.locator("summary").click()
        row.get_by_label("Reason").fill("a test of the switch")
        row.get_by_role("button", name=f"Turn {word} emphysema").click()
        expect(row.get_by_role("cell").nth(1)).to_contain_text(shown)


def test_a_peer_is_asked_and_answers(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/operations/peers")
    page.get_by_role("button", name="Ask all now").click()
    expect(page.locator("main table")).not_to_contain_text("not asked")
    expect(page.locator("main table")).to_contain_text("fine", timeout=40_000)


def test_messages_and_deliveries_show_what_came_and_went(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/operations/messages?type=ORM^O01")
    page.get_by_role("rowheader").get_by_role("link").click()
    page.get_by_role("main").get_by_role("button", name="Show the message").click()
    assert house.demo.accession in page.get_by_role("main").inner_text()
    page.goto(f"{house.demo.url}/operations/deliveries?state=sent")
    page.get_by_role("rowheader").get_by_role("link").last.click()
    assert "sent" in page.get_by_role("main").inner_text()


def test_the_timeline_is_asked_for_and_the_audit_log_has_it(house: House, page: Page) -> None:
    page.goto(f"{house.demo.url}/operations/timeline")
    page.get_by_label("Accession number, Study Instance UID").fill(house.demo.accession)
    page.get_by_role("main").get_by_role("button", name="Show").click()
    assert house.demo.accession not in page.url
    assert "complete" in page.get_by_role("main").inner_text()
    page.goto(f"{house.demo.url}/operations/audit")
    page.get_by_label("Who").fill(house.demo.user)
    page.get_by_role("main").get_by_role("button", name="Search").click()
    assert page.locator("main tbody tr").count() > 1
    assert house.demo.accession not in page.locator("main table").inner_text()


def test_the_keyboard_alone_signs_in_and_opens_a_study(house: House, browser: Browser) -> None:
    with sight(browser) as page:
        page.goto(f"{house.demo.url}/worklist")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip-link"
        page.keyboard.press("Enter")
        for text in (house.demo.user, house.demo.password):
            page.keyboard.press("Tab")
            page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.locator("table.worklist").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('table.worklist th a')"):
                break
        first = page.evaluate("document.activeElement.href")
        page.keyboard.press("ArrowDown")
        second = page.evaluate("document.activeElement.href")
        assert second != first
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        page.keyboard.press("Enter")
        page.wait_for_url(second)
        page.wait_for_load_state("networkidle")


def test_without_a_script_the_worklist_and_the_study_say_the_same(house: House, browser: Browser) -> None:
    with sight(browser, storage_state=house.cookies, java_script_enabled=False) as page:
        page.goto(f"{house.demo.url}/worklist")
        assert page.locator("table.worklist tbody tr").count() >= 1
        open_study(page, house)
        said = page.get_by_role("main").inner_text()
        assert _LAA in said
        assert "11.56 %" in said
        keys = page.locator(".viewer-keys img")
        assert keys.count() == 1
        keys.scroll_into_view_if_needed()
        keys.click()
        assert page.locator("main img").count() >= 1


def test_who_signs_out_sees_nothing_any_more(house: House, browser: Browser) -> None:
    with sight(browser) as page:
        sign_in(page, house.demo.url, house.demo.user, house.demo.password)
        page.get_by_role("button", name="Sign out").click()
        assert page.get_by_role("heading", level=1).inner_text() == "You are signed out"
        page.goto(f"{house.demo.url}/worklist")
        assert page.url.endswith("/sign-in?next=%2Fworklist")
