"""The heart pathway, rule by rule: each test is named as the sentence that it holds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways import _prevent, evaluate, load
from cds.pathways._guards import PALLIATIVE
from cds.pathways._heart_steps import ESC, NICE
from cds.pathways._reasoning import Reasoning
from cds.pathways.heart import heart
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, TODAY, case
from tests.unit.pathway_records import (
    advice,
    answer,
    held,
    item,
    keys,
    missing,
    nothing,
    record,
    records,
    untold,
    urgency,
    value,
    with_fact,
    without,
)

#: The smoking status is a field of its own.
ASKED = tuple(one for one in heart.asks if one.kind != "answer")
NT_PROBNP = measurement_codes.NT_PROBNP
DYSPNOEA = condition_codes.DYSPNOEA
ORDERS = tuple(
    procedure_codes.ORDERED[one.code]
    for one in (
        actions.ACUTE_ASSESSMENT,
        actions.NT_PROBNP,
        actions.ECHOCARDIOGRAPHY,
        actions.HEART_FAILURE_REFERRAL,
    )
)


def sign(code: Coding, key: str, view: str = "PA", **more: object) -> Finding:
    """A sign on a radiograph."""
    gates = (f"view: {view}",) if view else ()
    base = Finding(key, code, Presence.PRESENT, confidence=0.41, gates=gates)
    return replace(base, **more)


def enlarged(view: str = "PA") -> Finding:
    return sign(finding_codes.CARDIOMEGALY, "cardiomegaly", view)


def ratio(number: float, view: str = "PA") -> Finding:
    measured = Quantity(number, "1")
    return sign(finding_codes.CARDIOTHORACIC_RATIO, "ctr", view, presence=Presence.MEASURED, value=measured)


def oedema(view: str = "AP") -> Finding:
    return sign(finding_codes.PULMONARY_OEDEMA, "oedema", view)


def effusion(side: str = "") -> Finding:
    return sign(finding_codes.PLEURAL_EFFUSION, f"effusion-{side}" if side else "effusion", laterality=side)


def patient(
    facts: dict[ValueSet, Fact[object]] | None = None, *, born: date = date(1960, 1, 1), **more: object
) -> EhrData:
    """Somebody of 66 years with hypertension, of whom nothing else was found."""
    known = {condition_codes.HYPERTENSION: item()} | (facts or {})
    return record(ASKED, known, birth_date=Known(born, None, "patient demographics"), **more)


def film(data: EhrData, *findings: Finding, site: dict[str, str] | None = None, today: date = TODAY) -> Case:
    """A chest radiograph, some weeks old unless a test says else."""
    return replace(case(data, (answer(*findings),), site or {}, today), modality="CR")


def outcome(data: EhrData, *findings: Finding, site: dict[str, str] | None = None) -> PathwayOutcome:
    """What the pathway says of some findings, of an enlarged heart by default."""
    return heart(film(data, *(findings or (enlarged(),)), site=site))


def acute(
    facts: dict[ValueSet, Fact[object]] | None = None, *, today: date = STUDY_DATE, on: date | None = STUDY_DATE
) -> PathwayOutcome:
    """What the pathway says of oedema with shortness of breath on the day of the images."""
    return heart(film(patient({DYSPNOEA: item(on)} | (facts or {})), oedema(), today=today))


THIN: dict[ValueSet, Fact[object]] = {measurement_codes.BODY_MASS_INDEX: value(24, "kg/m2")}


def nt_probnp(number: float, on: date | None = date(2026, 11, 10)) -> Known[object]:
    return value(number, "pg/mL", on)


# --- signs on the image ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "told"), [("PA", "advice"), ("AP", "nothing"), ("PA, AP", "could-not-tell"), ("", "could-not-tell")]
)
def test_an_enlarged_heart_counts_on_a_radiograph_in_pa_view_alone(view: str, told: str) -> None:
    said = outcome(patient(), enlarged(view))
    assert said.kind == told
    assert ("view of the radiograph" in missing(said)) is (told == "could-not-tell")
    on_ct = heart(replace(film(patient(), enlarged("")), modality="CT"))
    assert keys(on_ct) == ("nt-probnp",)


@pytest.mark.parametrize(("number", "view", "told"), [
    (0.5, "PA", "nothing"), (0.51, "PA", "advice"), (0.6, "AP", "nothing"), (0.6, "", "could-not-tell"),
])  # fmt: skip
def test_a_cardiothoracic_ratio_above_0_5_counts_on_a_radiograph_in_pa_view_alone(
    number: float, view: str, told: str
) -> None:
    said = outcome(patient(), ratio(number, view))
    assert said.kind == told
    if told == "advice":
        assert advice(said).finding_keys == ("ctr",)
        assert any("0.51" in text for text in advice(said).seen)


def test_oedema_of_the_lung_counts() -> None:
    assert keys(outcome(patient(), oedema("AP"))) == ("nt-probnp",)
    gone = replace(oedema(), presence=Presence.NOT_DETECTED)
    assert "does not exclude" in nothing(outcome(patient(), gone)).reason


def test_pleural_effusions_count_where_they_are_on_both_sides() -> None:
    assert keys(outcome(patient(), effusion("both"))) == ("nt-probnp",)
    assert keys(outcome(patient(), effusion("left"), effusion("right"))) == ("nt-probnp",)
    assert isinstance(outcome(patient(), effusion("left")), NothingToSay)
    assert "its side was not given" in missing(untold(outcome(patient(), effusion())))
    assert keys(outcome(patient(), effusion(), enlarged())) == ("nt-probnp",)


def test_a_refusal_is_no_negative() -> None:
    refused = replace(enlarged(), presence=Presence.NOT_EVALUATED, reason="the picture is inverted")
    assert "inverted" in missing(untold(outcome(patient(), refused)))
    gone = replace(oedema(), presence=Presence.NOT_DETECTED)
    assert "inverted" in missing(untold(outcome(patient(), refused, gone)))
    assert keys(outcome(patient(), refused, oedema())) == ("nt-probnp",)


def test_a_study_without_signs_is_nothing_to_say() -> None:
    assert nothing(heart(case())).steps == ()


# --- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [
    DYSPNOEA, condition_codes.LEG_SWELLING, condition_codes.HYPERTENSION, condition_codes.DIABETES,
    condition_codes.CHRONIC_KIDNEY_DISEASE,
], ids=lambda one: one.name)  # fmt: skip
def test_a_sign_leads_to_a_step_only_with_a_symptom_hypertension_diabetes_or_chronic_kidney_disease(
    there: ValueSet,
) -> None:
    healthy = patient({condition_codes.HYPERTENSION: NOT_FOUND})
    assert "without symptoms" in nothing(outcome(healthy)).reason
    assert keys(outcome(with_fact(healthy, there, item(date(2026, 3, 1))))) == ("nt-probnp",)
    said = untold(outcome(without(healthy, there)))
    assert there.title in missing(said)


@pytest.mark.parametrize(("on", "told"), [
    (date(2025, 11, 22), "advice"), (date(2025, 11, 21), "nothing"), (None, "could-not-tell"),
])  # fmt: skip
def test_a_symptom_counts_for_a_year_and_not_without_a_date(on: date | None, told: str) -> None:
    assert outcome(patient({condition_codes.HYPERTENSION: NOT_FOUND, DYSPNOEA: item(on)})).kind == told


def test_the_pathway_is_for_adults_of_18_years_or_more() -> None:
    assert nothing(outcome(patient(born=date(2008, 11, 3)))).reason == "the pathway is for adults"
    assert keys(outcome(patient(born=date(2008, 11, 2)))) == ("nt-probnp",)
    ageless = replace(patient(), birth_date=Unknown("not in the patient demographics"))
    assert "age" in missing(untold(outcome(ageless)))


def test_where_heart_failure_is_on_record_no_test_for_it_is_suggested() -> None:
    assert nothing(outcome(patient({condition_codes.HEART_FAILURE: item()}))).reason == "heart failure is on record"
    said = outcome(without(patient(), condition_codes.HEART_FAILURE))
    assert keys(said) == ("nt-probnp",)
    assert "heart failure" in missing(said)


@pytest.mark.parametrize(("on", "silent"), [(date(2025, 11, 22), True), (date(2025, 11, 21), False), (None, False)])
def test_where_echocardiography_was_done_within_12_months_no_test_is_suggested(on: date | None, silent: bool) -> None:
    assert isinstance(outcome(patient({procedure_codes.ECHOCARDIOGRAPHY: item(on)})), NothingToSay) is silent
    unasked = outcome(without(patient(), procedure_codes.ECHOCARDIOGRAPHY))
    assert "echocardiography" in missing(unasked)


# --- NT-proBNP -------------------------------------------------------------------------------------------------------


def test_without_an_nt_probnp_of_the_last_3_months_nt_probnp_is_asked_for() -> None:
    said = advice(outcome(patient()))
    assert said.recommendations[0].code is actions.NT_PROBNP
    assert (said.recommendations[0].priority, said.indicator) == (Priority.ROUTINE, Indicator.INFO)
    assert "NT-proBNP" in missing(said)
    assert len(said.summary) < 140
    assert keys(outcome(patient({NT_PROBNP: nt_probnp(900, date(2026, 8, 21))}))) == ("nt-probnp",)
    assert keys(outcome(patient({NT_PROBNP: nt_probnp(900, None)}))) == ("nt-probnp",)
    fresh = patient({NT_PROBNP: nt_probnp(900, date(2026, 8, 22))})
    assert keys(outcome(fresh)) == ("heart-failure-assessment",)
    assert keys(outcome(fresh, site={"heart.nt_probnp_months": "1"})) == ("nt-probnp",)
    with pytest.raises(InvalidInput):
        outcome(fresh, site={"heart.nt_probnp_months": "13"})


@pytest.mark.parametrize(("number", "unlikely"), [(5, True), (124.9, True), (125, False)])
def test_an_nt_probnp_below_125_ng_l_makes_heart_failure_unlikely_and_leads_to_no_step(
    number: float, unlikely: bool
) -> None:
    said = outcome(patient(THIN | {NT_PROBNP: nt_probnp(number)}))
    assert isinstance(said, NothingToSay) is unlikely
    assert "unlikely" in nothing(said).reason if unlikely else keys(said) == ("echocardiography",)


@pytest.mark.parametrize(("number", "on", "counts"), [
    (124, date(2026, 10, 19), True), (124, date(2026, 10, 18), False), (125, date(2026, 10, 18), True),
])  # fmt: skip
def test_an_nt_probnp_below_125_ng_l_counts_only_from_14_days_before_the_images_on(
    number: float, on: date, counts: bool
) -> None:
    said = outcome(patient(THIN | {NT_PROBNP: nt_probnp(number, on)}))
    assert ("nt-probnp" in keys(said)) is not counts
    if not counts:
        assert "a low one, more than 14 days before the images" in missing(said)
        assert any("124 pg/mL" in text for text in advice(said).recommendations[0].because)


@pytest.mark.parametrize(("number", "consider"), [(125, True), (399, True), (400, False)])
def test_an_nt_probnp_from_125_to_below_400_ng_l_leads_to_echocardiography_to_be_considered(
    number: float, consider: bool
) -> None:
    step = advice(outcome(patient({NT_PROBNP: nt_probnp(number)}))).recommendations[0]
    assert (step.key == "echocardiography") is consider
    assert (step.source, step.by) == (ESC, None) if consider else step.source == NICE


@pytest.mark.parametrize("number", [400, 1200, 2000])
def test_an_nt_probnp_from_400_to_2000_ng_l_leads_to_specialist_assessment_within_6_weeks(number: float) -> None:
    step = advice(outcome(patient({NT_PROBNP: nt_probnp(number)}))).recommendations[0]
    assert (step.code, step.by) == (actions.HEART_FAILURE_REFERRAL, date(2027, 1, 3))
    assert (step.priority, step.source) == (Priority.ROUTINE, NICE)


def test_an_nt_probnp_above_2000_ng_l_leads_to_specialist_assessment_within_2_weeks() -> None:
    said = advice(outcome(patient({NT_PROBNP: nt_probnp(2001)})))
    assert (said.recommendations[0].by, said.recommendations[0].priority) == (date(2026, 12, 6), Priority.URGENT)
    assert said.indicator is Indicator.WARNING
    assert f"NT-proBNP: 2001 pg/mL (2026-11-10, {SOURCE})." in said.recommendations[0].because


def test_in_palliative_care_oedema_with_shortness_of_breath_alone_is_told() -> None:
    for facts in ({}, {NT_PROBNP: nt_probnp(6000, STUDY_DATE)}, {condition_codes.HEART_FAILURE: item()}):
        said = advice(acute(facts | {PALLIATIVE: item()}))
        (step,) = said.recommendations
        assert (step.code, step.priority, step.by) == (actions.ACUTE_ASSESSMENT, Priority.ASAP, STUDY_DATE)
        assert any("shortness of breath" in text for text in step.because)
        assert any("speak to who leads it" in text for text in said.meaning)
        assert (said.indicator, said.missing, said.risks) == (Indicator.WARNING, (), ())
    breathless = patient({PALLIATIVE: item(), DYSPNOEA: item(STUDY_DATE)})
    (told,) = evaluate(film(breathless, oedema(), today=STUDY_DATE), {"heart"})
    assert keys(told) == ("acute-assessment",)


def test_in_palliative_care_signs_without_shortness_of_breath_are_not_told_and_an_unknown_one_is_asked_for() -> None:
    assert "palliative" in nothing(outcome(patient({PALLIATIVE: item()}))).reason
    breathes = film(patient({PALLIATIVE: item(), DYSPNOEA: NOT_FOUND}), oedema(), today=STUDY_DATE)
    assert "palliative" in nothing(heart(breathes)).reason
    facts: dict[ValueSet, Fact[object]] = {PALLIATIVE: item(), DYSPNOEA: Unknown("nobody was asked")}
    unasked = film(patient(facts), oedema(), today=STUDY_DATE)
    assert "shortness of breath" in untold(heart(unasked)).reason


UNTIMELY = date(2026, 8, 1)


@pytest.mark.parametrize("facts", [
    {}, {condition_codes.HEART_FAILURE: item()}, {procedure_codes.ECHOCARDIOGRAPHY: item(date(2026, 10, 1))},
    {NT_PROBNP: nt_probnp(60, STUDY_DATE)}, THIN | {NT_PROBNP: nt_probnp(60, STUDY_DATE)},
    {NT_PROBNP: nt_probnp(200, STUDY_DATE)}, {NT_PROBNP: nt_probnp(900, STUDY_DATE)},
    {NT_PROBNP: nt_probnp(6000, STUDY_DATE)}, dict.fromkeys(ORDERS, item(STUDY_DATE)),
    {NT_PROBNP: nt_probnp(900, STUDY_DATE)} | dict.fromkeys(ORDERS, item(STUDY_DATE)),
    {NT_PROBNP: nt_probnp(900, STUDY_DATE)} | dict.fromkeys(ORDERS, item(UNTIMELY)),
], ids=str)  # fmt: skip
def test_oedema_with_shortness_of_breath_is_seen_by_a_clinician_the_same_day_whatever_is_ordered_known_or_measured(
    facts: dict[ValueSet, Fact[object]],
) -> None:
    said = advice(acute(facts))
    first = said.recommendations[0]
    assert (first.code, first.priority, first.by) == (actions.ACUTE_ASSESSMENT, Priority.ASAP, STUDY_DATE)
    assert (first.acr_category, first.recommended) == (2, True)
    assert any("shortness of breath" in text for text in first.because)
    assert said.indicator is Indicator.WARNING
    assert "clinical assessment today" in said.summary
    assert any("acute heart failure" in text for text in said.meaning)


def test_in_the_urgent_case_the_tests_are_for_today_and_older_orders_do_not_count() -> None:
    assert keys(acute()) == ("acute-assessment", "nt-probnp")
    assert keys(acute({condition_codes.HEART_FAILURE: item()})) == ("acute-assessment",)
    raised = {NT_PROBNP: nt_probnp(900, STUDY_DATE)}
    for data in (raised, raised | dict.fromkeys(ORDERS, item(UNTIMELY))):
        step = advice(acute(data)).recommendations[1]
        assert (step.key, step.by, step.priority) == ("heart-failure-assessment", STUDY_DATE, Priority.URGENT)
    old = advice(acute({ORDERS[1]: item(UNTIMELY)}))
    assert keys(old) == ("acute-assessment", "nt-probnp")
    assert any("older than these images" in note for note in old.notes)
    assert keys(acute({ORDERS[1]: item(STUDY_DATE)})) == ("acute-assessment",)
    low = advice(acute(THIN | {NT_PROBNP: nt_probnp(60, STUDY_DATE)}))
    assert any("has another cause" in text for text in low.meaning)


@pytest.mark.parametrize(("today", "on", "urgent"), [
    (0, 0, True), (7, 0, True), (8, 0, False), (8, 7, False), (0, -7, True), (0, -8, False), (7, -1, False),
])  # fmt: skip
def test_the_urgent_case_lasts_7_days_after_the_images_and_after_the_shortness_of_breath(
    today: int, on: int, urgent: bool
) -> None:
    said = acute(today=STUDY_DATE + timedelta(days=today), on=STUDY_DATE + timedelta(days=on))
    assert ("acute-assessment" in keys(said)) is urgent
    assert advice(said).indicator is (Indicator.WARNING if urgent else Indicator.INFO)


@pytest.mark.parametrize("known", [condition_codes.HEART_FAILURE, procedure_codes.ECHOCARDIOGRAPHY])
def test_shortness_of_breath_that_nobody_knows_of_is_asked_for_where_there_is_oedema(known: ValueSet) -> None:
    for data in (without(patient(), DYSPNOEA), patient({DYSPNOEA: item(None)})):
        said = heart(film(data, oedema(), today=STUDY_DATE))
        assert DYSPNOEA.title in missing(advice(said))
        assert held(said, "urgent") is None
        quiet = heart(film(with_fact(data, known, item(STUDY_DATE)), oedema(), today=STUDY_DATE))
        assert DYSPNOEA.title in missing(untold(quiet))
    nothing(heart(film(patient({known: item(STUDY_DATE)}), oedema(), today=STUDY_DATE)))


@pytest.mark.parametrize(("on", "counts"), [(date(2026, 10, 25), False), (date(2026, 10, 26), True), (None, False)])
def test_in_the_urgent_case_an_nt_probnp_counts_only_within_7_days_of_the_images(on: date | None, counts: bool) -> None:
    assert ("nt-probnp" in keys(acute(THIN | {NT_PROBNP: nt_probnp(60, on)}))) is not counts
    assert ("heart-failure-assessment" in keys(acute({NT_PROBNP: nt_probnp(900, on)}))) is counts


@pytest.mark.parametrize(("index", "told"), [
    (value(30, "kg/m2"), ""), (value(30.1, "kg/m2"), "obesity can lower it"),
    (value(24, "kg/m2", date(2025, 11, 21)), "nobody knows"), (NOT_FOUND, "nobody knows"),
    (Unknown("nobody could be asked"), "nobody knows"), (value(24, "kg/m2", None), "nobody knows"),
], ids=str)  # fmt: skip
def test_with_a_body_mass_index_above_30_or_none_of_12_months_a_low_nt_probnp_is_told_as_possibly_too_low(
    index: Fact[object], told: str
) -> None:
    said = outcome(patient({NT_PROBNP: nt_probnp(90), measurement_codes.BODY_MASS_INDEX: index}))
    assert isinstance(said, Advice) is bool(told)
    assert keys(said) == ()
    if told:
        assert any(told in text for text in advice(said).meaning)
        assert ("body mass index" in missing(said)) is (told == "nobody knows")


@pytest.mark.parametrize(("facts", "born", "told"), [
    ({}, date(1955, 11, 23), ""), ({}, date(1955, 11, 22), "age above 70"),
    ({condition_codes.CHRONIC_KIDNEY_DISEASE: item()}, date(1960, 1, 1), "chronic kidney disease"),
    ({condition_codes.DIABETES: item()}, date(1960, 1, 1), "diabetes"),
    ({condition_codes.ATRIAL_FIBRILLATION: item()}, date(1960, 1, 1), "atrial fibrillation"),
])  # fmt: skip
def test_age_above_70_kidney_disease_diabetes_and_atrial_fibrillation_are_told_as_causes_of_a_high_nt_probnp(
    facts: dict[ValueSet, Fact[object]], born: date, told: str
) -> None:
    said = advice(outcome(patient(facts | {NT_PROBNP: nt_probnp(500)}, born=born)))
    assert any(told in text for text in said.meaning) if told else said.meaning == ()
    assert keys(said) == ("heart-failure-assessment",)


def test_an_order_of_before_the_images_does_not_silence_what_is_urgent() -> None:
    for number, silenced in ((900, True), (2500, False)):
        said = outcome(patient({NT_PROBNP: nt_probnp(number), ORDERS[3]: item(date(2026, 11, 1))}))
        assert (keys(said) == ()) is silenced


@pytest.mark.parametrize(("number", "order"), [
    (None, actions.NT_PROBNP), (200, actions.ECHOCARDIOGRAPHY), (200, actions.HEART_FAILURE_REFERRAL),
    (900, actions.HEART_FAILURE_REFERRAL), (2500, actions.ECHOCARDIOGRAPHY),
])  # fmt: skip
def test_what_is_ordered_is_not_asked_for_again(number: float | None, order: Coding) -> None:
    facts = {} if number is None else {NT_PROBNP: nt_probnp(number)}
    before = patient(facts)
    assert len(keys(outcome(before))) == 1
    ordered = procedure_codes.ORDERED[order.code]
    assert "it is ordered" in nothing(outcome(with_fact(before, ordered, item(date(2026, 11, 3))))).reason
    assert len(keys(outcome(with_fact(before, ordered, item(date(2025, 11, 21)))))) == 1


# --- PREVENT ---------------------------------------------------------------------------------------------------------

# Khan 2023, table S12: a woman of 50 years, total cholesterol 200 and HDL 45 mg/dL, 160 mmHg treated, body mass index
# 35, eGFR 90, diabetes, no smoking, no statin: heart failure 8.1 % in 10 years.
PUBLISHED: dict[ValueSet, Fact[object]] = {
    measurement_codes.TOTAL_CHOLESTEROL: value(200, "mg/dL"),
    measurement_codes.HDL_CHOLESTEROL: value(45, "mg/dL"),
    measurement_codes.SYSTOLIC: value(160, "mm[Hg]"),
    measurement_codes.BODY_MASS_INDEX: value(35, "kg/m2"),
    measurement_codes.EGFR_2021: value(90, "mL/min/{1.73_m2}"),
    condition_codes.DIABETES: item(),
    medication_codes.ANTIHYPERTENSIVE: item(),
}
NEVER = Known(SmokingStatus.NEVER, date(2026, 9, 1), SOURCE)


def woman_of_50(facts: dict[ValueSet, Fact[object]] | None = None) -> EhrData:
    sex = Known(Sex.FEMALE, None, "patient demographics")
    return patient(PUBLISHED | (facts or {}), born=date(1976, 1, 1), sex=sex, smoking_status=NEVER)


def prevent(said: PathwayOutcome) -> list[str | None]:
    return [one.value for one in advice(said).risks if one.score == "prevent"]


def test_the_risk_of_heart_failure_is_told_as_context_and_decides_nothing() -> None:
    said = outcome(woman_of_50())
    assert prevent(said) == ["8.1 % in 10 years"]
    assert prevent(outcome(without(woman_of_50(), measurement_codes.SYSTOLIC))) == [None]
    assert keys(said) == keys(outcome(without(woman_of_50(), measurement_codes.SYSTOLIC)))


@pytest.mark.parametrize("ascvd", [item(), Unknown("nobody was asked")])
def test_prevent_is_not_for_who_has_or_may_have_a_cardiovascular_disease(ascvd: Fact[object]) -> None:
    assert prevent(outcome(woman_of_50({condition_codes.ASCVD: ascvd}))) == []


def test_an_installation_without_prevent_tells_no_risk() -> None:
    found = Reasoning("heart", "title", NICE, film(woman_of_50(), enlarged()))
    _prevent.heart_failure10(found, None)
    assert found.risks == []
    assert found.missing == []


# --- properties ------------------------------------------------------------------------------------------------------

NUMBERS = {
    "nt-probnp": (1.0, 5000.0),
    "body-mass-index": (15.0, 50.0),
    "total-cholesterol": (100.0, 400.0),
    "hdl-cholesterol": (10.0, 120.0),
    "systolic-blood-pressure": (70.0, 220.0),
    "egfr-ckd-epi-2021": (5.0, 160.0),
}
RECORDS = records(replace(heart, asks=ASKED), NUMBERS, birth_date=Known(date(1960, 1, 1), None, "demographics"))
#: Within the days of an urgent case, and long after.
DAYS = st.sampled_from([STUDY_DATE, TODAY])
VIEWS = st.sampled_from(["PA", "AP", ""])
FINDINGS = st.lists(
    st.one_of(
        st.builds(enlarged, VIEWS),
        st.builds(ratio, st.floats(0.3, 0.8), VIEWS),
        st.builds(oedema),
        st.builds(effusion, st.sampled_from(["left", "right", "both", ""])),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.key,
)


@settings(max_examples=50)
@given(
    data=RECORDS,
    findings=FINDINGS,
    known=st.sampled_from([condition_codes.HEART_FAILURE, procedure_codes.ECHOCARDIOGRAPHY, *ORDERS]),
    today=DAYS,
)
def test_a_known_disease_a_test_or_an_order_never_adds_a_step(
    data: EhrData, findings: list[Finding], known: ValueSet, today: date
) -> None:
    before, after = (
        heart(film(without(data, known), *findings, today=today)),
        heart(film(with_fact(data, known, item(TODAY)), *findings, today=today)),
    )
    assert set(keys(after)) <= set(keys(before))
    assert urgency(after) <= urgency(before)


@settings(max_examples=50)
@given(data=RECORDS, findings=FINDINGS, lost=st.sampled_from(ASKED), today=DAYS)
def test_an_input_that_is_lost_never_reads_as_normal(
    data: EhrData, findings: list[Finding], lost: ValueSet, today: date
) -> None:
    for order in ORDERS:
        data = with_fact(data, order, NOT_FOUND)
    before, after = (heart(film(one, *findings, today=today)) for one in (data, without(data, lost)))
    if isinstance(before, Advice) and keys(before):
        assert isinstance(after, Advice | CouldNotTell)
        assert urgency(after) >= urgency(before) or lost.title in missing(after)


@settings(max_examples=50)
@given(data=RECORDS, findings=FINDINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_findings_does_not_matter(
    data: EhrData, findings: list[Finding], order: random.Random
) -> None:
    shuffled = list(findings)
    order.shuffle(shuffled)
    assert heart(film(data, *findings)) == heart(film(data, *shuffled))


def test_it_loads_and_says_what_it_asks() -> None:
    assert load()["heart"] is heart
    assert not heart.unverified
