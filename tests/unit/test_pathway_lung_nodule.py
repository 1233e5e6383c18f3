"""The lung nodule pathway, rule by rule, at the limits of Fleischner 2017, Lung-RADS v2022 and BTS 2015."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import finding_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Known, SmokingStatus, Unknown
from cds.domain.finding import Finding, NotEvaluated, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.pathways.card import detail
from cds.pathways.lung_nodule import lung_nodule
from cds.pathways.merging import merged
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, TODAY, known_item
from tests.unit.nodule_cases import (
    LOWER,
    OTHER_EXAM,
    SCREENING,
    UPPER,
    actions_of,
    advice,
    applied,
    case_of,
    changed,
    nodule,
    person,
    said,
    smoker,
    window,
)
from tests.unit.test_pathway_asks import Watched

FOLLOW_UP, LOW_DOSE = actions.CHEST_CT_FOLLOW_UP.code, actions.LOW_DOSE_SCREENING_CT.code
CLINIC, PET = actions.NODULE_CLINIC_REFERRAL.code, actions.PET_CT.code
TELL, IMMUNE = actions.TELL_ONCOLOGIST.code, actions.TELL_IMMUNOSUPPRESSION_TEAM.code
MALE = Known(Sex.MALE, None, "patient demographics")
CANCEROUS = person(conditions=person().conditions | {"cancer": known_item()})
AFTER = {3: date(2027, 2, 2), 6: date(2027, 5, 2), 12: date(2027, 11, 2)}


# --- Fleischner 2017: MacMahon et al., table 1


def test_a_nodule_found_by_chance_is_followed_as_fleischner_2017_says() -> None:
    told = advice(nodule(7.0))
    assert next(one.score for one in told.risks) == "fleischner_2017"
    assert told.recommendations[0].source.url == "https://doi.org/10.1148/radiol.2017161659"
    assert "lung_rads_2022" not in [one.score for one in told.risks]


def test_solid_nodules_below_6_mm_at_low_risk_and_one_subsolid_nodule_below_6_mm_need_no_follow_up() -> None:
    for found in ([nodule(5.4)], [nodule(5.4), nodule(4.0, name="2")], [nodule(5.4, "part")], [nodule(5.4, "ground")]):
        told = said(*found)
        assert isinstance(told, NothingToSay), told
        assert applied(told)["no-follow-up"] is True
        assert "5.4" not in told.reason
    assert isinstance(said(nodule(5.5)), Advice)  # 5.5 mm is 6 mm: diameters are rounded to the nearest millimetre


def test_a_solid_nodule_below_6_mm_at_high_risk_may_have_ct_after_12_months() -> None:
    told = advice(nodule(5.4), data=smoker())
    assert (actions_of(told), window(told)) == ([FOLLOW_UP], (AFTER[12], AFTER[12]))
    assert told.recommendations[0].strength == "optional"


def test_one_solid_nodule_of_6_to_8_mm_or_ground_glass_nodule_from_6_mm_has_ct_at_6_to_12_months() -> None:
    for found in (nodule(5.5), nodule(8.4), nodule(6.0, "ground"), nodule(28.0, "ground")):
        told = advice(found)
        assert (actions_of(told), window(told)) == ([FOLLOW_UP], (AFTER[6], AFTER[12]))
    assert window(advice(nodule(8.5))) != (AFTER[6], AFTER[12])


def test_several_nodules_from_6_mm_several_subsolid_or_one_part_solid_from_6_mm_have_ct_at_3_to_6_months() -> None:
    several = (
        [nodule(6.0), nodule(4.0, name="2")],
        [nodule(5.0, "ground"), nodule(4.0, "ground", name="2")],
        [nodule(6.0, "part", solid=3.0)],
    )
    for found in several:
        told = advice(*found)
        assert (actions_of(told), window(told)) == ([FOLLOW_UP], (AFTER[3], AFTER[6])), found


def test_a_single_solid_nodule_above_8_mm_has_ct_at_3_months_pet_ct_or_tissue_sampling_considered() -> None:
    told = advice(nodule(8.5))
    assert actions_of(told)[0] == FOLLOW_UP
    assert window(told) == (AFTER[3], AFTER[3])
    assert (told.indicator, told.recommendations[0].priority) == (Indicator.WARNING, Priority.URGENT)
    assert advice(nodule(8.4)).indicator is Indicator.INFO


def test_a_part_solid_nodule_with_a_solid_part_above_8_mm_is_referred_for_pet_ct_biopsy_or_resection() -> None:
    assert actions_of(advice(nodule(12.0, "part", solid=8.5))) == [CLINIC]
    assert actions_of(advice(nodule(12.0, "part", solid=8.4))) == [FOLLOW_UP]
    unknown = advice(nodule(12.0, "part"))
    assert actions_of(unknown) == [CLINIC]
    assert any("soonest" in text for text in unknown.recommendations[0].because)


@pytest.mark.parametrize(
    "how",
    [
        {"data": smoker()},
        {"data": person(smoking_status=Known(SmokingStatus.FORMER, None, SOURCE))},
        {"data": person(family_history={"family-lung-cancer": known_item()})},
        {"data": person(conditions=person().conditions | {"emphysema": known_item()})},
        {"lobe": UPPER},
        {"spiculated": True},
    ],
)
def test_smoking_emphysema_lung_cancer_in_the_family_spiculation_or_an_upper_lobe_make_the_risk_high(
    how: dict[str, Any],
) -> None:
    data = how.pop("data", None)
    told = advice(nodule(5.0, **how), data=data)
    assert applied(told)["risk"] is True
    assert actions_of(told) == [FOLLOW_UP]


def test_a_risk_that_is_not_known_is_never_taken_for_low() -> None:
    assert applied(said(nodule(5.0)))["risk"] is False
    gone = Unknown("no source was asked")
    unknown = (
        (nodule(5.0), person(smoking_status=gone)),
        (nodule(5.0), person(smoking_status=NOT_FOUND)),
        (nodule(5.0), person(smoking_status=Known(SmokingStatus.UNKNOWN, None, SOURCE))),
        (nodule(5.0), person(family_history={})),
        (nodule(5.0, lobe=None), person()),
        (nodule(5.0, spiculated=None), person()),
    )
    for found, data in unknown:
        told = advice(found, data=data)
        assert (applied(told)["risk"], applied(told)["risk-open"]) == (None, True)
        assert actions_of(told) == [FOLLOW_UP]
        assert "no routine follow-up" in detail(told)
        assert "optional" in detail(told)


def test_with_known_cancer_no_interval_of_fleischner_2017_is_given_and_the_oncologist_or_a_nodule_clinic_is_told() -> (
    None
):
    for name in ("cancer", "lung-cancer"):
        data = person(conditions=person().conditions | {name: known_item()})
        told = advice(nodule(5.0), data=data)
        assert actions_of(told) == [TELL]
        assert applied(told)["cancer"] is True
        assert "fleischner_2017" not in [one.score for one in told.risks]
        assert told.recommendations[0].action.endswith("without an oncologist: the nodule clinic")
        assert any("Spirometry (127783003) (2025-05-06" in text for text in told.recommendations[0].because)
        screened = advice(nodule(16.0), data=data, exam=SCREENING)
        assert actions_of(screened) == [TELL, CLINIC]
        assert LOW_DOSE not in actions_of(said(nodule(5.0), data=data, exam=SCREENING))


def test_with_known_cancer_a_nodule_of_8_mm_or_more_or_with_a_solid_part_of_6_mm_or_more_is_told_urgently() -> None:
    def step_of(*found: Any, **how: Any) -> Any:
        return advice(*found, data=CANCEROUS, **how).recommendations[0]

    for found in (nodule(8.0), nodule(7.0, "part", solid=6.0), nodule(7.0, "part"), nodule(7.0, ""), nodule(None)):
        step = step_of(found)
        assert (step.code.code, step.priority, step.acr_category) == (TELL, Priority.URGENT, 3), found
        assert advice(found, data=CANCEROUS).indicator is Indicator.WARNING
    for found in (nodule(7.9), nodule(7.0, "part", solid=5.9), nodule(5.9, "")):
        assert (step_of(found).priority, step_of(found).acr_category) == (Priority.ROUTINE, None), found
    seen = step_of(nodule(None), modality="DX")
    assert (seen.code.code, seen.priority) == (TELL, Priority.URGENT)


def test_who_was_told_before_the_images_does_not_know_of_a_large_nodule() -> None:
    for on, told_again in ((date(2026, 11, 1), True), (STUDY_DATE, False)):
        data = replace(CANCEROUS, requests={"tell-treating-oncologist-request": known_item(on=on)})
        told = advice(nodule(12.0), data=data)
        assert (TELL in actions_of(told)) is told_again
    clinic = {"nodule-clinic-referral-request": known_item(on=date(2025, 12, 25))}
    assert CLINIC in actions_of(said(nodule(20.0), data=person(requests=clinic), exam=SCREENING))


def test_with_immunosuppression_no_interval_of_fleischner_2017_is_given_and_who_treats_it_is_told() -> None:
    ill = person(conditions=person().conditions | {"immunosuppression": known_item()})
    drug = person(medications={"immunosuppressant": known_item()})
    for data in (ill, drug):
        told = advice(nodule(7.0), data=data)
        assert (actions_of(told), applied(told)["immunosuppressed"]) == ([IMMUNE], True)
        assert "CT at their choice" in told.recommendations[0].action
        assert any("2025-05-06" in text for text in told.recommendations[0].because)
        assert "immunosuppressed" in detail(told)


@pytest.mark.parametrize(
    ("code", "on", "held"),
    [
        ("H02AB07", date(2025, 11, 22), True),
        ("H02AB07", date(2025, 11, 21), None),
        ("H02AB07", None, None),
        ("L04AD02", date(2023, 1, 1), True),
    ],
)
def test_a_steroid_of_more_than_12_months_ago_or_without_a_date_does_not_tell_whether_it_is_taken_now(
    code: str, on: date | None, held: bool | None
) -> None:
    drug = Known(ClinicalItem(Coding("http://www.whocc.no/atc", code), "a drug"), on, SOURCE)
    told = advice(nodule(7.0), data=person(medications={"immunosuppressant": drug}))
    assert (applied(told)["immunosuppressed"], applied(told)["steroid"]) == (held, held is None)
    assert actions_of(told) == ([IMMUNE] if held else [FOLLOW_UP])
    assert any(text.startswith("immunosuppressive drug: ") for text in told.missing) is not held
    if held is None:
        assert "whether there is immunosuppression" in told.recommendations[0].reason


def test_from_18_to_34_years_no_interval_of_fleischner_2017_is_given_and_the_radiologist_is_asked() -> None:
    for born, asked in ((date(1991, 11, 3), True), (date(1991, 11, 2), False), (date(2008, 11, 2), True)):
        told = advice(nodule(7.0), data=person(birth_date=Known(born, None, "patient demographics"), sex=MALE))
        assert actions_of(told) == ([actions.ASK_RADIOLOGIST.code] if asked else [FOLLOW_UP])
        assert applied(told)["young"] is asked
        assert not asked or any("years on 2026-11-02" in text for text in told.recommendations[0].because)


def test_below_18_years_no_ct_and_no_pet_ct_is_suggested_paediatric_radiology_is_asked_urgently_from_8_mm_on() -> None:
    data = person(birth_date=Known(date(2008, 11, 3), None, "patient demographics"))
    for exam in (OTHER_EXAM, SCREENING, ()):
        for found, priority in ((nodule(7.9), Priority.ROUTINE), (nodule(25.0, spiculated=True), Priority.URGENT)):
            told = advice(found, data=data, exam=exam)
            assert actions_of(told) == [actions.ASK_PAEDIATRIC_RADIOLOGY.code]
            assert told.recommendations[0].priority is priority
    for how in ({"modality": "DX"}, {}):
        assert actions_of(said(nodule(None), data=data, **how)) == [actions.ASK_PAEDIATRIC_RADIOLOGY.code]
    adult = person(birth_date=Known(date(2008, 11, 2), None, "patient demographics"), sex=MALE)
    assert PET in actions_of(said(nodule(25.0, lobe=UPPER, spiculated=True), data=adult))
    assert actions_of(said(nodule(None), data=adult, modality="DX")) == [actions.DIAGNOSTIC_CHEST_CT.code]


def test_an_age_that_is_not_known_stands_in_the_step_of_a_radiograph() -> None:
    told = advice(nodule(None), data=person(birth_date=Unknown("not stated")), modality="DX")
    assert "The age is not known" in told.recommendations[0].reason
    assert any(text.startswith("age: ") for text in told.missing)


# --- radiation


def woman(years: int, pregnant: object) -> EhrData:
    born = Known(date(TODAY.year - years, 1, 1), None, "patient demographics")
    return person(birth_date=born, sex=Known(Sex.FEMALE, None, "patient demographics"), pregnancy=pregnant)


def test_in_pregnancy_and_where_it_is_not_excluded_routine_imaging_with_ionising_radiation_waits() -> None:
    pregnant = Known(True, date(2026, 11, 1), SOURCE)
    for how in ({"modality": "DX"}, {}):
        found = nodule(None) if how else nodule(7.0)
        (step,) = advice(found, data=woman(38, pregnant), **how).recommendations
        assert step.not_before == date(2027, 8, 28)  # 300 days after the word
        assert step.by is None or step.by >= step.not_before
        assert any("waits until it is over" in text for text in step.because)
        possible = advice(found, data=woman(38, NOT_FOUND), **how)
        assert any("Pregnancy is possible" in text for text in possible.recommendations[0].because)
        assert any(text.startswith("pregnancy: ") for text in possible.missing)
    urgent = advice(nodule(25.0, lobe=UPPER, spiculated=True), data=woman(38, pregnant))
    pet = next(one for one in urgent.recommendations if one.code.code == PET)
    assert any("the radiologist and the obstetrician decide now" in text for text in pet.because)
    assert pet.not_before is None


def test_in_pregnancy_nothing_urgent_waits_nor_with_known_cancer_radiologist_and_obstetrician_decide_now() -> None:
    pregnant = Known(True, date(2026, 11, 1), SOURCE)
    large = advice(nodule(9.0), data=woman(38, pregnant))
    cancer = replace(woman(38, pregnant), conditions=woman(38, pregnant).conditions | {"cancer": known_item()})
    marked = advice(nodule(None), data=cancer, modality="DX")
    for told, code in ((large, actions.CHEST_CT_FOLLOW_UP), (marked, actions.DIAGNOSTIC_CHEST_CT)):
        step = next(one for one in told.recommendations if one.code == code)
        assert (step.not_before, step.priority) == (None, Priority.URGENT)
        assert step.action.endswith(": radiologist and obstetrician decide now")
        assert any("the radiologist and the obstetrician decide now" in text for text in step.because)
        assert applied(told)["pregnancy-now"] is True
        assert applied(told)["pregnancy"] is False
    calm = advice(nodule(7.0), data=woman(38, pregnant))
    assert applied(calm)["pregnancy-now"] is False
    assert all(one.not_before for one in calm.recommendations)
    past = advice(nodule(9.0), data=woman(38, Known(False, date(2026, 11, 20), SOURCE)))
    assert "obstetrician" not in past.recommendations[0].action


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (woman(56, NOT_FOUND), False),
        (woman(55, NOT_FOUND), None),
        (woman(56, Known(True, date(2026, 11, 1), SOURCE)), True),
        (woman(38, Known(True, date(2026, 1, 1), SOURCE)), None),
        (woman(38, Known(True, None, SOURCE)), None),
        (woman(38, Known(False, date(2026, 11, 20), SOURCE)), False),
        (woman(38, Known(False, date(2026, 11, 1), SOURCE)), None),
        (replace(woman(38, NOT_FOUND), sex=Known(Sex.MALE, None, "d")), False),
        (replace(woman(38, NOT_FOUND), sex=Unknown("not stated")), None),
        (replace(woman(38, NOT_FOUND), birth_date=Unknown("not stated")), None),
    ],
)
def test_who_may_be_pregnant_is_asked_and_a_word_on_record_counts_while_it_is_new(
    data: EhrData, held: bool | None
) -> None:
    assert applied(said(nodule(None), data=data, modality="DX"))["pregnancy"] is held


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (person(conditions={"emphysema": NOT_FOUND}), "cancer"),
        (person(medications={}), "immunosuppressive drug"),
        (person(birth_date=Unknown("not in the demographics")), "age"),
    ],
)
def test_who_may_be_excluded_is_told_so_and_a_small_nodule_is_not_called_harmless(data: EhrData, what: str) -> None:
    small = advice(nodule(4.0), data=data)
    assert small.recommendations == ()
    assert any(text.startswith(f"{what}: ") for text in small.missing)
    larger = advice(nodule(7.0), data=data)
    assert "Not known: " in larger.recommendations[0].reason


# --- Lung-RADS v2022


def category(found: tuple[Finding, ...]) -> str | None:
    """The Lung-RADS category of a nodule on a first screening CT."""
    told = advice(found, exam=SCREENING)
    return next(one.value for one in told.risks if one.score == "lung_rads_2022")


def test_a_nodule_on_a_screening_ct_is_followed_as_lung_rads_v2022_says() -> None:
    told = advice(nodule(7.0), exam=SCREENING)
    assert "lung_rads_2022" in [one.score for one in told.risks]
    assert "fleischner_2017" not in [one.score for one in told.risks]
    assert told.recommendations[0].source.url == "https://doi.org/10.1016/j.chest.2023.10.028"


def test_lung_rads_1_or_2_continues_yearly_screening_with_low_dose_ct() -> None:
    told = advice(nodule(5.9), exam=SCREENING)
    assert (actions_of(told), window(told)) == ([LOW_DOSE], (AFTER[12], AFTER[12]))


def test_lung_rads_3_has_low_dose_ct_at_6_months() -> None:
    for size in (6.0, 7.9):
        told = advice(nodule(size), exam=SCREENING)
        assert (actions_of(told)[0], window(told)) == (LOW_DOSE, (AFTER[6], AFTER[6]))


def test_lung_rads_4a_has_low_dose_ct_at_3_months() -> None:
    told = advice(nodule(8.0), exam=SCREENING)
    assert (actions_of(told)[0], window(told)) == (LOW_DOSE, (AFTER[3], AFTER[3]))
    assert category(nodule(7.9)) == "3"
    assert category(nodule(14.9)) == "4A"
    grown = advice(nodule(7.0, change=changed(1.6)), exam=SCREENING)
    assert (actions_of(grown)[0], window(grown)) == (LOW_DOSE, (AFTER[3], AFTER[3]))


def test_lung_rads_4b_or_4x_is_referred_for_diagnostic_ct_pet_ct_or_tissue_sampling() -> None:
    for found in (nodule(15.0), nodule(8.0, change=changed(1.6)), nodule(6.0, spiculated=True)):
        told = advice(found, exam=SCREENING)
        assert actions_of(told)[0] == CLINIC
        assert told.recommendations[0].by == date(2026, 12, 2)
    assert (category(nodule(14.9)), category(nodule(15.0))) == ("4A", "4B")


def test_growth_that_is_not_beyond_the_error_does_not_raise_the_category_and_unknown_growth_does() -> None:
    stable = advice(nodule(7.0, change=changed(1.6, beyond=False)), exam=SCREENING)
    assert window(stable)[0] == AFTER[12]
    unknown = advice(nodule(7.0, change=changed(1.6, beyond=None)), exam=SCREENING)
    assert window(unknown) == (AFTER[3], AFTER[3])
    assert window(advice(nodule(7.0, change=changed(1.5)), exam=SCREENING))[0] == AFTER[12]


def test_without_a_word_of_earlier_cts_a_nodule_may_be_new() -> None:
    unasked = person(procedures={"pet-ct": NOT_FOUND})
    told = advice(nodule(7.0), data=unasked, exam=SCREENING)
    assert window(told) == (AFTER[3], AFTER[3])
    assert "3/4A" in detail(told)
    assert "compare with earlier CTs" in detail(told)


def test_where_nobody_can_tell_whether_the_ct_was_a_screening_exam_the_sooner_of_both_follow_ups_counts() -> None:
    for exam in ((), (Coding("urn:site", "CTTH"),)):
        told = advice(nodule(8.0), exam=exam)
        assert applied(told)["exam-unknown"] is True
        assert {"fleischner_2017", "lung_rads_2022"} <= {one.score for one in told.risks}
        assert (actions_of(told)[0], window(told)) == (LOW_DOSE, (AFTER[3], AFTER[3]))
        assert any(text.startswith("whether it was a screening CT") for text in told.missing)
    assert isinstance(said(nodule(5.0), exam=()), NothingToSay)
    assert applied(said(nodule(8.0)))["exam-unknown"] is False


# --- Brock and BTS


def test_a_solid_nodule_of_8_mm_or_more_with_a_brock_probability_of_10_or_more_has_pet_ct() -> None:
    # McWilliams 2013: 18 mm, solid, upper lobe, spiculated, emphysema, family history: far above 10 %.
    probable = nodule(18.0, lobe=UPPER, spiculated=True)
    told = advice(probable, data=smoker())
    assert PET in actions_of(told)
    brock = next(one for one in told.risks if one.score == "brock")
    assert brock.probability is not None
    assert brock.probability > 0.1
    for found in (nodule(8.5), nodule(7.9, lobe=UPPER, spiculated=True), nodule(18.0, "ground", lobe=UPPER)):
        assert PET not in actions_of(advice(found, data=smoker()))


def test_where_pet_ct_is_suggested_ct_at_3_months_is_noted_in_its_place_only() -> None:
    told = advice(nodule(12.0, lobe=UPPER, spiculated=True), data=smoker())
    assert actions_of(told) == [PET]
    assert "CT of the chest at 3 months (by 2027-02-02): where PET-CT is not done." in told.notes
    assert any("Smoke" in text or "smok" in text for text in told.recommendations[0].because)
    others = advice(nodule(12.0, lobe=UPPER, spiculated=True), nodule(7.0, name="2"), data=smoker())
    assert actions_of(others) == [FOLLOW_UP, PET]  # the CT is for the other nodules as well


def test_pet_ct_stands_in_for_the_low_dose_ct_of_lung_rads_4a_and_not_beside_it() -> None:
    found = nodule(14.0, lobe=UPPER, spiculated=False, change=changed(0.0, prior=14.0))
    asked = smoker(family_history={"family-lung-cancer": known_item()})
    new = advice(nodule(14.0, lobe=UPPER), data=asked, exam=SCREENING)
    assert actions_of(new) == [PET]
    assert any(text.endswith("where PET-CT is not done.") for text in new.notes)
    assert not [one for one in merged((new,)) if isinstance(one, Advice) and one.contradictions]
    assert PET in actions_of(advice(found, data=asked, exam=SCREENING))


def test_a_brock_input_that_is_missing_is_told_with_the_range_that_it_leaves() -> None:
    told = advice(nodule(9.0, lobe=UPPER, spiculated=None), data=smoker(family_history={}))
    assert PET not in actions_of(told)
    brock = next(one for one in told.risks if one.score == "brock")
    assert brock.value is None
    assert {"family history of lung cancer", "spiculation"} <= set(brock.missing)
    text = next(text for text in told.missing if text.startswith("Brock probability"))
    assert "it is between" in text


def test_a_missing_input_that_cannot_change_it_leaves_the_pet_ct() -> None:
    told = advice(nodule(29.0, lobe=UPPER, spiculated=True), data=smoker(family_history={}))
    assert PET in actions_of(told)


def test_beyond_smokers_the_brock_probability_is_called_a_guess() -> None:
    told = advice(nodule(25.0, lobe=UPPER, spiculated=True))
    assert any("beyond, it is a guess" in text for text in told.notes)
    smoked = advice(nodule(25.0, lobe=UPPER, spiculated=True), data=smoker())
    assert not any("beyond, it is a guess" in text for text in smoked.notes)


def test_a_pet_ct_that_was_ordered_after_the_images_is_not_asked_for_again() -> None:
    asked = {"pet-ct-request": known_item(on=date(2026, 11, 10))}
    told = advice(nodule(25.0, lobe=UPPER, spiculated=True), data=smoker(requests=asked))
    assert PET not in actions_of(told)
    assert applied(told)["pet-ordered"] is True
    old = {"pet-ct-request": known_item(on=STUDY_DATE)}
    assert PET in actions_of(said(nodule(25.0, lobe=UPPER, spiculated=True), data=smoker(requests=old)))


def test_a_pet_ct_of_the_last_3_months_is_not_asked_for_again() -> None:
    for on, suggested in ((date(2026, 8, 22), False), (date(2026, 8, 21), True)):
        done = person().procedures | {"pet-ct": known_item(on=on)}
        told = advice(nodule(25.0, lobe=UPPER, spiculated=True), data=smoker(procedures=done))
        assert (PET in actions_of(told)) is suggested


# --- without a size, and what was ordered


def test_a_nodule_on_a_radiograph_is_characterised_by_ct_of_the_chest_without_contrast() -> None:
    told = advice(nodule(None, "", spiculated=None), modality="DX")
    assert actions_of(told) == [actions.DIAGNOSTIC_CHEST_CT.code]
    assert told.recommendations[0].source.url == "https://doi.org/10.1016/j.jacr.2023.08.024"
    asked = {"diagnostic-chest-ct-request": known_item(on=date(2026, 11, 10))}
    assert actions_of(said(nodule(None), modality="DX", data=person(requests=asked))) == []


def test_a_nodule_on_ct_that_has_no_diameter_is_measured_before_any_interval_is_given() -> None:
    told = advice(nodule(None))
    assert (actions_of(told), applied(told)["unsized"]) == ([], True)
    assert told.missing[0].startswith("mean diameter: ")


def test_one_nodule_without_a_diameter_beside_a_small_one_is_told_and_not_forgotten() -> None:
    for size in (None, 0.5, 301.0):
        told = advice(nodule(4.0), nodule(size, name="2"))
        assert told.recommendations == ()
        assert any(text.startswith("diameter of a nodule") for text in told.missing)


def test_a_solid_part_larger_than_its_nodule_is_not_believed_and_the_soonest_follow_up_is_taken() -> None:
    assert actions_of(advice(nodule(12.0, "part", solid=13.0))) == [CLINIC]
    assert window(advice(nodule(7.0, "part", solid=8.0))) == (AFTER[3], AFTER[6])


def test_a_ct_of_the_chest_that_was_ordered_after_the_images_is_not_asked_for_again() -> None:
    for action in ("chest-ct-follow-up", "diagnostic-chest-ct"):
        for on, asked in ((date(2026, 11, 3), True), (STUDY_DATE, False), (date(2026, 10, 30), False)):
            data = person(requests={f"{action}-request": known_item(on=on)})
            told = advice(nodule(7.0), data=data)
            assert (actions_of(told), applied(told)["ordered"]) == ([] if asked else [FOLLOW_UP], asked)


def done(on: date | None, name: str = "chest-ct") -> EhrData:
    return person(procedures=person().procedures | {name: known_item(on=on)})


def test_a_later_ct_of_the_chest_takes_the_place_of_a_follow_up_only_from_the_first_month_of_its_interval_on() -> None:
    today = date(2027, 6, 1)
    for name in ("chest-ct", "low-dose-chest-ct"):
        for on, suggested in ((AFTER[6], False), (date(2027, 5, 1), True), (STUDY_DATE, True)):
            told = advice(nodule(7.0), data=done(on, name), today=today)
            assert (actions_of(told) == [FOLLOW_UP]) is suggested
            assert applied(told)["done-since"] is not suggested


def test_a_later_ct_of_the_chest_before_that_month_is_noted_and_the_follow_up_stays() -> None:
    told = advice(nodule(7.0), data=done(date(2026, 11, 10)))
    assert (actions_of(told), applied(told)["done-before"]) == ([FOLLOW_UP], True)
    assert any("2026-11-10" in text and "before it is due" in text for text in told.notes)


def test_a_ct_or_a_pet_ct_of_no_date_is_missing_and_silences_nothing() -> None:
    undated = advice(nodule(7.0), data=done(None))
    assert actions_of(undated) == [FOLLOW_UP]
    assert any(text.startswith("CT of the chest: it is on record without a date") for text in undated.missing)
    pet = advice(nodule(25.0, lobe=UPPER, spiculated=True), data=done(None, "pet-ct"))
    assert PET in actions_of(pet)
    assert any(text.startswith("PET-CT: it is on record without a date") for text in pet.missing)


def test_after_a_radiograph_any_later_ct_of_the_chest_is_the_one_that_was_wanted() -> None:
    for on, suggested in ((date(2026, 11, 3), False), (STUDY_DATE, True)):
        told = advice(nodule(None), data=done(on), modality="DX")
        assert (actions_of(told) == [actions.DIAGNOSTIC_CHEST_CT.code]) is suggested
        assert applied(told)["characterised"] is not suggested


def test_the_area_of_low_attenuation_at_the_cut_off_of_the_site_counts_as_emphysema_and_is_told_as_such() -> None:
    laa = Finding("laa_950", finding_codes.LAA_950, Presence.MEASURED, Quantity(12.0, "%"))
    given = case_of(nodule(5.0), (laa,))
    unlooked = replace(given.outcomes[0], findings=given.outcomes[0].findings[:-1])  # the last is "no emphysema"
    for site, risk in (({"emphysema.laa_950_percent": "12"}, True), ({"emphysema.laa_950_percent": "12.1"}, None)):
        told = lung_nodule(replace(given, outcomes=(unlooked,), site=site))
        assert applied(told)["risk"] is risk
        texts = told.recommendations[0].because if isinstance(told, Advice) else ()
        assert any("emphysema by LAA-950 at the site's cut-off" in text for text in texts) is bool(risk)
    wrong = replace(given, outcomes=(unlooked,), site={"emphysema.laa_950_percent": "none"})
    assert applied(lung_nodule(wrong))["risk"] is None


def test_what_bts_says_is_told_in_words() -> None:
    for found, words in (
        (nodule(4.0), "no follow-up"),
        (nodule(7.0), "CT surveillance"),
        (nodule(7.0, "ground"), "CT at 3 months"),
    ):
        told = said(found, data=smoker(), exam=SCREENING)
        assert isinstance(told, Advice)
        assert next(one.value for one in told.risks if one.score == "bts_brock") == words


@pytest.mark.parametrize(
    "how",
    [
        {"data": None},
        {"data": smoker(), "exam": SCREENING},
        {"data": smoker()},
    ],
)
def test_every_step_says_why_with_day_and_source(how: dict[str, Any]) -> None:
    for found in (nodule(7.0), nodule(12.0, lobe=UPPER, spiculated=True), nodule(18.0)):
        told = advice(found, **how)
        for one in told.recommendations:
            assert any("2026-11-02" in text and "site_nodules 1.0" in text for text in one.because), one.key


def test_no_nodule_a_negative_and_a_refusal_are_three_answers() -> None:
    assert isinstance(said(), NothingToSay)
    negative = replace(nodule(7.0)[0], presence=Presence.NOT_DETECTED)
    told = said((negative,))
    assert isinstance(told, NothingToSay)
    assert "does not exclude" in told.reason
    refused = replace(nodule(7.0)[0], presence=Presence.NOT_EVALUATED, reason="slices of 8 mm")
    answered = said((refused,))
    assert isinstance(answered, CouldNotTell)
    assert "slices of 8 mm" in answered.reason
    whole = replace(case_of(), outcomes=(NotEvaluated("site_nodules", "1.0", ("no lung",)),))
    assert isinstance(lung_nodule(whole), NothingToSay)


def test_a_follow_up_that_is_overdue_is_due_today() -> None:
    late = date(2028, 1, 1)
    assert window(advice(nodule(7.0), today=late)) == (None, late)


def test_the_type_that_is_not_known_takes_the_soonest_follow_up_and_says_so() -> None:
    told = advice(nodule(7.0, "", solid=None))
    assert window(told) == (AFTER[3], AFTER[6])
    assert any("type of the nodule" in text for text in told.recommendations[0].would_change)


# --- for every record

GONE = Unknown("nobody could be asked")
FACT = st.sampled_from([NOT_FOUND, GONE, known_item(), known_item(on=date(2026, 11, 10))])
NAMES = {
    "conditions": ("cancer", "lung-cancer", "immunosuppression", "emphysema"),
    "procedures": ("chest-ct", "low-dose-chest-ct", "pet-ct"),
    "medications": ("immunosuppressant",),
    "family_history": ("family-lung-cancer",),
    "requests": ("chest-ct-follow-up-request", "pet-ct-request", "nodule-clinic-referral-request"),
}
STATUS = st.one_of(
    st.sampled_from([GONE, NOT_FOUND]), st.sampled_from(SmokingStatus).map(lambda one: Known(one, TODAY, SOURCE))
)
BORN = st.one_of(st.just(GONE), st.dates(date(1930, 1, 1), date(2000, 1, 1)).map(lambda day: Known(day, None, "d")))
RECORDS = st.builds(
    person,
    birth_date=BORN,
    smoking_status=STATUS,
    **{where: st.fixed_dictionaries(dict.fromkeys(names, FACT)) for where, names in NAMES.items()},
)
NODULES = st.lists(
    st.builds(
        nodule,
        st.one_of(st.none(), st.floats(3.0, 35.0)),
        st.sampled_from(["solid", "part", "ground", ""]),
        name=st.sampled_from(["1", "2", "3"]),
        lobe=st.sampled_from([None, UPPER, LOWER]),
        spiculated=st.sampled_from([None, False, True]),
        change=st.one_of(st.none(), st.builds(changed, st.floats(-3, 5), st.integers(30, 900), st.booleans())),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda found: found[0].key,
)
EXAMS = st.sampled_from([(), SCREENING, OTHER_EXAM])
RANKS = (Priority.ROUTINE, Priority.URGENT, Priority.ASAP, Priority.STAT)


def soonest(told: PathwayOutcome) -> tuple[int, date]:
    """How urgent an answer is: the later in the order, the sooner something has to be done."""
    if not isinstance(told, Advice) or not told.recommendations:
        return -1, date.max
    return max(RANKS.index(one.priority) for one in told.recommendations), min(
        one.by or date.max for one in told.recommendations
    )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=RECORDS, found=NODULES, exam=EXAMS, turn=st.randoms(use_true_random=False))
def test_the_order_of_findings_and_answers_does_not_matter(data: EhrData, found: Any, exam: Any, turn: Any) -> None:
    one, other = case_of(*found, data=data, exam=exam), case_of(*found, data=data, exam=exam)
    findings = list(other.outcomes[0].findings)
    turn.shuffle(findings)
    told = lung_nodule(replace(other, outcomes=(replace(other.outcomes[0], findings=tuple(findings)),)))
    assert told == lung_nodule(one)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=RECORDS, found=NODULES, exam=EXAMS)
def test_an_order_or_a_pet_ct_on_record_never_adds_a_step_nor_makes_it_more_urgent(
    data: EhrData, found: Any, exam: Any
) -> None:
    before = lung_nodule(case_of(*found, data=data, exam=exam))
    for where, name in (*(("requests", name) for name in NAMES["requests"]), ("procedures", "pet-ct")):
        facts = getattr(data, where) | {name: known_item(on=date(2026, 11, 10))}
        after = lung_nodule(case_of(*found, data=replace(data, **{where: facts}), exam=exam))
        assert set(actions_of(after)) <= set(actions_of(before))
        assert soonest(after)[0] <= soonest(before)[0]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=RECORDS, found=NODULES, exam=EXAMS)
def test_what_is_not_known_never_turns_a_card_into_nothing_nor_a_follow_up_later(
    data: EhrData, found: Any, exam: Any
) -> None:
    before = lung_nodule(case_of(*found, data=data, exam=exam))
    less = [replace(data, smoking_status=GONE)]
    less += [
        replace(data, **{where: getattr(data, where) | {name: GONE}})
        for where in ("conditions", "medications", "family_history")
        for name in NAMES[where]
    ]
    for fewer in less:
        after = lung_nodule(case_of(*found, data=fewer, exam=exam))
        assert not (isinstance(before, Advice) and isinstance(after, NothingToSay))
        if FOLLOW_UP in actions_of(before) or LOW_DOSE in actions_of(before):
            assert soonest(after)[1] <= soonest(before)[1]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=RECORDS, found=NODULES, exam=EXAMS)
def test_every_summary_is_short_and_every_step_has_its_source(data: EhrData, found: Any, exam: Any) -> None:
    told = lung_nodule(case_of(*found, data=data, exam=exam))
    if isinstance(told, Advice):
        assert len(told.summary) < 140
        assert all(one.source.url.startswith("https://doi.org/") and one.reason for one in told.recommendations)
        assert detail(told)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=RECORDS, found=NODULES, exam=EXAMS)
def test_nothing_is_looked_up_that_is_not_declared(data: EhrData, found: Any, exam: Any) -> None:
    declared = {value_set.name for value_set in lung_nodule.asks}
    seen: set[str] = set()
    lung_nodule(case_of(*found, data=Watched(data, seen), exam=exam))
    lung_nodule(case_of(*found, data=Watched(data, seen), modality="CR"))
    assert seen <= declared
