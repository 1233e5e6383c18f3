"""Units: the few of UCUM that Sightline's values carry, converted by Pint.

The list is closed: a unit that is not named here is refused, never guessed. UCUM: http://ucum.org, tables 1 and 2.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from cds.domain.coding import Quantity
from cds.errors import InvalidInput

if TYPE_CHECKING:
    import pint

#: UCUM codes, and spellings that records are known to use for them → the name in the registry below.
_NAMES = {
    "1": "unity",
    "%": "percent",
    "mm": "millimetre",
    "cm": "centimetre",
    "m": "metre",
    "mL": "millilitre",
    "ml": "millilitre",
    "L": "litre",
    "l": "litre",
    "cm3": "millilitre",
    "d": "day",
    "wk": "week",
    "mo": "month",
    "a": "annum",
    "years": "annum",
    "[hnsf'U]": "hounsfield",
    "HU": "hounsfield",
    "{pack-years}": "pack_year",
    "{pack-year}": "pack_year",
    "{pack_years}": "pack_year",
    "{PackYears}": "pack_year",
    "pack-years": "pack_year",
    "pack years": "pack_year",
}

#: UCUM: a = 365.25 d, mo = a / 12. Hounsfield is a scale of its own; pack-years are an arbitrary count.
_DEFINITIONS = (
    "unity = []",
    "percent = 0.01 * unity",
    "metre = [length]",
    "centimetre = 0.01 * metre",
    "millimetre = 0.001 * metre",
    "litre = 0.001 * metre ** 3",
    "millilitre = 0.001 * litre",
    "day = [time]",
    "week = 7 * day",
    "annum = 365.25 * day",
    "month = annum / 12",
    "hounsfield = [density_scale]",
    "pack_year = [tobacco]",
)


def convert(quantity: Quantity, unit: str) -> Quantity:
    """The same quantity in another UCUM unit; raise InvalidInput where a unit is not known or does not fit."""
    source, target = _registered(quantity.unit), _registered(unit)
    if source == target:
        return Quantity(quantity.value, unit)
    # Imported late: Pint takes longer to import than a hook may take to answer.
    from pint import DimensionalityError

    try:
        value = _registry().Quantity(quantity.value, source).to(target).magnitude
    except DimensionalityError:
        raise InvalidInput(f"want a value in {unit} or in a unit of the same kind") from None
    return Quantity(float(value), unit)


def _registered(unit: str) -> str:
    try:
        return _NAMES[unit.strip()]
    except KeyError:
        raise InvalidInput("want a UCUM unit that Sightline knows: " + ", ".join(sorted(_NAMES))) from None


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    from pint import UnitRegistry

    registry: UnitRegistry[float] = UnitRegistry(None)
    for definition in _DEFINITIONS:
        registry.define(definition)
    return registry
