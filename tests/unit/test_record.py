"""From statements to EhrData: the newest valid value, its date and source, and three kinds of absence."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from cds.codes import ICD10, LOINC, SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.identity import Sex
from cds.domain.message import RecordStatements, Searched, Statement
from cds.record import assemble, merge, suspicion
from tests.unit.clinical import (
    DAILY,
    NEVER,
    NOW,
    PACK_YEARS,
    QUIT_DATE,
    SINCE,
    SMOKING,
    SOURCE,
    TODAY,
    patient,
    record,
    said,
)

FORMER = Coding(LOINC, "LA15920-4")
SPIROMETRY = Coding(SNOMED, "127783003", "Spirometry")


def assembled(*statements: object, **how: object) -> EhrData:
    """The record as pathways see it."""
    return assemble(patient(), record(*statements, **how), now=NOW)


def test_the_newest_effective_value_wins_with_its_date_and_source() -> None:
    data = assembled(
        said(SMOKING, FORMER, date(2026, 1, 5), source="HL7 A|B"),
        said(SMOKING, DAILY, date(2025, 1, 5), received=NOW + timedelta(hours=1)),
    )
    assert data.smoking_status == Known(SmokingStatus.FORMER, date(2026, 1, 5), "HL7 A|B")


def test_an_undated_value_is_older_than_every_dated_one() -> None:
    data = assembled(said(SMOKING, DAILY, None), said(SMOKING, FORMER, date(1999, 1, 1)))
    assert data.smoking_status == Known(SmokingStatus.FORMER, date(1999, 1, 1), SOURCE)
    assert assembled(said(SMOKING, DAILY, None)).smoking_status == Known(SmokingStatus.CURRENT, None, SOURCE)


def test_a_correction_replaces_what_it_corrects_even_with_an_older_date() -> None:
    data = assembled(
        said(PACK_YEARS, Quantity(90, "{pack-years}"), date(2026, 9, 1), key="obx-1"),
        said(PACK_YEARS, Quantity(9, "{pack-years}"), date(2026, 8, 1), key="obx-1", status="corrected"),
    )
    assert data.pack_years == Known(Quantity(9, "{pack-years}"), date(2026, 8, 1), SOURCE)


def test_entered_in_error_removes_the_value_and_leaves_the_one_before() -> None:
    data = assembled(
        said(SMOKING, NEVER, date(2024, 1, 1), key="old"),
        said(SMOKING, DAILY, date(2026, 1, 1), key="new"),
        said(SMOKING, DAILY, date(2026, 1, 1), key="new", status="entered-in-error"),
    )
    assert data.smoking_status == Known(SmokingStatus.NEVER, date(2024, 1, 1), SOURCE)


def test_the_same_key_of_another_sender_is_another_statement() -> None:
    data = assembled(
        said(SMOKING, DAILY, date(2026, 1, 1), key="1"),
        said(SMOKING, DAILY, date(2026, 1, 1), key="1", status="entered-in-error", source="HL7 X|Y"),
    )
    assert isinstance(data.smoking_status, Known)


def test_a_value_dated_in_the_future_is_not_used_and_the_reason_is_given() -> None:
    alone = assembled(said(SPIROMETRY, None, date(2027, 2, 1)))
    assert alone.procedure("spirometry") == Unknown(
        "spirometry was found but cannot be used: it is dated in the future"
    )
    beside = assembled(said(SPIROMETRY, None, date(2027, 2, 1)), said(SPIROMETRY, None, date(2020, 2, 1)))
    fact = beside.procedure("spirometry")
    assert isinstance(fact, Known)
    assert fact.effective == date(2020, 2, 1)


def test_tomorrow_is_allowed_where_the_sites_day_is_not_given() -> None:
    tomorrow = said(SMOKING, DAILY, TODAY + timedelta(days=1))
    assert isinstance(assembled(tomorrow).smoking_status, Known)
    assert isinstance(assembled(said(SMOKING, DAILY, TODAY + timedelta(days=2))).smoking_status, Unknown)


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_the_sites_day_decides_what_lies_in_the_future_not_the_day_of_utc(ahead: int) -> None:
    today = TODAY + timedelta(days=ahead)

    def status(on: date) -> object:
        return assemble(patient(), record(said(SMOKING, DAILY, on)), now=NOW, today=today).smoking_status

    assert isinstance(status(today), Known)
    assert isinstance(status(today + timedelta(days=1)), Unknown)


@pytest.mark.parametrize("unit", ["{pack-years}", "pack-years", "{PackYears}", "", "1"])
def test_pack_years_are_read_in_the_units_that_records_use(unit: str) -> None:
    assert assembled(said(PACK_YEARS, Quantity(30, unit))).pack_years == Known(
        Quantity(30, "{pack-years}"), date(2026, 9, 1), SOURCE
    )


@pytest.mark.parametrize("value", [Quantity(20, "/d"), Quantity(-1, "{pack-years}"), "thirty", None, DAILY])
def test_pack_years_that_cannot_be_read_are_unknown_not_zero(value: Quantity | Coding | str | None) -> None:
    fact = assembled(said(PACK_YEARS, value)).pack_years
    assert isinstance(fact, Unknown)
    assert "cannot be used: want" in fact.reason


def test_the_newest_value_that_cannot_be_read_is_unknown_and_the_older_one_is_history() -> None:
    data = assembled(
        said(SMOKING, Coding("L", "SMK1"), date(2026, 8, 1)),
        said(SMOKING, Coding("L", "SMK2"), date(2025, 9, 1)),
        said(SMOKING, FORMER, date(2024, 1, 5)),
        said(SMOKING, NEVER, date(2020, 1, 5)),
        said(PACK_YEARS, Quantity(20, "/d"), date(2026, 8, 2)),
        said(PACK_YEARS, Quantity(30, "{pack-years}"), None),
    )
    assert data.smoking_status == Unknown(
        "smoking status was found (2026-08-01) but cannot be used: want an answer code of LOINC 72166-2; "
        "an older value, not taken as current, was: former (2024-01-05)"
    )
    assert isinstance(data.pack_years, Unknown)
    assert data.pack_years.reason.startswith("pack-years was found (2026-08-02) but cannot be used: want")
    assert data.pack_years.reason.endswith("an older value, not taken as current, was: 30 (no date)")


def test_an_older_value_that_cannot_be_read_disturbs_nothing() -> None:
    data = assembled(said(SMOKING, Coding("L", "SMK1"), date(2024, 1, 1)), said(SMOKING, DAILY, date(2025, 1, 1)))
    assert data.smoking_status == Known(SmokingStatus.CURRENT, date(2025, 1, 1), SOURCE)


def test_an_answer_that_no_value_set_knows_is_unknown() -> None:
    assert isinstance(assembled(said(SMOKING, Coding("L", "SMK1", "smokes a bit"))).smoking_status, Unknown)


def test_what_was_searched_for_and_not_found_says_where_and_since_when() -> None:
    fact = assembled().procedure("spirometry")
    assert fact == NotFoundSince((SOURCE,), SINCE)
    assert fact.sentence("spirometry") == f"no spirometry found in {SOURCE} since 2026-03-02"


def test_sources_of_different_reach_each_carry_their_own_date() -> None:
    searched = (Searched("HL7 A|B", date(2026, 3, 2)), Searched("FHIR conditions", None))
    fact = assembled(searched=searched).condition("copd")
    assert fact == NotFoundSince(("HL7 A|B (since 2026-03-02)", "FHIR conditions (whole record)"), None)


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        (date(2026, 11, 15), f"no spirometry found in {SOURCE} (heard for 8 days only) since 2026-11-15"),
        (date(2026, 11, 22), f"no spirometry found in {SOURCE} (heard for 1 day only) since 2026-11-22"),
        (date(2026, 10, 24), f"no spirometry found in {SOURCE} (heard for 30 days only) since 2026-10-24"),
        (date(2026, 10, 23), f"no spirometry found in {SOURCE} since 2026-10-23"),
    ],
)
def test_a_feed_that_began_last_week_knows_little_and_says_so(since: date, sentence: str) -> None:
    fact = assemble(patient(), record(searched=(Searched(SOURCE, since),)), now=NOW, today=TODAY)
    absent = fact.procedure("spirometry")
    assert isinstance(absent, NotFoundSince)
    assert absent.sentence("spirometry") == sentence


def test_beside_the_whole_record_a_young_feed_still_says_that_it_is_young() -> None:
    searched = (Searched("HL7 A|B", date(2026, 11, 15)), Searched("FHIR conditions", None))
    fact = assemble(patient(), record(searched=searched), now=NOW, today=TODAY).condition("copd")
    young = "HL7 A|B (since 2026-11-15, heard for 8 days only)"
    assert fact == NotFoundSince((young, "FHIR conditions (whole record)"), None)


def test_a_source_heard_twice_reaches_as_far_as_its_longer_reach() -> None:
    searched = (Searched("HL7 A|B", date(2026, 3, 2)), Searched("HL7 A|B", date(2025, 3, 2)))
    assert assembled(searched=searched).condition("copd") == NotFoundSince(("HL7 A|B",), date(2025, 3, 2))


def test_a_source_that_was_not_asked_for_it_does_not_make_it_not_found() -> None:
    data = assembled(searched=(Searched("FHIR conditions", None, ("copd",)),))
    assert data.condition("copd") == NotFoundSince(("FHIR conditions",), None)
    assert data.procedure("spirometry") == Unknown("no source was asked for spirometry")


def test_nobody_asked_is_unknown() -> None:
    data = assembled(searched=())
    assert isinstance(data.smoking_status, Unknown)
    assert isinstance(data.symptom("haemoptysis"), Unknown)
    assert isinstance(data.measurement("creatinine"), Unknown)


def test_a_spirometry_is_found_by_its_result_as_well_as_by_its_procedure() -> None:
    ratio = said(Coding(LOINC, "19926-5", "FEV1/FVC"), Quantity(0.61, "1"), date(2025, 4, 4))
    fact = assembled(ratio).procedure("spirometry")
    assert isinstance(fact, Known)
    assert fact.effective == date(2025, 4, 4)


def test_a_symptom_that_is_recorded_as_absent_is_not_there() -> None:
    haemoptysis = Coding(SNOMED, "66857006")
    absent = said(haemoptysis, Coding(SNOMED, "2667000"), date(2026, 5, 1))
    fact = assembled(said(haemoptysis, None, date(2020, 1, 1)), absent).symptom("haemoptysis")
    assert fact == NotFoundSince((f"{SOURCE} (recorded as absent on 2026-05-01)",), None)
    later = said(haemoptysis, None, date(2026, 6, 1))
    assert isinstance(assembled(absent, later).symptom("haemoptysis"), Known)


@pytest.mark.parametrize("answer", ["false", "No", "N", Coding(SNOMED, "373067005")])
def test_no_in_words_or_codes_is_no(answer: str | Coding) -> None:
    fact = assembled(said(Coding(SNOMED, "66857006"), answer)).symptom("haemoptysis")
    assert isinstance(fact, NotFoundSince)


def test_a_condition_keeps_its_words() -> None:
    fact = assembled(said(Coding(ICD10, "J44.9", "COPD, unspecified"), None)).condition("copd")
    assert isinstance(fact, Known)
    assert fact.value.text == "COPD, unspecified"


def copd(on: date | None, status: str = "preliminary", value: Coding | None = None) -> Statement:
    """COPD as somebody recorded it."""
    return said(Coding(ICD10, "J44.9", "COPD"), value, on, key=f"{on}{status}", status=status)


def test_a_disease_that_is_suspected_alone_is_not_known() -> None:
    data = assembled(copd(date(2026, 1, 2)))
    assert data.condition("copd") == Unknown(f"COPD is suspected since 2026-01-02 ({SOURCE}), not confirmed")
    suspected = data.condition(suspicion("copd"))
    assert isinstance(suspected, Known)
    assert (suspected.value.text, suspected.effective) == ("COPD", date(2026, 1, 2))
    undated = assembled(copd(None)).condition("copd")
    assert undated == Unknown(f"COPD is suspected ({SOURCE}), not confirmed")


def test_a_confirmed_disease_stays_known_beside_a_newer_suspicion() -> None:
    data = assembled(copd(date(2020, 1, 2), "final"), copd(date(2026, 1, 2)))
    fact = data.condition("copd")
    assert isinstance(fact, Known)
    assert fact.effective == date(2020, 1, 2)
    assert suspicion("copd") not in data.conditions


def test_a_refutation_ends_an_older_suspicion_and_not_a_newer_one() -> None:
    absent = Coding(SNOMED, "2667000")
    ended = assembled(copd(date(2025, 1, 2)), copd(date(2026, 1, 2), "final", absent))
    assert ended.condition("copd") == NotFoundSince((f"{SOURCE} (recorded as absent on 2026-01-02)",), None)
    assert suspicion("copd") not in ended.conditions
    again = assembled(copd(date(2024, 1, 2), "final", absent), copd(date(2026, 1, 2)))
    assert isinstance(again.condition("copd"), Unknown)


def test_a_suspicion_that_is_confirmed_later_under_its_own_key_is_known() -> None:
    provisional = said(Coding(ICD10, "J44.9"), None, date(2026, 1, 2), key="problem-1", status="preliminary")
    confirmed = said(Coding(ICD10, "J44.9"), None, date(2026, 1, 2), key="problem-1", received=NOW + timedelta(hours=1))
    assert isinstance(assembled(provisional, confirmed).condition("copd"), Known)


def test_a_symptom_that_is_preliminary_is_still_a_symptom() -> None:
    told = said(Coding(SNOMED, "66857006"), None, date(2026, 5, 1), status="preliminary")
    assert isinstance(assembled(told).symptom("haemoptysis"), Known)


def test_never_smoked_and_pack_years_are_settled_for_the_newer() -> None:
    never, amount = said(SMOKING, NEVER, date(2026, 1, 1)), Quantity(30, "{pack-years}")
    newer_status = assembled(never, said(PACK_YEARS, amount, date(2025, 1, 1)))
    assert isinstance(newer_status.smoking_status, Known)
    assert newer_status.pack_years == Unknown(
        "pack-years of 2025-01-01 contradicts smoking status of 2026-01-01, which is newer"
    )
    newer_amount = assembled(never, said(PACK_YEARS, amount, date(2026, 2, 1)))
    assert isinstance(newer_amount.smoking_status, Unknown)
    assert isinstance(newer_amount.pack_years, Known)


@pytest.mark.parametrize("on", [date(2026, 1, 1), None])
def test_contradicting_values_of_one_age_or_no_date_are_both_doubted(on: date | None) -> None:
    data = assembled(said(SMOKING, NEVER, on), said(PACK_YEARS, Quantity(30, "{pack-years}"), on))
    assert isinstance(data.smoking_status, Unknown)
    assert isinstance(data.pack_years, Unknown)


def test_never_smoked_and_zero_pack_years_agree() -> None:
    data = assembled(said(SMOKING, NEVER), said(PACK_YEARS, Quantity(0, "{pack-years}")))
    assert isinstance(data.smoking_status, Known)
    assert isinstance(data.pack_years, Known)


def test_a_quit_date_recorded_after_smoking_now_puts_the_status_in_doubt() -> None:
    data = assembled(said(SMOKING, DAILY, date(2026, 1, 1)), said(QUIT_DATE, date(2026, 6, 1), date(2026, 7, 1)))
    assert isinstance(data.smoking_status, Unknown)
    assert data.quit_date == Known(date(2026, 6, 1), date(2026, 7, 1), SOURCE)


def test_a_quit_date_in_the_future_is_not_used() -> None:
    fact = assembled(said(QUIT_DATE, date(2027, 6, 1), date(2026, 7, 1))).quit_date
    assert fact == Unknown("date of quitting smoking was found (2026-07-01) but cannot be used: it lies in the future")


def test_demographics_that_are_not_stated_are_unknown() -> None:
    data = assemble(patient(birth_date=None, sex=Sex.UNKNOWN, deceased=None), record(), now=NOW)
    assert isinstance(data.birth_date, Unknown)
    assert isinstance(data.sex, Unknown)
    assert isinstance(data.deceased, Unknown)
    stated = assemble(patient(deceased=False), record(), now=NOW)
    assert stated.deceased == Known(False, None, "patient demographics")
    assert stated.birth_date == Known(date(1963, 5, 1), None, "patient demographics")


def test_records_of_two_wires_are_one_record() -> None:
    hl7 = record(said(SMOKING, DAILY))
    fhir = record(said(SPIROMETRY, None, source="FHIR"), searched=(Searched("FHIR procedures", None, ("spirometry",)),))
    data = assemble(patient(), merge(hl7, fhir, RecordStatements()), now=NOW)
    assert isinstance(data.smoking_status, Known)
    assert isinstance(data.procedure("spirometry"), Known)
    assert data.condition("copd") == NotFoundSince((SOURCE,), SINCE)
    assert data.assembled_at == NOW
