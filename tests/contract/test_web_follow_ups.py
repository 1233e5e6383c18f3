"""The page of follow-ups and critical results: who may, what is shown and audited, and what its forms change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cds import bootstrap
from cds.alerting import alert, escalate
from cds.bootstrap import Stores
from cds.bootstrap.ui_follow_ups import follow_ups
from cds.domain.follow_up import FollowUpState
from cds.domain.follow_up_match import MatchState
from cds.errors import Unauthorized
from cds.ports import Clock
from cds.settings import Settings
from cds.store.criticals import close
from cds.ui.follow_ups import Ending
from cds.ui.people import LetIn, PeopleServices, Person, Role
from cds.ui.services import UiServices
from cds.web.ui import cookies
from cds.web.ui.app import create_ui
from tests.contract.critical_site import ROUTES, CriticalSite
from tests.contract.follow_up_site import SCAN, CareSite
from tests.contract.ui_operations_site import Page
from tests.databases import Databases, fresh

PEOPLE = {role.value: Person(role.value[:3], role.value.title(), frozenset({role})) for role in Role}
PEOPLE["launched"] = Person("Practitioner/1", "Launched", frozenset({Role.CLINICIAN}), "p-random")
WHY = "the patient was seen elsewhere"


class Browsers:
    """The pages over one installation, and browsers of its people."""

    def __init__(self, settings: Settings, held: Stores, clock: Clock) -> None:
        self.settings, self.held = settings, held
        self.app = _app(settings, held, clock)

    def browser(self, who: str) -> FlaskClient:
        """Somebody's browser."""
        client = self.app.test_client()
        client.set_cookie(cookies.named(self.settings, cookies.SESSION), who)
        return client

    def open(self, path: str, who: str = "coordinator") -> Page:
        """A page that somebody may open."""
        response = self.browser(who).get(path)
        assert response.status_code == 200, response.get_data(as_text=True)
        return Page(response)

    def send(self, path: str, status: int = 303, who: str = "coordinator", **form: str) -> str:
        """A form of the page; answers where it leads."""
        client = self.browser(who)
        page = Page(client.get("/follow-ups"))
        token = next((str(a["content"]) for t, a in page.elements if t == "meta" and a.get("name") == "csrf"), "")
        response = client.post(path, data={"csrf_token": token, **form})
        assert response.status_code == status, response.get_data(as_text=True)
        return response.headers.get("Location", "")

    def audited(self, action: str) -> list[str]:
        """Who did this."""
        return [one.actor for one in self.held.audit.search() if one.action == action]


class Pages(Browsers):
    """The pages of a site with two follow-ups."""

    def __init__(self, databases: Databases, **care: object) -> None:
        self.site = CareSite(databases, **care)
        super().__init__(self.site.settings, self.site.held, self.site.clock)

    def path(self, key: str = "scan") -> str:
        """The page of one follow-up."""
        return f"/follow-ups/{self.site.one(key).id}"


class CriticalPages(Browsers):
    """The pages of a site where a bleed waits for the first recipient."""

    def __init__(self, databases: Databases) -> None:
        self.bleeding = CriticalSite(databases)
        alert(self.bleeding, self.bleeding.work().id)
        settings = self.bleeding.settings.model_copy(update={"data_dir": databases.data_dir})
        super().__init__(settings, bootstrap.stores(settings, durable=True), self.bleeding.clock)


def _app(settings: Settings, held: Stores, clock: Clock) -> Flask:
    def session(token: str, acts: bool) -> Person:
        if token not in PEOPLE:
            raise Unauthorized("no such session")
        return PEOPLE[token]

    people = PeopleServices(
        session=session,
        by_password=lambda name, password: LetIn(name),
        sign_out=lambda token: None,
        any_local=lambda: True,
    )
    return create_ui(
        UiServices(
            settings=settings,
            clock=clock,
            people=people,
            audit=held.audit,
            form_key=lambda: bytes(32),
            whose=lambda public_id: "",
            is_ready=lambda: True,
            follow_ups=follow_ups(settings, held, clock),
        )
    )


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """A patient with a scan and a visit to come."""
    with fresh(tmp_path / "site") as databases:
        yield Pages(databases)


@pytest.fixture
def critical(tmp_path: Path) -> Iterator[CriticalPages]:
    """A bleed that waits for the first recipient."""
    with fresh(tmp_path / "site") as databases:
        yield CriticalPages(databases)


