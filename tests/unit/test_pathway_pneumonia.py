"""The pneumonia pathway, rule by rule: each test is named as the sentence that it holds."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Fact, Known, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways import load
from cds.pathways.pneumonia import ATS, BTS, FINE, NICE, pneumonia
from cds.risk.curb65 import SCORE as CURB65
from tests.unit import infection_cases as cases
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, case
from tests.unit.infection_cases import consolidation, effusion, film, pneumonia_sign
from tests.unit.pathway_records import (
    advice,
    held,
    item,
    keys,
    missing,
    nothing,
    untold,
    urgency,
    value,
    with_fact,
    without,
)

SATURATION = measurement_codes.OXYGEN_SATURATION
IMMUNOSUPPRESSANT = medication_codes.IMMUNOSUPPRESSANT
UREA, RATE = measurement_codes.UREA_NITROGEN, measurement_codes.RESPIRATORY_RATE
SYSTOLIC, DIASTOLIC = measurement_codes.SYSTOLIC, measurement_codes.DIASTOLIC
CONFUSED: dict[ValueSet, Fact[object]] = {condition_codes.CONFUSION: item(STUDY_DATE)}
#: Points of CURB-65 by criterion, apart from age and confusion.
HIGH_UREA: dict[ValueSet, Fact[object]] = {UREA: value(25, "mg/dL", STUDY_DATE)}
FAST: dict[ValueSet, Fact[object]] = {RATE: value(32, "/min", STUDY_DATE)}
LOW_PRESSURE: dict[ValueSet, Fact[object]] = {SYSTOLIC: value(85, "mm[Hg]", STUDY_DATE)}
OF_65 = date(1961, 11, 2)


def patient(facts: dict[ValueSet, Fact[object]] | None = None, *, born: date = cases.BORN, **more: object) -> EhrData:
    """Somebody of 53 years who coughs, without a point but that confusion is not known."""
    return cases.patient(pneumonia.asks, facts, born=born, **more)


def outcome(data: EhrData, *findings: Finding, site: dict[str, str] | None = None) -> PathwayOutcome:
    """What the pathway says on the day of the images."""
    return pneumonia(film(data, *findings, site=site))


def points(said: PathwayOutcome) -> str:
    """CURB-65 as the card says it."""
    return advice(said).meaning[0].removeprefix("CURB-65 is ").removesuffix(" of 5 points.")


# --- the trigger -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "advised"), [(-8, False), (-7, True), (0, True), (7, True), (8, False), (None, None)])
@pytest.mark.parametrize(
    "sign",
    [
        condition_codes.COUGH, condition_codes.FEVER, condition_codes.DYSPNOEA, condition_codes.CONFUSION,
        condition_codes.PNEUMONIA,
    ],
    ids=lambda one: one.name,
)  # fmt: skip
def test_consolidation_or_pneumonia_leads_to_curb_65_with_an_acute_symptom_or_a_diagnosis_within_7_days(
    sign: ValueSet, days: int | None, advised: bool | None
) -> None:
    on = None if days is None else STUDY_DATE + timedelta(days=days)
    data = patient({condition_codes.COUGH: NOT_FOUND, sign: item(on)})
    for finding in (consolidation(), pneumonia_sign()):
        said = outcome(data, finding)
        assert isinstance(said, Advice) is bool(advised)
        assert isinstance(said, CouldNotTell) is (advised is None)
        assert (f"{sign.title}: it has no date" in missing(said)) is (advised is None)
    assert isinstance(outcome(data, site={"pneumonia.symptom_days": "8"}), Advice) is (advised is not None)


def test_symptoms_that_nobody_was_asked_for_are_no_absence() -> None:
    silent = patient({condition_codes.COUGH: NOT_FOUND})
    assert "no acute symptom" in nothing(outcome(silent)).reason
    assert "fever: nobody could be asked" in missing(untold(outcome(without(silent, condition_codes.FEVER))))
    for wrong in ("0", "22"):
        with pytest.raises(InvalidInput):
            outcome(silent, site={"pneumonia.symptom_days": wrong})


@pytest.mark.parametrize(("sign", "advised"), [
    (condition_codes.COUGH, True), (condition_codes.FEVER, True), (condition_codes.PNEUMONIA, True),
    (condition_codes.DYSPNOEA, False), (condition_codes.CONFUSION, False),
], ids=str)  # fmt: skip
def test_a_pleural_effusion_alone_leads_to_curb_65_only_with_cough_fever_or_a_diagnosis_of_pneumonia(
    sign: ValueSet, advised: bool
) -> None:
    data = patient({condition_codes.COUGH: NOT_FOUND, sign: item(STUDY_DATE)})
    assert isinstance(outcome(data, effusion()), Advice) is advised
    assert isinstance(outcome(data, effusion(), consolidation()), Advice)


def test_what_was_not_detected_excludes_nothing_and_a_refusal_is_no_negative() -> None:
    assert "does not exclude" in nothing(outcome(patient(), consolidation(Presence.NOT_DETECTED))).reason
    refused = replace(consolidation(Presence.NOT_EVALUATED), reason="the picture is inverted")
    assert "inverted" in missing(untold(outcome(patient(), refused)))
    assert nothing(pneumonia(case())).steps == ()


def test_the_pathway_is_for_adults_of_18_years_or_more() -> None:
    assert nothing(outcome(patient(born=date(2008, 11, 3)))).reason == "the pathway is for adults"
    assert isinstance(outcome(patient(born=date(2008, 11, 2))), Advice)
    ageless = replace(patient(), birth_date=Unknown("not in the patient demographics"))
    assert "age" in missing(untold(outcome(ageless)))


def test_images_older_than_7_days_lead_to_no_advice_on_the_place_of_care() -> None:
    week = STUDY_DATE + timedelta(days=7)
    assert isinstance(pneumonia(film(patient(), today=week)), Advice)
    assert "too old" in nothing(pneumonia(film(patient(), today=week + timedelta(days=1)))).reason


# --- CURB-65 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_curb_65_takes_values_of_no_more_than_1_day_before_or_after_the_images(days: int, counts: bool) -> None:
    said = outcome(patient(CONFUSED | {UREA: value(25, "mg/dL", STUDY_DATE + timedelta(days=days))}))
    assert points(said) == ("2" if counts else "at least 1, at most 2")
    assert ("urea nitrogen: the newest is of" in missing(said)) is not counts
    assert held(said, "fresh") is counts
    assert points(outcome(patient(CONFUSED | {UREA: value(25, "mg/dL", None)}))) == "at least 1, at most 2"
    with pytest.raises(InvalidInput):
        outcome(patient(), site={"pneumonia.value_days": "4"})


@pytest.mark.parametrize("confusion", [NOT_FOUND, Unknown("nobody was asked"), item(date(2026, 9, 1)), item(None)])
def test_confusion_that_nobody_recorded_is_asked_for_and_never_taken_as_absent(confusion: Fact[object]) -> None:
    said = outcome(patient({condition_codes.CONFUSION: confusion}))
    assert points(said) == "at least 0, at most 1"
    assert "confusion: nobody recorded it" in missing(said)
    assert points(outcome(patient(CONFUSED))) == "1"


# Lim 2003 (doi:10.1136/thorax.58.5.377): a point each for confusion, urea above 7 mmol/L (here urea nitrogen above 19
# mg/dL), 30 breaths or more, systolic below 90 or diastolic 60 mmHg or less, 65 years or more.
@pytest.mark.parametrize(("facts", "born", "said"), [
    (CONFUSED, cases.BORN, "1"), (CONFUSED | HIGH_UREA, cases.BORN, "2"), (CONFUSED | FAST, cases.BORN, "2"),
    (CONFUSED | LOW_PRESSURE, cases.BORN, "2"),
    (CONFUSED | {DIASTOLIC: value(60, "mm[Hg]", STUDY_DATE)}, cases.BORN, "2"),
    (CONFUSED | {DIASTOLIC: value(61, "mm[Hg]", STUDY_DATE)}, cases.BORN, "1"),
    (CONFUSED, OF_65, "2"), (CONFUSED, OF_65 + timedelta(days=1), "1"),
    (CONFUSED | HIGH_UREA | FAST | LOW_PRESSURE, OF_65, "5"),
    (HIGH_UREA | FAST | LOW_PRESSURE, OF_65, "at least 4, at most 5"),
])  # fmt: skip
def test_the_points_are_those_of_the_paper(facts: dict[ValueSet, Fact[object]], born: date, said: str) -> None:
    assert points(outcome(patient(facts, born=born))) == said


def test_a_low_pressure_decides_without_the_other_and_a_normal_one_does_not() -> None:
    low = without(patient(CONFUSED | LOW_PRESSURE), DIASTOLIC)
    assert points(outcome(low)) == "2"
    assert points(outcome(without(patient(CONFUSED), DIASTOLIC))) == "at least 1, at most 2"


def test_a_value_that_cannot_be_one_is_missing() -> None:
    said = outcome(patient(CONFUSED | {RATE: value(900, "/min", STUDY_DATE)}))
    assert points(said) == "at least 1, at most 2"
    assert "respiratory rate: the value on record cannot be one" in missing(said)


def test_with_0_or_1_point_care_at_home_is_suggested() -> None:
    for facts, said in ((CONFUSED, "1"), ({}, "at least 0, at most 1")):
        told = advice(outcome(patient(facts)))
        assert keys(told) == ("home",)
        assert points(told) == said
        assert (told.indicator, told.recommendations[0].priority) == (Indicator.INFO, Priority.ROUTINE)
    assert "home" not in keys(outcome(patient(CONFUSED | FAST)))


def test_with_2_points_a_short_stay_or_hospital_supervised_care_is_suggested() -> None:
    told = advice(outcome(patient(CONFUSED | FAST)))
    assert keys(told) == ("supervised",)
    step = told.recommendations[0]
    assert (step.code, step.source, step.priority) == (actions.SUPERVISED_CARE, BTS, Priority.URGENT)
    assert told.indicator is Indicator.WARNING
    assert len(told.summary) < 140


@pytest.mark.parametrize("facts", [CONFUSED | FAST | HIGH_UREA, FAST | HIGH_UREA | LOW_PRESSURE])
def test_with_3_points_or_more_hospital_assessment_is_suggested(facts: dict[ValueSet, Fact[object]]) -> None:
    told = advice(outcome(patient(facts)))
    assert keys(told) == ("hospital",)
    step = told.recommendations[0]
    assert (step.code, step.source, step.priority) == (actions.ADMISSION_ASSESSMENT, NICE, Priority.ASAP)
    assert step.by == STUDY_DATE
    assert "intensive" not in step.action


def test_with_4_or_5_points_intensive_care_is_to_be_considered() -> None:
    four, five = FAST | HIGH_UREA | LOW_PRESSURE, CONFUSED | FAST | HIGH_UREA | LOW_PRESSURE
    for facts in (four, five):
        step = advice(outcome(patient(facts, born=OF_65))).recommendations[0]
        assert "consider intensive care" in step.action
        assert step.priority is Priority.STAT
    assert "intensive" not in advice(outcome(patient(four))).recommendations[0].action


def test_where_missing_values_leave_the_place_of_care_open_they_are_asked_for() -> None:
    one = advice(outcome(patient(FAST)))
    assert keys(one) == ("curb-65-values",)
    assert (points(one), one.recommendations[0].priority) == ("at least 1, at most 2", Priority.URGENT)
    assert "new confusion" in one.recommendations[0].action
    two = advice(outcome(patient(FAST | HIGH_UREA)))
    assert keys(two) == ("curb-65-values", "supervised")
    assert (points(two), two.recommendations[0].priority) == ("at least 2, at most 3", Priority.ASAP)
    nobody = patient({})
    for lost in (UREA, RATE, SYSTOLIC, DIASTOLIC):
        nobody = without(nobody, lost)
    assert keys(outcome(nobody)) == ("curb-65-values",)
    assert points(outcome(nobody)) == "at least 0, at most 4"


# --- PSI and guards --------------------------------------------------------------------------------------------------


# Fine 1997 (doi:10.1056/NEJM199701233360402): a man's age in points, 30 for a cancer; class IV from 91 points on.
@pytest.mark.parametrize(("years", "cancer", "severe"), [(60, True, False), (61, True, True), (61, False, False)])
def test_a_psi_of_class_iv_or_v_also_by_the_known_points_alone_leads_to_hospital_assessment(
    years: int, cancer: bool, severe: bool
) -> None:
    man = Known(Sex.MALE, None, "patient demographics")
    facts: dict[ValueSet, Fact[object]] = {condition_codes.CANCER: item()} if cancer else {}
    said = advice(outcome(patient(facts, born=date(2026 - years, 1, 1), sex=man)))
    assert keys(said) == (("hospital",) if severe else ("home",))
    if severe:
        assert said.recommendations[0].source == FINE
        assert "class IV or V" in said.recommendations[0].reason
        assert said.indicator is Indicator.WARNING
    assert [one.value for one in said.risks if one.score == "psi"] == [None]


# A woman of 53: 43 points, 20 for confusion, 10 for the effusion, 20 for 32 breaths: 93.
def test_the_psi_is_told_where_all_its_values_are_known() -> None:
    normal = {
        measurement_codes.BODY_TEMPERATURE: value(37, "Cel", STUDY_DATE),
        measurement_codes.HEART_RATE: value(90, "/min", STUDY_DATE),
        measurement_codes.ARTERIAL_PH: value(7.4, "[pH]", STUDY_DATE),
        measurement_codes.SODIUM: value(138, "mmol/L", STUDY_DATE),
        measurement_codes.GLUCOSE: value(100, "mg/dL", STUDY_DATE),
        measurement_codes.HAEMATOCRIT: value(40, "%", STUDY_DATE),
        measurement_codes.ARTERIAL_PO2: value(80, "mm[Hg]", STUDY_DATE),
    }
    said = advice(outcome(patient(CONFUSED | FAST | normal), consolidation(), effusion()))
    assert [one.value for one in said.risks if one.score == "psi"] == ["93 points"]
    without_it = advice(outcome(patient(CONFUSED | FAST | normal), consolidation(), effusion(Presence.NOT_DETECTED)))
    assert [one.value for one in without_it.risks if one.score == "psi"] == ["83 points"]
    not_looked_for = advice(outcome(patient(CONFUSED | FAST | normal), consolidation()))
    assert [one.missing for one in not_looked_for.risks if one.score == "psi"] == [("pleural effusion",)]


@pytest.mark.parametrize("kind", [condition_codes.IMMUNOSUPPRESSION, IMMUNOSUPPRESSANT])
def test_care_at_home_is_suggested_only_where_immunosuppression_was_looked_for_and_not_found(kind: ValueSet) -> None:
    assert keys(outcome(patient())) == ("home",)
    unknown = advice(outcome(without(patient(), kind)))
    assert keys(unknown) == ()
    assert kind.title in missing(unknown)
    assert any("not suggested before it is known" in note for note in unknown.notes)


@pytest.mark.parametrize("kind", [condition_codes.IMMUNOSUPPRESSION, IMMUNOSUPPRESSANT])
def test_with_immunosuppression_or_a_drug_for_it_of_12_months_curb_65_does_not_hold_hospital_assessment(
    kind: ValueSet,
) -> None:
    weak: dict[ValueSet, Fact[object]] = {kind: item(date(2025, 11, 2))}
    for facts, priority in ((CONFUSED, Priority.URGENT), (CONFUSED | FAST, Priority.URGENT), ({}, Priority.URGENT)):
        said = advice(outcome(patient(facts | weak)))
        (step,) = said.recommendations
        assert (step.key, step.priority, step.by, step.source) == ("hospital", priority, STUDY_DATE, ATS)
        assert said.indicator is Indicator.WARNING
        assert any("does not hold" in text for text in said.meaning)
    three = advice(outcome(patient(FAST | HIGH_UREA | weak))).recommendations
    assert [(one.key, one.priority) for one in three] == [("hospital", Priority.ASAP)]
    ordered = {procedure_codes.ORDERED[actions.ADMISSION_ASSESSMENT.code]: item(STUDY_DATE)}
    assert advice(outcome(patient(CONFUSED | weak | ordered))).indicator is Indicator.WARNING


def pregnancy(said: bool | None, on: date | None = STUDY_DATE) -> dict[str, object]:
    """What the record says of a pregnancy; None where nobody was asked."""
    return {"pregnancy": Unknown("nobody was asked") if said is None else Known(said, on, SOURCE)}


def test_in_pregnancy_curb_65_does_not_hold_hospital_assessment() -> None:
    for facts, priority in (({}, Priority.URGENT), (CONFUSED, Priority.URGENT), (FAST | HIGH_UREA, Priority.ASAP)):
        said = advice(outcome(patient(facts, **pregnancy(True))))
        (step,) = said.recommendations
        assert (step.key, step.priority, step.by) == ("hospital", priority, STUDY_DATE)
        assert "does not hold in pregnancy" in step.reason
        assert said.indicator is Indicator.WARNING
    ordered = {procedure_codes.ORDERED[actions.ADMISSION_ASSESSMENT.code]: item(STUDY_DATE)}
    assert advice(outcome(patient(ordered, **pregnancy(True)))).indicator is Indicator.WARNING
    assert keys(outcome(patient(**pregnancy(True, STUDY_DATE - timedelta(days=301))))) == ("curb-65-values",)


@pytest.mark.parametrize("unknown", [
    pregnancy(None), {"pregnancy": NOT_FOUND}, pregnancy(False, STUDY_DATE - timedelta(days=4)), pregnancy(True, None),
    pregnancy(None) | {"sex": Unknown("not stated")},
], ids=str)  # fmt: skip
def test_care_at_home_is_suggested_only_where_pregnancy_is_excluded_which_else_is_asked_for(
    unknown: dict[str, object],
) -> None:
    said = advice(outcome(patient(CONFUSED, **unknown)))
    (step,) = said.recommendations
    assert (step.key, step.priority, step.by) == ("curb-65-values", Priority.URGENT, STUDY_DATE)
    assert step.action.endswith(": pregnancy")
    assert "pregnancy: " in missing(said)
    assert said.indicator is Indicator.WARNING
    assert any("before pregnancy is excluded" in note for note in said.notes)
    assert keys(outcome(patient(CONFUSED | FAST, **unknown))) == ("supervised",)
    for born, home in ((date(1970, 11, 3), False), (date(1970, 11, 2), True)):  # of 55 and of 56 years
        assert keys(outcome(patient(CONFUSED, born=born, **unknown))) == (("home",) if home else ("curb-65-values",))
    man = unknown | {"sex": Known(Sex.MALE, None, "patient demographics")}
    assert keys(outcome(patient(CONFUSED, **man))) == ("home",)


def test_a_systolic_pressure_below_90_mmhg_leads_to_hospital_assessment_as_soon_as_possible_whatever_is_missing() -> (
    None
):
    for mmhg, low in ((89.9, True), (90, False)):
        pressed = patient(CONFUSED | {SYSTOLIC: value(mmhg, "mm[Hg]", STUDY_DATE)})
        assert keys(outcome(pressed)) == (("hospital",) if low else ("home",))
        for lost in (UREA, RATE, DIASTOLIC, SATURATION, IMMUNOSUPPRESSANT, condition_codes.CONFUSION):
            pressed = without(pressed, lost)
        for data in (pressed, replace(pressed, **pregnancy(None))):
            said = advice(outcome(data))
            assert keys(said) == (("hospital",) if low else ("curb-65-values",))
            assert held(said, "low-pressure") is low
        if low:
            (step,) = said.recommendations
            assert (step.priority, step.by, step.source) == (Priority.ASAP, STUDY_DATE, CURB65.source)
            assert "below 90 mmHg" in step.reason
            assert said.indicator is Indicator.WARNING
            assert "urea nitrogen" in missing(said)


def test_a_low_systolic_pressure_speaks_where_nobody_knows_of_symptoms_and_not_where_there_are_none() -> None:
    silent = patient(LOW_PRESSURE | {condition_codes.COUGH: NOT_FOUND})
    assert "no acute symptom" in nothing(outcome(silent)).reason
    unasked = without(silent, condition_codes.FEVER)
    assert keys(outcome(unasked)) == ("hospital",)
    assert "fever: nobody could be asked" in missing(outcome(unasked))
    assert isinstance(outcome(unasked, effusion()), CouldNotTell)
    yesterday_but_one = {SYSTOLIC: value(80, "mm[Hg]", STUDY_DATE - timedelta(days=2))}
    assert isinstance(outcome(with_fact(unasked, SYSTOLIC, yesterday_but_one[SYSTOLIC])), CouldNotTell)


@pytest.mark.parametrize(("on", "why"), [(date(2025, 11, 1), "may have been stopped"), (None, "it has no date")])
def test_a_drug_of_long_ago_or_without_a_date_is_neither_taken_nor_not(on: date | None, why: str) -> None:
    said = advice(outcome(patient(CONFUSED | {IMMUNOSUPPRESSANT: item(on)})))
    assert keys(said) == ()
    assert why in missing(said)
    disease = outcome(patient(CONFUSED | {condition_codes.IMMUNOSUPPRESSION: item(on)}))
    assert keys(disease) == ("hospital",)


@pytest.mark.parametrize(("number", "low"), [(93.9, True), (94, False), (50, True)])
def test_a_saturation_below_94_or_an_arterial_oxygen_pressure_below_60_mmhg_leads_to_hospital_assessment(
    number: float, low: bool
) -> None:
    said = advice(outcome(patient(CONFUSED | {SATURATION: value(number, "%", STUDY_DATE)})))
    assert keys(said) == (("hospital",) if low else ("home",))
    pressure = measurement_codes.ARTERIAL_PO2
    for mmhg, to_hospital in ((59.9, True), (60, False)):
        other = advice(outcome(patient(CONFUSED | {pressure: value(mmhg, "mm[Hg]", STUDY_DATE)})))
        assert keys(other) == (("hospital",) if to_hospital else ("home",))
        unmeasured = outcome(without(patient(CONFUSED | {pressure: value(mmhg, "mm[Hg]", STUDY_DATE)}), SATURATION))
        assert keys(unmeasured) == (("hospital",) if to_hospital else ("curb-65-values",))
    if low:
        (step,) = said.recommendations
        assert (step.priority, step.source, said.indicator) == (Priority.ASAP, BTS, Indicator.WARNING)
        assert "Oxygen is low" in step.reason
        assert any("oxygen saturation" in text for text in step.because)
        assert keys(outcome(patient(CONFUSED | FAST | {SATURATION: value(number, "%", STUDY_DATE)}))) == ("hospital",)
    ninety = {"pneumonia.saturation_percent": "90"}
    lower = outcome(patient(CONFUSED | {SATURATION: value(number, "%", STUDY_DATE)}), site=ninety)
    assert keys(lower) == (("hospital",) if number < 90 else ("home",))
    for wrong in ("89", "95"):
        with pytest.raises(InvalidInput):
            outcome(patient(), site={"pneumonia.saturation_percent": wrong})


@pytest.mark.parametrize("unknown", [
    NOT_FOUND, Unknown("nobody was asked"), value(97, "%", None), value(97, "%", date(2026, 10, 31)),
    value(0, "%", STUDY_DATE), value(190, "%", STUDY_DATE),
], ids=str)  # fmt: skip
def test_care_at_home_is_suggested_only_with_a_known_oxygen_saturation_of_94_or_more_which_else_is_asked_for(
    unknown: Fact[object],
) -> None:
    said = advice(outcome(patient(CONFUSED | {SATURATION: unknown})))
    (step,) = said.recommendations
    assert (step.key, step.priority, step.by) == ("curb-65-values", Priority.URGENT, STUDY_DATE)
    assert "oxygen saturation" in step.action
    assert "oxygen saturation" in missing(said)
    assert said.indicator is Indicator.WARNING
    assert keys(outcome(patient(CONFUSED | FAST | {SATURATION: unknown}))) == ("supervised",)
    both = outcome(without(patient(CONFUSED | {SATURATION: unknown}), IMMUNOSUPPRESSANT))
    assert keys(both) == ("curb-65-values",)
    assert IMMUNOSUPPRESSANT.title in missing(both)


@pytest.mark.parametrize(("facts", "order"), [
    (CONFUSED, actions.HOME_CARE), (CONFUSED | FAST, actions.SUPERVISED_CARE), (FAST, actions.CURB65_VALUES),
    (CONFUSED | FAST | HIGH_UREA, actions.ADMISSION_ASSESSMENT),
])  # fmt: skip
def test_what_is_ordered_is_not_asked_for_again(facts: dict[ValueSet, Fact[object]], order: Coding) -> None:
    assert len(keys(outcome(patient(facts)))) == 1
    ordered = {procedure_codes.ORDERED[order.code]: item(STUDY_DATE)}
    assert isinstance(outcome(patient(facts | ordered)), NothingToSay)


# --- properties ------------------------------------------------------------------------------------------------------

RECORDS = cases.acute_records(pneumonia.asks)
ORDERS = [one for one in pneumonia.asks if one.kind == "request"]
WEAK = [condition_codes.IMMUNOSUPPRESSION, IMMUNOSUPPRESSANT]


@settings(max_examples=60)
@given(data=RECORDS, findings=cases.FINDINGS, order=st.sampled_from(ORDERS))
def test_an_order_never_adds_a_step(data: EhrData, findings: list[Finding], order: ValueSet) -> None:
    before = outcome(with_fact(data, order, NOT_FOUND), *findings)
    after = outcome(with_fact(data, order, item(STUDY_DATE)), *findings)
    assert set(keys(after)) <= set(keys(before))
    assert urgency(after) <= urgency(before)


@settings(max_examples=60)
@given(data=RECORDS, findings=cases.FINDINGS, weak=st.sampled_from(WEAK))
def test_immunosuppression_never_leads_home_and_is_never_milder(
    data: EhrData, findings: list[Finding], weak: ValueSet
) -> None:
    for order in ORDERS:
        data = with_fact(data, order, NOT_FOUND)
    before = outcome(with_fact(data, weak, NOT_FOUND), *findings)
    after = outcome(with_fact(data, weak, item(STUDY_DATE)), *findings)
    assert after.kind == before.kind
    assert urgency(after) >= urgency(before)
    assert isinstance(before, CouldNotTell | NothingToSay) or keys(after) == ("hospital",)


@settings(max_examples=100)
@given(data=RECORDS, findings=cases.FINDINGS, lost=st.sampled_from(cases.coded(pneumonia.asks)))
def test_an_input_that_is_lost_never_reads_as_normal(data: EhrData, findings: list[Finding], lost: ValueSet) -> None:
    for order in ORDERS:
        data = with_fact(data, order, NOT_FOUND)
    before, after = outcome(data, *findings), outcome(without(data, lost), *findings)
    if isinstance(before, Advice) and keys(before):
        assert isinstance(after, Advice | CouldNotTell)
        assert "home" not in keys(after) or "home" in keys(before) or lost.title in missing(after)


@settings(max_examples=60)
@given(data=RECORDS, findings=cases.FINDINGS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_findings_does_not_matter(
    data: EhrData, findings: list[Finding], order: random.Random
) -> None:
    shuffled = list(findings)
    order.shuffle(shuffled)
    assert outcome(data, *findings) == outcome(data, *shuffled)


@settings(max_examples=60)
@given(data=RECORDS, findings=cases.FINDINGS)
def test_what_a_missing_value_could_be_lies_within_the_points_that_are_told(
    data: EhrData, findings: list[Finding]
) -> None:
    said = outcome(without(data, UREA), *findings)
    for urea in (5.0, 60.0):
        told = outcome(with_fact(data, UREA, value(urea, "mg/dL", STUDY_DATE)), *findings)
        if isinstance(said, Advice) and isinstance(told, Advice):
            assert _span(said)[0] <= _span(told)[0] <= _span(told)[1] <= _span(said)[1]


def _span(said: Advice) -> tuple[int, int]:
    digits = [int(letter) for letter in points(said) if letter.isdigit()]
    return min(digits), max(digits)


def test_it_loads_and_says_what_it_asks() -> None:
    assert load()["pneumonia"] is pneumonia
    assert not pneumonia.unverified
