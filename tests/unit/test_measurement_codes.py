"""Values of records become those that scores ask for; expected numbers from guidelines, atomic weights or by hand."""

from __future__ import annotations

import pytest

from cds import codes
from cds.codes import LOINC
from cds.domain.coding import Coding, Quantity
from cds.errors import InvalidInput
from cds.units import convert


def value(name: str, code: str, number: float, unit: str) -> float:
    """A value under a code of a value set, in the unit of the set."""
    value_set, coding = codes.loaded()[name], Coding(LOINC, code)
    assert value_set.contains(coding)
    read = value_set.value(coding, Quantity(number, unit))
    assert read.unit == value_set.unit
    return read.value


@pytest.mark.parametrize(
    ("name", "code", "number", "unit", "expected"),
    [
        # Cholesterol is 38.67 mg/dL per mmol/L in guidelines, glucose 18.0.
        ("total-cholesterol", "14647-2", 5.0, "mmol/L", 193.3),
        ("total-cholesterol", "2093-3", 200.0, "mg/dL", 200.0),
        ("hdl-cholesterol", "14646-4", 1.3, "mmol/L", 50.3),
        ("ldl-cholesterol", "22748-8", 4.9, "mmol/L", 189.5),
        ("glucose", "14749-6", 14.0, "mmol/L", 252.2),
        # KDIGO 2012: 30 mg/g is 3.39 mg/mmol (3 mg/mmol rounded).
        ("urine-albumin-creatinine-ratio", "32294-1", 3.394, "mg/mmol", 30.0),
        ("urine-albumin-creatinine-ratio", "32294-1", 3.394, "g/mol", 30.0),
        ("urine-albumin-creatinine-ratio", "9318-7", 30.0, "mg/g", 30.0),
        ("urine-albumin-creatinine-ratio", "14959-1", 0.03, "ug/mg", 0.03),
        # NICE NG106: 400 ng/l is 47 pmol/litre, 2,000 ng/l is 236 pmol/litre.
        ("nt-probnp", "33763-4", 47.3, "pmol/L", 400.0),
        ("nt-probnp", "33762-6", 2000.0, "ng/L", 2000.0),
        ("sodium", "2951-2", 128.0, "meq/L", 128.0),
        ("sodium", "2951-2", 128.0, "mmol/L", 128.0),
        ("albumin", "1751-7", 42.0, "g/L", 4.2),
        ("haematocrit", "4544-3", 0.30, "L/L", 30.0),
        ("arterial-po2", "2703-7", 8.0, "kPa", 60.0),
        ("ast", "1920-8", 0.5, "ukat/L", 30.0),
        ("body-temperature", "8310-5", 95.0, "[degF]", 35.0),
        ("body-mass-index", "39156-5", 31.2, "kg/m2", 31.2),
        ("glasgow-coma-score", "9269-2", 14.0, "1", 14.0),
        ("moca", "72172-0", 25.0, "{score}", 25.0),
        ("education-years", "82590-1", 12.0, "1", 12.0),
        ("education-years", "82590-1", 12.0, "a", 12.0),
        ("cigarettes-per-day", "64218-1", 20.0, "/d", 20.0),
        ("arterial-ph", "2744-1", 7.31, "[pH]", 7.31),
    ],
)
def test_a_value_is_told_in_the_unit_of_its_question(
    name: str, code: str, number: float, unit: str, expected: float
) -> None:
    assert value(name, code, number, unit) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("code", "number", "unit", "expected"),
    [
        # IFCC and NGSP side by side: 42, 48, 53 and 75 mmol/mol are 6.0, 6.5, 7.0 and 9.0 %.
        ("59261-8", 42.0, "mmol/mol", 6.0),
        ("59261-8", 48.0, "mmol/mol", 6.5),
        ("59261-8", 53.0, "mmol/mol", 7.0),
        ("4548-4", 75.0, "mmol/mol", 9.0),
        ("4548-4", 6.5, "%", 6.5),
        ("17856-6", 9.0, "%", 9.0),
    ],
)
def test_hba1c_of_the_ifcc_becomes_a_percentage_of_the_older_scale(
    code: str, number: float, unit: str, expected: float
) -> None:
    assert round(value("hba1c", code, number, unit), 1) == expected


