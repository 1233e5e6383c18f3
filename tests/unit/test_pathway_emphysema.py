"""The emphysema pathway, branch by branch, over handmade cases."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Findings
from cds.domain.recommendation import Advice, Case, CouldNotTell, NothingToSay, PathwayOutcome, Recommendation
from cds.pathways import evaluate
from cds.pathways._facts import add_months, age_years, years_between
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, TODAY, case, density, ehr, known_item, refusal

CUT_OFF = "emphysema.laa_950_percent"


def outcome(given_case: Case) -> PathwayOutcome:
    """What the pathway says."""
    (said,) = evaluate(given_case, {"emphysema"})
    return said


def advice(data: EhrData | None = None, **how: object) -> Advice:
    """What it advises."""
    said = outcome(case(data, **how))  # type: ignore[arg-type]  # forwarded
    assert isinstance(said, Advice), said
    return said


def steps(said: Advice) -> dict[str, Recommendation]:
    """Its recommendations by key."""
    return {r.key: r for r in said.recommendations}


def smoking(status: SmokingStatus) -> Fact[SmokingStatus]:
    """A status of the record."""
    return Known(status, date(2026, 9, 1), SOURCE)


def pack_years(number: float) -> Fact[Quantity]:
    """Pack-years of the record."""
    return Known(Quantity(number, "{pack-years}"), date(2026, 9, 1), SOURCE)


def former(quit_on: date, amount: float = 38) -> EhrData:
    """Somebody who stopped."""
    return ehr(
        smoking_status=smoking(SmokingStatus.FORMER),
        pack_years=pack_years(amount),
        quit_date=Known(quit_on, date(2026, 9, 1), SOURCE),
    )


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


def test_known_emphysema_alone_does_not_replace_spirometry() -> None:
    said = advice(ehr(conditions=ehr().conditions | {"emphysema": known_item("87433001", "Emphysema")}))
    assert "spirometry" in steps(said)


def test_where_nobody_was_asked_for_spirometry_it_is_missing_not_suggested() -> None:
    said = advice(ehr(procedures={}))
    assert "spirometry" not in steps(said)
    assert any(text.startswith("spirometry: ") and "How to get it" in text for text in said.missing)
    assert said.recommendations[0].recommended


# --- screening


def test_the_next_low_dose_ct_is_not_before_a_year_after_this_one() -> None:
    visit = steps(advice())["screening-visit"]
    assert visit.not_before == date(2027, 11, 2)
    assert "2027-11-02" in visit.action
    assert visit.source.url == "https://doi.org/10.1001/jama.2021.1117"


def test_a_later_low_dose_ct_counts_from_itself() -> None:
    later = known_item("16334891000119106", "LDCT", date(2026, 11, 20))
    visit = steps(advice(ehr(procedures=ehr().procedures | {"low-dose-chest-ct": later})))["screening-visit"]
    assert visit.not_before == date(2027, 11, 20)


def test_when_a_year_has_passed_the_ct_is_due() -> None:
    visit = steps(advice(today=date(2027, 12, 1)))["screening-visit"]
    assert visit.not_before is None
    assert visit.action.endswith("low-dose CT is due")


@pytest.mark.parametrize(
    ("born", "suggested"),
    [
        (date(1976, 11, 22), True),  # 50 today
        (date(1976, 11, 23), False),  # 50 tomorrow
        (date(1946, 11, 3), True),  # 80 today, and still on 2027-11-02
        (date(1946, 11, 2), False),  # 80 today, 81 on the day when the next CT is due
        (date(1945, 11, 22), False),  # 81 today
    ],
)
def test_the_age_of_the_criteria_holds_today_and_when_the_ct_is_due(born: date, suggested: bool) -> None:
    said = advice(ehr(birth_date=Known(born, None, "patient demographics")))
    assert ("screening-visit" in steps(said)) is suggested
    if not suggested:
        assert "USPSTF 2021 criteria" in said.detail


@pytest.mark.parametrize(
    ("quit_on", "suggested"),
    [
        (date(2012, 11, 2), True),  # exactly 15 years on 2027-11-02
        (date(2012, 11, 1), False),  # 15 years and a day by then
        (date(2011, 11, 21), False),  # more than 15 years today
        (date(2020, 1, 1), True),
    ],
)
def test_who_stopped_is_screened_within_15_years(quit_on: date, suggested: bool) -> None:
    said = advice(former(quit_on))
    assert ("screening-visit" in steps(said)) is suggested
    assert "cessation" not in steps(said)


def test_too_few_pack_years_make_no_visit_and_the_score_says_not_eligible() -> None:
    said = advice(ehr(pack_years=pack_years(19.9)))
    assert "screening-visit" not in steps(said)
    assert said.risks[0].value == "not eligible"
    assert "criteria for lung cancer screening are not met" in said.detail


def test_who_never_smoked_gets_spirometry_alone_and_a_hint_at_other_causes() -> None:
    said = advice(ehr(smoking_status=smoking(SmokingStatus.NEVER), pack_years=NOT_FOUND))
    assert list(steps(said)) == ["spirometry"]
    assert "alpha-1 antitrypsin" in said.detail
    assert said.missing == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"birth_date": Unknown("the birth date is not in the patient demographics")}, "age"),
        ({"pack_years": NOT_FOUND}, "pack-years"),
        ({"smoking_status": Known(SmokingStatus.FORMER, date(2026, 9, 1), SOURCE)}, "date of quitting"),
    ],
)
def test_what_the_criteria_lack_stands_in_the_card_with_how_to_get_it(changes: dict[str, object], what: str) -> None:
    said = advice(ehr(**changes))
    assert "screening-visit" not in steps(said)
    assert "spirometry" in steps(said)
    assert any(text.startswith(f"{what}: ") and "How to get it: " in text for text in said.missing)
    assert said.risks[0].value is None
    assert "**Missing**" in said.detail


def test_pack_years_that_cannot_be_are_missing() -> None:
    said = advice(ehr(pack_years=pack_years(5000)))
    assert said.missing == ("pack-years: the recorded value cannot be one. How to get it: correct it in the record",)


@pytest.mark.parametrize(
    ("where", "name", "code"),
    [
        ("conditions", "lung-cancer", "254637007"),
        ("symptoms", "haemoptysis", "66857006"),
        ("symptoms", "weight-loss", "448765001"),
    ],
)
def test_known_cancer_and_symptoms_exclude_screening_with_the_reason(where: str, name: str, code: str) -> None:
    facts = getattr(ehr(), where) | {name: known_item(code, "as recorded", date(2026, 10, 1))}
    said = advice(ehr(**{where: facts}))
    assert "screening-visit" not in steps(said)
    assert "is on record (" in said.detail
    assert "2026-10-01" in said.detail
    assert said.risks == ()
    assert "spirometry" in steps(said)


def test_symptoms_that_nobody_was_asked_for_are_missing_beside_the_suggestion() -> None:
    said = advice(ehr(symptoms={}, conditions={"copd": NOT_FOUND}))
    assert "screening-visit" in steps(said)
    assert {text.split(":")[0] for text in said.missing} == {
        "coughing up blood",
        "unexplained weight loss",
        "lung cancer",
    }


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


# --- dates


def test_a_year_after_29_february_is_never_too_early() -> None:
    assert add_months(date(2024, 2, 29), 12) == date(2025, 3, 1)
    assert add_months(date(2024, 1, 31), 1) == date(2024, 3, 1)
    assert add_months(date(2024, 12, 31), 12) == date(2025, 12, 31)


@settings(derandomize=True, deadline=None)
@given(st.dates(date(1920, 1, 1), date(2030, 1, 1)), st.integers(0, 36500))
def test_years_between_passes_a_whole_number_only_after_the_anniversary(start: date, days: int) -> None:
    end = start + timedelta(days=days)
    years = years_between(start, end)
    assert int(years) == age_years(start, end)
    if end == add_months(start, 12 * int(years)):
        assert years == int(years)
    assert years_between(end, start) == 0.0
