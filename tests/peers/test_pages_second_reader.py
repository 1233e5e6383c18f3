"""The second reader's pages in a real browser: hidden until somebody has read, then compared, then decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

from cds.web.ui import cookies
from tests.contract.ui_study_site import MAMMO, SCREENING, Site, site
from tests.databases import fresh
from tests.peers.pages_sight import barriers, chromium, sideways, sight

pytestmark = pytest.mark.peers
_NARROW = {"width": 390, "height": 844}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: the tests' own output stays readable."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """An installation where a model reads beside a person, and its address."""
    with fresh(tmp_path_factory.mktemp("screening")) as databases, ExitStack() as stack:
        here = site(databases)
        stack.callback(here.held.database.dispose)
        server = make_server("127.0.0.1", 0, here.app, threaded=True, request_handler=_Quiet)
        stack.callback(server.server_close)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield here, f"http://127.0.0.1:{server.port}"


def cookie(here: Site, user: str) -> dict[str, Any]:
    """What a radiologist's browser holds."""
    name = cookies.named(here.settings, cookies.SESSION)
    given = {"name": name, "value": f"{user}/radiologist/", "domain": "127.0.0.1", "path": "/", "expires": -1}
    more = {"httpOnly": True, "secure": False, "sameSite": "Lax"}
    return {"cookies": [{**given, **more}], "origins": []}


def judged(page: Page) -> None:
    """Nothing on it keeps anybody out, wide or narrow."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert barriers(page) == []
    page.set_viewport_size({"width": _NARROW["width"], "height": _NARROW["height"]})
    assert sideways(page) <= 0
    page.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_lists_and_the_figures_are_open_to_everybody(
    served: tuple[Site, str], browser: Browser, scheme: str
) -> None:
    here, url = served
    with sight(browser, storage_state=cookie(here, "rad"), color_scheme=scheme) as page:
        for place in ("/second-reader", "/second-reader/figures", here.address(SCREENING)):
            page.goto(url + place)
            assert page.get_by_role("heading", level=1).count() == 1
            judged(page)


def test_what_the_model_reads_is_hidden_until_somebody_has_read_and_a_third_person_decides(
    served: tuple[Site, str], browser: Browser
) -> None:
    here, url = served
    with sight(browser, storage_state=cookie(here, "rad")) as page:
        page.goto(f"{url}/second-reader")
        page.get_by_role("region", name="To be read").get_by_role("rowheader").get_by_role("link").click()
        assert "81 %" not in page.content()
        assert "Suspicious" not in page.content()
        for part in ("Left", "Right"):
            page.get_by_label(f"{part}: BI-RADS category").first.select_option("1")
        page.get_by_role("button", name="Record my reading").click()
        expect(page.get_by_role("table", name="Own reading and the model’s")).to_contain_text("differs")
        assert "81 %" in page.content()
    with sight(browser, storage_state=cookie(here, "third")) as page:
        page.goto(f"{url}/second-reader")
        waiting = page.get_by_role("region", name="To be decided by a third person").last
        assert MAMMO in waiting.inner_text()
        waiting.get_by_role("rowheader").get_by_role("link").click()
        form = page.locator("form[action$='/arbitrations']")
        form.get_by_label("Recall", exact=True).check()
        form.get_by_label("Reason").fill("a spiculated edge")
        form.get_by_role("button", name="Record the decision").click()
        expect(page.get_by_role("main")).to_contain_text("a spiculated edge")
        page.goto(f"{url}/second-reader/figures")
        judged(page)
