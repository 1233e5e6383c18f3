"""Units: the few of UCUM that Sightline's values carry, converted by Pint, and what senders write instead of UCUM.

The list is closed: a unit that is not named here is refused, never guessed. UCUM: http://ucum.org, tables 1 and 2.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from cds.domain.coding import Quantity
from cds.errors import InvalidInput

if TYPE_CHECKING:
    import pint

#: (value, grams per mole) → the value in the other unit.
_Way = Callable[[float, float], float]

#: UCUM codes, and spellings that records are known to use for them → an expression of the registry below.
_NAMES = {
    "1": "unity",
    "{INR}": "unity",
    "{score}": "unity",
    "L/L": "unity",
    "%": "percent",
    "mg/g": "milligram / gram",
    "ug/mg": "microgram / milligram",
    "g/mol": "gram / mole",
    "mg/mmol": "milligram / millimole",
    "mmol/mol": "ifcc_fraction",
    "[pH]": "acidity",
    "mm": "millimetre",
    "cm": "centimetre",
    "m": "metre",
    "[in_i]": "inch",
    "[ft_i]": "foot",
    "g": "gram",
    "kg": "kilogram",
    "[lb_av]": "pound",
    "[oz_av]": "ounce",
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
    "/min": "unity / minute",
    "mm[Hg]": "mercury_millimetre",
    "kPa": "kilopascal",
    "kg/m2": "kilogram / metre ** 2",
    "/d": "unity / day",
    "Cel": "degree_celsius",
    "[degF]": "degree_fahrenheit",
    "mg/dL": "milligram / decilitre",
    "mg/L": "milligram / litre",
    "g/dL": "gram / decilitre",
    "g/L": "gram / litre",
    "ug/mL": "microgram / millilitre",
    "ug/L": "microgram / litre",
    "ng/mL": "nanogram / millilitre",
    "ng/L": "nanogram / litre",
    "pg/mL": "picogram / millilitre",
    "ng/mL{FEU}": "nanogram_feu / millilitre",
    "ug/L{FEU}": "microgram_feu / litre",
    "ug/mL{FEU}": "microgram_feu / millilitre",
    "mg/L{FEU}": "milligram_feu / litre",
    "mmol/L": "millimole / litre",
    "umol/L": "micromole / litre",
    "pmol/L": "picomole / litre",
    "meq/L": "milliequivalent / litre",
    "10*3/uL": "thousand / microlitre",
    "10*6/uL": "million / microlitre",
    "10*9/L": "billion / litre",
    "10*12/L": "trillion / litre",
    "/nL": "unity / nanolitre",
    "/pL": "unity / picolitre",
    "/uL": "unity / microlitre",
    "{cells}/uL": "unity / microlitre",
    "U/L": "enzyme_unit / litre",
    "ukat/L": "microkatal / litre",
    "m[IU]/L": "milli_international_unit / litre",
    "m[IU]/mL": "milli_international_unit / millilitre",
    "u[IU]/mL": "micro_international_unit / millilitre",
    "mL/min": "millilitre / minute",
    "mL/min/{1.73_m2}": "millilitre / minute / standard_surface",
    "[hnsf'U]": "hounsfield",
    "HU": "hounsfield",
    "{pack-years}": "pack_year",
    "{pack-year}": "pack_year",
    "{pack_years}": "pack_year",
    "{PackYears}": "pack_year",
    "pack-years": "pack_year",
    "pack years": "pack_year",
}

#: UCUM → how it is written in OBX-6 where that does not say UCUM: the ISO+ abbreviations (HL7 v2.5.1 section 7.4.2.6,
#: which know no case), ANS+, and everyday spellings such as the reference messages have. Compared without case and
#: blanks; what would mean two things so is not here ("mM" is no millimetre, "M" no metre, and "mil" is a thousand in
#: Spanish). A micro sign becomes a mu.
_WRITTEN = {
    "g/dL": "g/dl gm/dl",
    "g/L": "g/l gm/l",
    "mg/dL": "mg/dl",
    "mg/L": "mg/l",
    "ug/mL": "ug/ml mcg/ml",
    "ug/L": "ug/l mcg/l",
    "ng/mL": "ng/ml",
    "ng/L": "ng/l",
    "pg/mL": "pg/ml",
    "ng/mL{FEU}": "ng/ml{feu} ng/mlfeu ng/ml(feu) ngfeu/ml ng{feu}/ml",
    "ug/L{FEU}": "ug/l{feu} ug/lfeu mcg/lfeu",
    "ug/mL{FEU}": "ug/ml{feu} ug/mlfeu ug/ml(feu) ugfeu/ml ug{feu}/ml mcg/mlfeu mcg/ml(feu)",
    "mg/L{FEU}": "mg/l{feu} mg/lfeu mg/l(feu) mgfeu/l",
    "mg/g": "mg/g mg/g{creat} mg/gcreat mg/gcr",
    "ug/mg": "ug/mg ug/mg{creat} ug/mgcreat mcg/mg mcg/mgcreat",
    "mg/mmol": "mg/mmol mg/mmol{creat} mg/mmolcreat mg/mmolcr",
    "mmol/mol": "mmol/mol mmol/mol{hb} mmol/molhb",
    "mmol/L": "mmol/l",
    "pmol/L": "pmol/l",
    "meq/L": "meq/l",
    "umol/L": "umol/l mcmol/l \N{GREEK SMALL LETTER MU}mol/l",
    "10*3/uL": "10*3/ul 10^3/ul x10*3/ul x10^3/ul 10*3/mm3 10^3/mm3 k/ul k/mm3 thou/ul thous/ul",
    "10*6/uL": "10*6/ul 10^6/ul x10*6/ul x10^6/ul 10*6/mm3 10^6/mm3",
    "10*9/L": "10*9/l 10^9/l x10*9/l x10^9/l giga/l giga.l-1",
    "10*12/L": "10*12/l 10^12/l x10*12/l x10^12/l tera/l tera.l-1",
    "/nL": "/nl",
    "/pL": "/pl",
    "/uL": "/ul /mm3",
    "{cells}/uL": "cells/ul {cells}/ul",
    "U/L": "u/l",
    "ukat/L": "ukat/l \N{GREEK SMALL LETTER MU}kat/l",
    "kg/m2": "kg/m2 kg/m^2 kg/m**2 kg/sqm kg/m\N{SUPERSCRIPT TWO}",
    "[pH]": "[ph] ph",
    "/d": "/d /day 1/d 1/day",
    "{score}": "{score} score points",
    "m[IU]/L": "miu/l",
    "m[IU]/mL": "miu/ml",
    "u[IU]/mL": "uiu/ml \N{GREEK SMALL LETTER MU}iu/ml",
    "mm[Hg]": "mm(hg) mm[hg] mmhg",
    "kPa": "kpa kpal",
    "/min": "/min 1/min min-1 bpm beats/min beats/minute breaths/min",
    "Cel": "cel c degc deg.c \N{DEGREE SIGN}c",
    "[degF]": "f degf deg.f [degf] \N{DEGREE SIGN}f",
    "[lb_av]": "lb lbs lb_av [lb_av]",
    "[oz_av]": "oz oz_av [oz_av]",
    "[in_i]": "in inch inches in_i [in_i] in_us",
    "[ft_i]": "ft feet ft_i [ft_i] ft_us",
    "kg": "kg kgs kilogram",
    "g": "gm gram grams",
    "cm": "cm centimeter",
    "mL": "ml",
    "mL/min": "ml/min",
    "mL/min/{1.73_m2}": "ml/min/1.73m2 ml/min/1.73_m2 ml/min/{1.73_m2} ml/min/1.73.m2 ml/min/1.73m^2"
    " ml/min/1.73m\N{SUPERSCRIPT TWO} ml/min/1.73sqm ml/min/{1.73m2}",
    "{INR}": "inr {inr}",
    "1": "ratio",
}
_SPELLINGS = {written: unit for unit, spellings in _WRITTEN.items() for written in spellings.split()}

#: UCUM: a = 365.25 d, mo = a / 12; the pound is 0.45359237 kg, the inch 2.54 cm, m[Hg] 133.322 kPa. Hounsfield is a
#: scale of its own, as is pH; pack-years are an arbitrary count, as are international and enzyme units and 1.73 m2 of
#: surface. A microkatal is 60 enzyme units. Fibrinogen equivalents are no mass of D-dimer, and what haemoglobin is
#: glycated by amount of substance (mmol/mol, IFCC) is no share of it by the older scale (%, NGSP).
_DEFINITIONS = (
    "unity = []",
    "percent = 0.01 * unity",
    "thousand = 1e3 * unity",
    "million = 1e6 * unity",
    "billion = 1e9 * unity",
    "trillion = 1e12 * unity",
    "metre = [length]",
    "centimetre = 0.01 * metre",
    "millimetre = 0.001 * metre",
    "inch = 0.0254 * metre",
    "foot = 12 * inch",
    "litre = 0.001 * metre ** 3",
    "decilitre = 0.1 * litre",
    "millilitre = 0.001 * litre",
    "microlitre = 1e-6 * litre",
    "nanolitre = 1e-9 * litre",
    "picolitre = 1e-12 * litre",
    "kilogram = [mass]",
    "gram = 0.001 * kilogram",
    "milligram = 1e-6 * kilogram",
    "microgram = 1e-9 * kilogram",
    "nanogram = 1e-12 * kilogram",
    "picogram = 1e-15 * kilogram",
    "nanogram_feu = [fibrinogen_equivalents]",
    "microgram_feu = 1e3 * nanogram_feu",
    "milligram_feu = 1e6 * nanogram_feu",
    "pound = 0.45359237 * kilogram",
    "ounce = pound / 16",
    "mole = [substance]",
    "millimole = 0.001 * mole",
    "micromole = 1e-6 * mole",
    "picomole = 1e-12 * mole",
    "milliequivalent = [charge_equivalents]",
    "ifcc_fraction = [glycated_haemoglobin]",
    "acidity = [acidity_scale]",
    "day = [time]",
    "minute = day / 1440",
    "week = 7 * day",
    "annum = 365.25 * day",
    "month = annum / 12",
    "kilopascal = [pressure]",
    "mercury_millimetre = 0.133322 * kilopascal",
    "kelvin = [temperature]",
    "degree_celsius = kelvin; offset: 273.15",
    "degree_fahrenheit = 5 / 9 * kelvin; offset: 255.3722222222222",
    "enzyme_unit = [catalysis]",
    "microkatal = 60 * enzyme_unit",
    "milli_international_unit = [biological]",
    "micro_international_unit = 0.001 * milli_international_unit",
    "standard_surface = [standard_surface_area]",
    "hounsfield = [density_scale]",
    "pack_year = [tobacco]",
)

#: Scales with zeros of their own: one factor does not convert them, and they are no parts of other units.
_OFFSET = frozenset({"degree_celsius", "degree_fahrenheit"})


def ucum(unit: str, system: str = "") -> str | None:
    """The UCUM code of a unit as a sender wrote it; None where it is not known, or would be a guess.

    `system` is the name of its coding system (HL7 table 0396: UCUM, ISO+, ANS+ …): what says UCUM is taken at its word.
    """
    unit = unit.strip()
    if system.strip().upper() == "UCUM" or unit in _NAMES:
        return unit or None
    return _SPELLINGS.get("".join(unit.split()).casefold())


def convert(quantity: Quantity, unit: str, *, grams_per_mole: float = 0.0) -> Quantity:
    """The same quantity in another UCUM unit; raise InvalidInput where a unit is not known or does not fit.

    `grams_per_mole` is the molar mass of what was measured: with it amounts of substance become masses, and back.
    """
    source, target = _registered(quantity.unit), _registered(unit)
    if source == target:
        return Quantity(quantity.value, unit)
    way = _way(source, target) or (_molar_way(source, target) if grams_per_mole else None)
    if way is None:
        raise InvalidInput(f"want a value in {unit} or in a unit of the same kind")
    return Quantity(way(quantity.value, grams_per_mole), unit)


@functools.cache
def _way(source: str, target: str) -> _Way | None:
    """How values of one unit become those of another, worked out by Pint once; None where they never do."""
    # Imported late: Pint takes longer to import than a hook may take to answer.
    from pint import DimensionalityError

    amount = _registry().Quantity
    try:
        factor = float(amount(1.0, source).to(target).magnitude)
    except DimensionalityError:
        return None
    if _OFFSET & {source, target}:
        return lambda value, _: float(amount(value, source).to(target).magnitude)
    return lambda value, _: value * factor


@functools.cache
def _molar_way(source: str, target: str) -> _Way | None:
    """How amounts of substance become masses, or masses such amounts; None where they are neither."""
    from pint import DimensionalityError

    if _OFFSET & {source, target}:
        return None
    one, molar = _registry().Quantity(1.0, source), _registry().Quantity(1.0, "gram / mole")
    with contextlib.suppress(DimensionalityError):
        times = float((one * molar).to(target).magnitude)
        return lambda value, grams_per_mole: value * grams_per_mole * times
    with contextlib.suppress(DimensionalityError):
        per = float((one / molar).to(target).magnitude)
        return lambda value, grams_per_mole: value / grams_per_mole * per
    return None


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
