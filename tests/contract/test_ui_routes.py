"""Who may open what: every route of the pages, for nobody, for each role, and for a session that an EHR opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from cds.bootstrap.ui import ui_services
from cds.domain.audit import AuditEvent
from cds.errors import ConfigurationError
from cds.settings import Settings
from cds.ui.people import Person, Role
from cds.web.ui.app import create_ui
from cds.web.ui.guard import STUDY, Mark, allow, check_marks, mark_of, viewed
from tests.contract.ui_site import UiSite, serving
from tests.ui_doors import LAUNCHED, PATIENT, AuditList, Doormen, client, parsed, staff, whose
from tests.ui_doors import STUDY as OWN_STUDY
from tests.ui_doors import ui_services as given

#: What nobody has to sign in for: the way in and out, files, and whether the process lives.
OPEN = {
    "/sign-in",
    "/sign-out",
    "/sign-in/oidc",
    "/sign-in/oidc/callback",
    "/smart/launch",
    "/smart/callback",
    "/theme",
    "/static/<name>",
    "/health/live",
    "/health/ready",
}
#: What a browser asks before it asks: never an answer with anything in it.
PREFLIGHT = {"/dicomweb/<path:anything>"}
#: A stranger's study, as addresses name one.
OTHER_STUDY = "0badcafe-0000-4000-8000-00000000000f"
_REFUSED = (401, 403)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiSite]:
    with serving(tmp_path_factory.mktemp("routes"), second_readers={"a_model": {}}) as found:
        yield found


@pytest.fixture(scope="module")
def doormen() -> Doormen:
    return Doormen()


@pytest.fixture(scope="module")
def app(site: UiSite, doormen: Doormen) -> Flask:
    """Every page over real stores; who is signed in is what the test says."""
    services = ui_services(site.settings, site.held, site.clock)
    return create_ui(replace(services, people=doormen.services(), whose=whose))


def routes(app: Flask) -> list[tuple[Rule, str]]:
    """Every route with each of its methods."""
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def address(rule: Rule, study: str = OTHER_STUDY) -> str:
    """The rule with something in the place of each argument."""
    text = re.sub(rf"<(?:[^:<>]+:)?{STUDY}>", study, rule.rule)
    return re.sub(
        r"<(?:int|float)(?:\([^)]*\))?:[^<>]+>", "1", re.sub(r"<(?!int|float)(?:[^:<>]+:)?[^<>]+>", "x", text)
    )


def asked(browser: FlaskClient, rule: Rule, method: str, study: str = OTHER_STUDY) -> int:
    """The status of a request to a route, without the token of a form: whoever may not is refused before that."""
    return browser.open(address(rule, study), method=method).status_code


def mark(app: Flask, rule: Rule) -> Mark:
    """Who may use a route; `create_ui` refuses those that do not say."""
    found = mark_of(app, rule.endpoint)
    assert found is not None
    return found


def people() -> list[Person]:
    return [staff(role) for role in Role]


def test_the_open_routes_are_those_that_are_listed(app: Flask) -> None:
    opened = {rule.rule for rule in app.url_map.iter_rules() if mark(app, rule).is_open}
    assert opened == OPEN | PREFLIGHT


def test_nobody_gets_through_any_route_that_is_not_open(app: Flask, doormen: Doormen) -> None:
    browser = client(app, doormen, None)
    through = [f"{method} {rule.rule}" for rule, method in routes(app) if asked(browser, rule, method) != 401]
    assert {one.split(" ")[1] for one in through} == OPEN


@pytest.mark.parametrize("who", people(), ids=lambda who: who.name)
def test_a_role_gets_through_where_it_is_named_and_nowhere_else(app: Flask, doormen: Doormen, who: Person) -> None:
    browser = client(app, doormen, who)
    wrong = []
    for rule, method in routes(app):
        if mark(app, rule).is_open:
            continue
        roles = mark(app, rule).roles
        named = not roles or bool(roles & who.roles)
        status = asked(browser, rule, method)
        if (status not in _REFUSED) != named and rule.rule != "/":
            wrong.append(f"{method} {rule.rule}: {status}, named: {named}")
    assert wrong == []


def test_somebody_without_a_role_gets_nowhere_but_where_every_signed_in_person_may(
    app: Flask, doormen: Doormen
) -> None:
    browser = client(app, doormen, staff())
    through = {rule.rule for rule, method in routes(app) if asked(browser, rule, method) not in _REFUSED}
    everybody = {rule.rule for rule, _ in routes(app) if not mark(app, rule).roles}
    assert through - {"/"} == everybody - {"/"}


def test_a_session_of_an_ehr_gets_through_where_it_is_named_and_nowhere_else(app: Flask, doormen: Doormen) -> None:
    browser = client(app, doormen, LAUNCHED)
    wrong = []
    for rule, method in routes(app):
        lets = mark(app, rule).lets(LAUNCHED)
        if not mark(app, rule).is_open and (asked(browser, rule, method, OWN_STUDY) not in _REFUSED) != lets:
            wrong.append(f"{method} {rule.rule}")
    assert wrong == []


def test_a_session_of_an_ehr_sees_no_study_of_another_patient_in_any_route(
    app: Flask, doormen: Doormen, site: UiSite
) -> None:
    before = len(site.events())
    browser = client(app, doormen, LAUNCHED)
    about = [(rule, method) for rule, method in routes(app) if STUDY in rule.arguments]
    assert about, "no route names a study"
    statuses = {f"{method} {rule.rule}": asked(browser, rule, method) for rule, method in about}
    assert {one: status for one, status in statuses.items() if status not in (403, 404)} == {}
    assert len(site.events()) == before


def test_every_launched_route_names_its_study_as_the_guard_reads_it_or_has_none(app: Flask) -> None:
    launched = [rule for rule in app.url_map.iter_rules() if mark(app, rule).launched]
    named = {argument for rule in launched for argument in rule.arguments if "stud" in argument or argument == "public"}
    by_uid = {rule.rule for rule in launched if rule.rule.startswith("/dicomweb/")}
    assert named <= {STUDY, "study"}
    assert {rule.rule for rule in launched if "study" in rule.arguments} <= by_uid  # whose it is, their services look


def test_an_address_that_nobody_answers_tells_a_stranger_nothing(app: Flask, doormen: Doormen) -> None:
    assert client(app, doormen, None).get("/nowhere").status_code == 401
    assert client(app, doormen, staff(Role.AUDITOR)).get("/nowhere").status_code == 404


def test_the_navigation_has_what_the_person_may_open(app: Flask, doormen: Doormen) -> None:
    page = parsed(client(app, doormen, staff(Role.AUDITOR)).get("/sign-in"))
    offered = [one["href"] for one in page.all("a") if one.get("class") == "nav-link"]
    auditor = client(app, doormen, staff(Role.AUDITOR))
    assert offered
    assert {auditor.get(path, follow_redirects=True).status_code for path in offered} == {200}


@pytest.mark.parametrize("who", people(), ids=lambda who: who.name)
def test_home_is_the_first_page_of_a_role(app: Flask, doormen: Doormen, who: Person) -> None:
    browser = client(app, doormen, who)
    response = browser.get("/")
    offered = [one["href"] for one in parsed(browser.get("/sign-in")).all("a") if one.get("class") == "nav-link"]
    assert (response.status_code, response.location) == ((303, offered[0]) if offered else (403, None))


def test_a_form_without_its_token_changes_nothing_anywhere(app: Flask, doormen: Doormen) -> None:
    browser = client(app, doormen, staff(*Role))
    statuses = {
        rule.rule: browser.open(address(rule), method="POST").status_code
        for rule, method in routes(app)
        if method == "POST"
    }
    assert statuses
    assert set(statuses.values()) == {400}


def test_every_answer_is_closed_to_what_is_not_ours(app: Flask, doormen: Doormen) -> None:
    browser = client(app, doormen, staff(*Role))
    for rule, method in routes(app):
        response = browser.open(address(rule), method=method)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, rule.rule
        assert "unsafe" not in policy, rule.rule
        assert "frame-ancestors 'none'" in policy, rule.rule
        assert response.headers["X-Content-Type-Options"] == "nosniff", rule.rule


def test_no_page_has_a_script_or_a_style_of_its_own(app: Flask, doormen: Doormen) -> None:
    browser = client(app, doormen, staff(*Role))
    for rule, method in routes(app):
        response = browser.open(address(rule), method=method)
        if method != "GET" or "text/html" not in response.content_type:
            continue
        page = parsed(response)
        assert all("src" in one for one in page.all("script")), rule.rule
        assert page.all("style") == [], rule.rule
        assert not [attrs for _, attrs in page.elements if "style" in attrs], rule.rule
        assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")], rule.rule


def test_a_route_without_a_mark_is_a_mistake_that_is_named() -> None:
    app = Flask("bare")
    app.add_url_rule("/bare", view_func=lambda: "seen", endpoint="bare")
    with pytest.raises(ConfigurationError, match="/bare"):
        check_marks(app)


def test_a_view_that_shows_another_patient_to_a_launched_session_shows_and_writes_nothing() -> None:
    doormen, audit = Doormen(), AuditList()
    app = create_ui(given(doormen=doormen, audit=audit))

    @allow(Role.CLINICIAN, launched=True)
    def view(patient: str) -> str:
        viewed("1.2", patient, "study page viewed", "version 1")
        return "seen"

    app.add_url_rule("/shown/<patient>", view_func=view, endpoint="shown_in_a_test")
    browser = client(app, doormen, LAUNCHED)
    assert browser.get("/shown/patient-2").status_code == 404
    assert audit.events == []
    assert browser.get(f"/shown/{PATIENT}").text == "seen"
    [told] = audit.events
    assert told == AuditEvent(told.at, LAUNCHED.user, "study page viewed", "1.2", PATIENT, ("version 1",))


def test_a_program_with_the_token_gets_through_where_programs_may_and_nowhere_else(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sesame\n")
    app = create_ui(given(Settings(http_token_file=token)))

    @allow(Role.RADIOLOGIST, bearer=True)
    def programs() -> str:
        return "seen"

    @allow(Role.RADIOLOGIST)
    def humans() -> str:
        return "seen"

    app.add_url_rule("/for-programs", view_func=programs)
    app.add_url_rule("/for-humans", view_func=humans)
    browser = app.test_client()
    shown = {"Authorization": "Bearer sesame"}
    assert browser.get("/for-programs", headers=shown).status_code == 200
    assert browser.get("/for-programs", headers={"Authorization": "Bearer sesame2"}).status_code == 401
    assert browser.get("/for-humans", headers=shown).status_code == 401


def _documented(app: Flask) -> Iterator[str]:
    """A row for each first part of an address: who may look, who may act, and whether a chart leads there."""
    parts: dict[str, list[tuple[str, Mark]]] = {}
    for rule, method in routes(app):
        if not mark(app, rule).is_open:
            parts.setdefault("/" + rule.rule.split("/")[1], []).append((method, mark(app, rule)))
    for part, found in sorted(parts.items()):
        looks, acts = (_named([one for how, one in found if (how == "GET") == look]) for look in (True, False))
        chart = "yes" if any(one.launched for _, one in found) else "no"
        yield f"| `{part}` | {looks} | {acts} | {chart} |"


def _named(marks: list[Mark]) -> str:
    if any(not one.roles for one in marks):
        return "whoever is signed in"
    return ", ".join(sorted({role for one in marks for role in one.roles})) or "nobody"


def test_the_table_of_roles_in_the_documents_is_what_the_routes_say(app: Flask) -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    told = text.partition("<!-- roles:")[2].partition("\n## ")[0]
    assert [line for line in told.splitlines() if line.startswith("| `/")] == list(_documented(app))
