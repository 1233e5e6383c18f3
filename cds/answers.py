"""What a statement of a record answers to a question, as a value, and what becomes of answers that contradict.

InvalidInput says what was wanted instead of what was stated.
"""

from __future__ import annotations

from datetime import date
from typing import TypeVar

from cds import codes, units
from cds.codes import ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import Fact, Known, Measurement, SmokingStatus, Unknown
from cds.domain.message import RecordValue
from cds.errors import InvalidInput

T = TypeVar("T")
U = TypeVar("U")

_CONTRADICTION = "contradicts a value of the same age or without a date: ask the patient"
#: Units that a sender leaves out without saying less: what is counted, scored, or has no unit.
_COUNTED = frozenset({"1", "{score}", "[pH]"})
#: The status of a statement that is not final.
PRELIMINARY = "preliminary"


def smoking_status(value: RecordValue) -> SmokingStatus:
    """An answer of LOINC 72166-2."""
    status = codes.smoking_status(value.value) if isinstance(value.value, Coding) else None
    if status is None:
        raise InvalidInput("want an answer code of LOINC 72166-2")
    return status


def pack_years(value: RecordValue) -> Quantity:
    """A number of pack-years, not negative."""
    if not isinstance(value.value, Quantity):
        raise InvalidInput("want a number of pack-years")
    # The code itself counts pack-years: a sender that leaves the unit out has said it already.
    unit = codes.PACK_YEARS.unit if value.value.unit in {"", "1"} else value.value.unit
    quantity = units.convert(Quantity(value.value.value, unit), codes.PACK_YEARS.unit)
    if not 0 <= quantity.value < float("inf"):
        raise InvalidInput("want a number of pack-years that is not negative")
    return quantity


def measurement(value_set: ValueSet, value: RecordValue) -> Measurement:
    """A number in the unit of its value set; one that came without a unit is a number only where the set counts none.

    A preliminary value counts like any other: it says what was measured, and a correction replaces it.
    """
    if not isinstance(value.value, Quantity):
        raise InvalidInput("want a number with a unit")
    unit = value.value.unit or (value_set.unit if value_set.unit in _COUNTED else "")
    if not unit:
        raise InvalidInput("want its unit, none was sent")
    sent = Quantity(value.value.value, unit)
    quantity = value_set.value(value.code, sent)
    if not 0 <= quantity.value < float("inf"):
        raise InvalidInput("want a number that is not negative")
    return Measurement(value.code, quantity)


def pregnancy(value: RecordValue) -> bool:
    """An answer to the question, or a condition that says it: there "no" stands only where it is stated."""
    if value.status == PRELIMINARY:
        raise InvalidInput("want it confirmed, it is provisional")
    asked = codes.system(value.code.system) == codes.LOINC
    if not asked:
        return not (isinstance(value.value, Coding | str) and codes.is_negative(value.value))
    answer = codes.is_pregnant(value.value) if isinstance(value.value, Coding | str) else None
    if answer is None:
        raise InvalidInput("want an answer that says pregnant or not")
    return answer


def settled(
    status: Fact[SmokingStatus], pack_years: Fact[Quantity], quit_date: Fact[date]
) -> tuple[Fact[SmokingStatus], Fact[Quantity], Fact[date]]:
    """Rule 8 of `cds.record`: never smoked excludes pack-years and a quit date; smoking now excludes having quit."""
    never, now = _says(status, SmokingStatus.NEVER), _says(status, SmokingStatus.CURRENT)
    if never and isinstance(pack_years, Known) and pack_years.value.value > 0:
        status, pack_years = _newer(status, "smoking status", pack_years, "pack-years")
    if (never or now) and isinstance(status, Known) and isinstance(quit_date, Known):
        status, quit_date = _newer(status, "smoking status", quit_date, "the date of quitting")
    return status, pack_years, quit_date


def _says(status: Fact[SmokingStatus], which: SmokingStatus) -> bool:
    return isinstance(status, Known) and status.value is which


def _newer(one: Fact[T], one_name: str, other: Fact[U], other_name: str) -> tuple[Fact[T], Fact[U]]:
    first, second = _effective(one), _effective(other)
    if first and second and first != second:
        if first > second:
            return one, Unknown(f"{other_name} of {second} contradicts {one_name} of {first}, which is newer")
        return Unknown(f"{one_name} of {first} contradicts {other_name} of {second}, which is newer"), other
    return Unknown(f"{one_name} {_CONTRADICTION}"), Unknown(f"{other_name} {_CONTRADICTION}")


def _effective(fact: Fact[T]) -> date | None:
    return fact.effective if isinstance(fact, Known) else None
