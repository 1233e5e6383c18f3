"""What the pathways of the abdominal and of the thoracic aorta share: diameters in centimetres, and growth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds import units
from cds.domain.coding import Quantity
from cds.domain.finding import Change
from cds.pathways._facts import Measured
from cds.pathways._reasoning import Reasoning


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a diameter grew. `beyond_error` is None where the measurement's own error is not known."""

    centimetres: float
    days: int
    per_year: float | None
    beyond_error: bool | None

    def at_least(self, centimetres: float) -> bool:
        """Whether it grew by so much in a year: what was seen over less than a year is not stretched to one."""
        return self.centimetres >= centimetres and (self.per_year is None or self.per_year >= centimetres)


def diameter_cm(measured: Measured) -> float:
    """A diameter in centimetres, not rounded: 5.46 cm is below 5.5 cm."""
    return _centimetres(measured.value)


def largest(measured: Iterable[Measured]) -> Measured | None:
    """The one with the largest diameter, None where nothing was measured."""
    return max(measured, key=diameter_cm, default=None)


def shown(centimetres: float) -> str:
    """A diameter for the reader, without the digits that rounding would invent or hide."""
    return f"{round(centimetres, 2):.4g} cm"


def growth(measured: Measured) -> Growth | None:
    """What became of a diameter since the earlier study; None where no earlier one was compared."""
    change: Change | None = measured.finding.change
    if change is None:
        return None
    unit = measured.value.unit
    yearly = None if change.per_year is None else _centimetres(Quantity(change.per_year, unit))
    return Growth(_centimetres(Quantity(change.absolute, unit)), change.days, yearly, change.beyond_error)


def told_growth(found: Reasoning, measured: Measured) -> str:
    """Growth as a sentence, or that it is not known."""
    change, grown = measured.finding.change, growth(measured)
    if change is None or grown is None:
        return found.say("No earlier measurement was compared: growth is not known.")
    values = {"change": f"{grown.centimetres:+.2f} cm", "days": grown.days, "day": change.prior_date}
    if grown.beyond_error is None:
        return found.say("{change} in {days} days since {day}; whether that is more than error is not known.", **values)
    if grown.beyond_error:
        return found.say("{change} in {days} days since {day}, more than the error of the measurement.", **values)
    return found.say("{change} in {days} days since {day}, within the error of the measurement.", **values)


def _centimetres(quantity: Quantity) -> float:
    """Millimetres and centimetres without the registry of units, which takes longer than all of the pathway."""
    if quantity.unit == "mm":
        return quantity.value / 10
    return quantity.value if quantity.unit == "cm" else units.convert(quantity, "cm").value
