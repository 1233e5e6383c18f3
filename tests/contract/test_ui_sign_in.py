"""Sign-in with a password, sessions and their end, forms, and what the audit log says of it; over a real store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlmodel import select

from cds.domain.staff import Role
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store.people_tables import SessionRow, UserRow
from cds.web.ui import passwords
from tests.contract.ui_site import PASSWORD, UiSite, serving, sign_in
from tests.ui_doors import parsed, post, token_of

_HTML = {"Accept": "text/html"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UiSite]:
    with serving(tmp_path) as found:
        found.user("rita", Role.RADIOLOGIST)
        yield found


def is_in(browser: FlaskClient) -> bool:
    """Whether somebody is signed in; a page of everybody's that wants a session."""
    return browser.get("/").status_code != 401


class TestTheWayIn:
    """A name and a password that belong together, and nothing else."""

    def test_a_user_signs_in_and_has_a_session(self, site: UiSite) -> None:
        browser = site.app.test_client()
        assert not is_in(browser)
        response = sign_in(browser, "rita")
        assert (response.status_code, response.location) == (303, "/")
        assert is_in(browser)

    def test_a_name_counts_in_any_case_and_with_spaces_around_it(self, site: UiSite) -> None:
        assert sign_in(site.app.test_client(), "  RITA ").status_code == 303

    @pytest.mark.parametrize(("name", "password"), [("rita", "wrong"), ("rita", ""), ("nobody", PASSWORD), ("", "")])
    def test_everything_else_is_refused_in_the_same_words(self, site: UiSite, name: str, password: str) -> None:
        browser = site.app.test_client()
        response = sign_in(browser, name, password)
        assert response.status_code == 401
        assert "This name and password do not belong together." in parsed(response).text
        assert not is_in(browser)

    def test_a_password_is_never_shown_again(self, site: UiSite) -> None:
        response = sign_in(site.app.test_client(), "rita", "unmistakable wrong")
        assert b"unmistakable" not in response.data

    def test_the_password_of_nobody_costs_what_that_of_a_user_does(self) -> None:
        kept = passwords.hashed(PASSWORD)
        assert kept.split("$")[0] == passwords.NOBODY.split("$")[0]
        assert [len(part) for part in kept.split("$")] == [len(part) for part in passwords.NOBODY.split("$")]

    def test_a_form_without_its_token_is_refused(self, site: UiSite) -> None:
        browser = site.app.test_client()
        response = browser.post("/sign-in", data={"name": "rita", "password": PASSWORD})
        assert response.status_code == 400
        assert not is_in(browser)

    def test_the_token_of_another_browser_is_refused(self, site: UiSite) -> None:
        mine, other = site.app.test_client(), site.app.test_client()
        mine.get("/sign-in")
        form = {"csrf_token": token_of(other), "name": "rita", "password": PASSWORD}
        assert mine.post("/sign-in", data=form).status_code == 400

    def test_who_was_asked_to_sign_in_is_sent_on_to_where_they_were_going(self, site: UiSite) -> None:
        asked = site.app.test_client().get("/quality?window=28", headers=_HTML)
        assert asked.location == "/sign-in?next=%2Fquality%3Fwindow%3D28"
        browser = site.app.test_client()
        fields = parsed(browser.get(asked.location)).all("input")
        assert [one["value"] for one in fields if one.get("name") == "next" and one["value"] != "/sign-in"] == [
            "/quality?window=28"
        ]
        assert sign_in(browser, "rita", next="/quality?window=28").location == "/quality?window=28"

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nX: y", "evil", ""],
    )
    def test_nobody_is_sent_to_a_stranger(self, site: UiSite, elsewhere: str) -> None:
        assert sign_in(site.app.test_client(), "rita", next=elsewhere).location == "/"

    def test_a_script_that_asks_without_a_session_is_told_so_and_not_sent_elsewhere(self, site: UiSite) -> None:
        response = site.app.test_client().get("/", headers={**_HTML, "X-Fresh": "1"})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Cookie")

    def test_without_any_user_the_page_says_how_the_first_one_is_made(self, tmp_path: Path) -> None:
        with serving(tmp_path) as site:
            assert "cds users add NAME" in parsed(site.app.test_client().get("/sign-in")).text


