"""Diagnoses, problems and procedures: DG1, PRB, PR1; symptoms given as the reason of an order; pregnancy of a visit."""

from __future__ import annotations

from datetime import date
from typing import Literal

from adapters.hl7.coded import coding, is_symptom
from adapters.hl7.context import Context
from adapters.hl7.message import Message, Segment, Value
from cds import codes
from cds.domain.coding import Coding
from cds.domain.message import RecordValue

#: HL7 table 0052 (DG1-6): admitting and working diagnoses are not yet sure.
_UNSURE = frozenset({"A", "W"})
#: HL7 table 0009 (PV1-15, ambulatory status).
_PREGNANT = "B6"
#: HL7 tables 0206 (DG1-21, PR1-20) and 0287 (PRB-1).
_TAKEN_BACK = frozenset({"D", "DE"})
_PREGNANCY_STATUS = codes.PREGNANCY.entries[0].coding
_IS_PREGNANT = Coding(codes.SNOMED, "77386006", "Pregnancy")


def read_diagnoses(message: Message, context: Context) -> list[RecordValue]:
    """Conditions, procedures and symptoms, each with the key by which a later message replaces it.

    The reason of an order (OBR-31) is a record of a symptom only where it is one: other reasons are questions.
    """
    readers = {"DG1": _diagnosis, "PRB": _problem, "PR1": _procedure}
    found = [read(segment, context) for segment in message if (read := readers.get(segment.name))]
    found += [_reason(value, segment, context) for segment in message.all("OBR") for value in segment.values(31)]
    found.append(_pregnancy(message, context))
    return list({value.key: value for value in found if value}.values())


def _pregnancy(message: Message, context: Context) -> RecordValue | None:
    """PV1-15 B6 says that she is pregnant as of the message; `""` takes it back, and nothing else there says "no"."""
    visit = message.first("PV1")
    stated = visit.values(15)
    taken_back = bool(stated) and all(value.deleted for value in stated)
    if not taken_back and _PREGNANT not in {value.text().upper() for value in stated}:
        return None
    event = message.first("EVN")
    when = context.day(event, 6) or context.day(event, 2) or (context.sent_at.date() if context.sent_at else None)
    status = "entered-in-error" if taken_back else "final"
    key = f"PV1-15:{visit.text(19)}"
    return RecordValue("observation", key, _PREGNANCY_STATUS, _IS_PREGNANT, when, status)


def _diagnosis(segment: Segment, context: Context) -> RecordValue | None:
    code = _code(segment, 3, context, segment.text(2))
    if code is None:
        return None
    status = "preliminary" if segment.text(6).upper() in _UNSURE else "final"
    return _condition(segment, code, context.day(segment, 5), segment.text(20), status, taken_back=segment.text(21))


def _problem(segment: Segment, context: Context) -> RecordValue | None:
    code = _code(segment, 3, context)
    if code is None:
        return None
    since = context.day(segment, 16) or context.day(segment, 7) or context.day(segment, 2)
    return _condition(segment, code, since, segment.text(4), "final", taken_back=segment.text(1))


def _procedure(segment: Segment, context: Context) -> RecordValue | None:
    code = _code(segment, 3, context, segment.text(2))
    if code is None:
        return None
    when = context.day(segment, 5)
    status = "entered-in-error" if segment.text(20).upper() in _TAKEN_BACK else "final"
    return RecordValue("procedure", _key("PR1", segment.text(19), code, when), code, None, when, status)


def _reason(value: Value, segment: Segment, context: Context) -> RecordValue | None:
    code = coding(value, context)
    if code is None or not is_symptom(code):
        return None
    when = context.day(segment, 7) or context.day(segment, 6) or (context.sent_at.date() if context.sent_at else None)
    return RecordValue("symptom", _key("OBR", "", code, when), code, None, when)


def _condition(
    segment: Segment, code: Coding, when: date | None, instance: str, status: str, *, taken_back: str
) -> RecordValue:
    category: Literal["symptom", "condition"] = "symptom" if is_symptom(code) else "condition"
    if taken_back.upper() in _TAKEN_BACK:
        status = "entered-in-error"
    return RecordValue(category, _key(segment.name, instance, code, when), code, None, when, status)


def _code(segment: Segment, number: int, context: Context, method: str = "") -> Coding | None:
    """The coded value; its system from the old coding method field (DG1-2, PR1-2) where it names none."""
    value = segment.value(number)
    separator = value.syntax.delimiters.component
    if method and separator and not value.text(3) and value.text(1):
        value = Value(separator.join([*[*value.raw.split(separator), ""][:2], method]), value.syntax)
    code = coding(value, context)
    if code is None:
        context.note(f"a {segment.name} without a code in {segment.name}-{number} was left out")
    return code


def _key(kind: str, instance: str, code: Coding, when: date | None) -> str:
    return f"{kind}:{instance}" if instance else f"{kind}:{code.system}|{code.code}@{when or ''}"
