"""OBX to values of the record (v2-to-fhir OBX[Observation])."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date

from adapters.hl7.coded import coding
from adapters.hl7.context import Context
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment, Value
from adapters.hl7.order import states_study
from adapters.hl7.own import is_own_result
from cds import units
from cds.domain.coding import Coding, Quantity
from cds.domain.message import RecordValue

#: HL7 table 0085 (OBX-11) and 0123 (OBR-25), as far as there is a value. X takes back what was preliminary.
_STATUS = {
    **dict.fromkeys(("F", "V", "U", "B"), "final"),
    **dict.fromkeys(("C", "A"), "corrected"),
    **dict.fromkeys(("P", "R", "S"), "preliminary"),
    **dict.fromkeys(("W", "D", "X"), "entered-in-error"),
}
#: Not a value yet, or never one: in process, not asked, part of the order.
_NO_RESULT = frozenset({"I", "N", "O"})
_EMBEDDED = frozenset({"ED", "RP"})
#: PS3.16 annex D, DICOM Study: by it a report names the study that it is about (IHE RAD-128).
_STUDY_OF_REPORT = ("113014", "DCM")
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})")

Stated = Quantity | Coding | date | str


def read_observations(message: Message, context: Context) -> list[RecordValue]:
    """Every OBX that has a code and a value, or takes one back, as `""` in OBX-5 does too.

    None of a result that Sightline made, nor what only names a study.
    The key is the order's number with OBX-3 and OBX-4, which a correction repeats (HL7 v2.5.1 section 7.4.2); OBX-1
    joins it where a message repeats both. OBX-21 identifies alone.
    """
    loose = Group(Segment("", message.syntax), Segment("", message.syntax), _before_groups(message))
    found = [
        (value, segment.raw(1).strip())
        for group in (loose, *read_groups(message))
        if not is_own_result(group.obr)
        for segment in group.all("OBX")
        if (value := _observation(segment, group, context))
    ]
    repeated = Counter(value.key for value, _ in found)
    return [replace(value, key=f"{value.key}#{place}") if repeated[value.key] > 1 else value for value, place in found]


def _before_groups(message: Message) -> list[Segment]:
    names = [segment.name for segment in message]
    ends = [names.index(name) for name in ("ORC", "OBR") if name in names]
    return message.segments[: min(ends, default=len(names))]


def _observation(segment: Segment, group: Group, context: Context) -> RecordValue | None:
    kind, result = segment.text(2).upper(), segment.text(11).upper() or group.obr.text(25).upper()
    if kind in _EMBEDDED or result in _NO_RESULT or _names_study(segment):
        return None
    code = coding(segment.value(3), context)
    if code is None:
        context.note("an OBX without a code in OBX-3 was left out")
        return None
    state = "entered-in-error" if _deletes(segment) else _STATUS.get(result, "final")
    value = _value(segment, kind, context)
    if value is None and state != "entered-in-error":
        return None
    effective = context.day(segment, 14) or context.day(group.obr, 7)
    return RecordValue("observation", _key(segment, group, code, context), code, value, effective, state)


def _names_study(segment: Segment) -> bool:
    return states_study(segment) or (segment.text(3), segment.text(3, 3).upper()) == _STUDY_OF_REPORT


def _deletes(segment: Segment) -> bool:
    """True where OBX-5 is `""` and nothing else (HL7 v2.5.1 section 2.7.1)."""
    values = segment.values(5)
    return bool(values) and all(value.deleted for value in values)


def _key(segment: Segment, group: Group, code: Coding, context: Context) -> str:
    if instance := segment.text(21):
        return f"OBX:{instance}:{segment.text(21, 2) or segment.text(21, 3)}".rstrip(":")
    number = group.number(3, context) or group.number(2, context)
    when = group.obr.text(7) or segment.text(14)
    order = f"{number.assigner}/{number.value}" if number else f"{group.obr.text(4)}@{when}"
    return f"OBX:{order}:{code.system}|{code.code}:{segment.raw(4).strip()}"


def _value(segment: Segment, kind: str, context: Context) -> Stated | None:
    values = [value for value in segment.values(5) if not value.deleted]
    if not values:
        return None
    if kind in ("NM", "SN") or (kind == "ST" and _is_number(values, segment)):
        return _quantity(values, segment, kind, context)
    if kind in ("CE", "CWE", "CNE", "CF"):
        return coding(values[0], context) or values[0].text(2) or values[0].text(9) or None
    if kind in ("DT", "TS", "DTM"):
        return context.day_of(values[0], "OBX-5")
    if kind in ("IS", "ID"):
        return Coding(context.local_system(), values[0].text()) if values[0].text() else None
    return "\n".join(value.whole() for value in values)


def _is_number(values: list[Value], segment: Segment) -> bool:
    """True for a text that is a plain number with a unit: some laboratories send all of theirs as ST."""
    return len(values) == 1 and bool(segment.values(6)) and bool(_NUMBER.fullmatch(values[0].whole().strip()))


def _quantity(values: list[Value], segment: Segment, kind: str, context: Context) -> Quantity | str | None:
    """A plain number is a quantity; a comparison, a ratio or a range (SN) stays text with its unit."""
    unit = _unit(segment.value(6), context)
    if kind == "SN" and (values[0].text(1) not in ("", "=") or values[0].text(3)):
        return f"{''.join(values[0].text(part) for part in range(1, 5))} {unit}".strip()
    first = values[0]
    text = (first.text(2) if kind == "SN" else first.whole().rstrip(first.syntax.delimiters.component or None)).strip()
    if len(values) > 1 or not _NUMBER.fullmatch(text):
        context.note("an OBX-5 that is no single number was left out")
        return None
    return Quantity(float(text), unit)


def _unit(value: Value, context: Context) -> str:
    """OBX-6 as UCUM, from the triplet that says UCUM where one does; else as sent, with a doubt.

    The mark of components may stand unescaped in it, as in 10^9/L.
    """
    triplets = [(value.text(code), value.text(code + 2)) for code in (1, 4)]
    written = sorted(triplets, key=lambda triplet: triplet[1].upper() != "UCUM")
    known = (units.ucum(code, system) for code, system in (*written, (value.whole(), "")))
    if unit := next(filter(None, known), None):
        return unit
    if value.raw.strip():
        context.note("a unit in OBX-6 that is not known here was kept as it was sent")
    return triplets[0][0] or value.whole()