# --- who may

LOOKS = ("/follow-ups", "/follow-ups/critical", "{one}")
ACTS = ("{one}/end", "{one}/reopen", "{one}/reschedule", "{one}/assign", "/follow-ups/proposals/1")


@pytest.mark.parametrize("path", LOOKS)
@pytest.mark.parametrize("who", sorted(PEOPLE))
def test_coordinators_and_radiologists_may_look_and_nobody_else(pages: Pages, who: str, path: str) -> None:
    status = pages.browser(who).get(path.format(one=pages.path())).status_code
    assert status == (200 if who in ("coordinator", "radiologist") else 403)


def test_who_is_not_signed_in_sees_nothing(pages: Pages) -> None:
    for path in LOOKS:
        response = pages.browser("nobody").get(path.format(one=pages.path()), headers={"Accept": "text/html"})
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/sign-in?")


@pytest.mark.parametrize("path", ACTS)
def test_a_coordinator_alone_changes_something(pages: Pages, path: str) -> None:
    pages.send(path.format(one=pages.path()), 403, "radiologist", reason=WHY)
    client = pages.browser("clinician")
    page = Page(client.get("/follow-ups"))
    token = next(str(a["content"]) for t, a in page.elements if t == "meta" and a.get("name") == "csrf")
    assert client.post(path.format(one=pages.path()), data={"csrf_token": token}).status_code == 403
    assert pages.site.one().state is FollowUpState.OPEN


def test_a_form_from_elsewhere_changes_nothing(pages: Pages) -> None:
    response = pages.browser("coordinator").post(f"{pages.path()}/end", data={"how": "done", "reason": WHY})
    assert response.status_code == 400
    assert pages.site.one().state is FollowUpState.OPEN


# --- the list


def test_the_list_names_patient_day_owner_and_where_it_comes_from(pages: Pages) -> None:
    pages.site.clock.on(date(2027, 1, 3))
    page = pages.open("/follow-ups")
    visit, scan = page.rows[1:]
    assert "1 Jan 2027" in visit
    assert "2 days late" in visit
    assert "CT of the chest in 6 months" in scan
    for words in ("Test, Tina", "born 2 Mar 1960", "P1", "Nodule clinic (by default)", "Fleischner 2017", "open"):
        assert words in scan, scan
    assert "https://doi.org/10.1148/radiol.2017161659" in page.addresses()
    assert len([one for one in page.addresses() if one.startswith("/studies/")]) == 1


def test_each_patient_on_the_page_is_one_line_of_the_audit_log(pages: Pages) -> None:
    pages.open("/follow-ups")
    assert pages.audited("list of follow-ups viewed") == ["coo"]
    pages.open("/follow-ups/critical")
    assert pages.audited("list of follow-ups viewed") == ["coo"]
    pages.open(pages.path())
    [line] = [one for one in pages.site.held.audit.search() if one.action == "follow-up viewed"]
    assert pages.site.anna is not None
    assert (line.actor, line.study_instance_uid, line.patient_id) == ("coo", "1.2", pages.site.anna.id)


def test_no_address_and_no_title_tells_a_patient(pages: Pages) -> None:
    page = pages.open("/follow-ups")
    told = " ".join(page.addresses())
    assert not [word for word in ("Tina", "P1", "1960", "1.2", "A1") if word in told]


def test_the_figures_stand_on_top_with_what_they_mean(pages: Pages) -> None:
    pages.site.coordinator.end(_ending(pages, "visit"))
    pages.site.clock.on(date(2027, 5, 21))
    text = pages.open("/follow-ups").text
    assert "Open 1 wait for somebody" in text
    assert "Overdue 1 ⚠ late" in text.replace("▲", "⚠")
    assert "Closed on time 1 of 2 (50 %)" in text
    assert "of those that fell due in the last 365 days and still hold: done by their day" in text


def test_what_nobody_owns_is_an_alarm(tmp_path: Path) -> None:
    with fresh(tmp_path / "site") as databases:
        pages = Pages(databases, owners={})
        page = pages.open("/follow-ups")
        assert "2 follow-ups without an owner." in page.text
        assert [a for t, a in page.elements if a.get("role") == "alert"]
        assert "nobody" in page.rows[1]
        listed = pages.open("/follow-ups?show=unowned")
        assert len(listed.rows) == 3
        pages.send(f"{pages.path()}/assign", owner="Dr Poe")
        assert len(pages.open("/follow-ups?show=unowned").rows) == 2