class TestTooManyTries:
    """Whoever guesses is slowed down, whoever knows is not."""

    def test_the_eleventh_wrong_password_of_a_name_within_ten_minutes_is_not_even_looked_at(self, site: UiSite) -> None:
        browser = site.app.test_client()
        answers = [sign_in(browser, "rita", f"guess number {n}").status_code for n in range(10)]
        assert answers == [401] * 10
        late = sign_in(browser, "rita")
        assert late.status_code == 429
        assert 1 <= int(late.headers["Retry-After"]) <= 600

    def test_others_are_not_locked_out_with_them(self, site: UiSite) -> None:
        site.user("olaf", Role.ENGINEER)
        for number in range(11):
            sign_in(site.app.test_client(), "rita", f"guess number {number}")
        assert sign_in(site.app.test_client(), "olaf").status_code == 303

    def test_who_knows_the_password_may_come_as_often_as_they_like(self, site: UiSite) -> None:
        assert {sign_in(site.app.test_client(), "rita").status_code for _ in range(15)} == {303}


class TestSessions:
    """How long one lasts, and what ends it."""

    def test_it_ends_when_nobody_used_it_for_half_an_hour(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        for _ in range(3):
            site.clock.at += timedelta(minutes=29)
            assert is_in(browser)
        site.clock.at += timedelta(minutes=30)
        assert not is_in(browser)

    def test_what_a_page_asks_by_itself_keeps_no_session_alive(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        for _ in range(2):
            site.clock.at += timedelta(minutes=14)
            assert browser.get("/", headers={"X-Fresh": "1"}).status_code != 401
        site.clock.at += timedelta(minutes=3)
        assert browser.get("/", headers={"X-Fresh": "1"}).status_code == 401

    def test_it_ends_after_twelve_hours_however_it_is_used(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        for _ in range(12 * 3 - 1):
            site.clock.at += timedelta(minutes=20)
            assert is_in(browser)
        site.clock.at += timedelta(minutes=20)
        assert not is_in(browser)

    def test_the_settings_say_how_long(self, tmp_path: Path) -> None:
        with serving(tmp_path, ui_idle_minutes=5, ui_session_hours=0.1) as site:
            site.user("rita", Role.RADIOLOGIST)
            browser = site.signed_in("rita")
            site.clock.at += timedelta(minutes=4)
            assert is_in(browser)
            site.clock.at += timedelta(minutes=2)
            assert not is_in(browser)

    def test_signing_out_ends_it_for_whoever_kept_the_cookie(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        kept = browser.get_cookie("sightline_session")
        assert kept is not None
        assert post(browser, "/sign-out").status_code == 200
        thief = site.app.test_client()
        thief.set_cookie("sightline_session", kept.value)
        assert not is_in(thief)

    def test_signing_in_again_ends_the_session_before(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        kept = browser.get_cookie("sightline_session")
        assert kept is not None
        sign_in(browser, "rita")
        fresh = browser.get_cookie("sightline_session")
        assert fresh is not None
        assert fresh.value != kept.value
        thief = site.app.test_client()
        thief.set_cookie("sightline_session", kept.value)
        assert not is_in(thief)
        assert is_in(browser)

    def test_a_session_that_somebody_made_up_is_none(self, site: UiSite) -> None:
        browser = site.app.test_client()
        browser.set_cookie("sightline_session", "A" * 43)
        assert not is_in(browser)

    def test_roles_are_those_of_now(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        assert [one["title"] for one in parsed(browser.get("/sign-in")).all("span") if "title" in one] == [
            "radiologist"
        ]
        site.users.set_roles("rita", [Role.AUDITOR], by="test", now=site.clock.now())
        assert [one["title"] for one in parsed(browser.get("/sign-in")).all("span") if "title" in one] == ["auditor"]

    def test_a_user_who_was_removed_is_out_at_once(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        site.users.remove("rita", by="test", now=site.clock.now())
        assert not is_in(browser)
        assert sign_in(site.app.test_client(), "rita").status_code == 401

    def test_another_password_ends_the_sessions_of_the_old_one(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        site.users.set_password("rita", passwords.hashed("another long password"), by="test", now=site.clock.now())
        assert not is_in(browser)
        assert sign_in(site.app.test_client(), "rita").status_code == 401
        assert sign_in(site.app.test_client(), "rita", "another long password").status_code == 303

    def test_the_store_keeps_no_secret_that_opens_a_session(self, site: UiSite) -> None:
        browser = site.signed_in("rita")
        kept = browser.get_cookie("sightline_session")
        assert kept is not None
        with site.held.database.reading() as session:
            [row] = session.exec(select(SessionRow)).all()
            [user] = session.exec(select(UserRow)).all()
        assert kept.value not in str(row.model_dump())
        assert PASSWORD not in user.password
        assert user.password.startswith("scrypt:")

    def test_sessions_that_are_over_are_not_kept_for_ever(self, site: UiSite) -> None:
        site.signed_in("rita")
        site.clock.at += timedelta(hours=12)
        site.signed_in("rita")
        with site.held.database.reading() as session:
            assert len(session.exec(select(SessionRow)).all()) == 1


class TestCookies:
    """They are for this browser and this host alone."""

    def test_no_script_and_no_other_site_s_form_has_them(self, site: UiSite) -> None:
        given = sign_in(site.app.test_client(), "rita").headers.getlist("Set-Cookie")
        [mine] = [one for one in given if one.startswith("sightline_session=")]
        assert "HttpOnly" in mine
        assert "SameSite=Lax" in mine
        assert "Domain" not in mine

    def test_behind_https_every_cookie_is_bound_to_the_host_and_travels_encrypted(self, tmp_path: Path) -> None:
        with serving(tmp_path, ui_url="https://sightline.example") as site:
            site.user("rita", Role.RADIOLOGIST)
            browser = site.app.test_client()
            page = browser.get("/sign-in", base_url="https://sightline.example")
            [forms] = page.headers.getlist("Set-Cookie")
            assert re.match(r"__Host-sightline_forms=.*; Secure; HttpOnly; Path=/; SameSite=Lax$", forms)
            [token] = [one["content"] for one in parsed(page).all("meta") if one.get("name") == "csrf"]
            form = {"csrf_token": token, "name": "rita", "password": PASSWORD}
            came = browser.post(
                "/sign-in",
                data=form,
                base_url="https://sightline.example",
                headers={"Referer": "https://sightline.example/sign-in"},
            )
            assert came.status_code == 303
            assert came.headers.getlist("Set-Cookie")[0].startswith("__Host-sightline_session=")
            assert "max-age" in came.headers["Strict-Transport-Security"]

    def test_the_choice_of_colours_is_kept_and_stands_in_the_page(self, site: UiSite) -> None:
        browser = site.app.test_client()
        assert parsed(browser.get("/sign-in")).all("html")[0].get("data-bs-theme") is None
        assert post(browser, "/theme", {"theme": "dark", "next": "/sign-in"}).location == "/sign-in"
        assert parsed(browser.get("/sign-in")).all("html")[0]["data-bs-theme"] == "dark"
        assert post(browser, "/theme", {"theme": '"><script>'}).status_code == 400


class TestTheAuditLog:
    """Who came, who was refused, who left."""

    def test_sign_in_refusal_and_sign_out_are_told(self, site: UiSite) -> None:
        browser = site.app.test_client()
        sign_in(browser, "rita", "wrong")
        sign_in(browser, "rita")
        post(browser, "/sign-out")
        assert site.told() == [
            ("rita", "sign-in refused", ("password",)),
            ("rita", "sign-in", ("password",)),
            ("rita", "sign-out", ("password",)),
        ]

    def test_what_was_typed_as_a_name_that_nobody_has_is_not_kept(self, site: UiSite) -> None:
        sign_in(site.app.test_client(), "my secret password", "rita")
        assert site.told() == [("unknown", "sign-in refused", ("password",))]

    def test_every_change_of_a_user_is_told_with_who_made_it(self, site: UiSite) -> None:
        site.users.set_roles("rita", [Role.AUDITOR, Role.ENGINEER], by="boss", now=site.clock.now())
        site.users.remove("rita", by="boss", now=site.clock.now())
        told = [(one.actor, one.action, one.detail) for one in site.events()]
        assert told == [
            ("test", "user added", ("rita", "radiologist")),
            ("boss", "user roles changed", ("rita", "auditor,engineer")),
            ("boss", "user removed", ("rita", "auditor,engineer")),
        ]


class TestLocalUsers:
    """What the store refuses."""

    def test_a_name_is_taken_once(self, site: UiSite) -> None:
        with pytest.raises(Conflict):
            site.user("rita", Role.AUDITOR)

    def test_who_is_not_there_cannot_be_changed_or_removed(self, site: UiSite) -> None:
        now = site.clock.now()
        with pytest.raises(NotFound):
            site.users.remove("nobody", by="test", now=now)
        with pytest.raises(NotFound):
            site.users.set_roles("nobody", [Role.AUDITOR], by="test", now=now)
        with pytest.raises(NotFound):
            site.users.set_password("nobody", "x", by="test", now=now)

    @pytest.mark.parametrize("password", ["", "fourteen chars", "x" * 1025])
    def test_a_password_that_is_too_short_or_too_long_is_not_kept(self, password: str) -> None:
        with pytest.raises(InvalidInput):
            passwords.hashed(password)
