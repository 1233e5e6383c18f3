"""What the pathways of the abdominal and of the thoracic aorta share: diameters in centimetres, growth, imaging due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from cds import action_codes as actions
from cds import units
from cds.domain.coding import Quantity
from cds.domain.ehr import Known
from cds.domain.finding import Change
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._change import as_yearly
from cds.pathways._facts import Measured, words
from cds.pathways._guards import PALLIATIVE
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, ordered_already


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

    def doubles(self, centimetres: float) -> bool:
        """Whether it is twice a yearly limit, in all or by the year: sooner growth is never milder."""
        return as_yearly(self.centimetres, self.days) >= 2.0 * centimetres


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


def in_palliative_care(found: Reasoning) -> bool:
    """Whether palliative care is on record: then what cannot wait is told, and who leads the care is spoken to."""
    care = found.case.ehr.condition(PALLIATIVE.name)
    found.use(found.say(PALLIATIVE.title), care, words)
    return isinstance(care, Known)


def palliative_said(found: Reasoning) -> tuple[str, ...]:
    """What palliative care means for what is told; nothing where none is on record."""
    if not isinstance(found.case.ehr.condition(PALLIATIVE.name), Known):
        return ()
    return (found.say("Palliative or hospice care is on record: speak to who leads it before anything else."),)


def compare(found: Reasoning, source: Source, *, doubled: bool) -> None:
    """Growth that may be the error of the measurement alone: who sees both studies tells which it is."""
    if ordered_already(found, actions.COMPARE_STUDIES, urgent=doubled):
        return
    found.recommend(
        Recommendation(
            key="compare",
            action=found.say("Radiologist compares the aorta on both studies"),
            code=actions.COMPARE_STUDIES,
            reason=found.say("It would be fast growth; how large the error of the measurement is is not known."),
            source=source,
            priority=Priority.URGENT if doubled else Priority.ROUTINE,
            because=because(found),
            would_change=(found.say("The same diameter on both studies, measured by one person."),),
        )
    )


@dataclass(frozen=True, slots=True)
class Due:
    """When the aorta is imaged again; `said` is a sentence on since when it is overdue, "" where it is not."""

    first: date | None
    last: date
    said: str


def plan(found: Reasoning, first: date, last: date) -> Due:
    """The days from which and by which it is imaged; what is over is due today, and said to be overdue."""
    today = found.case.today
    said = found.say("Imaging of the aorta is overdue since {day}.", day=last) if last < today else ""
    return Due(first if first > today else None, max(last, today), said)
