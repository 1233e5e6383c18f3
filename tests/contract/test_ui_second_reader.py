"""Second reading on the pages: hidden until a radiologist has read, arbitrated by a third, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlmodel import select
from werkzeug.test import TestResponse

from cds.domain.imaging import StoredInstance
from cds.domain.second_reading import ReadingState
from cds.settings import Settings
from cds.store.reading_tables import SecondReadingRow
from cds.ui.people import Person, Role
from cds.ui.second_reader import STATES, Lists, SecondReaderServices
from tests import ui_doors
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, instance
from tests.contract.ui_study_site import CT, MAMMO, SCREENING, SUSPICIOUS, Page, Site, site
from tests.databases import fresh

RADIOLOGIST = Role.RADIOLOGIST
RAD = Person("rad", "Rad", frozenset({RADIOLOGIST}))
BOTH_NEGATIVE = {"part-left": "1", "part-right": "1"}
AGREEING = {"part-left": "4", "part-right": "2"}
#: What nobody may learn of the model's reading before a radiologist has read.
TELLING = ("mass", "81 %", "Suspicious")
MORE = ("", "/report.html", "/report.pdf", "/why")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """The installation, where the model `mammo` reads beside a person."""
    with fresh(tmp_path) as databases:
        yield site(databases)


def readers(here: Site) -> SecondReaderServices:
    """The services of the second reader's pages."""
    assert here.services.second_reader is not None
    return here.services.second_reader


def send(here: Site, more: str, user: str = "rad", **form: str) -> TestResponse:
    """Send a form of the screening exam as a radiologist."""
    fields = {"model": MAMMO, "image_revision": "1", **form}
    return here.browser(RADIOLOGIST, user=user).post(here.address(SCREENING, more), data=fields)


def read(here: Site, user: str = "rad", **form: str) -> TestResponse:
    """Record an own reading."""
    return send(here, "/readings", user, **form)


def page(here: Site, user: str = "rad") -> Page:
    """The study page of the screening exam."""
    return Page(here.browser(RADIOLOGIST, user=user).get(here.address(SCREENING)))


def lists(here: Site) -> Lists:
    """What waits."""
    return readers(here).lists()


# --- hidden until read


@pytest.mark.parametrize("more", MORE)
def test_nothing_of_the_models_reading_is_on_any_page_before_a_radiologist_has_read(more: str, here: Site) -> None:
    for role in (RADIOLOGIST, Role.CLINICIAN, Role.COORDINATOR):
        response = here.browser(role).get(here.address(SCREENING, more))
        for words in TELLING:
            assert words.encode() not in response.data, (role, words)
    assert readers(here).hidden(SCREENING) == {MAMMO}
    assert readers(here).hidden_of([SCREENING, CT]) == {SCREENING: {MAMMO}}


def test_the_page_asks_for_the_reading_and_says_that_the_model_is_hidden(here: Site) -> None:
    said = page(here)
    assert "the model's is hidden until then" in said.text
    assert set(said.form("/readings")) >= {"model", "image_revision", "part-left", "part-right"}
    assert not any(action.endswith("/arbitrations") for action, _ in said.forms)


def test_a_hidden_finding_cannot_be_verified(here: Site) -> None:
    form = {"finding": f"{MAMMO}.mass", "version": "3.1", "verdict": "confirmed"}
    assert send(here, "/findings", **form).status_code == 404


def test_the_readers_own_reading_shows_the_models(here: Site) -> None:
    assert read(here, **AGREEING).status_code == 303
    said = page(here)
    assert "both readings agree" in said.text
    assert "left recall (BI-RADS 4) recall recall (BI-RADS 4)" in said.rows
    assert "Suspicious mass" in said.text
    assert readers(here).hidden(SCREENING) == frozenset()


def test_other_images_want_another_reading(here: Site) -> None:
    read(here, **AGREEING)
    late = instance("1.7.10", study=SCREENING, accession="A7")
    late = replace(late, header=replace(late.header, modality="MG"))
    here.held.studies.add(late, received_at=here.clock.now(), consumed=True, source="dicom")
    assert readers(here).hidden(SCREENING) == {MAMMO}
    assert read(here, **AGREEING).status_code == 409


def test_a_model_that_is_no_second_reader_hides_nothing(here: Site) -> None:
    assert readers(here).hidden(CT) == frozenset()
    assert "Second reader" not in Page(here.browser(RADIOLOGIST).get(here.address(CT))).headings


