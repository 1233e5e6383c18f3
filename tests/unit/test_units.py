"""Unit conversion against factors of UCUM, table by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cds.domain.coding import Quantity
from cds.errors import InvalidInput
from cds.units import convert


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
    ],
)
def test_unknown_and_incompatible_units_are_refused_in_words(unit: str, wanted: str) -> None:
    with pytest.raises(InvalidInput, match="want a"):
        convert(Quantity(1.0, unit), wanted)


def test_a_refusal_does_not_repeat_what_came_in() -> None:
    with pytest.raises(InvalidInput) as refused:
        convert(Quantity(123.456, "Unmistakable"), "mL")
    assert "Unmistakable" not in str(refused.value)
    assert "123" not in str(refused.value)


def test_importing_units_does_not_import_pint() -> None:
    program = "import cds.units, sys; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