def test_that_nobody_is_reminded_is_said(tmp_path: Path) -> None:
    with fresh(tmp_path / "site") as databases:
        assert "Nobody is reminded" in Pages(databases, remind="").open("/follow-ups").text


@pytest.mark.parametrize("query", ["show=none", "page=-1", "page=1x", "page=123456", "show="])
def test_a_query_that_is_no_choice_is_refused_in_words(pages: Pages, query: str) -> None:
    response = pages.browser("coordinator").get(f"/follow-ups?{query}")
    assert response.status_code == 400
    assert "want show: waiting" in Page(response).text


def test_an_empty_choice_says_so(pages: Pages) -> None:
    assert "No follow-up is listed for this choice." in pages.open("/follow-ups?show=declined").text


def test_a_long_list_has_pages_that_keep_the_choice(pages: Pages) -> None:
    steps = [replace(SCAN, key=f"scan{number:02}", action=f"Scan {number:02}") for number in range(30)]
    pages.site.report(pages.site.anna, *steps)
    first = pages.open("/follow-ups?show=waiting&pathway=p")
    assert len(first.rows) == 26
    [following] = [one for one in first.addresses() if "page=2" in one]
    assert "pathway=p" in following
    assert len(pages.open(following).rows) == 6


# --- one follow-up


def test_the_page_of_one_says_why_and_has_its_forms(pages: Pages) -> None:
    page = pages.open(pages.path())
    assert page.headings == ["CT of the chest in 6 months"]
    for words in ("a nodule of 7 mm", "7 mm on 20 Nov 2026", "Nobody was reminded yet.", "recommended by Sightline"):
        assert words in page.text
    actions = {form["@action"] for form in page.forms}
    assert {f"{pages.path()}/{name}" for name in ("end", "reschedule", "assign")} <= actions
    assert f"{pages.path()}/reopen" not in actions


def test_a_radiologist_reads_it_without_forms(pages: Pages) -> None:
    page = pages.open(pages.path(), "radiologist")
    assert not [form for form in page.forms if form["@action"].startswith("/follow-ups")]


def test_every_field_has_a_label_and_every_form_a_token(pages: Pages) -> None:
    for path in ("/follow-ups", pages.path()):
        page = pages.open(path)
        labels = {a.get("for") for tag, a in page.elements if tag == "label"}
        fields = [a for tag, a in page.elements if tag in ("input", "select", "textarea") and a.get("type") != "hidden"]
        assert fields
        assert {field.get("id") for field in fields} <= labels
        assert [tag for tag, _ in page.elements].count("h1") == 1
        assert not [a for _, a in page.elements if "style" in a]


def test_there_is_no_page_of_an_id_that_is_none(pages: Pages) -> None:
    assert pages.browser("coordinator").get("/follow-ups/none").status_code == 404


def test_it_is_closed_with_a_reason_and_opened_again(pages: Pages) -> None:
    pages.send(f"{pages.path()}/end", 400, how="done", reason=" ")
    pages.send(f"{pages.path()}/end", 400, how="perhaps", reason=WHY)
    assert pages.site.one().state is FollowUpState.OPEN
    assert pages.send(f"{pages.path()}/end", how="done", reason=WHY) == pages.path()
    assert (pages.site.one().state, pages.site.one().by) == (FollowUpState.COMPLETED, "coo")
    page = pages.open(pages.path())
    assert f"{pages.path()}/reopen" in {form["@action"] for form in page.forms}
    assert WHY in page.text
    pages.send(f"{pages.path()}/reopen", reason="that was a mistake")
    assert pages.site.one().state is FollowUpState.OPEN
    pages.send(f"{pages.path()}/end", how="not-to-be-done", reason="she does not want it")
    assert pages.site.one().state is FollowUpState.DECLINED


def test_the_day_is_moved_with_a_reason(pages: Pages) -> None:
    pages.send(f"{pages.path()}/reschedule", 400, due="soon", reason=WHY)
    pages.send(f"{pages.path()}/reschedule", 400, due="2027-06-01", reason="")
    pages.send(f"{pages.path()}/reschedule", due="2027-06-01", reason="on holiday")
    text = pages.open(pages.path()).text
    assert "1 Jun 2027 (recommended: 20 May 2027 )" in text
    assert "on holiday" in text


