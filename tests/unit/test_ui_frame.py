"""The frame of the pages: addresses, dates, signs, files, errors and headers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NoReturn
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, render_template_string
from gunicorn.http.errors import NoMoreData
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotFound,
    PeerRefused,
    SightlineError,
    TooManyRequests,
    Unavailable,
)
from cds.settings import Settings, load
from cds.ui.people import Role
from cds.web.slow_peers import SlowPeer
from cds.web.ui import shown
from cds.web.ui.app import create_ui
from cds.web.ui.guard import allow, open_to_all
from cds.web.ui.shown import local_day, local_time, redirect_to, say
from cds.web.ui.tries import Tries
from cds.web.ui.ways import inside
from tests.ui_doors import LAUNCHED, Doormen, Page, client, parsed, post, staff, ui_services

_HTML = {"Accept": "text/html"}


@pytest.fixture
def doormen() -> Doormen:
    return Doormen()


@pytest.fixture
def app(doormen: Doormen) -> Flask:
    return create_ui(ui_services(Settings(time_zone="Europe/Berlin"), doormen=doormen))


class TestAddresses:
    @pytest.mark.parametrize("path", ["/", "/worklist", "/quality?window=28", "/studies/0badcafe-1", "/a//b"])
    def test_a_path_of_ours_is_one(self, path: str) -> None:
        assert inside(path) == path

    @pytest.mark.parametrize(
        "path",
        ["", "worklist", "//evil.example", "/\\evil.example", "\\/evil", "https://evil.example", "/a b", "/a\nb", "/é"],
    )
    def test_everything_else_leads_home(self, path: str) -> None:
        assert inside(path) == "/"

    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ({}, "http://127.0.0.1:8081"),
            ({"ui_port": 9000}, "http://127.0.0.1:9000"),
            ({"ui_host": "::1"}, "http://[::1]:8081"),
            ({"base_url": "http://127.0.0.1:8080"}, "http://127.0.0.1:8081"),
            ({"base_url": "http://localhost:8080/x"}, "http://localhost:8081"),
            ({"base_url": "https://sightline.example"}, "https://sightline.example"),
            ({"base_url": "https://hospital.example/sightline/"}, "https://hospital.example/sightline"),
            ({"base_url": "https://api.example", "ui_url": "https://pages.example/"}, "https://pages.example"),
        ],
        ids=str,
    )
    def test_the_pages_are_at_the_public_host_or_at_their_own_port(self, given: dict[str, str], address: str) -> None:
        assert load(**given).ui_address == address

    def test_pages_for_other_machines_want_to_know_their_address(self) -> None:
        with pytest.raises(ConfigurationError, match="CDS_UI_URL"):
            load(ui_host="0.0.0.0")
        assert load(ui_host="0.0.0.0", ui_url="https://pages.example").ui_host == "0.0.0.0"

    def test_two_roles_cannot_have_one_port(self) -> None:
        with pytest.raises(ConfigurationError, match="CDS_UI_PORT"):
            load(ui_port=8080)


class TestBelowAPath:
    """A proxy may serve the pages below a path of its own, and may take it off or not."""

    @pytest.mark.parametrize("asked", ["/sign-in", "/sightline/sign-in"])
    def test_links_forms_and_redirects_begin_with_it(self, doormen: Doormen, asked: str) -> None:
        app = create_ui(ui_services(load(ui_url="https://hospital.example/sightline"), doormen=doormen))
        page = parsed(app.test_client().get(asked))
        addresses = [one["href"] for one in page.all("link")] + [one["action"] for one in page.all("form")]
        assert addresses
        assert all(one.startswith("/sightline/") for one in addresses)
        away = app.test_client().get(asked.replace("sign-in", "quality"), headers=_HTML)
        assert away.location == "/sightline/sign-in?next=%2Fquality"

    def test_a_path_that_only_begins_alike_is_another(self, doormen: Doormen) -> None:
        app = create_ui(ui_services(load(ui_url="https://hospital.example/sign"), doormen=doormen))
        assert app.test_client().get("/sign-in").status_code == 200


class TestDates:
    def test_a_moment_is_written_in_the_zone_of_the_site_whatever_zone_it_came_in(self) -> None:
        berlin = ZoneInfo("Europe/Berlin")
        assert local_time(datetime(2026, 11, 22, 13, 5, tzinfo=UTC), berlin) == "22 Nov 2026 14:05"
        assert local_time(datetime(2026, 7, 1, 23, 30, tzinfo=UTC), berlin) == "2 Jul 2026 01:30"
        east = timezone(timedelta(hours=9))
        assert local_time(datetime(2026, 1, 1, 3, 0, tzinfo=east), berlin) == "31 Dec 2025 19:00"

    def test_a_day_is_written_with_its_month_in_letters(self) -> None:
        assert local_day(date(2026, 3, 4)) == "4 Mar 2026"


class TestParts:
    def test_every_badge_has_a_sign_that_listeners_are_spared_and_a_text(self, app: Flask) -> None:
        for kind in ("urgent", "critical", "warn", "ok", "info", "muted"):
            text = _drawn(app, f"{{{{ badge('{kind}', 'Said <b>') }}}}")
            assert 'aria-hidden="true"' in text
            assert text.endswith("Said &lt;b&gt;</span>")
        signs = {
            _drawn(app, f"{{{{ badge('{k}', '') }}}}").split(">")[2][:1] for k in ("urgent", "critical", "warn", "ok")
        }
        assert len(signs) == 4

    def test_a_time_is_there_for_people_and_for_programs(self, app: Flask) -> None:
        text = _drawn(app, "{{ when(at) }}", at=datetime(2026, 11, 22, 13, 5, tzinfo=UTC))
        assert text == '<time datetime="2026-11-22T13:05:00+00:00">22 Nov 2026 14:05</time>'

    def test_a_date_that_is_missing_says_that_it_is_not_known(self, app: Flask) -> None:
        assert "not known" in _drawn(app, "{{ date(none) }}")
        assert "not known" in _drawn(app, "{{ when(none) }}")

    def test_a_field_is_told_by_its_label_and_its_mistake(self, app: Flask) -> None:
        text = _drawn(app, "{{ field('reason', 'Reason', error='want a reason', hint='no names') }}")
        assert '<label class="form-label" for="field-reason">Reason</label>' in text
        assert 'aria-describedby="error-reason hint-reason"' in text
        assert 'aria-invalid="true"' in text

    def test_a_value_that_a_template_wants_and_nobody_gave_is_an_error(self, app: Flask) -> None:
        with pytest.raises(Exception, match="is undefined"):
            _drawn(app, "{{ nothing_like_it }}")


class TestFiles:
    def test_a_file_is_kept_for_a_year_under_the_address_of_what_is_in_it(self, app: Flask) -> None:
        [address] = [one["href"] for one in _page(app).all("link") if "base.css" in one["href"]]
        response = app.test_client().get(address)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.content_type == "text/css; charset=utf-8"

    def test_under_another_address_it_is_asked_for_again(self, app: Flask) -> None:
        response = app.test_client().get("/static/base.css?v=old")
        assert response.headers["Cache-Control"] == "no-cache"
        again = app.test_client().get("/static/base.css", headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")

    def test_bootstrap_comes_from_its_package(self, app: Flask) -> None:
        assert b"Bootstrap" in app.test_client().get("/static/bootstrap.min.css").data[:200]

    @pytest.mark.parametrize("name", ["nothing.css", "..", "..%2fapp.py", "%2e%2e/guard.py", "a/b.css", ".", "%00"])
    def test_no_other_file_can_be_had(self, app: Flask, name: str) -> None:
        assert app.test_client().get(f"/static/{name}").status_code in (401, 404)

    def test_every_file_that_the_frame_names_is_there(self, app: Flask) -> None:
        page = _page(app)
        named = [*(one["href"] for one in page.all("link")), *(one["src"] for one in page.all("script"))]
        assert {app.test_client().get(address).status_code for address in named} == {200}


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (InvalidInput("want a number"), 400),
            (NotFound("there is no such study"), 404),
            (Conflict("somebody was quicker"), 409),
            (TooManyRequests("too often", retry_after_s=7), 429),
            (PeerRefused("the PACS says no"), 502),
            (Unavailable("the database is away"), 503),
        ],
        ids=lambda one: type(one).__name__,
    )
    def test_an_error_is_a_page_in_words(
        self, app: Flask, doormen: Doormen, error: SightlineError, status: int
    ) -> None:
        @open_to_all
        def failing() -> str:
            raise error

        app.add_url_rule("/failing", view_func=failing)
        response = app.test_client().get("/failing")
        assert response.status_code == status
        page = parsed(response)
        assert str(error) in page.text
        assert len(page.all("h1")) == 1

    def test_what_nobody_expected_says_a_reference_and_nothing_of_itself(
        self, app: Flask, capfd: pytest.CaptureFixture[str]
    ) -> None:
        @open_to_all
        def failing() -> str:
            raise ValueError("Quentina")

        app.add_url_rule("/failing", view_func=failing)
        response = app.test_client().get("/failing")
        assert response.status_code == 500
        assert "reference" in parsed(response).text
        assert b"Quentina" not in response.data
        assert "Quentina" not in "".join(capfd.readouterr())

    def test_a_database_that_is_away_is_told_with_and_without_a_session(self, doormen: Doormen) -> None:
        def away(*_: object) -> NoReturn:
            raise Unavailable("the database is away")

        app = create_ui(ui_services(doormen=doormen, banner=away))
        page = client(app, doormen, staff(Role.ENGINEER)).get("/sign-in")
        assert page.status_code == 200
        assert "alarms cannot be looked for: the database is away" in parsed(page).text
        people = replace(doormen.services(), session=away)
        browser = client(create_ui(ui_services(people=people)), doormen, staff(Role.ENGINEER))
        response = browser.get("/", headers=_HTML)
        assert response.status_code == 503
        assert "the database is away" in parsed(response).text

    @pytest.mark.parametrize(("error", "status"), [(SlowPeer(), 408), (NoMoreData(), 400)], ids=["slow", "cut"])
    def test_a_form_that_does_not_arrive_whole_is_no_fault_of_ours(
        self, app: Flask, error: Exception, status: int
    ) -> None:
        @open_to_all
        def reading() -> str:
            raise error

        app.add_url_rule("/reading", view_func=reading)
        response = app.test_client().get("/reading")
        assert response.status_code == status
        assert "send it again" in parsed(response).text

    def test_a_refusal_names_the_roles_that_are_wanted_and_those_one_has(self, app: Flask, doormen: Doormen) -> None:
        @allow(Role.ENGINEER, Role.AUDITOR)
        def narrow() -> str:
            return "seen"

        app.add_url_rule("/narrow", view_func=narrow)
        response = client(app, doormen, staff(Role.COORDINATOR)).get("/narrow")
        assert response.status_code == 403
        assert "This page is for: auditor, engineer. Your roles: coordinator." in parsed(response).text


class TestAfterAForm:
    def test_a_form_leads_on_and_the_next_page_says_once_what_was_done(self, app: Flask, doormen: Doormen) -> None:
        @allow()
        def done() -> AnyResponse:
            say("The hold is resolved.")
            return redirect_to("sign_in.form")

        app.add_url_rule("/done", view_func=done, methods=["POST"])
        browser = client(app, doormen, staff(Role.ENGINEER))
        response = post(browser, "/done")
        assert (response.status_code, response.location) == (303, "/sign-in")
        assert "The hold is resolved." in parsed(browser.get(response.location)).text
        assert "The hold is resolved." not in parsed(browser.get(response.location)).text


class TestTheFrame:
    def test_it_has_a_language_one_heading_landmarks_and_a_way_past_the_navigation(self, app: Flask) -> None:
        page = _page(app)
        assert page.all("html")[0]["lang"] == "en"
        assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
        assert {"class": "skip-link", "href": "#main"} in page.all("a")
        assert page.all("main")[0]["id"] == "main"

    def test_every_field_has_a_label(self, app: Flask) -> None:
        page = _page(app)
        labelled = {one["for"] for one in page.all("label")}
        fields = [
            one for tag in ("input", "select", "textarea") for one in page.all(tag) if one.get("type") != "hidden"
        ]
        assert fields
        assert {one["id"] for one in fields} <= labelled

    def test_a_development_server_says_so_on_every_page(self) -> None:
        page = parsed(create_ui(ui_services(Settings(insecure=True))).test_client().get("/sign-in"))
        assert "Development mode" in page.text

    def test_alarms_are_told_to_staff_and_not_in_a_patient_s_chart(self, doormen: Doormen) -> None:
        app = create_ui(ui_services(doormen=doormen, banner=lambda: ("ADT feed silent for 47 min",)))
        assert "ADT feed silent" in parsed(client(app, doormen, staff(Role.ENGINEER)).get("/sign-in")).text
        assert "ADT feed silent" not in parsed(client(app, doormen, LAUNCHED).get("/sign-in")).text
        assert "ADT feed silent" not in parsed(client(app, doormen, None).get("/sign-in")).text

    def test_the_pages_of_the_navigation_are_in_one_order(self) -> None:
        assert [path for path, _ in shown.PAGES][:2] == ["/worklist", "/studies"]

    def test_whether_anybody_could_sign_in_is_told_without_a_session(self) -> None:
        for ready, status in ((True, 200), (False, 503)):
            browser = create_ui(ui_services(is_ready=lambda ready=ready: ready)).test_client()
            assert browser.get("/health/ready").status_code == status
            assert browser.get("/health/live").status_code == 200


class TestTries:
    def test_of_one_address_a_hundred_may_be_wrong_shared_by_the_processes(self) -> None:
        tries = Tries(2)
        for number in range(50):
            tries.check(address="192.0.2.1", name=f"user-{number}")
            tries.failed(address="192.0.2.1", name=f"user-{number}")
        with pytest.raises(TooManyRequests):
            tries.check(address="192.0.2.1", name="another")
        tries.check(address="192.0.2.2", name="another")


def _drawn(app: Flask, text: str, **values: object) -> str:
    head = '{% from "parts.html" import badge, when, date, csrf, pager, field %}'
    with app.test_request_context("/"):
        return render_template_string(head + text, **values).strip()


def _page(app: Flask) -> Page:
    return parsed(app.test_client().get("/sign-in"))