@pytest.mark.parametrize("mode", ["off", "triage"])
def test_a_mode_of_the_site_comes_before_that_of_the_installation(mode: str, tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        rules = {MAMMO: {"sites": {"north": mode}}}
        here = site(databases, sites={"north": {"issuers": ["RIS"]}}, second_readers=rules)
        assert readers(here).hidden(SCREENING) == frozenset()
        assert "Suspicious mass" in page(here).text
        assert read(here, **AGREEING).status_code == 404


def test_a_site_without_a_second_reader_has_no_such_pages(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        here = site(databases, second_readers={})
        assert here.services.second_reader is None
        assert here.browser(RADIOLOGIST).get("/second-reader").status_code == 404


# --- recorded


WRONG = [
    ({"part-left": "6", "part-right": "1"}, 400, "want a BI-RADS category"),
    ({"part-left": "1"}, 400, "right: want a BI-RADS category"),
    ({"part-left": "not-read", "part-right": "not-read"}, 400, "what nobody read is no reading"),
    ({**BOTH_NEGATIVE, "model": "m"}, 404, "does not read beside a person"),
    ({**BOTH_NEGATIVE, "image_revision": "2"}, 409, "the images have changed"),
    ({**BOTH_NEGATIVE, "image_revision": "-1"}, 400, "want a whole number"),
    ({**BOTH_NEGATIVE, "corrects": "1"}, 404, "no reading to correct"),
]


@pytest.mark.parametrize(("form", "status", "words"), WRONG, ids=str)
def test_what_is_no_reading_is_refused_and_shows_nothing(
    form: dict[str, str], status: int, words: str, here: Site
) -> None:
    response = read(here, **form)
    assert (response.status_code, words in Page(response).text) == (status, True), Page(response).text
    assert readers(here).hidden(SCREENING) == {MAMMO}


def test_a_second_person_does_not_read_what_is_read(here: Site) -> None:
    read(here, **AGREEING)
    response = read(here, "two", **BOTH_NEGATIVE)
    assert response.status_code == 409
    assert "a disagreement is for arbitration" in Page(response).text


def test_a_correction_stands_beside_what_was_recorded_and_wants_a_reason(here: Site) -> None:
    read(here, **BOTH_NEGATIVE)
    number = page(here).form("/readings", model=MAMMO)["corrects"]
    assert read(here, **AGREEING, corrects=number).status_code == 400
    assert read(here, **AGREEING, corrects=number, reason="I see it now").status_code == 303
    said = page(here)
    assert "after the model’s reading was shown, a correction: I see it now" in said.text
    assert "the readings differ: a third person decides" in said.text
    assert "left no recall (BI-RADS 1) recall ⚠ differs" in " ".join(said.rows)


def test_a_correction_before_the_model_has_answered_is_blind_and_counts(here: Site) -> None:
    here.held.studies.add(_screening("1.8"), received_at=NOW, consumed=True, source="dicom")
    [work] = close_quiet(here.held.database, here.clock.now())
    address = f"/studies/{here.held.studies.study('1.8').public_id}"
    browser = here.browser(RADIOLOGIST)
    fields = {"model": MAMMO, "image_revision": "1", **BOTH_NEGATIVE}
    assert browser.post(f"{address}/readings", data=fields).status_code == 303
    shown = Page(browser.get(address))
    assert "the model has not answered yet" in shown.text
    again = fields | AGREEING | {"corrects": shown.form("/readings")["corrects"], "reason": "the other side"}
    assert browser.post(f"{address}/readings", data=again).status_code == 303
    here.held.works.save_outcome(work, SUSPICIOUS, here.clock.now())
    lists(here)
    [beside] = readers(here).beside("1.8", RAD)
    assert beside.readings.state is ReadingState.AGREED


def test_nothing_that_was_recorded_is_ever_changed(here: Site) -> None:
    def rows() -> list[tuple[int | None, str, str]]:
        with here.held.database.reading() as session:
            found = session.exec(select(SecondReadingRow)).all()
            return [(row.id, row.kind, row.body) for row in found]

    read(here, **BOTH_NEGATIVE)
    before = rows()
    read(here, **AGREEING, corrects=str(before[0][0]), reason="again")
    send(here, "/arbitrations", "third", **{"part-left": "yes"}, reason="seen in both views")
    send(here, "/results", malignant="yes", source="histology")
    send(here, "/results", malignant="no", source="histology, revised")
    assert rows()[: len(before)] == before
    assert [kind for _, kind, _ in rows()] == ["reading", "compared", "reading", "arbitration", "result", "result"]


# --- arbitration


def test_a_disagreement_waits_for_a_third_person_who_decides_with_a_reason(here: Site) -> None:
    read(here, **BOTH_NEGATIVE)
    [waiting] = lists(here).arbitrate
    assert (waiting.differs, waiting.accession) == (("left",), "A7")
    listed = Page(here.browser(RADIOLOGIST, user="third").get("/second-reader"))
    assert any("differs left" in row for row in listed.rows)
    assert not any(action.endswith("/arbitrations") for action, _ in page(here).forms)
    assert set(page(here, "third").form("/arbitrations")) >= {"part-left", "reason"}
    decided = send(here, "/arbitrations", "third", **{"part-left": "yes"}, reason="seen in both views")
    assert decided.status_code == 303
    said = page(here)
    assert "Decided by third" in said.text
    assert any(row.startswith("left no recall (BI-RADS 1) recall ⚠ differs recall") for row in said.rows)
    assert lists(here).arbitrate == ()


NO_DECISIONS = [
    ("rad", {"part-left": "yes", "reason": "x"}, 400, "want a third person"),
    ("third", {"part-left": "yes"}, 400, "want the reason"),
    ("third", {"part-left": "not-read", "reason": "x"}, 400, "want yes or no"),
    ("third", {"reason": "x"}, 400, "want yes or no"),
]


@pytest.mark.parametrize(("user", "form", "status", "words"), NO_DECISIONS, ids=str)
def test_what_is_no_decision_is_refused(user: str, form: dict[str, str], status: int, words: str, here: Site) -> None:
    read(here, **BOTH_NEGATIVE)
    response = send(here, "/arbitrations", user, **form)
    assert (response.status_code, words in Page(response).text) == (status, True), Page(response).text
    assert len(lists(here).arbitrate) == 1


def test_there_is_nothing_to_decide_where_the_readings_agree_or_nobody_has_read(here: Site) -> None:
    form = {"part-left": "yes", "reason": "x"}
    assert send(here, "/arbitrations", "third", **form).status_code in (400, 409)
    read(here, **AGREEING)
    assert send(here, "/arbitrations", "third", **form).status_code in (400, 409)


def test_only_who_decided_corrects_the_decision(here: Site) -> None:
    read(here, **BOTH_NEGATIVE)
    assert send(here, "/arbitrations", "third", **{"part-left": "yes"}, reason="seen").status_code == 303
    assert send(here, "/arbitrations", "fourth", **{"part-left": "no"}, reason="not seen").status_code == 409
    assert send(here, "/arbitrations", "third", **{"part-left": "no"}, reason="an artefact").status_code == 303
    [beside] = readers(here).beside(SCREENING, RAD)
    assert [one.recall for one in beside.readings.outcome] == [False, False]


# --- lists


def test_a_study_waits_to_be_read_until_it_is(here: Site) -> None:
    assert [one.accession for one in lists(here).read] == ["A7"]
    listed = here.browser(RADIOLOGIST).get("/second-reader")
    assert not any(words.encode() in listed.data for words in TELLING)
    read(here, **AGREEING)
    assert lists(here).read == ()


def test_triage_orders_by_the_model_within_the_orders_priority(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        here = site(databases, second_readers={MAMMO: {"mode": "triage"}})
        negative = tuple(
            replace(one, presence=SUSPICIOUS.findings[1].presence, confidence=None) for one in SUSPICIOUS.findings
        )
        sure = replace(SUSPICIOUS, findings=(replace(SUSPICIOUS.findings[0], confidence=0.97),))
        for uid, answer in (("1.80", replace(SUSPICIOUS, findings=negative)), ("1.81", sure)):
            here.held.studies.add(_screening(uid), received_at=NOW, consumed=True, source="dicom")
            [work] = close_quiet(here.held.database, here.clock.now() + timedelta(hours=1))
            here.held.works.save_outcome(work, answer, NOW)
        found = [one.public_id for one in lists(here).triage]
        assert found == [here.held.studies.study(uid).public_id for uid in ("1.81", SCREENING, "1.80")]
        assert lists(here).read == ()


def test_a_list_tells_how_far_each_study_is_in_as_many_queries_as_one(here: Site) -> None:
    def told() -> dict[str, str]:
        return dict(readers(here).states([SCREENING, CT, "no-such"]))

    assert told() == {SCREENING: STATES[ReadingState.WAITING]}
    read(here, **BOTH_NEGATIVE)
    assert told() == {SCREENING: STATES[ReadingState.ARBITRATION]}
    send(here, "/arbitrations", "third", **{"part-left": "yes"}, reason="seen in both views")
    assert told() == {SCREENING: STATES[ReadingState.DECIDED]}


# --- figures


def test_figures_count_recall_detection_and_arbitration(here: Site) -> None:
    read(here, **BOTH_NEGATIVE)
    send(here, "/arbitrations", "third", **{"part-left": "yes"}, reason="seen in both views")
    send(here, "/results", malignant="yes", source="histology")
    day = here.clock.today()
    found = readers(here).figures(day, day).all
    assert found is not None
    shares = (found.own_recall, found.model_recall, found.recall, found.arbitration, found.detected, found.own_detected)
    assert [(one.count, one.of) for one in shares if one] == [(0, 1), (1, 1), (1, 1), (1, 1), (1, 1), (0, 1)]
    shown = Page(here.browser(Role.AUDITOR).get("/second-reader/figures"))
    assert any(row.startswith("mammo 3.1 1 0.0 %") for row in shown.rows)
    assert readers(here).figures(day - timedelta(days=9), day - timedelta(days=1)).all is None


def test_figures_are_there_as_csv(here: Site) -> None:
    read(here, "=cmd", **AGREEING)
    response = here.browser(RADIOLOGIST).get("/second-reader/figures.csv")
    head, *lines = response.get_data(as_text=True).splitlines()
    assert response.content_type.startswith("text/csv")
    assert head.startswith("by,group,studies,undecided,own_recall_count,own_recall_of,own_recall_low")
    assert lines[0].startswith("all,all,1,0,1,1,")
    assert any(line.startswith("reader,'=cmd,1,") for line in lines)


@pytest.mark.parametrize("query", ["since=never", "since=2026-02-31", "since=2026-11-21&until=2026-11-20"])
def test_a_period_that_is_none_is_refused(query: str, here: Site) -> None:
    assert here.browser(RADIOLOGIST).get(f"/second-reader/figures?{query}").status_code == 400


# --- who may


FIGURES = {RADIOLOGIST, Role.AUDITOR, Role.ADMINISTRATOR}
ROUTES = [
    ("GET", "/second-reader", {RADIOLOGIST}),
    ("GET", "/second-reader/figures", FIGURES),
    ("GET", "/second-reader/figures.csv", FIGURES),
    *(("POST", f"/studies/any/{what}", {RADIOLOGIST}) for what in ("readings", "arbitrations", "results")),
]


@pytest.mark.parametrize(("method", "path", "may"), ROUTES, ids=ui_doors.label)
def test_each_address_is_for_its_roles_alone(method: str, path: str, may: set[Role], here: Site) -> None:
    for role in Role:
        status = here.browser(role).open(path, method=method).status_code
        assert (status != 403) is (role in may), role
    assert here.browser().open(path, method=method).status_code == 401
    assert here.browser(RADIOLOGIST, patient_id=here.patient_id).open(path, method=method).status_code == 403


def test_the_audit_log_tells_who_read_and_not_what_they_said(here: Site) -> None:
    read(here, **AGREEING)
    [event] = [one for one in here.held.audit.search(study_uid=SCREENING) if one.action == "own reading recorded"]
    assert (event.actor, event.patient_id, event.detail) == ("rad", here.patient_id, (MAMMO,))


def _screening(uid: str) -> StoredInstance:
    made = instance(f"{uid}.9", study=uid, accession=f"A{uid}")
    return replace(made, header=replace(made.header, modality="MG"))


def test_an_exam_of_which_all_is_hidden_is_not_shown_as_one_without_findings(here: Site) -> None:
    said = page(here)
    assert "What the model says is hidden until your own reading is recorded." in said.text
    assert "No finding could be evaluated" not in said.text
    for role in (RADIOLOGIST, Role.CLINICIAN):
        for more in ("/report.html", "/report.pdf"):
            assert here.browser(role).get(here.address(SCREENING, more)).status_code == 404


def test_a_site_that_is_misspelt_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(ValidationError, match="mammo names nort, which is no site of CDS_SITES"):
        Settings(sites={"north": {"issuers": ["RIS"]}}, second_readers={MAMMO: {"sites": {"nort": "triage"}}})


def test_a_site_that_reads_by_yes_and_no_is_asked_so(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        here = site(databases, second_readers={MAMMO: {"scale": "yes-no", "parts": ["study"]}})
        assert "part-study" in page(here).form("/readings")
        assert read(here, **{"part-study": "4"}).status_code == 400
        assert read(here, **{"part-study": "no"}).status_code == 303
        assert "the readings differ" in page(here).text
