"""Reading JSON that others wrote: what has another shape than R4 says is as good as absent, and nothing raises."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from cds import units
from cds.codes import SNOMED, UCUM
from cds.domain.coding import Coding, Quantity

Value = Quantity | Coding | date | str | None

_NUMBER = (int, float)
_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T.*)?)?)?")
#: R4 datatypes.html#dateTime: no clock is further from UTC, and offsets are hours and minutes.
_FURTHEST, _MINUTE = timedelta(hours=14), timedelta(minutes=1)
#: What is longer is made anew each time: nobody may fill the memory with it.
_SHORT = 400
#: What is longer is no number of a person or thing, and no database indexes it.
_LONGEST_NUMBER = 256


def obj(value: object) -> Mapping[str, object]:
    """A JSON object, empty where it is something else."""
    return value if isinstance(value, dict) else cast("Mapping[str, object]", value) if _is_mapping(value) else {}


def items(value: object) -> list[Mapping[str, object]]:
    """The objects of a JSON array."""
    if not value or not isinstance(value, list):
        return []
    found: list[Mapping[str, object]] = []
    for item in value:
        if isinstance(item, dict) or _is_mapping(item):
            found.append(item)
    return found


def _is_mapping(value: object) -> bool:
    """What parsers make is a dict; asking an abstract class takes ten times as long."""
    return not isinstance(value, str | list | int | float | None) and isinstance(value, Mapping)


def text(value: object) -> str:
    """A JSON string without surrounding space, "" where it is something else or has U+0000, which R4 does not allow."""
    return value.strip() if isinstance(value, str) and "\0" not in value else ""


def known_by(value: object) -> str:
    """What a person or a thing is known by: a string of a sensible length, "" where it is something else."""
    said = text(value)
    return said if len(said) <= _LONGEST_NUMBER else ""


def full_day(value: object) -> date | None:
    """The day of a date or dateTime as its writer's clock had it; None where day or month is not given."""
    said = text(value)
    if day := plain_day(said):
        return day
    match = _DAY.fullmatch(said)
    if match is None or not match[3]:
        return None
    return _date(match)


def earliest_day(value: object) -> date | None:
    """The day of a date or dateTime, the first one possible where it names a month or year alone."""
    said = text(value)
    return plain_day(said) or (None if (match := _DAY.fullmatch(said)) is None else _date(match))


def plain_day(said: str) -> date | None:
    """The day of a date or dateTime as nearly all are written, at a tenth of the cost; None where it may be another."""
    day = said[:10]
    if len(day) < len("YYYY-MM-DD") or day[4] != "-" or day[7] != "-" or said[10:11] not in "T" or "\n" in said:
        return None
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None


def instant(value: object) -> datetime | None:
    """A moment with its offset, in UTC; None where it has none or is none."""
    try:
        at = datetime.fromisoformat(text(value))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def stated_moment(value: object) -> datetime | None:
    """A moment as its writer's clock had it; None where it has no offset or is none."""
    try:
        at = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return at if _is_real(at) else None


def local_moment(value: object, zone: ZoneInfo) -> datetime | None:
    """A date or dateTime of at least a day; without an offset it is the time of a site in that zone."""
    day = full_day(value)
    if day is None:
        return None
    try:
        at = datetime.fromisoformat(text(value))
    except ValueError:
        at = datetime.combine(day, time.min)
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    return at if _is_real(at) else None


def _is_real(at: datetime) -> bool:
    """False without an offset, for one that no clock has, and where UTC ends: it could not be read again."""
    offset = at.utcoffset()
    if offset is None or abs(offset) > _FURTHEST or offset % _MINUTE:
        return False
    return timedelta(0) <= at.replace(tzinfo=None) - datetime.min - offset <= datetime.max - datetime.min


def words(concept: object) -> str:
    """A CodeableConcept as a person reads it: its text, else a display, else a code."""
    shown = [c.display or c.code for c in codings(concept)]
    return text(obj(concept).get("text")) or next(iter(shown), "")


def codings(concept: object) -> list[Coding]:
    """The codings of a CodeableConcept that have a code; its text stands in for a missing display."""
    element, found = obj(concept), []
    words = text(element.get("text"))
    for one in items(element.get("coding")):
        system, code, display = text(one.get("system")), text(one.get("code")), text(one.get("display")) or words
        if code:
            make = _coding if len(system) + len(code) + len(display) < _SHORT else Coding
            found.append(make(system, code, display))
    return found


@lru_cache(maxsize=4096)
def _coding(system: str, code: str, display: str) -> Coding:
    """Charts repeat few codes: each is made once."""
    return Coding(system, code, display)


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
    """A number with its unit in UCUM, or as written where that cannot be told; "<5" is no number, it stays text."""
    element = obj(value)
    number = element.get("value")
    if not isinstance(number, _NUMBER) or isinstance(number, bool) or not math.isfinite(number):
        return None
    comparator, unit = text(element.get("comparator")), _unit(element)
    return f"{comparator}{number} {unit}".strip() if comparator else Quantity(float(number), unit)


def _unit(element: Mapping[str, object]) -> str:
    """The code where it is said to be UCUM's, or nothing else is said; else what the unit's spelling stands for."""
    code = text(element.get("code"))
    if code and text(element.get("system")) in ("", UCUM):
        return code
    written = text(element.get("unit"))
    return next(filter(None, (units.ucum(said) for said in (written, code) if said)), written or code)


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
