"""Reading JSON that others wrote: what has another shape than R4 says is as good as absent, and nothing raises."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import cast

from cds.codes import SNOMED
from cds.domain.coding import Coding, Quantity

Value = Quantity | Coding | date | str | None

_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T.*)?)?)?")


def obj(value: object) -> Mapping[str, object]:
    """A JSON object, empty where it is something else."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def items(value: object) -> list[Mapping[str, object]]:
    """The objects of a JSON array."""
    return [obj(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A JSON string without surrounding space, "" where it is something else."""
    return value.strip() if isinstance(value, str) else ""


def full_day(value: object) -> date | None:
    """The day of a date or dateTime as its writer's clock had it; None where day or month is not given."""
    match = _DAY.fullmatch(text(value))
    if match is None or not match[3]:
        return None
    return _date(match)


def earliest_day(value: object) -> date | None:
    """The day of a date or dateTime, the first one possible where it names a month or year alone."""
    match = _DAY.fullmatch(text(value))
    return None if match is None else _date(match)


def codings(concept: object) -> list[Coding]:
    """The codings of a CodeableConcept that have a code; its text stands in for a missing display."""
    words = text(obj(concept).get("text"))
    found = [
        Coding(text(c.get("system")), text(c.get("code")), text(c.get("display")) or words)
        for c in items(obj(concept).get("coding"))
    ]
    return [coding for coding in found if coding.code]


def has_code(concept: object, codes: frozenset[str]) -> bool:
    """True where one of the codings has one of the codes, whatever the system."""
    return any(coding.code in codes for coding in codings(concept))


def value_of(element: Mapping[str, object]) -> Value:
    """value[x] of an Observation or of its component: quantity, code, day or text; None where there is none."""
    for name, read in _READERS.items():
        if name in element:
            return read(element[name])
    return None


def _date(match: re.Match[str]) -> date | None:
    try:
        return date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        return None


def _quantity(value: object) -> Value:
    """A number with its unit; "<5" is no number, it stays text."""
    element = obj(value)
    number, unit = element.get("value"), text(element.get("code")) or text(element.get("unit"))
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
        return None
    comparator = text(element.get("comparator"))
    return f"{comparator}{number} {unit}".strip() if comparator else Quantity(float(number), unit)


def _integer(value: object) -> Value:
    return Quantity(float(value), "1") if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(value: object) -> Value:
    return str(value).lower() if isinstance(value, bool) else None


def _concept(value: object) -> Value:
    """The SNOMED CT coding if there is one, else the first; else the text."""
    found = codings(value)
    preferred = next((c for c in found if c.system == SNOMED), found[0] if found else None)
    return preferred or text(obj(value).get("text")) or None


def _moment(value: object) -> Value:
    """A day; a bare month or year stays text, for it is no day."""
    return full_day(value) or text(value) or None


def _period(value: object) -> Value:
    return _moment(obj(value).get("start") or obj(value).get("end"))


def _string(value: object) -> Value:
    return text(value) or None


_READERS = {
    "valueQuantity": _quantity,
    "valueInteger": _integer,
    "valueCodeableConcept": _concept,
    "valueDateTime": _moment,
    "valuePeriod": _period,
    "valueString": _string,
    "valueBoolean": _boolean,
}
