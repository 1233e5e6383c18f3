"""Laboratory values, vital signs, allergies and pregnancy in EhrData: the unit of the question, or why not."""

from __future__ import annotations

from datetime import date

import pytest

from cds import codes
from cds.codes import ICD10, LOINC, SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, Measurement, NotFoundSince, Unknown
from cds.domain.message import Statement
from cds.record import assemble
from tests.unit.clinical import NOW, SINCE, SOURCE, ehr, patient, record, said

WEIGHT = Coding(LOINC, "29463-7")
CREATININE = Coding(LOINC, "2160-0")
ASKED = Coding(LOINC, "82810-3")


def assembled(*statements: Statement) -> EhrData:
    return assemble(patient(), record(*statements), now=NOW)


@pytest.mark.parametrize(
    ("name", "code", "sent", "wanted"),
    [
        # 1 mg/dL of creatinine (113.12 g/mol) is 88.4 umol/L; the rest are factors of UCUM.
        ("creatinine", "2160-0", Quantity(1.3, "mg/dL"), 1.3),
        ("creatinine", "14682-9", Quantity(88.4, "umol/L"), 1.0),
        ("egfr-ckd-epi-2021", "98979-8", Quantity(61, "mL/min/{1.73_m2}"), 61),
        ("egfr-before-2021", "33914-3", Quantity(58, "mL/min/{1.73_m2}"), 58),
        ("egfr-before-2021", "62238-1", Quantity(59, "mL/min/{1.73_m2}"), 59),
        ("body-weight", "29463-7", Quantity(150, "[lb_av]"), 68.0388555),
        ("body-weight", "3141-9", Quantity(59.5, "kg"), 59.5),
        ("body-height", "8302-2", Quantity(1.65, "m"), 165),
        ("body-height", "8302-2", Quantity(70, "[in_i]"), 177.8),
        ("heart-rate", "8867-4", Quantity(68, "/min"), 68),
        ("systolic-blood-pressure", "8480-6", Quantity(16, "kPa"), 120.01),
        ("diastolic-blood-pressure", "8462-4", Quantity(80, "mm[Hg]"), 80),
        ("haemoglobin", "718-7", Quantity(140, "g/L"), 14),
        ("platelets", "777-3", Quantity(125, "10*9/L"), 125),
        ("platelets", "777-3", Quantity(221, "/nL"), 221),
        ("inr", "6301-6", Quantity(1.1, ""), 1.1),
        ("inr", "6301-6", Quantity(1.1, "{INR}"), 1.1),
        ("tsh", "3016-3", Quantity(0.88, "u[IU]/mL"), 0.88),
    ],
)
def test_a_measurement_is_known_in_the_unit_of_its_question(
    name: str, code: str, sent: Quantity, wanted: float
) -> None:
    fact = assembled(said(Coding(LOINC, code), sent, date(2026, 9, 1))).measurement(name)
    assert isinstance(fact, Known)
    assert (fact.effective, fact.source, fact.value.code.code) == (date(2026, 9, 1), SOURCE, code)
    assert fact.value.quantity.unit == codes.loaded()[name].unit
    assert fact.value.quantity.value == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("code", "sent", "name"),
    [
        (WEIGHT, Quantity(80, ""), "body-weight"),
        (WEIGHT, Quantity(80, "stone"), "body-weight"),
        (WEIGHT, Quantity(80, "cm"), "body-weight"),
        (WEIGHT, Quantity(-1, "kg"), "body-weight"),
        (WEIGHT, "eighty", "body-weight"),
        (CREATININE, Quantity(1.3, "mmol"), "creatinine"),
        (Coding(LOINC, "718-7"), Quantity(8.7, "mmol/L"), "haemoglobin"),  # of the monomer or the tetramer?
        (Coding(LOINC, "33914-3"), Quantity(58, "mL/min"), "egfr-before-2021"),
    ],
)
def test_what_has_no_fitting_unit_is_unknown_and_never_guessed(code: Coding, sent: Quantity | str, name: str) -> None:
    fact = assembled(said(code, sent)).measurement(name)
    assert isinstance(fact, Unknown)
    assert "cannot be used: want" in fact.reason