def test_hba1c_is_never_turned_as_a_fraction_would_be() -> None:
    with pytest.raises(InvalidInput):
        convert(Quantity(48.0, "mmol/mol"), "%")


@pytest.mark.parametrize(("code", "number", "unit"), [("59261-8", 4.8, "%"), ("4548-4", 6.5, "mg/dL")])
def test_hba1c_on_a_scale_that_its_code_does_not_have_is_refused(code: str, number: float, unit: str) -> None:
    with pytest.raises(InvalidInput, match="want a value in"):
        value("hba1c", code, number, unit)


@pytest.mark.parametrize(
    ("code", "number", "unit", "expected"),
    [
        ("3094-0", 20.0, "mg/dL", 20.0),
        # CURB-65 puts its limit at 7 mmol/L of urea, which is 19.6 mg/dL of urea nitrogen.
        ("22664-7", 7.0, "mmol/L", 19.6),
        ("14937-7", 7.0, "mmol/L", 19.6),
        # 42.04 mg of urea hold 42.04 x 28.014 / 60.06 = 19.6 mg of nitrogen.
        ("3091-6", 42.04, "mg/dL", 19.6),
        ("3091-6", 0.4204, "g/L", 19.6),
        ("22664-7", 42.04, "mg/dL", 19.6),
    ],
)
def test_urea_is_told_as_the_nitrogen_in_it(code: str, number: float, unit: str, expected: float) -> None:
    assert value("urea-nitrogen", code, number, unit) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("code", "number", "unit"),
    [
        ("48065-7", 500.0, "ng/mL{FEU}"),
        ("48065-7", 0.5, "ug/mL{FEU}"),
        ("48065-7", 0.5, "mg/L{FEU}"),
        ("48065-7", 500.0, "ug/L{FEU}"),
        ("48067-3", 500.0, "ng/mL"),
        ("71427-9", 0.5, "mg/L"),
    ],
)
def test_a_code_for_fibrinogen_equivalents_says_so_where_the_unit_does_not(code: str, number: float, unit: str) -> None:
    assert value("d-dimer", code, number, unit) == pytest.approx(500.0)


def test_a_mass_of_d_dimer_is_no_number_of_fibrinogen_equivalents() -> None:
    with pytest.raises(InvalidInput):
        convert(Quantity(250.0, "ng/mL"), "ng/mL{FEU}")
    with pytest.raises(InvalidInput):
        value("d-dimer", "48065-7", 2.0, "mmol/L")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("d-dimer", "48066-5"),  # D-dimer units
        ("nt-probnp", "30934-4"),  # BNP
        ("nt-probnp", "42637-9"),
        ("urine-albumin-creatinine-ratio", "13705-9"),  # 24 hours
        ("cigarettes-per-day", "8663-7"),  # packs
        ("arterial-ph", "2746-6"),  # venous
        ("arterial-ph", "2756-5"),  # urine
        ("albumin", "1754-1"),  # urine
        ("glucose", "2350-7"),  # urine
        ("sodium", "2955-3"),  # urine
        ("hdl-cholesterol", "13457-7"),
        ("ldl-cholesterol", "2093-3"),
        ("haematocrit", "17809-5"),  # urine
    ],
)
def test_what_is_measured_elsewhere_or_is_something_else_does_not_answer(name: str, code: str) -> None:
    assert not codes.loaded()[name].contains(Coding(LOINC, code))


def test_only_what_no_public_code_was_found_for_has_no_code() -> None:
    without = {one.name for one in codes.loaded().values() if one.kind == "measurement" and not one.entries}
    assert without == {"first-birth-age", "breast-biopsies", "liver-stiffness"}


def test_readings_for_some_codes_name_codes_of_their_value_set() -> None:
    for one in codes.loaded().values():
        stated = {entry.coding.code for entry in one.entries}
        assert all(set(reading.codes) <= stated for reading in one.readings)
