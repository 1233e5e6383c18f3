"""The emphysema pathway, branch by branch, over handmade cases; its screening step has a file of its own."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import codes, finding_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.recommendation import Advice, CouldNotTell, NothingToSay, PathwayOutcome
from cds.record import assemble
from tests.unit.clinical import (
    NOT_FOUND,
    NOW,
    SOURCE,
    STUDY_DATE,
    TODAY,
    case,
    density,
    ehr,
    known_item,
    patient,
    record,
    refusal,
    said,
)
from tests.unit.emphysema_cases import CUT_OFF, advice, former, outcome, pack_years, shown, smoking, steps

# --- trigger


def test_a_current_smoker_with_emphysema_gets_all_three_steps_and_one_is_recommended() -> None:
    said = advice()
    assert list(steps(said)) == ["spirometry", "screening-visit", "cessation"]
    assert [r.recommended for r in said.recommendations] == [True, False, False]
    assert said.finding_keys == ("laa_950",)
    assert said.missing == ()


def test_below_the_cut_off_there_is_nothing_to_say_and_emphysema_is_not_excluded() -> None:
    said = outcome(case(outcomes=(density(9.99),)))
    assert isinstance(said, NothingToSay)
    assert "does not exclude" in said.reason


def test_a_fraction_is_turned_into_percent() -> None:
    assert isinstance(outcome(case(outcomes=(density(0.12, "1"),))), Advice)
    assert isinstance(outcome(case(outcomes=(density(0.09, "1"),))), NothingToSay)


def test_without_a_cut_off_of_the_site_it_is_not_evaluated() -> None:
    said = outcome(case(site={}))
    assert isinstance(said, CouldNotTell)
    assert said.reason == "not evaluated: the site has set no cut-off; LAA-950 has no agreed cut-off"
    assert CUT_OFF in said.how_to_get[0]


@pytest.mark.parametrize("option", ["", "ten", "0", "0.09", "-5", "100.1", "nan"])
def test_a_cut_off_that_is_none_is_not_evaluated(option: str) -> None:
    said = outcome(case(site={CUT_OFF: option}))
    assert isinstance(said, CouldNotTell)
    assert "want a number from 0.1 to 100 %" in said.reason


def test_a_value_in_a_strange_unit_is_not_evaluated() -> None:
    assert isinstance(outcome(case(outcomes=(density(18, "mL"),))), CouldNotTell)


def test_a_model_that_refused_makes_it_could_not_tell_with_the_reason() -> None:
    said = outcome(case(outcomes=(refusal(),)))
    assert isinstance(said, CouldNotTell)
    assert "the lung is not covered" in said.reason


def test_a_model_that_measured_one_series_and_refused_another_is_believed_for_the_first() -> None:
    assert isinstance(outcome(case(outcomes=(refusal(), density()))), Advice)


def test_a_study_that_no_model_measured_is_nothing_to_say() -> None:
    other = Findings("another_model", "1", "1.2.3", (Finding("volume", codes.LUNG_VOLUME, Presence.MEASURED),))
    assert isinstance(outcome(case(outcomes=(other,))), NothingToSay)
    assert isinstance(outcome(case(outcomes=())), NothingToSay)


def test_the_value_counts_whichever_model_measured_it_and_the_largest_of_several() -> None:
    other = Findings("another_model", "1", "1.2.3", density(12.5).findings)
    assert "12.5 %" in advice(outcomes=(density(5.0), other)).summary
    assert advice(outcomes=(other, density(5.0))) == advice(outcomes=(density(5.0), other))


@pytest.mark.parametrize(
    "status", [NOT_FOUND, Unknown("no source was asked"), Known(SmokingStatus.UNKNOWN, date(2026, 9, 1), SOURCE)]
)
def test_an_unknown_smoking_status_makes_no_advice_and_tells_how_to_get_it(status: Fact[SmokingStatus]) -> None:
    said = outcome(case(ehr(smoking_status=status)))
    assert isinstance(said, CouldNotTell)
    assert "18.2 %" in said.reason
    assert said.missing[0].startswith("smoking status: ")
    assert "ask the patient" in said.how_to_get[0]


def test_the_deceased_and_children_get_nothing() -> None:
    assert isinstance(outcome(case(ehr(deceased=Known(True, None, "patient demographics")))), NothingToSay)
    child = ehr(birth_date=Known(date(2010, 11, 23), None, "patient demographics"))
    assert isinstance(outcome(case(child)), NothingToSay)
    assert isinstance(outcome(case(ehr(deceased=Known(False, None, "patient demographics")))), Advice)


def test_the_cut_off_says_who_set_it() -> None:
    said = advice(site={CUT_OFF: "10", "emphysema.laa_950_origin": "the demonstration's value"})
    assert "10 % (the demonstration's value)" in shown(said)
    assert "LAA-950 has no agreed cut-off" in shown(said)
    assert "set by this site" in shown(advice())


# --- spirometry


def test_spirometry_is_suggested_with_where_and_since_when_it_was_searched() -> None:
    request = steps(advice())["spirometry"]
    assert request.code == Coding(codes.SNOMED, "127783003", "Spirometry")
    assert "no spirometry found in HL7 LAB|HOSPITAL since 2026-03-02" in request.reason


def test_a_known_spirometry_is_not_suggested_again_and_its_date_is_told() -> None:
    said = advice(ehr(procedures=ehr().procedures | {"spirometry": known_item()}))
    assert "spirometry" not in steps(said)
    assert "spirometry is on record (2025-05-06, HL7 LAB\\|HOSPITAL)" in shown(said)


def test_copd_that_is_suspected_alone_does_not_replace_spirometry_and_is_told() -> None:
    provisional = said(Coding(codes.ICD10, "J44.9", "COPD"), None, date(2026, 1, 2), status="preliminary")
    data = assemble(patient(), record(provisional), now=NOW, today=TODAY)
    told = advice(replace(ehr(), conditions=data.conditions))
    assert "spirometry" in steps(told)
    assert any("COPD is suspected since 2026-01-02" in text for text in told.missing)
    assert "COPD is suspected since 2026-01-02" in shown(told)


def test_known_emphysema_alone_does_not_replace_spirometry() -> None:
    said = advice(ehr(conditions=ehr().conditions | {"emphysema": known_item("87433001", "Emphysema")}))
    assert "spirometry" in steps(said)


def test_where_nobody_was_asked_for_spirometry_it_is_missing_not_suggested() -> None:
    said = advice(ehr(procedures={}))
    assert "spirometry" not in steps(said)
    assert any(text.startswith("spirometry: ") and "How to get it" in text for text in said.missing)
    assert said.recommendations[0].recommended


# --- nothing left, cessation


def test_where_nothing_is_left_to_suggest_there_is_no_card() -> None:
    data = replace(
        former(date(2000, 1, 1)), procedures=ehr().procedures | {"spirometry": known_item(text="Unmistakable")}
    )
    said = outcome(case(data))
    assert isinstance(said, NothingToSay)
    assert "spirometry is on record" in said.reason
    assert "Unmistakable" not in said.reason


def test_where_only_data_is_missing_the_card_says_so_without_a_suggestion() -> None:
    facts = ehr().procedures | {"spirometry": known_item()}
    said = advice(replace(former(date(2020, 1, 1)), procedures=facts, pack_years=NOT_FOUND))
    assert said.recommendations == ()
    assert said.summary.endswith("data missing")


def test_help_to_stop_is_for_who_smokes_now() -> None:
    assert steps(advice())["cessation"].code.code == "225323000"


@pytest.mark.parametrize(("born", "suggested"), [(date(2008, 11, 22), True), (date(2008, 11, 23), False)])
def test_help_to_stop_is_for_adults_because_its_source_is(born: date, suggested: bool) -> None:
    said_of = advice(ehr(birth_date=Known(born, None, "patient demographics")))
    assert ("cessation" in steps(said_of)) is suggested
    assert ("Help to stop smoking: the recommendation is for adults" in shown(said_of)) is not suggested
    assert "spirometry" in steps(said_of)


# --- an unknown age


AGELESS = ehr(birth_date=Unknown("the birth date is not in the patient demographics"))


@pytest.mark.parametrize(
    "data",
    [
        AGELESS,
        replace(AGELESS, pack_years=pack_years(5)),
        replace(AGELESS, conditions=ehr().conditions | {"lung-cancer": known_item("254637007")}),
        replace(AGELESS, smoking_status=smoking(SmokingStatus.NEVER)),
    ],
    ids=["all criteria open", "too few pack-years", "lung cancer", "never smoked"],
)
def test_an_unknown_age_is_always_missing_once_and_marks_every_suggestion(data: EhrData) -> None:
    told = advice(data)
    assert [text.split(":")[0] for text in told.missing].count("age") == 1
    assert list(steps(told)) == ["spirometry"]
    assert all(r.reason.endswith("The age is not known.") for r in told.recommendations)
    assert not any("age is not known" in r.reason for r in advice().recommendations)


def test_where_nothing_is_left_to_suggest_an_unknown_age_alone_makes_no_card() -> None:
    never = replace(AGELESS, smoking_status=smoking(SmokingStatus.NEVER))
    done = replace(never, procedures=ehr().procedures | {"spirometry": known_item()})
    assert isinstance(outcome(case(done)), NothingToSay)


# --- the card


def test_every_value_used_is_shown_with_its_date_and_source() -> None:
    said = advice()
    used = {item.name: item for item in said.inputs}
    assert used["LAA-950"].value == "18.2 %"
    assert used["LAA-950"].effective == STUDY_DATE
    assert used["LAA-950"].source == f"CT {STUDY_DATE}, ct_lung_density 0.1.0"
    assert (used["smoking status"].effective, used["smoking status"].source) == (date(2026, 9, 1), SOURCE)
    assert used["pack-years"].value == "38"
    assert used["age"].value == f"63 years on {TODAY}"
    assert used["COPD"].source == f"searched {SOURCE} since 2026-03-02"
    for item in said.inputs:
        assert f"\n- {item.name}: " in shown(said)
    assert "pack-years: 38 (2026-09-01; HL7 LAB\\|HOSPITAL)" in shown(said)
    assert "spirometry: none found (searched HL7 LAB\\|HOSPITAL since 2026-03-02)" in shown(said)


def test_the_card_tells_model_limits_and_who_decides() -> None:
    detail = shown(advice())
    assert "Not for children." in detail
    assert "measured by ct\\_lung\\_density 0.1.0" in detail
    assert "Advice for a clinician, who decides." in detail
    assert "not a cleared medical device" in detail


def test_the_codes_are_those_that_the_model_declares() -> None:
    manifest = Path(__file__).parents[2] / "models" / "ct_lung_density.toml"
    outputs = {o["key"]: o["code"] for o in tomllib.loads(manifest.read_text())["outputs"]}
    for key, coding in {"laa_950": codes.LAA_950, "lung_volume": codes.LUNG_VOLUME, "perc15": codes.PERC_15}.items():
        assert (outputs[key]["system"], outputs[key]["code"]) == (coding.system, coding.code)


# --- every rule


def rules(said: PathwayOutcome) -> dict[str, bool | None]:
    """Which rules were applied, and whether they held; of a rule that was applied twice, whether it ever did."""
    applied: dict[str, bool | None] = {}
    for step in said.steps:
        applied[step.rule] = applied.get(step.rule) or step.held
    return applied


def ordered(name: str) -> EhrData:
    """The usual case with an open request."""
    return ehr(requests={name: known_item(on=date(2026, 11, 10))})


def test_emphysema_is_suspected_where_laa_950_reaches_the_cut_off_that_the_site_set() -> None:
    assert rules(outcome(case(outcomes=(density(10.0),))))["cut-off"] is True
    below = outcome(case(outcomes=(density(9.99),)))
    assert isinstance(below, NothingToSay)
    assert rules(below)["cut-off"] is False
    assert "9.99" not in below.reason


def marked(presence: Presence = Presence.PRESENT, **more: object) -> Findings:
    """Emphysema as a radiologist or a model marks it."""
    finding = Finding("emphysema", finding_codes.EMPHYSEMA, presence, **more)
    return Findings("site_reader", "2.0", "1.2.3", (finding,), ("Marked by eye.",))


def test_emphysema_that_a_model_or_a_radiologist_marked_on_ct_counts_whatever_laa_950_is() -> None:
    for outcomes in ((marked(),), (marked(), density(5.0)), (density(5.0), marked())):
        told = advice(outcomes=outcomes)
        assert "spirometry" in steps(told)
        assert told.finding_keys == ("emphysema",)
        assert told.summary.startswith("Possible emphysema on CT 2026-11-02 (AI). To consider: spirometry")
        assert any("site_reader 2.0" in text for text in steps(told)["spirometry"].because)
    for site in ({}, {CUT_OFF: "none"}):
        assert "spirometry" in steps(advice(outcomes=(marked(), density()), site=site))
    both = advice(outcomes=(marked(), density()))
    assert both.finding_keys == ("laa_950", "emphysema")
    assert "LAA-950 18.2 %" in both.summary
    negative = outcome(case(outcomes=(marked(Presence.NOT_DETECTED),)))
    assert isinstance(negative, NothingToSay)
    assert "does not exclude it" in negative.reason
    refused = outcome(case(outcomes=(marked(Presence.NOT_EVALUATED, reason="motion"),)))
    assert isinstance(refused, CouldNotTell)
    assert "motion" in refused.reason


def test_of_marked_emphysema_the_grade_is_not_known_and_the_step_on_spirometry_says_so() -> None:
    told = advice(outcomes=(marked(confidence=0.8),))
    assert "its grade is not known" in steps(told)["spirometry"].reason
    assert "present, probability 80 %" in shown(told)
    assert "grade is not known" not in steps(advice())["spirometry"].reason


def test_emphysema_that_was_marked_on_a_radiograph_makes_no_card() -> None:
    for modality in ("CR", "DX"):
        said_of = outcome(replace(case(outcomes=(marked(),)), modality=modality))
        assert isinstance(said_of, NothingToSay)
        assert rules(said_of)["radiograph"] is True


def test_marked_emphysema_of_whose_smoking_nobody_knows_makes_no_card() -> None:
    said_of = outcome(case(ehr(smoking_status=NOT_FOUND), outcomes=(marked(),)))
    assert isinstance(said_of, CouldNotTell)
    assert said_of.reason == "emphysema was marked, but the smoking status is not known"


@pytest.mark.parametrize(("size", "visit"), [(5.9, True), (6.0, False), (None, False)])
def test_where_a_lung_nodule_of_6_mm_or_more_or_of_unknown_size_is_on_the_same_study_no_screening_is_suggested(
    size: float | None, visit: bool
) -> None:
    value = None if size is None else Quantity(size, "mm")
    found = Finding("nodule", finding_codes.LUNG_NODULE, Presence.PRESENT, value)
    told = advice(outcomes=(density(), Findings("nodules", "1", "1.2.3", (found,))))
    assert ("screening-visit" in steps(told)) is visit
    assert rules(told)["nodule"] is not visit
    assert ("a lung nodule of this study has a follow-up of its own" in shown(told)) is not visit
    absent = replace(found, presence=Presence.NOT_DETECTED)
    assert "screening-visit" in steps(advice(outcomes=(density(), Findings("n", "1", "1", (absent,)))))


def test_every_step_says_why_with_day_and_source() -> None:
    for one in advice().recommendations:
        assert any("2026-" in text and "(" in text for text in one.because), one.key


def test_without_a_cut_off_of_the_site_laa_950_alone_is_not_evaluated() -> None:
    said = outcome(case(site={}))
    assert isinstance(said, CouldNotTell)
    assert rules(said)["unset"] is True
    assert isinstance(outcome(case(site={CUT_OFF: "0.1"})), Advice)
    assert isinstance(outcome(case(outcomes=(density(100.0),), site={CUT_OFF: "100"})), Advice)


def test_the_pathway_is_for_people_aged_16_and_over() -> None:
    just = advice(ehr(birth_date=Known(date(2010, 11, 22), None, "patient demographics")))
    under = outcome(case(ehr(birth_date=Known(date(2010, 11, 23), None, "patient demographics"))))
    assert isinstance(under, NothingToSay)
    assert (rules(just)["age"], rules(under)["age"]) == (True, False)


def test_where_the_smoking_status_is_not_known_no_card_is_made() -> None:
    for status in (NOT_FOUND, Unknown("no source was asked"), Known(SmokingStatus.UNKNOWN, None, SOURCE)):
        said = outcome(case(ehr(smoking_status=status)))
        assert isinstance(said, CouldNotTell)
        assert rules(said)["smoking"] is True
    assert isinstance(outcome(case(ehr(smoking_status=smoking(SmokingStatus.NEVER)))), Advice)


def test_spirometry_is_suggested_where_neither_spirometry_nor_copd_is_on_record() -> None:
    assert "spirometry" in steps(advice())
    for where, name in (("procedures", "spirometry"), ("conditions", "copd")):
        said = advice(ehr(**{where: getattr(ehr(), where) | {name: known_item()}}))
        assert "spirometry" not in steps(said)
        assert rules(said)["spirometry"] is False


def test_where_nobody_can_tell_whether_spirometry_was_done_it_is_not_suggested() -> None:
    said = advice(ehr(procedures=ehr().procedures | {"spirometry": Unknown("no source was asked")}))
    assert "spirometry" not in steps(said)
    assert (rules(said)["spirometry"], rules(said)["spirometry-unknown"]) == (None, True)
    assert any(text.startswith("spirometry: no source was asked") for text in said.missing)


def test_spirometry_that_is_ordered_is_not_asked_for_again() -> None:
    said = advice(ordered("spirometry-request"))
    assert "spirometry" not in steps(said)
    assert rules(said)["spirometry-ordered"] is True
    assert "an open request for spirometry is on record (2026-11-10" in shown(said)


def test_a_screening_visit_is_suggested_where_the_uspstf_2021_criteria_hold_today_and_when_the_next_ct_is_due() -> None:
    assert rules(advice())["screening"] is True
    for data in (ehr(pack_years=pack_years(19.9)), former(date(2012, 11, 1))):
        said = advice(data)
        assert "screening-visit" not in steps(said)
        assert rules(said)["screening"] is False
    open_ = advice(ehr(pack_years=NOT_FOUND))
    assert (rules(open_)["screening"], "screening-visit" in steps(open_)) == (None, False)


def test_the_next_low_dose_ct_is_due_12_months_after_this_ct_or_after_the_last_low_dose_ct_if_later() -> None:
    assert steps(advice())["screening-visit"].not_before == date(2027, 11, 2)
    for on, due in ((date(2026, 11, 20), date(2027, 11, 20)), (date(2026, 1, 1), date(2027, 11, 2))):
        last = ehr().procedures | {"low-dose-chest-ct": known_item(on=on)}
        assert steps(advice(ehr(procedures=last)))["screening-visit"].not_before == due


def test_nobody_with_known_or_suspected_lung_cancer_is_sent_to_screening() -> None:
    for name in ("lung-cancer", "suspected-lung-cancer"):
        said = advice(ehr(conditions=ehr().conditions | {name: known_item("254637007")}))
        assert "screening-visit" not in steps(said)
        assert rules(said)["cancer"] is True


def test_coughing_up_blood_or_unexplained_weight_loss_calls_for_a_work_up_instead_of_screening() -> None:
    for name in ("haemoptysis", "weight-loss"):
        said = advice(ehr(symptoms=ehr().symptoms | {name: known_item("66857006")}))
        assert "screening-visit" not in steps(said)
        assert rules(said)["symptoms"] is True
        assert "consider a work-up" in shown(said)


def test_a_low_dose_ct_that_was_ordered_after_this_ct_is_not_asked_for_again() -> None:
    said = advice(ordered("low-dose-chest-ct-request"))
    assert "screening-visit" not in steps(said)
    assert rules(said)["screening-ordered"] is True
    for on in (STUDY_DATE, date(2026, 10, 20)):
        own = ehr(requests={"low-dose-chest-ct-request": known_item(on=on)})
        assert "screening-visit" in steps(advice(own))


def test_adults_of_18_years_or_more_who_smoke_now_are_offered_help_to_stop() -> None:
    assert rules(advice())["cessation"] is True
    assert rules(advice(former(date(2020, 1, 1))))["cessation"] is False
    ageless = advice(AGELESS)
    assert (rules(ageless)["cessation"], "cessation" in steps(ageless)) == (None, False)


def test_help_to_stop_smoking_that_is_ordered_is_not_asked_for_again() -> None:
    said = advice(ordered("cessation-request"))
    assert "cessation" not in steps(said)
    assert rules(said)["cessation-ordered"] is True


HOSTILE = st.text(st.one_of(st.sampled_from("[](){}<>*_`|!#\n"), st.characters()), max_size=40)
ITEMS = st.builds(ClinicalItem, st.just(Coding(codes.SNOMED, "1")), HOSTILE)
FACTS = st.one_of(
    st.just(NOT_FOUND), st.builds(Unknown, HOSTILE), st.builds(Known, ITEMS, st.just(date(2026, 1, 1)), HOSTILE)
)
STATUSES = st.builds(Known, st.sampled_from(SmokingStatus), st.just(date(2026, 9, 1)), HOSTILE)
RECORDS = st.builds(
    ehr,
    smoking_status=STATUSES,
    pack_years=st.floats(0, 600).map(pack_years),
    quit_date=st.builds(Known, st.just(date(2020, 1, 1)), st.none(), HOSTILE),
    procedures=st.fixed_dictionaries({"spirometry": FACTS, "low-dose-chest-ct": FACTS}),
    conditions=st.fixed_dictionaries({"copd": FACTS, "lung-cancer": FACTS}),
    symptoms=st.fixed_dictionaries({"haemoptysis": FACTS, "weight-loss": FACTS}),
)


@settings(derandomize=True, deadline=None)
@given(data=RECORDS, percent=st.floats(10, 100), limit=HOSTILE)
def test_whatever_the_record_says_summaries_stay_short_and_text_stays_text(
    data: EhrData, percent: float, limit: str
) -> None:
    said = outcome(case(data, outcomes=(density(percent, limits=(limit,)),)))
    assert not isinstance(said, CouldNotTell) or "smoking status" in said.reason
    if isinstance(said, Advice):
        assert len(said.summary) <= 139
        assert "<" not in shown(said)
        links = [part.split(")")[0] for part in shown(said).split("](")[1:]]
        assert all(link.startswith(("https://doi.org/", "https://www.nice.org.uk/", "https://pmc.")) for link in links)
        assert sum(r.recommended for r in said.recommendations) == min(len(said.recommendations), 1)
