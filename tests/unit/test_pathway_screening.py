"""The lung cancer screening step of the emphysema pathway, at its limits, and the dates that it counts with."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.domain.ehr import Known, SmokingStatus, Unknown
from cds.pathways._facts import add_months, age_years, years_between
from cds.record import suspicion
from tests.unit.clinical import (
    NOT_FOUND,
    SOURCE,
    ehr,
    known_item,
)
from tests.unit.emphysema_cases import advice, former, pack_years, shown, smoking, steps

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
        assert "USPSTF 2021 criteria" in shown(said)


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
    assert "criteria for lung cancer screening are not met" in shown(said)


def test_who_never_smoked_gets_spirometry_alone_and_a_hint_at_other_causes() -> None:
    said = advice(ehr(smoking_status=smoking(SmokingStatus.NEVER), pack_years=NOT_FOUND))
    assert list(steps(said)) == ["spirometry"]
    assert "alpha-1 antitrypsin" in shown(said)
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
    assert "**Missing**" in shown(said)


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
    assert "is on record (" in shown(said)
    assert "2026-10-01" in shown(said)
    assert said.risks == ()
    assert "spirometry" in steps(said)


def test_a_suspicion_of_lung_cancer_calls_for_a_work_up_and_not_for_screening() -> None:
    conditions = ehr().conditions | {
        "lung-cancer": Unknown("lung cancer is suspected since 2026-10-01, not confirmed"),
        suspicion("lung-cancer"): known_item("254637007", "as recorded", date(2026, 10, 1)),
    }
    told = advice(ehr(conditions=conditions))
    assert "screening-visit" not in steps(told)
    assert "lung cancer is suspected (as recorded (254637007), 2026-10-01" in shown(told)
    assert "consider a work-up" in shown(told)


def test_symptoms_that_nobody_was_asked_for_are_missing_beside_the_suggestion() -> None:
    said = advice(ehr(symptoms={}, conditions={"copd": NOT_FOUND}))
    assert "screening-visit" in steps(said)
    assert {text.split(":")[0] for text in said.missing} == {
        "coughing up blood",
        "unexplained weight loss",
        "lung cancer",
    }


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
