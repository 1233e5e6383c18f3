"""The study page: who sees what of a study, verification, documents, the timeline, model cards."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlmodel import select

from cds.bootstrap.installed import manifests
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.imaging import StoredInstance
from cds.domain.recommendation import Advice, Indicator
from cds.domain.revision import Revision, Work
from cds.domain.switch import SwitchKind
from cds.domain.verification import Verdict
from cds.store import timeline
from cds.store.safety_tables import AuditRow
from cds.store.tables import StudyRow
from cds.ui.people import Role
from tests import ui_doors
from tests.contract.store_contract import instance
from tests.contract.ui_study_site import ADVICE, CT, PRIOR, SCREENING, VOLUME, Page, Site, report, site
from tests.databases import fresh

RADIOLOGIST, CLINICIAN, COORDINATOR = Role.RADIOLOGIST, Role.CLINICIAN, Role.COORDINATOR


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    """The installation."""
    with fresh(tmp_path) as databases:
        yield site(databases)


def shown(here: Site, uid: str, *roles: Role, user: str = "rad", patient_id: str = "") -> Page:
    """A study's page as somebody sees it."""
    response = here.browser(*roles, user=user, patient_id=patient_id).get(here.address(uid))
    assert response.status_code == 200, Page(response).text
    return Page(response)


def verify(here: Site, about: str, **form: str) -> tuple[int, str]:
    """Send the form of a finding as a radiologist; answers the status and the page."""
    fields = shown(here, CT, RADIOLOGIST).form("/findings", finding=about) | form
    response = here.browser(RADIOLOGIST).post(here.address(CT, "/findings"), data=fields)
    return response.status_code, Page(response).text


def verdicts(here: Site) -> dict[str, Verdict]:
    """What counts."""
    return {one.finding.name: one.verdict for one in here.held.opinions.verifications(CT, 1)}


def _other(uid: str) -> StoredInstance:
    """An image of a study that nobody has analysed."""
    return instance(f"{uid}.9", study=uid, accession="A9")


# --- what a radiologist sees