def test_an_owner_is_named(pages: Pages) -> None:
    pages.send(f"{pages.path()}/assign", 400, owner="x" * 501)
    pages.send(f"{pages.path()}/assign", owner="Dr Poe")
    assert "Dr Poe" in next(row for row in pages.open("/follow-ups").rows if "CT of the chest" in row)


def test_somebody_looks_at_a_result_and_says_that_it_is_the_one(pages: Pages) -> None:
    pages.site.images("A7", "1.3")
    pages.site.look()
    [proposal] = pages.site.line.cares.matches(pages.site.one().id, MatchState.PROPOSED)
    page = pages.open(pages.path())
    assert "Images: CT CHEST of 2027-04-01 (dicom)" in page.text
    path = f"/follow-ups/proposals/{proposal.id}"
    pages.send(path, 400, answer="maybe")
    assert pages.send(path, answer="yes") == pages.path()
    assert pages.site.one().state is FollowUpState.COMPLETED
    pages.send(path, 409, answer="no")
    pages.send("/follow-ups/proposals/4711", 404, answer="no")


# --- critical results


def test_a_critical_result_is_on_top_with_its_clock_and_the_next_step(
    critical: CriticalPages,
) -> None:
    pages, bleeding = critical, critical.bleeding
    bleeding.clock.forward(minutes=5)
    page = pages.open("/follow-ups")
    text = page.text
    assert "Intracranial hemorrhage" in text
    assert "ACR category 1" in text
    assert "5 min , since 20 Nov 2026" in text
    assert f"{ROUTES['second']['recipient']} is told" in text
    assert f"{ROUTES['first']['recipient']}, 20 Nov 2026" in text.replace(" ,", ",")
    assert {"data-since", "data-until"} <= {name for _, a in page.elements for name in a}
    told = page.text + " ".join(page.addresses())
    assert not [word for word in ("Unmistakable", "P1", "A1", "1960") if word in told]


def test_the_last_recipient_is_followed_by_an_alarm(critical: CriticalPages) -> None:
    pages, bleeding = critical, critical.bleeding
    bleeding.clock.forward(minutes=16)
    escalate(bleeding, bleeding.clock.now())
    text = pages.open("/follow-ups/critical").text
    assert "escalated" in text
    assert "an alarm, because nobody is left to tell" in text
    bleeding.clock.forward(minutes=6)
    escalate(bleeding, bleeding.clock.now())
    assert "Everybody who can be told was told." in pages.open("/follow-ups/critical").text


@pytest.mark.parametrize("who", ["coordinator", "radiologist"])
def test_who_has_it_acknowledges_under_their_own_name(critical: CriticalPages, who: str) -> None:
    pages, bleeding = critical, critical.bleeding
    [result] = bleeding.criticals.all()
    pages.send(f"/follow-ups/critical/{result.id}/acknowledge", who=who)
    [after] = bleeding.criticals.all(waiting=False)
    assert (after.state.value, after.acknowledged_by) == ("acknowledged", PEOPLE[who].user)
    assert after.log[-1].detail == "over the page of follow-ups"
    assert pages.audited("critical result acknowledged") == [PEOPLE[who].user]
    assert "No critical result waits" in pages.open("/follow-ups/critical").text


def test_a_critical_result_that_is_none_and_one_that_is_withdrawn_are_said(
    critical: CriticalPages,
) -> None:
    pages, bleeding = critical, critical.bleeding
    [result] = bleeding.criticals.all()
    pages.send("/follow-ups/critical/none/acknowledge", 404)
    with bleeding.databases.app.writing() as session:
        close(session, result.study_instance_uid, "rejected", bleeding.clock.now() + timedelta(minutes=1))
    pages.send(f"/follow-ups/critical/{result.id}/acknowledge", 409)


def test_no_page_of_patients_is_kept_by_a_browser(pages: Pages) -> None:
    for path in LOOKS:
        response = pages.browser("coordinator").get(path.format(one=pages.path()))
        assert "no-store" in response.headers["Cache-Control"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def _ending(pages: Pages, key: str) -> Ending:
    return Ending(pages.site.one(key).id, True, "Cora", "coordinator", WHY)
