"""The pages of the worklist: who may see them, what they say, and what no address, log or title ever says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select

from cds.bootstrap.ui_worklist import keeper
from cds.domain.report import Mode
from cds.settings import Settings
from cds.store.safety_tables import AuditRow, FinalReportRow
from cds.store.switches import SwitchKind
from cds.store.tables import StudyRow
from cds.store.worklist_tables import WorklistMarkRow, WorklistRow
from cds.ui.people import Role
from tests.contract.ui_worklist_site import NOW, Page, Site, site
from tests.contract.why_contract import final_row, order, patient, study
from tests.contract.worklist_contract import critical, hold, matched, outcome, put, work
from tests.databases import Databases, fresh
from tests.unit.clinical import MRN, STUDY_UID

PUBLIC = f"public-{STUDY_UID}"


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """A matched and analysed study that came twelve minutes ago, of a patient who is known."""
    with fresh(tmp_path) as databases:
        one = study()
        one.first_instance_at, one.description = NOW - timedelta(minutes=12), "CT Chest"
        put(databases, *patient("patient-1", MRN), order(), one, work("reported"), matched(), outcome())
        yield databases


@pytest.fixture
def here(databases: Databases) -> Iterator[Site]:
    """The pages over it, with its model in advisory mode."""
    made = site(Settings(data_dir=databases.data_dir, model_modes={"ct_lung_density": Mode.ADVISORY}))
    yield made
    made.held.database.dispose()


def seen(databases: Databases) -> list[tuple[str, str, str | None]]:
    with databases.app.reading() as session:
        return [(row.actor, row.action, row.study_uid) for row in session.exec(select(AuditRow))]


# --- who may


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/worklist"), ("GET", "/worklist/rows"), ("POST", "/worklist/search")]
)
@pytest.mark.parametrize("role", [None, *Role])
def test_only_a_radiologist_sees_the_worklist(
    here: Site, databases: Databases, role: Role | None, method: str, path: str
) -> None:
    answer = here.browser(role).open(path, method=method, data={"number": "A1"} if method == "POST" else None)
    assert answer.status_code == {Role.RADIOLOGIST: 200, None: 401}.get(role, 403)
    if role is not Role.RADIOLOGIST:
        assert MRN.value not in answer.get_data(as_text=True)
        assert seen(databases) == []


def test_a_radiologist_in_one_patients_chart_sees_no_list_of_others(here: Site) -> None:
    assert here.browser(Role.RADIOLOGIST, "patient-1").get("/worklist").status_code == 403


def test_a_search_without_the_forms_token_finds_nothing(here: Site) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    browser.application.config["WTF_CSRF_ENABLED"] = True
    answer = browser.post("/worklist/search", data={"number": "A1"})
    assert answer.status_code == 400
    assert PUBLIC not in answer.get_data(as_text=True)


# --- what the list says


def test_a_row_says_whose_the_study_is_why_it_is_there_and_what_the_model_said(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get("/worklist"))
    [_, row] = page.rows
    urgency, whose, why, ai, state, received = row
    assert urgency == "– Routine"
    assert whose.startswith("4711 AU, sex not known, 63 years Modality not known: CT Chest Accession A1")
    assert why == "the order states no priority, waiting 12 min"
    assert ai.startswith("ℹ measured ")
    assert ai.endswith("18.2 %")
    assert state == "✓ Analysed Not verified"
    assert received == "Received 22 Nov 2026 13:53"


def test_a_critical_result_stands_with_a_sign_and_a_word(here: Site, databases: Databases) -> None:
    put(databases, critical())
    [_, row] = Page(here.browser(Role.RADIOLOGIST).get("/worklist/rows")).rows
    assert row[0] == "‼ Critical"
    assert row[2].startswith("critical result not acknowledged: Bleed; ")


def test_a_held_study_says_why_and_names_nobody(here: Site, databases: Databases) -> None:
    put(databases, hold("two patients are named"))
    [_, row] = Page(here.browser(Role.RADIOLOGIST).get("/worklist")).rows
    assert "no name known" in row[1]
    assert "Whose images these are is in doubt" in row[1]
    assert row[2].startswith("held: two patients are named")
    assert row[3] == "Not shown until it is known whose images these are"


def test_what_was_not_detected_or_not_evaluated_is_never_an_empty_cell(here: Site, databases: Databases) -> None:
    here.held.switches.disable(SwitchKind.MODEL, "ct_lung_density", by="ada", reason="wrong", now=NOW)
    [_, row] = Page(here.browser(Role.RADIOLOGIST).get("/worklist")).rows
    assert row[2].startswith("not analysed: no model here reads images like these")
    assert row[3] == "No result. That is not a negative result."


def test_a_finished_study_is_shown_by_its_filter_alone(here: Site, databases: Databases) -> None:
    signed = final_row("patient-1")
    put(databases, signed)
    browser = here.browser(Role.RADIOLOGIST)
    assert "Nothing waits for a reader now." in Page(browser.get("/worklist")).text
    page = Page(browser.get("/worklist?status=reported"))
    assert page.rows[1][4] == "✓ Finished Not verified"
    assert page.rows[1][5].startswith("Finished ")
    assert isinstance(signed, FinalReportRow)


@pytest.mark.parametrize(
    "query", ["modality=MR", "site=north", "finding=nodule", "status=held", "finding=%25", "modality=%27%20OR%201=1--"]
)
def test_a_filter_that_nothing_fits_says_so_and_stays_chosen(here: Site, query: str) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get(f"/worklist?{query}"))
    assert "No study fits these filters now." in page.text
    chosen = [a["value"] for a in page.all("option") if "selected" in a and a["value"] not in ("auto", "light", "dark")]
    assert len(chosen) == 1


@pytest.mark.parametrize("query", ["status=everything", "page=x", "page=-1", "page=0", "nothing=1"])
def test_what_is_no_filter_is_left_out(here: Site, query: str) -> None:
    assert len(Page(here.browser(Role.RADIOLOGIST).get(f"/worklist?{query}")).rows) == 2


def test_a_page_behind_the_last_leads_back(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get("/worklist?page=9"))
    assert "This page of the list is empty now." in page.text


def test_the_rows_that_the_page_asks_for_are_those_that_it_shows(here: Site) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    whole = Page(browser.get("/worklist?status=analysed"))
    [part] = [a for a in whole.all("div") if "data-fresh" in a]
    rows = Page(browser.get(str(part["data-fresh"])))
    assert part["data-fresh"] == "/worklist/rows?status=analysed"
    assert rows.rows == whole.rows
    assert not rows.all("html")


def test_a_row_leads_to_the_study_by_its_random_id(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get("/worklist"))
    assert f"/studies/{PUBLIC}" in [a.get("href") for a in page.all("a")]


def test_a_change_is_on_the_list_at_the_next_look(here: Site, databases: Databases) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    assert len(Page(browser.get("/worklist/rows")).rows) == 2
    put(databases, study(uid="1.2.9", accession="B9"))
    assert len(Page(browser.get("/worklist/rows")).rows) == 3


def test_the_list_is_shown_while_the_database_takes_no_writes(here: Site, databases: Databases) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    browser.get("/worklist")
    with databases.app.writing() as session:
        session.get_one(StudyRow, STUDY_UID).stopped = "wrong patient"
    impatient = here.held.database.writer
    with impatient.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    with databases.app.writer.begin() as connection:
        connection.execute(sa.text("UPDATE study SET description = description"))
        answer = browser.get("/worklist/rows")
    assert "1 change is still being worked in" in Page(answer).text


def test_a_timer_keeps_the_rows_while_nobody_looks(here: Site, databases: Databases) -> None:
    keeper(here.settings, here.held, here.clock)(NOW)
    with databases.app.reading() as session:
        assert session.exec(select(WorklistRow.study_uid)).all() == [STUDY_UID]
        assert session.exec(select(WorklistMarkRow)).all() == []


# --- search


@pytest.mark.parametrize("number", ["A1", " A1 ", "4711"])
def test_a_search_finds_a_study_by_its_accession_number_or_patient(here: Site, number: str) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).post("/worklist/search", data={"number": number}))
    assert [row[1].split()[0] for row in page.rows[1:]] == ["4711"]


def test_a_search_finds_what_is_finished_too(here: Site, databases: Databases) -> None:
    put(databases, final_row("patient-1"))
    page = Page(here.browser(Role.RADIOLOGIST).post("/worklist/search", data={"number": "A1"}))
    assert page.rows[1][4] == "✓ Finished Not verified"


def test_a_search_that_finds_nothing_says_what_that_means(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).post("/worklist/search", data={"number": "X"}))
    assert "No study here has this accession number or patient identifier." in page.text


@pytest.mark.parametrize("number", ["", "   ", "9" * 65])
def test_a_number_that_is_none_is_refused_in_words(here: Site, number: str) -> None:
    answer = here.browser(Role.RADIOLOGIST).post("/worklist/search", data={"number": number})
    assert answer.status_code == 400
    assert "accession number or a patient identifier" in Page(answer).text


def test_a_search_is_no_address(here: Site) -> None:
    assert here.browser(Role.RADIOLOGIST).get("/worklist/search?number=A1").status_code == 405


def test_no_address_title_or_log_names_a_patient(here: Site, caplog: pytest.LogCaptureFixture) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    with caplog.at_level(logging.DEBUG):
        pages = [Page(browser.get("/worklist")), Page(browser.post("/worklist/search", data={"number": "4711"}))]
    for page in pages:
        addresses = [
            str(value) for _, a in page.elements for name, value in a.items() if name in ("href", "action", "src")
        ]
        assert not any(told in address for told in ("4711", "A1", "Unmistakable") for address in addresses)
        assert "4711" not in page.title
    assert "4711" not in caplog.text


# --- the audit log


def test_everybody_who_was_shown_is_in_the_audit_log_once_in_a_while(here: Site, databases: Databases) -> None:
    browser = here.browser(Role.RADIOLOGIST)
    for _ in range(3):
        browser.get("/worklist/rows")
    assert seen(databases) == [("user-radiologist", "worklist viewed", STUDY_UID)]
    here.clock.at += timedelta(minutes=20)
    browser.get("/worklist/rows")
    assert len(seen(databases)) == 2


def test_a_search_is_in_the_audit_log_too(here: Site, databases: Databases) -> None:
    here.browser(Role.RADIOLOGIST).post("/worklist/search", data={"number": "A1"})
    assert seen(databases) == [("user-radiologist", "worklist searched", STUDY_UID)]


# --- how it is made


def test_the_table_is_one_for_a_screen_reader(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get("/worklist"))
    headers = page.all("th")
    assert [a["scope"] for a in headers] == ["col"] * 6 + ["row"]
    assert page.all("caption")
    labelled = {a["for"] for a in page.all("label")}
    assert {a["id"] for a in page.all("select")} | {"number"} <= labelled
    assert len(page.all("h1")) == 1


def test_nothing_on_the_page_has_a_style_or_script_of_its_own(here: Site) -> None:
    page = Page(here.browser(Role.RADIOLOGIST).get("/worklist"))
    assert all("src" in a for a in page.all("script"))
    assert not any("style" in a or name == "style" for name, a in page.elements)
    assert not any(attribute.startswith("on") for _, a in page.elements for attribute in a)