def test_the_newest_value_counts_and_an_unreadable_newest_one_names_the_older_in_words() -> None:
    old, new = said(WEIGHT, Quantity(80, "kg"), date(2026, 1, 1)), said(WEIGHT, Quantity(78, "kg"), date(2026, 9, 1))
    fact = assembled(new, old).measurement("body-weight")
    assert fact == Known(Measurement(WEIGHT, Quantity(78, "kg")), date(2026, 9, 1), SOURCE)
    doubtful = assembled(old, said(WEIGHT, Quantity(78, ""), date(2026, 9, 1))).measurement("body-weight")
    assert isinstance(doubtful, Unknown)
    assert "an older value, not taken as current, was: 80 kg (2026-01-01)" in doubtful.reason


def test_a_measurement_that_nobody_sent_was_searched_or_was_not() -> None:
    assert assembled().measurement("creatinine") == NotFoundSince((SOURCE,), SINCE)
    nobody = assemble(patient(), record(searched=()), now=NOW)
    assert nobody.measurement("creatinine") == Unknown("no source was asked for creatinine")
    assert isinstance(nobody.pregnancy, Unknown)


def test_a_measurement_of_one_equation_does_not_answer_for_another() -> None:
    data = assembled(said(Coding(LOINC, "62238-1"), Quantity(59, "mL/min/{1.73_m2}")))
    assert isinstance(data.measurement("egfr-before-2021"), Known)
    assert isinstance(data.measurement("egfr-ckd-epi-2021"), NotFoundSince)


@pytest.mark.parametrize(
    ("code", "answer", "wanted"),
    [
        (ASKED, Coding(LOINC, "LA15173-0"), True),
        (ASKED, Coding(SNOMED, "77386006"), True),
        (ASKED, Coding(LOINC, "LA26683-5"), False),
        (ASKED, Coding(SNOMED, "60001007"), False),
        (ASKED, "N", False),
        (Coding(LOINC, "11449-6"), "Yes", True),
        (Coding(ICD10, "Z33.1"), None, True),
        (Coding("I10C", "Z34.02"), None, True),
        (Coding(ICD10, "O09.5"), None, True),
        (Coding(SNOMED, "77386006"), None, True),
        (Coding(SNOMED, "77386006"), Coding(SNOMED, "2667000"), False),
    ],
)
def test_pregnancy_is_a_dated_fact_and_no_stands_only_where_it_is_stated(
    code: Coding, answer: Coding | str | None, *, wanted: bool
) -> None:
    assert assembled(said(code, answer)).pregnancy == Known(wanted, date(2026, 9, 1), SOURCE)


@pytest.mark.parametrize(
    ("code", "answer", "status"),
    [
        (ASKED, Coding(LOINC, "LA4489-6"), "final"),
        (ASKED, Coding(SNOMED, "152231000119106"), "final"),
        (ASKED, None, "final"),
        (ASKED, Quantity(1, "1"), "final"),
        (Coding(ICD10, "Z33.1"), None, "preliminary"),
    ],
)
def test_what_does_not_say_whether_she_is_pregnant_leaves_it_unknown(
    code: Coding, answer: Coding | Quantity | None, status: str
) -> None:
    fact = assembled(said(code, answer, status=status)).pregnancy
    assert isinstance(fact, Unknown)


def test_the_end_of_a_pregnancy_by_abortion_is_no_pregnancy() -> None:
    assert assembled(said(Coding(ICD10, "Z33.2"), None)).pregnancy == NotFoundSince((SOURCE,), SINCE)


def test_an_allergy_to_contrast_medium_is_known_by_disorder_or_substance() -> None:
    for code in ("293637006", "109218004", "407976008"):
        fact = assembled(said(Coding(SNOMED, code), "drug allergy; severe; HIVES")).allergy("contrast-allergy")
        assert isinstance(fact, Known)
        assert fact.value.text == "drug allergy; severe; HIVES"
    assert assembled(said(Coding(SNOMED, "91936005"), None)).allergy("contrast-allergy") == NotFoundSince(
        (SOURCE,), SINCE
    )


def test_records_that_were_assembled_without_them_ask_for_none() -> None:
    assert isinstance(ehr().pregnancy, Unknown)
    assert ehr().allergy("contrast-allergy") == Unknown("contrast-allergy was not asked for")
