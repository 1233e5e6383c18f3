"""Units by remembered ways, against Pint asked for each value."""

from __future__ import annotations

import random

import pytest
from pint import DimensionalityError

from cds import units
from cds.domain.coding import Quantity
from cds.errors import InvalidInput

#: One UCUM code of each unit.
UNITS = {expression: code for code, expression in units._NAMES.items()}
#: Zinc, g/mol: any molar mass would do.
MOLAR = 65.38
VALUES = (7.4, -3.5, 0.0, 1e-7, 5e9, random.Random(9).uniform(0, 300))


def by_pint(value: float, source: str, target: str, grams_per_mole: float) -> float | None:
    """As Pint converts it; None where the units are of different kinds."""
    registry = units._registry()
    found = [registry.Quantity(value, source)]
    if grams_per_mole and not source.startswith("degree"):
        molar = registry.Quantity(grams_per_mole, "gram / mole")
        found += [found[0] * molar, found[0] / molar]
    for amount in found:
        try:
            return float(amount.to(target).magnitude)
        except DimensionalityError:
            continue
    return None


def converted(value: float, source: str, target: str, grams_per_mole: float) -> float | None:
    try:
        return units.convert(Quantity(value, source), target, grams_per_mole=grams_per_mole).value
    except InvalidInput:
        return None


@pytest.mark.parametrize("source", UNITS)
def test_every_unit_becomes_every_other_to_the_last_digit_as_pint_says(source: str) -> None:
    pairs = ((target, molar) for target in UNITS for molar in (0.0, MOLAR) if target != source)
    for number, (target, molar) in enumerate(pairs):
        value = VALUES[number % len(VALUES)]
        assert converted(value, UNITS[source], UNITS[target], molar) == by_pint(value, source, target, molar)


def test_a_temperature_is_no_amount_of_substance() -> None:
    with pytest.raises(InvalidInput, match="of the same kind"):
        units.convert(Quantity(37.0, "Cel"), "mg/dL", grams_per_mole=113.12)
