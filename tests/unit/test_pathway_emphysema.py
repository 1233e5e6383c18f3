"""The emphysema pathway, branch by branch, over handmade cases; its screening step has a file of its own."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import codes
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Findings
from cds.domain.recommendation import Advice, CouldNotTell, NothingToSay
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
from tests.unit.emphysema_cases import CUT_OFF, advice, former, outcome, pack_years, smoking, steps

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


def test_exactly_the_cut_off_counts() -> None:
    assert isinstance(outcome(case(outcomes=(density(10.0),))), Advice)


def test_a_fraction_is_turned_into_percent() -> None:
    assert isinstance(outcome(case(outcomes=(density(0.12, "1"),))), Advice)
    assert isinstance(outcome(case(outcomes=(density(0.09, "1"),))), NothingToSay)


def test_without_a_cut_off_of_the_site_it_is_not_evaluated() -> None:
    said = outcome(case(site={}))
    assert isinstance(said, CouldNotTell)
    assert said.reason == "not evaluated: the site has set no cut-off; LAA-950 has no agreed cut-off"
    assert CUT_OFF in said.how_to_get[0]


@pytest.mark.parametrize("option", ["", "ten", "0", "-5", "101", "nan"])
def test_a_cut_off_that_is_none_is_not_evaluated(option: str) -> None:
    said = outcome(case(site={CUT_OFF: option}))
    assert isinstance(said, CouldNotTell)
    assert "wants a number above 0 and up to 100" in said.reason


def test_a_value_in_a_strange_unit_is_not_evaluated() -> None:
    assert isinstance(outcome(case(outcomes=(density(18, "mL"),))), CouldNotTell)


def test_a_model_that_refused_makes_it_could_not_tell_with_the_reason() -> None:
    said = outcome(case(outcomes=(refusal(),)))
    assert isinstance(said, CouldNotTell)
    assert "the lung is not covered" in said.reason


def test_a_model_that_measured_one_series_and_refused_another_is_believed_for_the_first() -> None:
    assert isinstance(outcome(case(outcomes=(refusal(), density()))), Advice)


def test_a_study_that_the_model_did_not_look_at_is_nothing_to_say() -> None:
    other = Findings("another_model", "1", "1.2.3", density().findings)
    assert isinstance(outcome(case(outcomes=(other,))), NothingToSay)
    assert isinstance(outcome(case(outcomes=())), NothingToSay)


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
    assert "10 % (the demonstration's value)" in said.detail
    assert "LAA-950 has no agreed cut-off" in said.detail
    assert "set by this site" in advice().detail


# --- spirometry


def test_spirometry_is_suggested_with_where_and_since_when_it_was_searched() -> None:
    request = steps(advice())["spirometry"]
    assert request.code == Coding(codes.SNOMED, "127783003", "Spirometry")
    assert "no spirometry found in HL7 LAB|HOSPITAL since 2026-03-02" in request.reason


def test_a_known_spirometry_is_not_suggested_again_and_its_date_is_told() -> None:
    said = advice(ehr(procedures=ehr().procedures | {"spirometry": known_item()}))
    assert "spirometry" not in steps(said)
    assert "spirometry is on record (2025-05-06, HL7 LAB\\|HOSPITAL)" in said.detail


def test_known_copd_needs_no_spirometry_to_be_found() -> None:
    said = advice(ehr(conditions=ehr().conditions | {"copd": known_item("13645005", "COPD")}))
    assert "spirometry" not in steps(said)
    assert "COPD is on record" in said.detail


def test_copd_that_is_suspected_alone_does_not_replace_spirometry_and_is_told() -> None:
    provisional = said(Coding(codes.ICD10, "J44.9", "COPD"), None, date(2026, 1, 2), status="preliminary")
    data = assemble(patient(), record(provisional), now=NOW, today=TODAY)
    told = advice(replace(ehr(), conditions=data.conditions))
    assert "spirometry" in steps(told)
    assert any("COPD is suspected since 2026-01-02" in text for text in told.missing)
    assert "COPD is suspected since 2026-01-02" in told.detail


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
    assert ("Help to stop smoking: the recommendation is for adults" in said_of.detail) is not suggested
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
        assert f"\n- {item.name}: " in said.detail
    assert "pack-years: 38 (2026-09-01; HL7 LAB\\|HOSPITAL)" in said.detail
    assert "spirometry: none found (searched HL7 LAB\\|HOSPITAL since 2026-03-02)" in said.detail


def test_the_card_tells_model_limits_and_who_decides() -> None:
    detail = advice().detail
    assert "Not for children." in detail
    assert "ct_lung_density 0.1.0" in detail
    assert "Advice for a clinician, who decides." in detail
    assert "not a cleared medical device" in detail


def test_the_codes_are_those_that_the_model_declares() -> None:
    manifest = Path(__file__).parents[2] / "models" / "ct_lung_density.toml"
    outputs = {o["key"]: o["code"] for o in tomllib.loads(manifest.read_text())["outputs"]}
    for key, coding in {"laa_950": codes.LAA_950, "lung_volume": codes.LUNG_VOLUME, "perc15": codes.PERC_15}.items():
        assert (outputs[key]["system"], outputs[key]["code"]) == (coding.system, coding.code)


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
        assert "<" not in said.detail
        links = [part.split(")")[0] for part in said.detail.split("](")[1:]]
        assert all(link.startswith(("https://doi.org/", "https://www.nice.org.uk/", "https://pmc.")) for link in links)
        assert sum(r.recommended for r in said.recommendations) == min(len(said.recommendations), 1)
