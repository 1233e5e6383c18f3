"""Unit conversion against factors of UCUM, table by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cds import units
from cds.domain.coding import Quantity
from cds.errors import InvalidInput
from cds.units import convert, ucum


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [
        (5.2, "L", "mL", 5200.0),
        (5200.0, "mL", "L", 5.2),
        (350.0, "cm3", "mL", 350.0),
        (0.125, "1", "%", 12.5),
        (12.0, "%", "1", 0.12),
        (24.0, "mo", "a", 2.0),
        (1461.0, "d", "a", 4.0),
        (2.0, "wk", "d", 14.0),
        (7.5, "cm", "mm", 75.0),
        (30.0, "pack-years", "{pack-years}", 30.0),
        (-910.0, "HU", "[hnsf'U]", -910.0),
        (150.0, "[lb_av]", "kg", 68.0388555),
        (70.0, "[in_i]", "cm", 177.8),
        (98.6, "[degF]", "Cel", 37.0),
        (140.0, "g/L", "g/dL", 14.0),
        (125.0, "10*9/L", "10*3/uL", 125.0),
        (4.8, "10*12/L", "10*6/uL", 4.8),
        (210000.0, "{cells}/uL", "10*3/uL", 210.0),
        (0.88, "u[IU]/mL", "m[IU]/L", 0.88),
        (7.5, "kPa", "mm[Hg]", 7.5 / 0.133322),
        (450.0, "ng/L", "pg/mL", 450.0),
        (0.5, "ug/L", "ng/mL", 0.5),
        (0.5, "ug/mL{FEU}", "ng/mL{FEU}", 500.0),
        (0.5, "mg/L{FEU}", "ug/L{FEU}", 500.0),
        (0.42, "L/L", "%", 42.0),
        (30.0, "ug/mg", "mg/g", 30.0),
        (2.0, "ukat/L", "U/L", 120.0),
        (15.0, "1", "{score}", 15.0),
        (27.4, "kg/m2", "kg/m2", 27.4),
        (7.4, "[pH]", "[pH]", 7.4),
    ],
)
def test_known_units_convert(value: float, unit: str, wanted: str, expected: float) -> None:
    converted = convert(Quantity(value, unit), wanted)
    assert converted.unit == wanted
    assert converted.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("L", "%"),
        ("{pack-years}", "1"),
        ("a", "{pack-years}"),
        ("[hnsf'U]", "1"),
        ("furlong", "mm"),
        ("mm", "furlong"),
        ("", "%"),
        ("/d", "{pack-years}"),
        ("mmol/mol", "%"),
        ("ng/mL", "ng/mL{FEU}"),
        ("[pH]", "1"),
        ("meq/L", "mmol/L"),
        ("kg/m2", "kg"),
        ("/d", "/min{beats}"),
    ],
)
def test_unknown_and_incompatible_units_are_refused_in_words(unit: str, wanted: str) -> None:
    with pytest.raises(InvalidInput, match="want a"):
        convert(Quantity(1.0, unit), wanted)


def test_an_amount_of_substance_is_a_mass_by_its_molar_mass_alone() -> None:
    # Creatinine, 113.12 g/mol: 1 mg/dL is 88.4 umol/L.
    assert convert(Quantity(88.4, "umol/L"), "mg/dL", grams_per_mole=113.12).value == pytest.approx(1.0, rel=1e-4)
    assert convert(Quantity(1.0, "mg/dL"), "umol/L", grams_per_mole=113.12).value == pytest.approx(88.4, rel=1e-4)
    with pytest.raises(InvalidInput):
        convert(Quantity(88.4, "umol/L"), "mg/dL")
    with pytest.raises(InvalidInput):
        convert(Quantity(88.4, "umol/L"), "kg", grams_per_mole=113.12)


def test_a_ratio_of_masses_is_one_to_substance_by_its_molar_mass() -> None:
    # Creatinine, 113.12 g/mol: 30 mg/g is 3.39 mg/mmol.
    assert convert(Quantity(30.0, "mg/g"), "mg/mmol", grams_per_mole=113.12).value == pytest.approx(3.394, rel=1e-3)
    assert convert(Quantity(3.394, "g/mol"), "mg/g", grams_per_mole=113.12).value == pytest.approx(30.0, rel=1e-3)
    with pytest.raises(InvalidInput):
        convert(Quantity(3.394, "mg/mmol"), "mg/g")


@pytest.mark.parametrize(
    ("written", "system", "unit"),
    [
        ("MG/DL", "", "mg/dL"),
        ("mg/dl", "ISO+", "mg/dL"),
        ("mm(hg)", "ISO+", "mm[Hg]"),
        ("mmHg", "ANS+", "mm[Hg]"),
        ("K/uL", "", "10*3/uL"),
        ("lb", "", "[lb_av]"),
        ("in", "", "[in_i]"),
        ("C", "", "Cel"),
        ("bpm", "", "/min"),
        ("ML/MIN/1.73 M2", "", "mL/min/{1.73_m2}"),
        ("\N{MICRO SIGN}mol/L", "", "umol/L"),
        ("%", "", "%"),
        ("ng/mL FEU", "", "ng/mL{FEU}"),
        ("ug/ml FEU", "", "ug/mL{FEU}"),
        ("mg/L (FEU)", "", "mg/L{FEU}"),
        ("ng/mL DDU", "", None),
        ("mg/mmol creat", "", "mg/mmol"),
        ("mg/g Cr", "", "mg/g"),
        ("mmol/mol Hb", "", "mmol/mol"),
        ("kg/m\N{SUPERSCRIPT TWO}", "", "kg/m2"),
        ("pH", "", "[pH]"),
        ("PG/ML", "", "pg/mL"),
        ("mEq/L", "", "meq/L"),
        ("\N{MICRO SIGN}kat/L", "", "ukat/L"),
        ("C", "UCUM", "C"),  # a coulomb, if that is what was meant
        ("mM", "", None),
        ("M", "", None),
        ("mil/uL", "", None),
        ("G", "", None),
        ("mg%", "", None),
        ("", "", None),
        ("", "UCUM", None),
    ],
)
def test_what_a_sender_writes_becomes_ucum_or_nothing(written: str, system: str, unit: str | None) -> None:
    assert ucum(written, system) == unit


def test_every_spelling_means_one_unit_that_is_known() -> None:
    spellings = [written for several in units._WRITTEN.values() for written in several.split()]
    assert len(spellings) == len(set(spellings))
    assert all(written == written.casefold() for written in spellings)
    assert set(units._WRITTEN) <= set(units._NAMES)


def test_a_refusal_does_not_repeat_what_came_in() -> None:
    with pytest.raises(InvalidInput) as refused:
        convert(Quantity(123.456, "Unmistakable"), "mL")
    assert "Unmistakable" not in str(refused.value)
    assert "123" not in str(refused.value)


def test_importing_units_does_not_import_pint() -> None:
    program = "import cds.units, sys; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