def test_findings_stand_with_confidence_threshold_limits_and_checks(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    for words in (
        "Bleed", "detected", "93 %", "0.5", "Volume", "4 mL", "Not made for children.", "kernel: soft tissue",
        "not detected by m 1 at threshold 0.5; does not exclude",
    ):  # fmt: skip
        assert words in page.text, words
    assert page.headings.count("Findings") == 1
    assert len([tag for tag, _ in page.elements if tag == "h1"]) == 1


def test_what_was_not_evaluated_says_why_and_is_no_negative(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    assert "the slices are too thick. This is not a negative result." in page.text


def test_the_ai_is_advice_and_the_ris_signs(here: Site) -> None:
    assert "only the report signed in the RIS is the radiology report" in shown(here, CT, RADIOLOGIST).text


def test_a_finding_is_compared_with_earlier_studies_as_a_plot_and_in_words(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    [plot] = [given for tag, given in page.elements if tag == "svg"]
    assert plot["aria-label"] == "Volume over time: 2025-11-20: 3 mL; 2026-11-20: 4 mL"
    assert "20 Nov 2025 3 mL 1" in page.rows
    assert not any(tag == "svg" for tag, _ in shown(here, PRIOR, RADIOLOGIST).elements)


def test_guidelines_stand_with_risk_and_each_input_with_date_and_source(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    for words in ("Pathway of a test", "Order a repeat CT", "Risk: Score of a test", "12 %", "in 10 years"):
        assert words in page.text, words
    assert "age 66 years 2 Mar 2026 HL7 ADT" in page.rows
    assert "creatinine 88 umol/L 1 Oct 2026 HL7 LAB" in page.rows


def test_the_final_report_stands_beside_the_findings_with_the_discordance(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    assert "No bleed is seen." in page.text
    assert "It contradicts: Bleed by m." in page.text


def test_a_study_whose_images_name_somebody_else_shows_no_result(here: Site) -> None:
    with here.held.database.writing() as session:
        row = session.get_one(StudyRow, CT)
        row.patient_value = "P9"
        session.add(row)
    page = shown(here, CT, RADIOLOGIST)
    assert "Held: it is not certain whose these images are." in page.text
    assert "Bleed" not in page.text


def test_a_model_in_shadow_or_switched_off_is_not_shown_to_anybody(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        quiet = site(databases, model_modes={"m": "shadow", "other": "advisory"})
        assert "Bleed" not in shown(quiet, CT, RADIOLOGIST).text
        assert "Bleed" not in Page(quiet.browser(RADIOLOGIST).get(quiet.address(CT, "/report.html"))).text


def test_a_model_that_was_switched_off_leaves_the_page_at_once(here: Site) -> None:
    here.held.switches.disable(SwitchKind.MODEL, "m", by="eng", reason="wrong", now=here.clock.now())
    assert "Bleed" not in shown(here, CT, RADIOLOGIST).text


# --- what others see


def test_the_care_team_sees_what_is_released_without_the_final_report_and_without_forms(here: Site) -> None:
    for role in (CLINICIAN, COORDINATOR):
        page = shown(here, CT, role, user="cli")
        assert "Volume" in page.text
        assert "No bleed is seen." not in page.text
        assert "what is absent from this page is not a negative result" in page.text
        assert [action for action, _ in page.forms if "/studies/" in action] == []
        assert "Bleed" not in page.text  # contradicted by the final report, and nobody has verified it


def test_an_unverified_finding_waits_for_the_radiologist_before_the_care_team_sees_it(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        careful = site(databases, release={"referral": "confirmed"})
        assert careful.browser(CLINICIAN).get(careful.address(CT)).status_code == 404
        assert careful.browser(RADIOLOGIST).get(careful.address(CT)).status_code == 200


def test_a_launch_from_a_chart_sees_that_patient_alone(here: Site) -> None:
    assert "Volume" in shown(here, CT, CLINICIAN, user="Practitioner-1", patient_id=here.patient_id).text
    for more in ("", "/report.html", "/report.pdf", "/why"):
        response = here.browser(CLINICIAN, patient_id="somebody-else").get(here.address(CT, more))
        assert response.status_code in (403, 404), more


def test_a_radiologist_in_a_chart_sees_what_the_chart_may(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST, CLINICIAN, patient_id=here.patient_id)
    assert "No bleed is seen." not in page.text


ROUTES = [
    ("GET", "", {RADIOLOGIST, CLINICIAN, COORDINATOR}),
    ("POST", "/findings", {RADIOLOGIST}),
    ("GET", "/why", {RADIOLOGIST}),
    ("GET", "/report.html", {RADIOLOGIST, CLINICIAN, COORDINATOR}),
    ("GET", "/report.pdf", {RADIOLOGIST, CLINICIAN, COORDINATOR}),
]


@pytest.mark.parametrize(("method", "more", "may"), ROUTES, ids=ui_doors.label)
def test_each_address_is_for_its_roles_alone(method: str, more: str, may: set[Role], here: Site) -> None:
    for role in Role:
        status = here.browser(role).open(here.address(CT, more), method=method).status_code
        assert (status != 403) is (role in may), role
    assert here.browser().open(here.address(CT, more), method=method).status_code == 401


def test_a_study_that_is_not_there_is_told_in_words(here: Site) -> None:
    response = here.browser(RADIOLOGIST).get("/studies/no-such")
    assert response.status_code == 404
    assert "That is not a negative result." in Page(response).text


def test_every_view_is_in_the_audit_log_with_the_version(here: Site) -> None:
    shown(here, CT, RADIOLOGIST)
    shown(here, CT, CLINICIAN, user="cli")
    with here.held.database.reading() as session:
        rows = session.exec(select(AuditRow).where(AuditRow.study_uid == CT)).all()
    seen = [(row.actor, row.action, row.patient_id, row.detail) for row in rows]
    assert seen == [
        ("rad", "study page viewed", here.patient_id, '["version 1"]'),
        ("cli", "study page viewed", here.patient_id, '["version 1"]'),
    ]


# --- verification


def test_a_radiologist_confirms_rejects_and_corrects(here: Site) -> None:
    assert verify(here, "m.bleed", verdict="confirmed", reason="")[0] == 303
    assert verify(here, "m.volume", verdict="corrected", value="4,2", reason="measured again")[0] == 303
    assert verify(here, "m.fracture", verdict="rejected", reason="artefact")[0] == 303
    assert verdicts(here) == {
        "m.bleed": Verdict.CONFIRMED, "m.volume": Verdict.CORRECTED, "m.fracture": Verdict.REJECTED,
    }  # fmt: skip
    [volume] = [one for one in here.held.opinions.verifications(CT, 1) if one.finding.key == "volume"]
    assert (volume.corrected, volume.by, volume.reason) == (Quantity(4.2, "mL"), "rad", "measured again")
    page = shown(here, CT, RADIOLOGIST)
    assert "confirmed by a radiologist" in page.text
    assert "a newer version is being made" in page.text


def test_verifying_sends_no_report_and_signs_none(here: Site) -> None:
    verify(here, "m.bleed", verdict="confirmed", reason="")
    assert list(here.held.deliveries.pending()) == []
    newest = here.held.reports.latest_of_study(CT)
    assert newest is not None
    assert newest.version == 1


WRONG = [
    ({"verdict": "signed"}, 400, "want verdict"),
    ({"verdict": "rejected", "reason": " "}, 400, "want the reason"),
    ({"verdict": "corrected", "reason": "x", "value": "many"}, 400, "want a number"),
    ({"verdict": "corrected", "reason": "x", "value": "nan"}, 400, "want a number"),
    ({"verdict": "corrected", "reason": "x"}, 400, "want value"),
    ({"verdict": "confirmed", "image_revision": "2"}, 409, "the images have changed"),
    ({"verdict": "confirmed", "image_revision": "x"}, 400, "want a whole number"),
    ({"verdict": "confirmed", "version": "0"}, 404, "not shown here now"),
    ({"verdict": "confirmed", "finding": "m.nothing"}, 404, "not shown here now"),
    ({"verdict": "confirmed", "reason": "x" * 501}, 400, "at most 500 characters"),
]


@pytest.mark.parametrize(("form", "status", "words"), WRONG, ids=str)
def test_what_is_no_verdict_is_refused_in_words(form: dict[str, str], status: int, words: str, here: Site) -> None:
    got, text = verify(here, "m.volume", **form)
    assert (got, words in text) == (status, True), text
    assert verdicts(here) == {}


def test_a_form_without_its_token_is_refused(here: Site) -> None:
    here.app.config["WTF_CSRF_ENABLED"] = True
    assert verify(here, "m.bleed", verdict="confirmed", csrf_token="")[0] == 400
    assert verdicts(here) == {}


# --- documents, timeline, cards


def test_the_report_is_there_as_a_document_and_as_pdf(here: Site) -> None:
    browser = here.browser(RADIOLOGIST)
    html, pdf = (browser.get(here.address(CT, f"/report.{kind}")) for kind in ("html", "pdf"))
    assert "Bleed" in Page(html).text
    assert "style-src 'sha256-" in html.headers["Content-Security-Policy"]
    assert pdf.data.startswith(b"%PDF")
    assert pdf.headers["Cache-Control"] == "no-store"
    assert "P1" not in pdf.headers["Content-Disposition"]


def test_a_study_without_a_report_has_no_document_and_says_that_this_is_no_negative(here: Site) -> None:
    here.held.studies.add(_other("1.9"), received_at=here.clock.now(), consumed=True, source="dicom")
    public_id = here.held.studies.study("1.9").public_id
    page = Page(here.browser(RADIOLOGIST).get(f"/studies/{public_id}"))
    assert "No AI result of this study is here yet. That is not a negative result." in page.text
    assert here.browser(RADIOLOGIST).get(f"/studies/{public_id}/report.pdf").status_code == 404


def test_the_timeline_tells_how_it_came_about(here: Site) -> None:
    verify(here, "m.bleed", verdict="confirmed", reason="seen")
    page = Page(here.browser(RADIOLOGIST).get(here.address(CT, "/why")))
    assert page.headings[0] == "How this analysis came about"
    assert any("verify finding m.bleed confirmed by a radiologist" in row for row in page.rows)
    assert "m.bleed confirmed by rad" in page.text


def test_the_timeline_keeps_quiet_about_models_that_nobody_may_see(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        here = site(databases)
        quiet = next(iter(manifests(here.settings)))
        with here.held.database.writing() as session:
            timeline.write(session, here.clock.now(), "infer", f"{quiet}: findings", study_uid=CT)
            timeline.write(session, here.clock.now(), "decide", "done", study_uid=CT, detail=(f"{quiet}: off", "kept"))
        page = Page(here.browser(RADIOLOGIST).get(here.address(CT, "/why")))
        assert quiet not in page.text
        assert any(row.endswith("decide done kept") for row in page.rows)


def test_a_model_card_is_one_click_away_and_has_all_31_attributes(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    assert "/models/m/card" in page.links()
    card = Page(here.browser(CLINICIAN).get("/models/head_ct_hemorrhage/card"))
    assert "Model card: head_ct_hemorrhage" in card.headings[0]
    numbers = {row.split()[0] for row in card.rows if row and row.split()[0].isdigit()}
    assert {str(number) for number in range(1, 32)} <= numbers
    assert here.browser(CLINICIAN).get("/models/nobody/card").status_code == 404


def test_no_patient_stands_in_an_address_or_a_title(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    assert not any("P1" in link or "Test" in link for link in page.links())
    title = page.words[page.words.index("AI analysis – Sightline")]
    assert "Tina" not in title
    assert "Test, Tina" in page.text


def test_the_screening_exam_is_a_study_like_others_to_whom_it_is_hidden(here: Site) -> None:
    assert "mass" not in shown(here, SCREENING, RADIOLOGIST).text


# --- as a page


HOSTILE = '<img src=x onerror="alert(1)"> [x](javascript:alert(1)) <script>alert(1)</script> {{ 7 * 7 }}'


def newest(here: Site, finding: Finding, *said: Advice, remark: str = "") -> Page:
    """The page of the CT after another version of its report with one finding."""
    work = Work("dicom", CT, Revision(1, 1, 1))
    report(here.held, work, (Findings("m", "1", "1.2.1", (finding,), limits=(remark,)),), said=said, version=2)
    return shown(here, CT, RADIOLOGIST)


def test_what_a_record_says_is_text(here: Site) -> None:
    advice = replace(ADVICE, title=HOSTILE, summary=HOSTILE, seen=(HOSTILE,), notes=(HOSTILE,), risks=())
    hostile = replace(VOLUME, code=Coding("s", "v", HOSTILE), gates=(HOSTILE,), note=HOSTILE)
    page = newest(here, hostile, advice, remark=HOSTILE)
    assert HOSTILE in page.text
    sources = [given.get("src") for tag, given in page.elements if tag in ("img", "script", "iframe", "object")]
    assert all(source and source.startswith("/static/") for source in sources)
    assert not any(name.startswith("on") or name == "style" for _, given in page.elements for name in given)
    assert not any(link.lower().startswith("javascript") for link in page.links())


def test_headings_are_in_their_order_and_every_id_is_there_once(here: Site) -> None:
    page = shown(here, CT, RADIOLOGIST)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    named = [given["id"] for _, given in page.elements if given.get("id")]
    assert len(named) == len(set(named))
    pointed = [given[name] for _, given in page.elements for name in ("aria-labelledby", "for") if given.get(name)]
    assert set(pointed) <= set(named)


@pytest.mark.parametrize(
    ("indicator", "word"),
    [(Indicator.INFO, "Information"), (Indicator.WARNING, "Warning"), (Indicator.CRITICAL, "Critical")],
)
def test_urgency_is_told_in_words_not_by_colour_alone(indicator: Indicator, word: str, here: Site) -> None:
    assert f"{word} {ADVICE.summary}" in newest(here, VOLUME, replace(ADVICE, indicator=indicator)).text


def test_an_advice_in_another_language_says_so_to_whoever_listens(here: Site) -> None:
    page = newest(here, VOLUME, replace(ADVICE, language="de"))
    assert [given["lang"] for tag, given in page.elements if given.get("class") == "advice"] == ["de"]


def test_it_says_how_much_a_radiologist_has_verified(here: Site) -> None:
    assert "Verified by a radiologist: none of 3 findings." in shown(here, CT, RADIOLOGIST).text
    verify(here, "m.bleed", verdict="confirmed", reason="")
    assert "Verified by a radiologist: 1 of 3 findings." in shown(here, CT, RADIOLOGIST).text
    blind = replace(VOLUME, presence=Presence.NOT_EVALUATED, value=None, reason="motion")
    page = newest(here, blind)
    assert "No finding could be evaluated." in page.text
    assert "not evaluated" in page.text
    assert "motion" in page.words


def test_a_comparison_with_the_earlier_study_is_told(here: Site) -> None:
    change = Change("1.2.3", date(2025, 3, 4), 365, Quantity(10.0, "mL"), 2.5, error="2 mL", beyond_error=True)
    page = newest(here, replace(VOLUME, change=change))
    assert "Change: +2.5 mL since 2025-03-04, then 10 mL; beyond the error" in page.text


def test_a_study_without_guidelines_says_so(here: Site) -> None:
    assert "No guideline is in use here for such a study." in newest(here, VOLUME).text
